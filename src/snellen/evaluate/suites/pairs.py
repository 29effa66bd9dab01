"""Suite `pairs`: of two pictures, do the scores prefer the one that people chose?"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.data.sample import ManifestError, Sample
from snellen.evaluate.modes import FULL_CROP
from snellen.evaluate.predict import DataSet, Job, Row
from snellen.evaluate.report.tables import Figure, Table, percent
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.suites.scores import SEED, score_of

COLUMNS = ["first", "second", "preferred"]


def read_pairs(name: str, file: Path) -> DataSet:
    """A data set from a table of pairs, CSV with the columns first, second, preferred.

    first, second: files, relative to the table's folder; preferred: share of people who chose the first, 0..1.
    Whether the pictures exist is not looked at. Raises ManifestError naming the line that cannot be used.
    """
    samples: dict[str, Sample] = {}
    pairs = []
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.reader(lines)
        if next(rows, []) != COLUMNS:
            raise ManifestError(
                f"{file}: line 1: the columns are {','.join(COLUMNS)}, in this order; correct the header"
            )
        for row in rows:
            try:
                first, second, preferred = row[0], row[1], float(row[2])
                if len(row) != 3 or first == second or not 0.0 <= preferred <= 1.0:
                    raise ValueError
            except (IndexError, ValueError):
                problem = f"{row!r} is not two different files and a share from 0 to 1"
                raise ManifestError(f"{file}: line {rows.line_num}: {problem}; correct or remove the line") from None
            keys = [f"{name}/{Path(picture).as_posix()}" for picture in (first, second)]
            for key, picture in zip(keys, (first, second), strict=True):
                samples[key] = Sample(os.path.abspath(file.parent / picture), split="test")
            pairs.append((keys[0], keys[1], preferred))
    if not pairs:
        raise ManifestError(f"{file}: there are no pairs in it; add a line for each")
    return DataSet(name, samples, tuple(pairs))


def jobs(sets: Sequence[DataSet], ways: Sequence[str], folder: Path) -> list[Job]:
    """The pictures of all pairs, each once."""
    chosen = tuple(way for way in ways if way != FULL_CROP)
    return [
        Job("pairs", key, each.samples[key].path, each.samples[key].path, chosen)
        for each in sets
        for key in dict.fromkeys(key for first, second, _ in each.pairs for key in (first, second))
    ]


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """By set and way: agreement with the people who chose, over the pairs with two scores; `missing` have fewer.

    `unanimous` is what a judge would reach who always chose with the majority: no score can do better.
    """
    score = {(row.way, row.key): score_of(row) for row in rows}
    ways = dict.fromkeys(row.way for row in rows)
    summary: dict[str, Any] = {}
    for each in (each for each in sets if each.pairs):
        share = np.array([preferred for *_, preferred in each.pairs])
        known = {}
        for way in ways:
            first = np.array([score.get((way, key), np.nan) for key, _, _ in each.pairs])
            second = np.array([score.get((way, key), np.nan) for _, key, _ in each.pairs])
            there = ~np.isnan(first) & ~np.isnan(second)
            metric = metrics.two_alternative_accuracy
            value = metrics.bootstrap_interval(metric, first[there], second[there], share[there], seed=SEED)
            known[way] = {"n": int(there.sum()), "missing": int((~there).sum()), "accuracy": value}
        summary[each.name] = {"ways": known, "unanimous": float(np.maximum(share, 1 - share).mean())}
    return summary


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table | Figure]:
    """One table for each set."""
    return [
        Table(
            f"{name}: two pictures, one choice",
            ["way", "pairs", "without two scores", "agreement with people"],
            [[way, str(row["n"]), str(row["missing"]), percent(row["accuracy"])] for way, row in data["ways"].items()],
            f"Mean share of people who chose as the scores do; always the majority's choice gives "
            f"{percent(data['unanimous'])}, chance 50 %.",
        )
        for name, data in summary.items()
    ]
