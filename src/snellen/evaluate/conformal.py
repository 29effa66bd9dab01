"""`calibrate`: fit the conformal interval of a model on held-out pictures and write it into its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.backend import Calibration
from snellen.data.sample import Sample
from snellen.evaluate.datasets import DataSet, data_set
from snellen.evaluate.modes import ONLY, TWO
from snellen.evaluate.predict import Job, Options, forget_models, predict
from snellen.evaluate.rows import Row
from snellen.evaluate.stats.calibration import fit_calibration, split_half_coverage
from snellen.evaluate.stats.correlation import srcc
from snellen.snellen1.files import read_card, write_card
from snellen.usage import UsageError


def calibrate(
    samples: Sequence[Sample], folder: Path, options: Options, out: Path, *, level: float = 0.9, workers: int = 1
) -> dict[str, Any]:
    """Fit the intervals of the model in `folder` on rated pictures that it was not trained on; write its card.json.

    There is one for two rounds and one for score only. Returns the fitted values with checks of them, by mode. A run
    that was killed continues from OUT/journal.jsonl; a finished run changed the model, so the next needs another
    `out`. Raises UsageError where too few pictures get a score with a distribution.
    """
    held = data_set("held-out", samples)
    todo = [Job("held-out", key, sample.path, sample.path, (TWO, ONLY)) for key, sample in held.samples.items()]
    rows = predict(todo, options, out, workers=workers, resume=True)
    card = read_card(folder)
    fitted = {}
    for mode, field in ((TWO, "calibration"), (ONLY, "score_calibration")):
        calibration, fitted[mode] = _fit([row for row in rows if row.mode == mode], held, level)
        card[field] = {"coverage": level, "q": round(calibration.q, 5), "floor": round(calibration.floor, 5)}
    write_card(folder, card)
    forget_models()
    return fitted


def _fit(rows: Sequence[Row], held: DataSet, level: float) -> tuple[Calibration, dict[str, float]]:
    """Return the interval of one mode, and checks of it."""
    known = [row for row in rows if row.score is not None and row.std is not None]
    score = np.array([row.score for row in known], float)
    std = np.array([row.std for row in known], float)
    wanted = np.array([held.samples[row.key].mos for row in known], float)
    try:
        calibration = fit_calibration(score, std, wanted, level)
        halves = [split_half_coverage(score, std, wanted, level, seed) for seed in range(20)]
    except ValueError as error:
        raise UsageError(f"{len(known)} of {len(rows)} pictures got a score with a distribution: {error}") from error
    ends = np.array([calibration.interval(a, b) for a, b in zip(score, std, strict=True)])
    return calibration, {
        "q": round(calibration.q, 5),
        "floor": round(calibration.floor, 5),
        "pictures": len(known),
        "without a score": len(rows) - len(known),
        "srcc": srcc(score, wanted),
        "mean width": float((ends[:, 1] - ends[:, 0]).mean()),
        "split-half coverage": float(np.mean(halves)),
    }
