"""Suite `consistency`: repeatability of the score over imperceptible perturbations and over sampled runs, and the
agreement with people that holds in all of them.

The main mode's spread is given as a ratio to that of every other mode and baseline on the same pictures; below 1 the
main mode is the more repeatable. Modes on the MOS scale are compared in MOS, all of them by `relative_spread`, which
has no unit (`snellen.evaluate.stats.spread`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.evaluate.baselines import has_own_unit, is_model
from snellen.evaluate.datasets import DataSet, some
from snellen.evaluate.modes import ONE, TWO
from snellen.evaluate.predict import Job
from snellen.evaluate.report.tables import Table, estimate, number
from snellen.evaluate.rows import Row
from snellen.evaluate.stats.arrays import Floats
from snellen.evaluate.stats.bootstrap import UNDEFINED, Estimate, bootstrap_interval
from snellen.evaluate.stats.spread import (
    consistency,
    largest_difference,
    ratio,
    ratio_interval,
    relative_spread,
    within_std,
)
from snellen.evaluate.suites import Suite, ladders, robustness
from snellen.evaluate.suites.scores import score_of, written_rating

NAME = "consistency"
RUNS = 10
EVERY = 2
"""Of the perturbed pictures, every second one is scored in sampled runs."""
Repeats = Mapping[str, Floats]
"""Scores (repeats,) of one mode by key of the picture."""
People = Mapping[str, tuple[float, str]]
"""MOS of a picture and name of its data set, by key."""
WRITTEN = "two rounds, rating as written"
"""The rating that a sampled reply states, which is the score of a model without a distribution."""


def jobs(sets: Sequence[DataSet], modes: Sequence[str], folder: Path) -> list[Job]:
    """Return the perturbed pictures, and half of them in `RUNS` runs sampled at temperature 1.

    The score-only mode and all baselines are deterministic: they have no sampled runs.
    """
    sampled = tuple(mode for mode in modes if mode in (TWO, ONE))
    runs = [
        Job(NAME, key, sample.path, sample.path, sampled, f"run {run}", seed=run)
        for run in range(1, RUNS + 1)
        for key, sample in list(some(sets, robustness.MAX_PERTURBED).items())[::EVERY]
        if sampled
    ]
    return [*robustness.perturbed_jobs(sets, modes), *runs]


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return, by mode, the spread over perturbations and over sampled runs, and the main mode's as a ratio to it.

    "sampled runs to perturbations": the main mode's spread over sampled runs as a ratio to the other's spread over
    perturbations, for baselines that have no sampled runs. "with people": consistency with the MOS over perturbations,
    "with people, sampled runs" over those.
    """
    main = rows[0].mode
    perturbed: dict[str, Repeats] = {}
    for mode, those in ladders.scores_of([row for row in rows if row.suite == robustness.NAME]).items():
        keys, table = robustness.perturbed_scores(those)
        perturbed[mode] = dict(zip(keys, table, strict=True))
    sampled = sampled_runs([row for row in rows if row.suite == NAME])
    people = {
        key: (sample.mos, one.name) for one in sets for key, sample in one.samples.items() if sample.mos is not None
    }
    return {
        "main": main,
        "perturbations": compared(perturbed, main),
        "sampled runs": compared(sampled, main),
        "sampled runs to perturbations": {
            mode: ratios(sampled.get(main, {}), those, mode) for mode, those in perturbed.items() if mode != main
        },
        "with people": with_people(perturbed, main, people),
        "with people, sampled runs": with_people(sampled, main, people),
    }


def sampled_runs(rows: Sequence[Row]) -> dict[str, Repeats]:
    """Return scores (runs,) of the pictures that have one in every run, by mode and key; and the ratings as written."""
    known: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        known.setdefault(row.mode, {}).setdefault(row.key, []).append(score_of(row))
        if row.mode == TWO:
            known.setdefault(WRITTEN, {}).setdefault(row.key, []).append(written_rating(row))
    return {
        mode: {key: np.array(scores) for key, scores in by_key.items() if not np.isnan(scores).any()}
        for mode, by_key in known.items()
    }


def compared(tables: Mapping[str, Repeats], main: str) -> dict[str, Any]:
    """Return, for each mode, its spread in its own unit and without a unit, and the main mode's ratio to it."""
    found = {}
    for mode, those in tables.items():
        table = _stacked(those, list(those))
        found[mode] = {
            "pictures": len(table),
            "spread": within_std(table),
            "largest difference": largest_difference(table),
            "relative spread": relative_spread(table),
            **ratios(tables.get(main, {}), those, mode),
        }
    return found


