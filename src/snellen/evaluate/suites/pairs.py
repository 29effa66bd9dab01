"""Suite `pairs`: agreement with people who chose the better of two pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.evaluate.datasets import DataSet
from snellen.evaluate.predict import Job
from snellen.evaluate.report.tables import Table, percent
from snellen.evaluate.rows import Row
from snellen.evaluate.stats.bootstrap import bootstrap_interval
from snellen.evaluate.stats.correlation import two_alternative_accuracy
from snellen.evaluate.suites import Suite
from snellen.evaluate.suites.scores import score_of


def jobs(sets: Sequence[DataSet], modes: Sequence[str], folder: Path) -> list[Job]:
    """Return the pictures of all pairs, each once."""
    return [
        Job("pairs", key, each.samples[key].path, each.samples[key].path, tuple(modes))
        for each in sets
        for key in dict.fromkeys(key for first, second, _ in each.pairs for key in (first, second))
    ]


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return, by set and mode, the 2AFC accuracy over the pairs with two scores; `missing` have fewer.

    `majority` is the accuracy of always choosing with the majority, the upper bound of every score.
    """
    score = {(row.mode, row.key): score_of(row) for row in rows}
    modes = dict.fromkeys(row.mode for row in rows)
    summary: dict[str, Any] = {}
    for each in (each for each in sets if each.pairs):
        share = np.array([preferred for *_, preferred in each.pairs])
        known = {}
        for mode in modes:
            first = np.array([score.get((mode, key), np.nan) for key, _, _ in each.pairs])
            second = np.array([score.get((mode, key), np.nan) for _, key, _ in each.pairs])
            both = ~np.isnan(first) & ~np.isnan(second)
            value = bootstrap_interval(two_alternative_accuracy, first[both], second[both], share[both])
            known[mode] = {"n": int(both.sum()), "missing": int((~both).sum()), "accuracy": value}
        summary[each.name] = {"modes": known, "majority": float(np.maximum(share, 1 - share).mean())}
    return summary


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table]:
    """Return one table for each set."""
    return [
        Table(
            f"{name}: choices between two pictures",
            ["mode or baseline", "pairs", "pairs without two scores", "2AFC accuracy"],
            [[mode, str(row["n"]), str(row["missing"]), percent(row["accuracy"])]
             for mode, row in data["modes"].items()],
            f"Mean share of people who chose as the scores do. Majority choice: {percent(data['majority'])}; chance: "
            "50 %.",
        )
        for name, data in summary.items()
    ]  # fmt: skip


SUITE = Suite("pairs", jobs, summarise, show)
