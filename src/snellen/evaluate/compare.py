"""Two runs side by side: paired differences over the pictures that both scored, and all numbers of their summaries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snellen.evaluate import claims
from snellen.evaluate.files import read_predictions
from snellen.evaluate.modes import WAYS
from snellen.evaluate.report.tables import Table, number, spread
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.suites.grounding import recipe_of
from snellen.evaluate.suites.scores import FEWEST, SEED
from snellen.usage import UsageError

Known = dict[tuple[str, str], dict[str, tuple[float, float]]]
"""(set, way) -> key -> (score, MOS)."""


def compare_runs(first: Path, second: Path) -> dict[str, Any]:
    """Differences "first minus second" of two finished runs, JSON-able.

    paired: for each set and way that both have, over the pictures that both scored: both values and the difference of
    SRCC, PLCC, KRCC and (for scores on 1..5) RMSE, with its 95 % bootstrap interval, both runs seeing the same
    resamplings; `moved` is the mean score difference and `apart` the mean absolute one. The same for each run's main
    way, which may differ. claims: see `claims.compared_shares`. summaries: every number that stands at the same place
    in both summaries.

    Raises UsageError when one of them is no finished run, or they have no picture in common.
    """
    lines = [read_predictions(folder) for folder in (first, second)]
    known = [scored(one) for one in lines]
    claimed = claims.compared_shares(*lines)
    paired = {
        f"{name}, {way}": pair(known[0][name, way], known[1][name, way], way in WAYS)
        for name, way in known[0]
        if (name, way) in known[1]
    }
    mains = [dict(reversed(list(one))) for one in known]  # the first way of each set wins
    for name in mains[0]:
        ways = [one.get(name) for one in mains]
        if ways[1] is not None and ways[0] != ways[1]:
            a, b = (one[name, str(way)] for one, way in zip(known, ways, strict=True))
            paired[f"{name}, {ways[0]} against {ways[1]}"] = pair(a, b, all(way in WAYS for way in ways))
    if not claimed and not any(row["n"] for row in paired.values()):
        raise UsageError(f"{first} and {second} have no picture in common; evaluate both on the same data")
    numbers = [dict(leaves(_read_json(folder / "summary.json"))) for folder in (first, second)]
    both = {place: (value, numbers[1][place]) for place, value in numbers[0].items() if place in numbers[1]}
    return {"first": str(first), "second": str(second), "paired": paired, "claims": claimed, "summaries": both}


def scored(lines: Iterable[Mapping[str, Any]]) -> Known:
    """Scores of rated pictures as they are, and of those with a known fault, from the predictions of a run."""
    found: Known = {}
    for line in lines:
        if line["score"] is None:
            continue
        if line["suite"] == "scores" and line["mos"] is not None:
            name = line["key"].split("/")[0]
            found.setdefault((name, line["way"]), {})[line["key"]] = (line["score"], line["mos"])
        if line["suite"] == "grounding" and line["variant"]:
            mos = recipe_of(line["variant"], line["key"]).mos
            found.setdefault(("local faults", line["way"]), {})[line["key"] + line["variant"]] = (line["score"], mos)
    return found


def pair(first: Mapping[str, tuple[float, float]], second: Mapping[str, tuple[float, float]], on_scale: bool) -> Any:
    """See `compare_runs`. Raises UsageError where the two runs have another MOS for one picture."""
    keys = [key for key in first if key in second]
    a, b, wanted, again = (
        np.array([known[key][i] for key in keys], float)
        for known, i in ((first, 0), (second, 0), (first, 1), (second, 1))
    )
    if not np.array_equal(wanted, again):
        key = keys[int(np.flatnonzero(wanted != again)[0])]
        raise UsageError(f"{key} has another MOS in each run; evaluate both on the same labels")
    row: dict[str, Any] = {"n": len(keys), "only in one": len(first) + len(second) - 2 * len(keys)}
    if len(keys) < FEWEST:
        return row
    chosen = (metrics.srcc, metrics.plcc, metrics.krcc, *((metrics.rmse,) if on_scale else ()))
    for metric in chosen:
        minus = metrics.bootstrap_difference(metric, a, b, wanted, seed=SEED)
        row[metric.__name__] = {"first": metric(a, wanted), "second": metric(b, wanted), "difference": minus}
    if on_scale:
        row |= {"moved": float(np.mean(a - b)), "apart": float(np.mean(np.abs(a - b)))}
    return row


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a summary by its place; of a value with its interval, the value."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, (int, float)):
        yield place, float(value)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{place} / {key}" if place else str(key))
    elif isinstance(value, list) and len(value) == 3 and all(isinstance(v, float) for v in value):
        yield place, value[0]


def tables(compared: Mapping[str, Any]) -> list[Table]:
    """What `compare_runs` found: paired differences; then the numbers of the summaries that are not the same."""
    cells = []
    for name, row in compared["paired"].items():
        for metric in ("srcc", "plcc", "krcc", "rmse"):
            if metric in row:
                values = row[metric]
                low, high = values["difference"][1:]
                sure = "yes" if low > 0 or high < 0 else "no"
                cells.append([name, str(row["n"]), metric.upper(), number(values["first"]), number(values["second"]),
                              spread(values["difference"], 4), sure])  # fmt: skip
    head = ["pictures and way", "n", "metric", "first", "second", "first − second", "0 outside the interval"]
    note = "95 % bootstrap intervals of the difference; both runs see the same resamplings of the pictures."
    changed = [
        [place, number(a, 4), number(b, 4), number(a - b, 4)]
        for place, (a, b) in compared["summaries"].items()
        if a != b and not place.startswith("scores / ")
    ]
    found = [] if not cells else [Table(f"{compared['first']} against {compared['second']}", head, cells, note)]
    if compared["claims"]:
        found.append(claims.table(compared["claims"]))
    if changed:
        found.append(Table("Other numbers that differ", ["number", "first", "second", "difference"], changed))
    return found


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); name the --out of a finished `snellen evaluate`") from error
