"""Suites: each module here measures one property of a model. All have one shape, `Suite`.

Add a suite in three steps:

1. Write `suites/NAME.py` with three functions:
   - `jobs(sets, modes, folder)` lists the pictures to score, in which variants and modes;
   - `summarise(rows, sets)` turns their rows into numbers;
   - `show(summary, rows, sets)` turns the numbers into tables and figures.
2. End it with `SUITE = Suite("NAME", jobs, summarise, show)`.
3. Add NAME to `NAMES` below, and a test with values worked by hand.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.evaluate.datasets import DataSet
from snellen.evaluate.predict import Job
from snellen.evaluate.report.tables import Figure, Table
from snellen.evaluate.rows import Row
from snellen.usage import UsageError

NAMES = (
    "scores", "pairs", "calibration", "behaviour", "text", "grounding", "robustness", "faithfulness", "consistency",
    "real-faults", "extremes",
)  # fmt: skip
"""In the order of a report."""
DEFAULT = ("scores", "pairs", "calibration", "behaviour")
"""Suites that need little more than rated pictures."""


def _no_jobs(rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Job]:
    return []


@dataclass(frozen=True)
class Suite:
    """Three functions that measure one property of a model.

    Attributes:
        name: name of its module; its own jobs carry it.
        jobs: (sets, modes, folder) -> jobs. `modes` are those of the run: the main one first, then other modes, plain
            ratings of the model and external baselines; a suite uses those that apply to it. `folder` is the run's,
            for files that are slow to make, named after the suite. A suite without a suitable picture returns no
            jobs. It may return jobs of another suite (`scores.jobs`): equal jobs run once, and their rows carry the
            other suite's name.
        summarise: (rows, sets) -> JSON-able dict, NaN where a number is not defined, without times. `rows` are those
            of the suite's jobs, in their order, one for each job and mode.
        show: (summary, rows, sets) -> the tables and figures of a report, in order.
        follow_up: (rows, sets) -> further jobs that depend on the rows of the first ones; their rows are appended.
    """

    name: str
    jobs: Callable[[Sequence[DataSet], Sequence[str], Path], list[Job]]
    summarise: Callable[[Sequence[Row], Sequence[DataSet]], dict[str, Any]]
    show: Callable[[dict[str, Any], Sequence[Row], Sequence[DataSet]], Sequence[Table | Figure]]
    follow_up: Callable[[Sequence[Row], Sequence[DataSet]], list[Job]] = _no_jobs


def open_suite(name: str) -> Suite:
    """Return the suite of a name; UsageError for an unknown one."""
    if name not in NAMES:
        raise UsageError(f"unknown suite {name!r}; suites are {', '.join(NAMES)}")
    suite: Suite = importlib.import_module(f"snellen.evaluate.suites.{name.replace('-', '_')}").SUITE
    return suite
