"""`diff_runs`: paired differences between two runs over the same pictures, for `snellen evaluate diff`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snellen.evaluate.baselines import has_own_unit
from snellen.evaluate.files import read_predictions
from snellen.evaluate.modes import TWO
from snellen.evaluate.report.tables import Table, estimate, number, percent
from snellen.evaluate.stats import correlation
from snellen.evaluate.stats.bootstrap import Estimate, bootstrap_difference, mean_interval
from snellen.evaluate.suites.local_faults import drops_by_round, recipe_of
from snellen.evaluate.suites.scores import MIN_PICTURES
from snellen.region import Region
from snellen.usage import UsageError
from snellen.vocabulary import verdict

Line = Mapping[str, Any]
"""One prediction, see `snellen.evaluate.files.COLUMNS`."""
Scores = dict[str, tuple[float, float]]
"""(score, MOS) by key."""
Picture = tuple[str, str]
"""(key, variant)."""


def diff_runs(first: Path, second: Path) -> dict[str, Any]:
    """Return the differences "first minus second" of two finished runs, JSON-able.

    paired: for each set and mode of both runs, over the pictures that both scored, SRCC, PLCC, KRCC and (on the MOS
    scale) RMSE of both and their difference with its paired interval; `mean difference` and `mean absolute difference`
    of the scores. The same for the main modes where they differ. rates: see `compare_rates`. summaries: every number
    that both summaries hold at the same place.

    Raises UsageError when one is not a finished run of this version, or they have no picture in common.
    """
    lines = [read_predictions(folder) for folder in (first, second)]
    a, b = (scores_by_mode(one) for one in lines)
    rates = compare_rates(*lines)
    paired = {f"{name}, {mode}": pair(a[name, mode], b[name, mode], not has_own_unit(mode))
              for name, mode in a if (name, mode) in b}  # fmt: skip
    mains = [dict(reversed(list(one))) for one in (a, b)]  # the first mode of each set wins
    for name, main in mains[0].items():
        other = mains[1].get(name)
        if other is not None and main != other:
            on_scale = not (has_own_unit(main) or has_own_unit(other))
            paired[f"{name}, {main} against {other}"] = pair(a[name, main], b[name, other], on_scale)
    if not rates and not any(row["n"] for row in paired.values()):
        raise UsageError(f"{first} and {second} have no picture in common; evaluate both on the same data")
    numbers = [dict(leaves(_read_json(folder / "summary.json"))) for folder in (first, second)]
    both = {place: (value, numbers[1][place]) for place, value in numbers[0].items() if place in numbers[1]}
    return {"first": str(first), "second": str(second), "paired": paired, "rates": rates, "summaries": both}


def scores_by_mode(lines: Iterable[Line]) -> dict[tuple[str, str], Scores]:
    """Return (score, MOS) by (set, mode) and key, of rated pictures and of the local-fault set."""
    found: dict[tuple[str, str], Scores] = {}
    for line in lines:
        if line["score"] is None:
            continue
        if line["suite"] == "scores" and line["mos"] is not None:
            name = line["key"].split("/")[0]
            found.setdefault((name, line["mode"]), {})[line["key"]] = (line["score"], line["mos"])
        if line["suite"] == "grounding" and line["variant"]:
            mos = recipe_of(line["variant"], line["key"]).mos
            found.setdefault(("local faults", line["mode"]), {})[line["key"] + line["variant"]] = (line["score"], mos)
    return found


def pair(first: Scores, second: Scores, mos_scale: bool) -> dict[str, Any]:
    """Return the paired comparison of two modes; UsageError where the runs have different MOS for one picture."""
    keys = [key for key in first if key in second]
    a, wanted = np.array([first[key] for key in keys], float).reshape(-1, 2).T
    b, again = np.array([second[key] for key in keys], float).reshape(-1, 2).T
    if not np.array_equal(wanted, again):
        key = keys[int(np.flatnonzero(wanted != again)[0])]
        raise UsageError(f"{key} has another MOS in each run; evaluate both on the same labels")
    row: dict[str, Any] = {"n": len(keys), "in one run only": len(first) + len(second) - 2 * len(keys)}
    if len(keys) < MIN_PICTURES:
        return row
    metrics = (correlation.srcc, correlation.plcc, correlation.krcc, *((correlation.rmse,) if mos_scale else ()))
    for metric in metrics:
        difference = bootstrap_difference(metric, a, b, wanted)
        row[metric.__name__] = {"first": metric(a, wanted), "second": metric(b, wanted), "difference": difference}
    if mos_scale:
        row |= {"mean difference": float(np.mean(a - b)), "mean absolute difference": float(np.mean(np.abs(a - b)))}
    return row


def compare_rates(first: Iterable[Line], second: Iterable[Line]) -> dict[str, Any]:
    """Return, by measure, the rate of each run and "first minus second" with its interval over photographs.

    Only pictures that both runs assessed in two rounds count. Local faults of level 3 to 5: a crop covers half of the
    fault; an issue has its kind. All local faults: the score drop of the last round is closer to the expected one than
    that of the first. Clean pictures: there is an issue. Rated pictures: there is an issue, by the verdict of the MOS;
    the score of the last round is closer to the MOS than that of the first.
    """
    hits = [rated_pictures(lines) for lines in (first, second)]
    found = {}
    for name in hits[0]:
        pictures = [picture for picture in hits[0][name] if picture in hits[1].get(name, {})]
        if pictures:
            a, b = (np.array([one[name][picture] for picture in pictures], float) for one in hits)
            difference = mean_interval((a - b).tolist(), [key for key, _ in pictures])
            found[name] = {
                "n": len(pictures), "first": float(a.mean()), "second": float(b.mean()), "difference": difference
            }  # fmt: skip
    return found


def rated_pictures(lines: Iterable[Line]) -> dict[str, dict[Picture, bool]]:
    """Return, by measure of `compare_rates`, whether it holds for each picture of a run."""
    rounds: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        if line["mode"] == TWO and line["suite"] in ("scores", "grounding") and line["round"]:
            rounds.setdefault((line["suite"], line["key"], line["variant"]), []).append(line)
    hits: dict[str, dict[Picture, bool]] = {}
    local: dict[Picture, list[float | None]] = {}
    for (suite, key, variant), those in rounds.items():
        those.sort(key=lambda line: line["round"])
        for name, hit in _of_fault(key, variant, those) if suite == "grounding" else _of_rated(key, those):
            hits.setdefault(name, {})[key, variant] = hit
        if suite == "grounding":
            local[key, variant] = [line["mean"] for line in those]
    drops = drops_by_round([(key, variant, scores) for (key, variant), scores in local.items()])
    for picture, drop in zip(local, drops, strict=True):
        if drop is not None:
            expected, before, after = drop
            closer = abs(after - expected) < abs(before - expected)
            hits.setdefault("local faults: score drop closer in the last round", {})[picture] = closer
    return hits


def _of_fault(key: str, variant: str, rounds: list[Line]) -> Iterator[tuple[str, bool]]:
    if not variant:
        return
    recipe = recipe_of(variant, key)
    issues = json.loads(rounds[-1]["issues"])
    if recipe.kind is None:
        yield "clean pictures: false alarm", bool(issues)
    elif recipe.level >= 3:
        crops = [Region(*line["region"]) for line in rounds[1:]]
        yield "local faults, level 3-5: crop covers half", any(crop.covers(recipe.region) >= 0.5 for crop in crops)
        yield "local faults, level 3-5: right kind", any(issue["kind"] == recipe.kind for issue in issues)


def _of_rated(key: str, rounds: list[Line]) -> Iterator[tuple[str, bool]]:
    name, mos = key.split("/")[0], rounds[0]["mos"]
    if mos is not None:
        yield f"{name}, MOS {verdict(mos)}: has an issue", bool(json.loads(rounds[-1]["issues"]))
        first, last = rounds[0]["mean"], rounds[-1]["mean"]
        if len(rounds) > 1 and first is not None and last is not None:
            yield f"{name}: closer to MOS in the last round", abs(last - mos) < abs(first - mos)


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number of a summary with its place; of an estimate, the value."""
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
    """Return the tables of `diff_runs`: paired differences, rates, and other numbers that differ."""
    found = [_paired_table(compared), _rates_table(compared["rates"])]
    changed = [
        [place, number(a, 4), number(b, 4), number(a - b, 4)]
        for place, (a, b) in compared["summaries"].items()
        if a != b and not place.startswith("scores / ")
    ]
    found.append(Table("Other numbers that differ", ["number", "first", "second", "first − second"], changed))
    return [table for table in found if table.rows]


