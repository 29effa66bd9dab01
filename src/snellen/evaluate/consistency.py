"""Does the score waver? Over sampled runs and over changes that people do not see, against other measures.

The figure is a ratio: how much the main way wavers for what it tells apart (`snellen.evaluate.wavering.noise_share`),
over how much another way or a peer does. Under 1 the model is the steadier one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.evaluate import ladders, robustness
from snellen.evaluate.predict import DataSet, Job, Row
from snellen.evaluate.pristine import some
from snellen.evaluate.tables import Table, number
from snellen.evaluate.wavering import Floats, largest, noise_share, ratio, within
from snellen.evaluate.ways import ONE, ONLY, TWO

SUITE = "consistency"
RUNS = 10
MOST = 12
"""Pictures that are assessed in sampled runs, out of all sets."""
WRITTEN = "two rounds, rating as written"
"""The number that a sampled reply says, which is what a model without a distribution would be scored by."""


def jobs(sets: Sequence[DataSet], ways: Sequence[str], folder: Path) -> list[Job]:
    """The same pictures in `RUNS` runs sampled at temperature 1, and after each of the invisible changes.

    What has no chance in it (the plain head, peers) is only changed, not run again.
    """
    sampled = tuple(way for way in ways if way in (TWO, ONE, ONLY))
    runs = [
        Job(SUITE, key, sample.path, sample.path, sampled, f"run {run}", seed=run)
        for run in range(1, RUNS + 1)
        for key, sample in some(sets, MOST).items()
        if sampled
    ]
    return [*robustness.invisible_jobs(sets, ways), *runs]


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """By way: spread over the changes and over the runs, and the main way's as a ratio to each."""
    main = rows[0].way
    over_changes = {
        way: robustness.changed(those)[1]
        for way, those in ladders.scores_of([row for row in rows if row.suite == robustness.SUITE]).items()
    }
    over_runs = sampled_runs([row for row in rows if row.suite == SUITE])
    return {
        "main": main,
        "invisible changes": compared(over_changes, main),
        "sampled runs": compared(over_runs, main),
        "sampled runs over the changes of others": {
            way: ratio(noise_share(over_runs[main]), noise_share(table)) if main in over_runs else math.nan
            for way, table in over_changes.items()
            if way != main
        },
    }


def sampled_runs(rows: Sequence[Row]) -> dict[str, Floats]:
    """Scores (pictures, runs) of the pictures that have one in every run, by way; and ratings as written."""
    said: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        score = math.nan if row.score is None else row.score
        said.setdefault(row.way, {}).setdefault(row.key, []).append(score)
        if row.way == TWO:
            written = row.rounds[-1].rating if row.score is not None else None
            said.setdefault(WRITTEN, {}).setdefault(row.key, []).append(math.nan if written is None else written)
    found = {}
    for way, by_key in said.items():
        table = np.array(list(by_key.values()), np.float64)
        found[way] = table[~np.isnan(table).any(axis=1)]
    return found


def compared(tables: Mapping[str, Floats], main: str) -> dict[str, Any]:
    """For each way, from its scores (pictures, repeats): spread in its own unit, without a unit, and the ratio."""
    ours = noise_share(tables[main]) if main in tables else math.nan
    return {
        way: {
            "pictures": len(table),
            "spread": within(table),
            "largest difference": largest(table),
            "noise share": noise_share(table),
            "ours as a ratio": ratio(ours, noise_share(table)),
        }
        for way, table in tables.items()
    }


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table]:
    """The two tables of the report."""
    head = ["way", "pictures", "spread, own unit", "largest difference", "spread / what it tells apart", "ours to this"]
    titles = {
        "invisible changes": "Wavering over changes that nobody sees",
        "sampled runs": f"Wavering over {RUNS} sampled runs at temperature 1",
    }
    across = ", ".join(f"{way} {number(value, 2)}" for way, value in
                       summary["sampled runs over the changes of others"].items())  # fmt: skip
    notes = {
        "invisible changes": "The unit of the model's ways is the MOS point; ratios are of the columns without a unit.",
        "sampled runs": f"{summary['main']} over runs, as a ratio to others over invisible changes: {across or '-'}.",
    }
    return [
        Table(
            title,
            head,
            [
                [way, str(v["pictures"]), number(v["spread"]), number(v["largest difference"]),
                 number(v["noise share"]), number(v["ours as a ratio"], 2)]
                for way, v in summary[name].items()
            ],
            notes[name],
        )
        for name, title in titles.items()
    ]  # fmt: skip
