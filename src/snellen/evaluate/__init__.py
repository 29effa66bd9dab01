"""Evidence: what a model reaches on pictures whose truth is known, and its peers on the same ones.

    from pathlib import Path
    from snellen.data.sample import read_manifest
    from snellen.evaluate import Options, data_set, evaluate

    biq = data_set("biq2021", read_manifest("biq2021.jsonl"))
    summary = evaluate([biq], Path("out"), Options("snellen-1"), suites=["scores", "calibration"], resume=True)

`evaluate` writes predictions, summary.json, run.json and report.html into its folder; `compare_runs` puts two such
folders side by side; `calibrate` fits a model's interval. A suite is a module here, and the module `predict` says how
one is written.
Importing this package loads nothing else; every name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snellen.evaluate.compare import compare_runs
    from snellen.evaluate.harness import DEFAULT_SUITES, SUITES, evaluate
    from snellen.evaluate.predict import DataSet, Job, Options, Row, data_set
    from snellen.evaluate.suites.calibration import calibrate

_HOMES = {
    "DEFAULT_SUITES": "harness",
    "SUITES": "harness",
    "DataSet": "predict",
    "Job": "predict",
    "Options": "predict",
    "Row": "predict",
    "calibrate": "suites.calibration",
    "compare_runs": "compare",
    "data_set": "predict",
    "evaluate": "harness",
}
__all__ = [
    "DEFAULT_SUITES", "SUITES", "DataSet", "Job", "Options", "Row",
    "calibrate", "compare_runs", "data_set", "evaluate",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'snellen.evaluate' has no attribute {name!r}")
    return getattr(importlib.import_module(f"snellen.evaluate.{_HOMES[name]}"), name)
