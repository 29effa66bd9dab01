"""What two runs claim of the same pictures, and where they look, side by side: shares and their paired differences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from snellen.evaluate.modes import TWO
from snellen.evaluate.report.tables import Table, percent, spread
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.stats.fault_drop import Rated, drops
from snellen.evaluate.suites.grounding import rated_by_look, recipe_of
from snellen.evaluate.suites.scores import SEED
from snellen.region import Region
from snellen.vocabulary import verdict

Line = Mapping[str, Any]
Hits = dict[str, dict[tuple[str, str], bool]]
"""Measure -> (picture, variant) -> whether it is so."""


def compared_shares(first: Iterable[Line], second: Iterable[Line]) -> dict[str, Any]:
    """By measure: the share of each run and "first minus second", with its 95 % bootstrap interval over photographs,
    on the pictures that both runs assessed in two rounds. lines: predictions, see `snellen.evaluate.files.COLUMNS`.

    Of local faults of levels 3 to 5: a crop holds half of it; its kind is named. Of all of them: the last round is
    nearer than the first to what the fault costs (`snellen.evaluate.stats.fault_drop`).
    Of clean pictures: a fault is claimed.
    Of rated pictures: a fault is claimed, by the verdict of their MOS; the last round is nearer to it than the first.
    """
    hits = [measured(lines) for lines in (first, second)]
    found = {}
    for name in hits[0]:
        pictures = [where for where in hits[0][name] if where in hits[1].get(name, {})]
        if pictures:
            a, b = (np.array([one[name][where] for where in pictures], float) for one in hits)
            of = np.unique([key for key, _ in pictures], return_inverse=True)[1]
            sums, counts = np.bincount(of, a - b), np.bincount(of)
            minus = metrics.bootstrap_interval(lambda s, n: float(s.sum() / n.sum()), sums, counts, seed=SEED)
            found[name] = {"n": len(pictures), "first": float(a.mean()), "second": float(b.mean()), "difference": minus}
    return found


def measured(lines: Iterable[Line]) -> Hits:
    """What is so of each picture of a run, by measure."""
    rounds: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        if line["way"] == TWO and line["suite"] in ("scores", "grounding") and line["round"]:
            rounds.setdefault((line["suite"], line["key"], line["variant"]), []).append(line)
    hits: Hits = {}
    made: dict[tuple[str, str], Rated] = {}
    for (suite, key, variant), those in rounds.items():
        those.sort(key=lambda line: line["round"])
        for name, hit in _of_fault(key, variant, those) if suite == "grounding" else _of_rated(key, those):
            hits.setdefault(name, {})[key, variant] = hit
        rated = rated_by_look(key, variant, [line["mean"] for line in those]) if suite == "grounding" else None
        if rated is not None:
            made[key, variant] = rated
    for where, drop in zip(made, drops(made.values()), strict=True):
        if drop is not None:
            hits.setdefault("local faults: the last round is nearer to the cost", {})[where] = drop.nearer
    return hits


def _of_fault(key: str, variant: str, rounds: list[Line]) -> Iterator[tuple[str, bool]]:
    if not variant:
        return
    recipe = recipe_of(variant, key)
    issues = json.loads(rounds[-1]["issues"])
    if recipe.kind is None:
        yield "clean: a fault is claimed", bool(issues)
    elif recipe.level >= 3:
        crops = [Region(*line["region"]) for line in rounds[1:]]
        yield "fault 3-5: a crop holds half", any(crop.covers(recipe.region) >= 0.5 for crop in crops)
        yield "fault 3-5: its kind is named", any(issue["kind"] == recipe.kind for issue in issues)


def _of_rated(key: str, rounds: list[Line]) -> Iterator[tuple[str, bool]]:
    name, mos = key.split("/")[0], rounds[0]["mos"]
    if mos is not None:
        yield f"{name}, rated {verdict(mos)}: a fault is claimed", bool(json.loads(rounds[-1]["issues"]))
        first, last = rounds[0]["mean"], rounds[-1]["mean"]
        if len(rounds) > 1 and first is not None and last is not None:
            yield f"{name}: the last round is nearer", abs(last - mos) < abs(first - mos)


def table(found: Mapping[str, Any]) -> Table:
    """What `compared_shares` found."""
    rows = []
    for name, row in sorted(found.items()):
        low, high = row["difference"][1:]
        points = spread([100 * value for value in row["difference"]], 1)
        sure = "yes" if low > 0 or high < 0 else "no"
        rows.append([name, str(row["n"]), percent(row["first"]), percent(row["second"]), points, sure])
    head = ["share of pictures", "n", "first", "second", "first − second, points", "0 outside the interval"]
    note = "Two rounds; 95 % bootstrap intervals over photographs, which both runs share."
    return Table("What is claimed, and where is looked", head, rows, note)