def ratios(main: Repeats, other: Repeats, mode: str) -> dict[str, Any]:
    """Return the ratio of the main mode's spread to another's on the pictures that both have.

    "ratio": of the relative spreads. "ratio in MOS": of the spreads, only for modes on the MOS scale.
    """
    both = [key for key in main if key in other]
    a, b = _stacked(main, both), _stacked(other, both)
    return {
        "both": len(both),
        "ratio": ratio_interval(relative_spread, a, b),
        "ratio in MOS": UNDEFINED if has_own_unit(mode) else ratio_interval(within_std, a, b),
    }


def with_people(tables: Mapping[str, Repeats], main: str, people: People) -> dict[str, Any]:
    """Return, for each mode, the share of pairs in the order of their MOS by the first score of each picture, and by
    every score ("consistency"); and "ratio", the main mode's consistency as a ratio to it, on the pictures that both
    have. "ratio of NAME": the same for each baseline that is another model, such as an adapted judge.

    Only pairs within one data set count.
    """

    def columns(keys: Sequence[str]) -> tuple[Floats, Sequence[str]]:
        return np.array([people[key][0] for key in keys], np.float64), [people[key][1] for key in keys]

    def as_ratio(judge: Repeats, other: Repeats) -> Estimate:
        both = [key for key in other if key in people and key in judge]
        return bootstrap_interval(
            lambda a, b, mos, name: ratio(consistency(a, mos, name), consistency(b, mos, name)),
            _stacked(judge, both), _stacked(other, both), *columns(both),
        ) if len(both) > 1 else UNDEFINED  # fmt: skip

    found = {}
    for mode, those in tables.items():
        keys = [key for key in those if key in people]
        if len(keys) < 2:
            continue
        table = _stacked(those, keys)
        found[mode] = {
            "pictures": len(keys),
            "first score": bootstrap_interval(consistency, table[:, :1], *columns(keys)),
            "consistency": bootstrap_interval(consistency, table, *columns(keys)),
            "ratio": as_ratio(tables.get(main, {}), those),
            **{f"ratio of {name}": as_ratio(tables[name], those) for name in tables if is_model(name)},
        }
    return found


def _stacked(those: Repeats, keys: Sequence[str]) -> Floats:
    return np.array([those[key] for key in keys], np.float64).reshape(len(keys), -1) if keys else np.empty((0, 0))


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table]:
    """Return the tables of the report; those with people only where pictures have a MOS."""
    main = summary["main"]
    ratio_head = [f"{main} / this, relative", f"{main} / this, in MOS"]
    head = ["mode or baseline", "pictures", "std, own unit", "largest difference", "relative std", *ratio_head]

    def table(key: str, title: str, note: str) -> Table:
        lines = [
            [mode, str(v["pictures"]), number(v["spread"]), number(v["largest difference"]),
             number(v["relative spread"]), *_ratios(v)]
            for mode, v in summary[key].items()
        ]  # fmt: skip
        return Table(title, head, lines, note)

    across = summary["sampled runs to perturbations"]
    lines = [[mode, str(v["both"]), *_ratios(v)] for mode, v in across.items()]
    title = f"{main} over sampled runs, as a ratio to others over perturbations"
    return [
        *(
            _people_table(summary[key], main, what)
            for key, what in (
                ("with people", "imperceptible perturbations"),
                ("with people, sampled runs", f"{RUNS} sampled runs"),
            )
            if summary[key]
        ),
        table("perturbations", "Repeatability over imperceptible perturbations", SPREAD),
        table("sampled runs", f"Repeatability over {RUNS} sampled runs at temperature 1", DETERMINISTIC),
        Table(title, ["mode or baseline", "pictures", *ratio_head], lines),
    ]


def _people_table(found: Mapping[str, Any], main: str, what: str) -> Table:
    models = [mode for mode in found if is_model(mode)]
    columns = ("first score", "consistency", "ratio", *(f"ratio of {model}" for model in models))
    return Table(
        f"Consistency with people over {what}",
        ["mode or baseline", "pictures", "pairs in order, first score", "consistency",
         *(f"{judge} / this" for judge in (main, *models))],
        [[mode, str(v["pictures"]), *(estimate(v[name], 2) for name in columns)] for mode, v in found.items()],
        PEOPLE,
    )  # fmt: skip


SPREAD = (
    "std: root mean square over pictures of the standard deviation of each one's scores; in MOS for the model. "
    "Relative: divided by the standard deviation between pictures, so that scales can be compared. Ratios below 1: the "
    "model is more repeatable, on the pictures that both have."
)
PEOPLE = (
    "Consistency: share of pairs of pictures in the order of their MOS whichever of their scores are compared: every "
    "score of the better one is higher. Ratios above 1: the model is more consistent than this."
)
DETERMINISTIC = "The score-only mode and all baselines are deterministic: see the next table."


def _ratios(found: Mapping[str, Any]) -> list[str]:
    return [estimate(found["ratio"], 2), estimate(found["ratio in MOS"], 2)]


SUITE = Suite(NAME, jobs, summarise, show)