def _paired_table(compared: Mapping[str, Any]) -> Table:
    cells = []
    for name, row in compared["paired"].items():
        for metric in ("srcc", "plcc", "krcc", "rmse"):
            if metric in row:
                values = row[metric]
                cells.append([name, str(row["n"]), metric.upper(), number(values["first"]), number(values["second"]),
                              estimate(values["difference"], 4), _sure(values["difference"])])  # fmt: skip
    head = ["set and mode", "pictures", "metric", "first", "second", "first − second", "interval excludes 0"]
    note = "95 % bootstrap intervals of the difference; both runs see the same resamplings of the pictures."
    return Table(f"{compared['first']} and {compared['second']}", head, cells, note)


def _rates_table(rates: Mapping[str, Any]) -> Table:
    cells = []
    for name, row in sorted(rates.items()):
        points = estimate([100 * value for value in row["difference"]], 1)
        cells.append([name, str(row["n"]), percent(row["first"]), percent(row["second"]), points,
                      _sure(row["difference"])])  # fmt: skip
    head = ["share of", "pictures", "first", "second", "first − second, points", "interval excludes 0"]
    note = "Two rounds; 95 % bootstrap intervals over the photographs that both runs share."
    return Table("Issues, crops and refinement", head, cells, note)


def _sure(difference: Estimate) -> str:
    return "yes" if difference.excludes_zero else "no"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); name the --out of a finished `snellen evaluate`") from error
