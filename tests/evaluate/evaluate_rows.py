"""Rows and pictures of an evaluation, written by hand, for the tests of its suites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from snellen.data.sample import Sample
from snellen.evaluate.datasets import DataSet, data_set
from snellen.evaluate.rows import Round, Row
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, Rationale, render_reply

TEXT = Rationale("A picture.", "A sharp picture.", "Blur.", "It is clear.")


def reply(rating: float, crop: Region | None = None, issues: Sequence[Issue] = (), number: int = 1) -> str:
    """A reply that can be read."""
    return render_reply(TEXT, Answer(crop, rating, "crop" if crop else "final", tuple(issues)), number)


def one_round(
    score: float | None, issues: Sequence[Issue] = (), region: Region = FULL, text: str = "", std: float | None = None
) -> Round:
    """A round with that expected rating; None is one that cannot be read."""
    if score is None:
        return Round(region, None, None, None, None, (), (), 10, text, "stop", "bad_rating", None)
    return Round(region, round(score, 2), score, std, None, (), tuple(issues), 10, text, "stop", None, None)


def row(
    suite: str,
    key: str,
    score: float | None,
    *,
    variant: str = "",
    mode: str = "two rounds",
    first: float | None = None,
    crop: Region | None = None,
    issues: Sequence[Issue] = (),
    interval: tuple[float, float] | None = None,
    std: float | None = None,
) -> Row:
    """A row of one round, or of two where there is a crop (`first` is then the first round's score)."""
    rounds = [one_round(score if first is None else first, () if crop else issues, std=std)]
    if crop is not None:
        rounds.append(one_round(score, issues, crop, std=std))
    return Row(
        suite, key, variant, mode, "scripted 1", score, interval, None, 640, 480, tuple(rounds),
        None if score is not None else "unparsable_reply", None if score is not None else "it cannot be read",
    )  # fmt: skip


def photograph(path: Path, width: int = 96, height: int = 64, seed: int = 0) -> Path:
    """A picture with shapes and a little grain, as PNG."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(seed)
    waves = np.sin(x[..., None] / rng.uniform(3, 9, 3)) * np.sin(y[..., None] / rng.uniform(3, 9, 3))
    pixels = 128 + 70 * np.sign(waves) + rng.normal(0, 4, (height, width, 3))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    return path


def pristine_set(folder: Path, count: int = 2, width: int = 96, height: int = 64) -> DataSet:
    """A data set of clean photographs; its keys are pristine/0.png, ..."""
    folder.mkdir(exist_ok=True)
    return data_set("pristine", [Sample(str(photograph(folder / f"{i}.png", width, height, i))) for i in range(count)])
