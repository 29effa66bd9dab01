"""Evaluation: measure a model on pictures with known labels, beside baselines on the same pictures.

    from pathlib import Path
    from snellen.data.sample import read_manifest
    from snellen.evaluate import Options, data_set, evaluate

    biq = data_set("biq2021", read_manifest("biq2021.jsonl"))
    summary = evaluate([biq], Path("out"), Options("snellen-1"), suites=["scores", "calibration"], resume=True)

`diff_runs` compares two runs picture by picture; `calibrate` fits a model's interval. The module `suites` lists
the suites and how to add one. Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snellen.evaluate.conformal import calibrate
    from snellen.evaluate.datasets import DataSet, data_set
    from snellen.evaluate.diff import diff_runs
    from snellen.evaluate.harness import evaluate
    from snellen.evaluate.predict import Job, Options
    from snellen.evaluate.rows import Row
    from snellen.evaluate.suites import Suite

_MODULES = {
    "DataSet": "datasets",
    "Job": "predict",
    "Options": "predict",
    "Row": "rows",
    "Suite": "suites",
    "calibrate": "conformal",
    "diff_runs": "diff",
    "data_set": "datasets",
    "evaluate": "harness",
}
__all__ = ["DataSet", "Job", "Options", "Row", "Suite", "calibrate", "data_set", "diff_runs", "evaluate"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'snellen.evaluate' has no attribute {name!r}")
    return getattr(importlib.import_module(f"snellen.evaluate.{_MODULES[name]}"), name)
