"""Suite `behaviour`: crop bias, shallow depth of field, and what the second round changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from snellen.evaluate.datasets import DataSet, pristine
from snellen.evaluate.modes import CONTROLS
from snellen.evaluate.perturb import SUBJECT, cropped, out_of_focus, portrait, reduced
from snellen.evaluate.predict import Job
from snellen.evaluate.report.tables import Table, estimate, number, percent
from snellen.evaluate.rows import Row
from snellen.evaluate.stats.bootstrap import UNDEFINED, bootstrap_difference, mean, mean_interval, share
from snellen.evaluate.stats.correlation import rmse
from snellen.evaluate.suites import Suite, scores
from snellen.image import Picture
from snellen.region import Region

NAME = "behaviour"
MAX_PHOTOGRAPHS = 48
WHOLE = "whole"
CROPS = {
    "crop left": Region(0.05, 0.2, 0.55, 0.7),
    "crop middle": Region(0.25, 0.25, 0.75, 0.75),
    "crop right": Region(0.45, 0.3, 0.95, 0.8),
    "crop small": Region(0.35, 0.35, 0.65, 0.65),
}
"""Regions of clean photographs that are scored as pictures of their own."""
PORTRAITS: dict[str, Callable[[str], Picture]] = {
    "all sharp": reduced,
    "blurred background": portrait,
    "all blurred": out_of_focus,
}
BLURS = ("blur", "motion blur")


def jobs(sets: Sequence[DataSet], modes: Sequence[str], folder: Path) -> list[Job]:
    """Return the rated pictures, and clean photographs whole, cropped and as portraits."""
    taken = tuple(mode for mode in modes if mode not in CONTROLS)
    clean = []
    for key, sample in pristine(sets, MAX_PHOTOGRAPHS).items():
        path = sample.path
        clean.append(Job(NAME, key, path, path, taken, WHOLE))
        clean += [Job(NAME, key, partial(cropped, path, part), path, taken, name) for name, part in CROPS.items()]
        clean += [Job(NAME, key, partial(make, path), path, taken, name) for name, make in PORTRAITS.items()]
    return [*scores.jobs(sets, modes, folder), *clean]


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return crop bias and portraits by mode, and the refinement of the main mode by set of rated pictures."""
    main = rows[0].mode
    clean: dict[str, list[Row]] = {}
    for row in rows:
        if row.suite == NAME:
            clean.setdefault(row.mode, []).append(row)
    rated = {name: list(found[main].values()) for name, found in scores.by_set(rows, sets).items() if main in found}
    mos = {key: sample.mos for each in sets for key, sample in each.samples.items() if sample.mos is not None}
    whole = [row for row in clean.get(main, []) if row.variant == WHOLE]
    return {
        "main": main,
        "crop bias": {mode: crop_bias(those) for mode, those in clean.items()},
        "second round on clean pictures": second_round(whole),
        "portraits": {mode: portraits(those) for mode, those in clean.items()},
        "refinement": {name: refinement(those, mos) for name, those in rated.items()},
    }


