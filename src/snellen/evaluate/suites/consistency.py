"""Does the score waver? Over sampled runs and over changes that people do not see, against other measures.

The figure is a ratio: how much the main way wavers over how much another way or a peer does, on the same pictures.
Under 1 the model is the steadier one. Ways of the model are compared in MOS points; everything, the peers too, by the
spread for what it tells apart, which has no unit: see `snellen.evaluate.stats.spread` for why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.evaluate.modes import ONE, ONLY, TWO, WAYS
from snellen.evaluate.predict import DataSet, Job, Row
from snellen.evaluate.pristine import some
from snellen.evaluate.report.tables import Table, number, spread
from snellen.evaluate.stats.spread import Floats, largest, noise_share, ratio_interval, within
from snellen.evaluate.suites import ladders, robustness

SUITE = "consistency"
RUNS = 10
EVERY = 2
"""Every so many of the pictures that are changed invisibly are assessed in sampled runs."""
SEED = 0
Repeats = Mapping[str, Floats]
"""Of one way: by key of the picture its scores, (repeats,)."""
WRITTEN = "two rounds, rating as written"
"""The number that a sampled reply says, which is what a model without a distribution would be scored by."""


def jobs(sets: Sequence[DataSet], ways: Sequence[str], folder: Path) -> list[Job]:
    """The same pictures in `RUNS` runs sampled at temperature 1, and after each of the invisible changes.

    What has no chance in it (plain heads, peers) is only changed, not run again; half of the pictures are run.
    """
    sampled = tuple(way for way in ways if way in (TWO, ONE, ONLY))
    runs = [
        Job(SUITE, key, sample.path, sample.path, sampled, f"run {run}", seed=run)
        for run in range(1, RUNS + 1)
        for key, sample in list(some(sets, robustness.MOST).items())[::EVERY]
        if sampled
    ]
    return [*robustness.invisible_jobs(sets, ways), *runs]


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """By way: spread over the changes and over the runs, and the main way's as a ratio to each.

    "sampled runs over the changes of others": what has no chance in it does not waver over runs at all, so there the
    main way's runs are set against what the changes do to the other.
    """
    main = rows[0].way
    over_changes: dict[str, Repeats] = {}
    for way, those in ladders.scores_of([row for row in rows if row.suite == robustness.SUITE]).items():
        keys, table = robustness.changed(those)
        over_changes[way] = dict(zip(keys, table, strict=True))
    over_runs = sampled_runs([row for row in rows if row.suite == SUITE])
    return {
        "main": main,
        "invisible changes": compared(over_changes, main),
        "sampled runs": compared(over_runs, main),
        "sampled runs over the changes of others": {
            way: versus(over_runs.get(main, {}), those, way) for way, those in over_changes.items() if way != main
        },
    }


def sampled_runs(rows: Sequence[Row]) -> dict[str, Repeats]:
    """Scores (runs,) of the pictures that have one in every run, by way and key; and ratings as written."""
    said: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        score = math.nan if row.score is None else row.score
        said.setdefault(row.way, {}).setdefault(row.key, []).append(score)
        if row.way == TWO:
            written = row.rounds[-1].rating if row.score is not None else None
            said.setdefault(WRITTEN, {}).setdefault(row.key, []).append(math.nan if written is None else written)
    return {
        way: {key: np.array(scores) for key, scores in by_key.items() if not np.isnan(scores).any()}
        for way, by_key in said.items()
    }


def compared(tables: Mapping[str, Repeats], main: str) -> dict[str, Any]:
    """For each way: spread in its own unit, and without a unit; and the main way's as a ratio to it."""
    found = {}
    for way, those in tables.items():
        table = _stacked(those, list(those))
        found[way] = {
            "pictures": len(table),
            "spread": within(table),
            "largest difference": largest(table),
            "noise share": noise_share(table),
            **versus(tables.get(main, {}), those, way),
        }
    return found


def versus(ours: Repeats, theirs: Repeats, way: str) -> dict[str, Any]:
    """Our spread as a ratio to another way's on the pictures that both have, with intervals.

    "ratio": without a unit. "ratio, MOS points": as it is, only for ways that score on the MOS scale.
    """
    both = [key for key in ours if key in theirs]
    a, b = _stacked(ours, both), _stacked(theirs, both)
    nothing = (math.nan,) * 3
    return {
        "both": len(both),
        "ratio": ratio_interval(noise_share, a, b, seed=SEED),
        "ratio, MOS points": ratio_interval(within, a, b, seed=SEED) if way in (*WAYS, WRITTEN) else nothing,
    }


def _stacked(those: Repeats, keys: Sequence[str]) -> Floats:
    return np.array([those[key] for key in keys], np.float64).reshape(len(keys), -1) if keys else np.empty((0, 0))


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table]:
    """The three tables of the report."""
    head = ["way", "pictures", "spread, own unit", "largest difference", "spread / what it tells apart"]
    titles = {
        "invisible changes": "Wavering over changes that nobody sees",
        "sampled runs": f"Wavering over {RUNS} sampled runs at temperature 1",
    }
    notes = {
        "invisible changes": "Spread: root mean square over pictures of the standard deviation of each one's scores; "
        "of the model's ways in MOS points. What it tells apart: the standard deviation of the pictures' mean scores, "
        "so that scales can be compared. Ratios under 1: the model is steadier; on the pictures that both have.",
        "sampled runs": "Plain heads and peers have no chance in them: they are in the next table.",
    }
    ratios = [f"{summary['main']} to this", "the same in MOS points"]
    found = [
        Table(
            title,
            [*head, *ratios],
            [
                [way, str(v["pictures"]), number(v["spread"]), number(v["largest difference"]),
                 number(v["noise share"]), *_ratios(v)]
                for way, v in summary[name].items()
            ],
            notes[name],
        )
        for name, title in titles.items()
    ]  # fmt: skip
    across = summary["sampled runs over the changes of others"]
    title = f"{summary['main']} over sampled runs, as a ratio to others over changes that nobody sees"
    lines = [[way, str(v["both"]), *_ratios(v)] for way, v in across.items()]
    return [*found, Table(title, ["way", "pictures", *ratios], lines)]


def _ratios(versus: Mapping[str, Any]) -> list[str]:
    return [spread(versus["ratio"], 2), spread(versus["ratio, MOS points"], 2)]
