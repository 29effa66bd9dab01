"""`calibrate`: fit the conformal interval of a model on held-out pictures and write it into its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.backend import Calibration
from snellen.data.sample import Sample
from snellen.evaluate.datasets import DataSet, data_set
from snellen.evaluate.modes import ONLY, TWO
from snellen.evaluate.predict import Job, Options, forget_models, predict
from snellen.evaluate.rows import Row
from snellen.evaluate.stats.calibration import Scored, card_fields, fit_calibration, fit_ends, split_half_coverage
from snellen.evaluate.stats.correlation import srcc
from snellen.snellen1.files import read_card, write_card
from snellen.usage import UsageError


def calibrate(
    samples: Sequence[Sample],
    folder: Path,
    options: Options,
    out: Path,
    *,
    level: float = 0.9,
    workers: int = 1,
    second: Sequence[Sample] = (),
    left_out: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Fit the intervals of the model in `folder` on rated pictures that it was not trained on; write its card.json.

    There is one for two rounds and one for score only. second: pictures of another rated set, on which the intervals
    shall hold too (`fit_ends`). left_out: by file name, what the score of a picture of it changes by when the model
    does not learn from this picture; none for pictures that it did not learn from.

    Returns the fitted values with checks of them, by mode. A run that was killed continues from OUT/journal.jsonl; a
    finished run changed the model, so the next needs another `out`. Raises UsageError where too few pictures get a
    score with a distribution.
    """
    sets = [data_set("held-out", samples)] + ([data_set("second", second)] if second else [])
    todo = [
        Job(one.name, key, sample.path, sample.path, (TWO, ONLY)) for one in sets for key, sample in one.samples.items()
    ]
    rows = predict(todo, options, out, workers=workers, resume=True)
    card = read_card(folder)
    fitted = {}
    for mode, field in ((TWO, "calibration"), (ONLY, "score_calibration")):
        of_mode = [row for row in rows if row.mode == mode]
        scored = [_scored(of_mode, sets[0], {}), *(_scored(of_mode, one, left_out or {}) for one in sets[1:])]
        calibration, fitted[mode] = _fit(scored, level)
        card[field] = card_fields(calibration)
    write_card(folder, card)
    forget_models()
    return fitted


def _scored(rows: Sequence[Row], rated: DataSet, left_out: Mapping[str, float]) -> Scored:
    known = [row for row in rows if row.key in rated.samples and row.score is not None and row.std is not None]
    shift = np.array([left_out.get(Path(rated.samples[row.key].path).name, 0.0) for row in known])
    score = np.clip(np.array([row.score for row in known], float) + shift, 1.0, 5.0)
    wanted = np.array([rated.samples[row.key].mos for row in known], float)
    return Scored(score, np.array([row.std for row in known], float), wanted)


def _fit(sets: Sequence[Scored], level: float) -> tuple[Calibration, dict[str, float]]:
    """Return the interval of one mode, and checks of it on the first set."""
    score, std, wanted = sets[0].score, sets[0].std, sets[0].wanted
    try:
        calibration = fit_calibration(score, std, wanted, level)
        halves = [split_half_coverage(score, std, wanted, level, seed) for seed in range(20)]
        calibration = fit_ends(calibration, sets) if len(sets) > 1 else calibration
    except ValueError as error:
        counts = " and ".join(str(len(one.score)) for one in sets)
        raise UsageError(f"{counts} pictures got a score with a distribution: {error}") from error
    ends = np.array([calibration.interval(a, b) for a, b in zip(score, std, strict=True)])
    return calibration, {
        "q": round(calibration.q, 5),
        "floor": round(calibration.floor, 5),
        "below": round(calibration.below or calibration.q, 5),
        "above": round(calibration.above or calibration.q, 5),
        "pictures": len(score),
        "srcc": srcc(score, wanted),
        "mean width": float((ends[:, 1] - ends[:, 0]).mean()),
        "split-half coverage": float(np.mean(halves)),
    }