def crop_bias(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the score of a clean crop minus that of its whole clean photograph, in the mode's unit; 0 is unbiased.

    The interval of "bias" is over photographs, after the mean over the crops of each.
    """
    score = {(row.key, row.variant): row.score for row in rows}
    whole = {key: value for (key, variant), value in score.items() if variant == WHOLE and value is not None}
    moved = {
        (key, variant): value - whole[key]
        for (key, variant), value in score.items()
        if variant in CROPS and value is not None and key in whole
    }
    photographs = {key for key, _ in moved}
    means = [mean(d for (key, _), d in moved.items() if key == photograph) for photograph in sorted(photographs)]
    return {
        "photographs": len(photographs),
        "bias": mean_interval(means),
        "crop scores lower": share([difference < 0.0 for difference in moved.values()]),
        "by crop": {name: mean(d for (_, variant), d in moved.items() if variant == name) for name in CROPS},
    }


def two_round_scores(rows: Sequence[Row]) -> list[tuple[Row, float, float]]:
    """Return the rows that have two rounds with a score each, with the first and the last score."""
    return [
        (row, first, row.score)
        for row in rows
        if len(row.rounds) > 1 and row.score is not None and (first := row.rounds[0].score) is not None
    ]


def second_round(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the crop bias inside an assessment: score of the last round minus the first, on clean pictures."""
    moved = [last - first for _, first, last in two_round_scores(rows)]
    return {"pictures": len(rows), "two rounds": len(moved), "bias": mean_interval(moved)}


def portraits(rows: Sequence[Row]) -> dict[str, Any]:
    """Return score and rate of blur issues of photographs all sharp, with a blurred background, and all blurred.

    A background out of focus on purpose is not a fault. "relative drop" is its score drop over that of blur in the
    whole picture: 0 is right, 1 treats both alike; NaN where blur in the whole picture costs nothing. "background blur
    issue" is the share of pictures with a blur issue whose box has its centre outside the subject or holds all of it.
    """
    found: dict[str, Any] = {}
    for name in PORTRAITS:
        those = [row for row in rows if row.variant == name]
        blurs = [[issue.region for issue in row.issues if issue.kind in BLURS] for row in those]
        found[name] = {
            "pictures": len(those),
            "score": mean(row.score for row in those if row.score is not None),
            "blur issue": share([bool(boxes) for boxes in blurs]),
            "background blur issue": share([any(_on_background(box) for box in boxes) for boxes in blurs]),
        }
    sharp, background, blurred = (found[name]["score"] for name in PORTRAITS)
    drop = sharp - blurred
    return found | {"relative drop": (sharp - background) / drop if drop > 0.0 else math.nan}


def _on_background(box: Region) -> bool:
    x, y = box.center
    inside = SUBJECT.x0 <= x < SUBJECT.x1 and SUBJECT.y0 <= y < SUBJECT.y1
    return not inside or box.covers(SUBJECT) > 0.99


def refinement(rows: Sequence[Row], mos: Mapping[str, float]) -> dict[str, Any]:
    """Return the errors after each round of pictures with two rounds, and the direction in which their score moved.

    Errors are root mean squares. "towards MOS": share, of the scores that moved, that moved to the side of the MOS;
    "closer": share of all that ended closer to it.
    """
    pairs = [(first, last, mos[row.key]) for row, first, last in two_round_scores(rows)]
    first, last, wanted = np.array(pairs, float).reshape(-1, 3).T
    moved = last != first
    return {
        "pictures": len(rows),
        "two rounds": len(pairs),
        "error, first round": rmse(first, wanted),
        "error, last round": rmse(last, wanted),
        "error, last minus first": bootstrap_difference(rmse, last, first, wanted) if pairs else UNDEFINED,
        "moved": share(moved),
        "towards MOS": share(((last - first) * (wanted - first) > 0)[moved]),
        "closer": share(np.abs(last - wanted) < np.abs(first - wanted)),
        "mean move": mean(np.abs(last - first)),
    }


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table]:
    """Return the tables of crop bias, portraits and refinement."""
    shown = []
    bias = [
        [mode, str(v["photographs"]), estimate(v["bias"]), percent(v["crop scores lower"]),
         *(number(c) for c in v["by crop"].values())]
        for mode, v in summary["crop bias"].items() if v["photographs"]
    ]  # fmt: skip
    if bias:
        inner = summary["second round on clean pictures"]
        note = (
            f"External baselines in their own unit. Inside an assessment, {summary['main']}: {inner['two rounds']} of "
            f"{inner['pictures']} clean pictures had a second round; score after minus before "
            f"{estimate(inner['bias'])}."
        )
        head = ["mode or baseline", "photographs", "crop minus whole", "crop scores lower", *CROPS]
        shown.append(Table("Crop bias: clean crops of clean photographs", head, bias, note))
        shown.append(_portraits_table(summary["portraits"]))
    for name, values in summary["refinement"].items():
        if not values["two rounds"]:
            continue
        lines = [[what, _cell(value)] for what, value in values.items()]
        note = "Score after the last round against the first. Errors and moves in MOS."
        shown.append(Table(f"Refinement in the second round: {name}", ["measure", "value"], lines, note))
    return shown


def _portraits_table(modes: Mapping[str, Any]) -> Table:
    head = ["mode or baseline", *(f"{what}, {name}" for name in PORTRAITS for what in ("score", "blur issue"))]
    lines = [
        [mode, *(cell for name in PORTRAITS for cell in (number(v[name]["score"], 2), percent(v[name]["blur issue"]))),
         number(v["relative drop"], 2)]
        for mode, v in modes.items()
    ]  # fmt: skip
    note = "Relative drop: score drop of a blurred background over that of blur in the whole picture; 0 is right."
    return Table("Shallow depth of field: a sharp subject before a blurred background", [*head, "relative drop"], lines,
                 note)  # fmt: skip


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return estimate(value)
    return str(value) if isinstance(value, int) else number(value)


SUITE = Suite(NAME, jobs, summarise, show)
