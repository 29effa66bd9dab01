"""Suite `extremes`: does the score fall, and never rise again, while a photograph is degraded until nothing is left?

Each clean photograph is reduced to about KADID-10k's size and taken through the ladders of `snellen.data.extremes`:
blur to a sigma of 64 px, noise, JPEG to quality 1, darkness to 5 % of its brightness.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from snellen.data.extremes import LADDERS, extreme
from snellen.evaluate.baselines import is_external
from snellen.evaluate.datasets import DataSet, pristine
from snellen.evaluate.modes import CONTROLS
from snellen.evaluate.perturb import reduced
from snellen.evaluate.predict import Job
from snellen.evaluate.report.tables import Table, number, percent
from snellen.evaluate.rows import Row
from snellen.evaluate.stats.arrays import Floats
from snellen.evaluate.stats.bootstrap import mean_interval, share
from snellen.evaluate.suites import Suite
from snellen.evaluate.suites.scores import score_of
from snellen.image import Picture, load

NAME = "extremes"
MOST_PHOTOGRAPHS = 30
RISE = 0.1
"""MOS by which a score may rise above the lowest one of a milder step."""


def degraded(path: str, ladder: str, step: int) -> Picture:
    """Return the reduced photograph at a step, from 0, of a ladder."""
    return load(extreme(reduced(path).pixels, ladder, step), name=path)


def jobs(sets: Sequence[DataSet], modes: Sequence[str], folder: Path) -> list[Job]:
    """Return each photograph without and with every step of every ladder."""
    taken = tuple(mode for mode in modes if mode not in CONTROLS and not is_external(mode))
    found = []
    for key, sample in pristine(sets, MOST_PHOTOGRAPHS).items():
        found.append(Job(NAME, key, partial(reduced, sample.path), sample.path, taken, "clean"))
        for ladder, steps in LADDERS.items():
            for step in range(len(steps)):
                picture = partial(degraded, sample.path, ladder, step)
                found.append(Job(NAME, key, picture, sample.path, taken, f"{ladder} {step}"))
    return found


def largest_rise(scores: Floats) -> float:
    """Return how far a score rises above the lowest one of a milder step, 0 where it never does: (S,), mild first."""
    return float((scores - np.minimum.accumulate(scores)).max())


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return, by mode and ladder: the share of photographs whose score never rises by more than RISE, the largest rise
    of all, and the mean score of each step, the clean photograph first. "all ladders" has the share that passes all."""
    return {mode: _of_mode([row for row in rows if row.mode == mode]) for mode in dict.fromkeys(r.mode for r in rows)}


def _of_mode(rows: Sequence[Row]) -> dict[str, Any]:
    scores = {(row.key, row.variant): score_of(row) for row in rows}
    keys = list(dict.fromkeys(key for key, _ in scores))
    passed = np.ones(len(keys), bool)
    ladders = {}
    for ladder, steps in LADDERS.items():
        variants = ["clean", *(f"{ladder} {step}" for step in range(len(steps)))]
        table = np.array([[scores.get((key, variant), np.nan) for variant in variants] for key in keys])
        rises = np.array([largest_rise(line) for line in table])
        passed &= rises <= RISE  # a missing score gives NaN, which passes nothing
        ladders[ladder] = {
            "never rises": share([bool(rise <= RISE) for rise in rises]),
            "largest rise": float(np.nanmax(rises)) if np.isfinite(rises).any() else math.nan,
            "means": [mean_interval(list(column))[0] for column in table.T],
        }
    return {"photographs": len(keys), "all ladders": share(passed.tolist()), "ladders": ladders}


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table]:
    """Return one table: how many photographs pass each ladder, and the mean score along it."""
    lines = [
        [mode, ladder, percent(found["never rises"]), number(found["largest rise"]),
         ", ".join(number(mean) for mean in found["means"])]
        for mode, data in summary.items()
        for ladder, found in data["ladders"].items()
    ]  # fmt: skip
    whole = "; ".join(f"{mode}: {percent(data['all ladders'])}" for mode, data in summary.items())
    steps = "; ".join(f"{ladder} {', '.join(f'{value:g}' for value in values)}" for ladder, values in LADDERS.items())
    photographs = max((data["photographs"] for data in summary.values()), default=0)
    return [
        Table(
            f"Extremes: {photographs} clean photographs degraded until nothing is left",
            ["mode", "ladder", f"never rises by more than {RISE}", "largest rise", "mean score, clean first"],
            lines,
            f"Photographs that pass all ladders, {whole}. Steps: {steps}.",
        )
    ]


SUITE = Suite(NAME, jobs, summarise, show)
