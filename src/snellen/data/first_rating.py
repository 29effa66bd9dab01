"""Ratings of the first view for training conversations: out-of-fold predictions of the MOS from measured features."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snellen.data.sample import ManifestError
from snellen.features import Features

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS = 5
_PENALTY = 30.0  # of the ridge regression, in pictures


@dataclass(frozen=True)
class FirstRating:
    """Rating of a picture's first view, MOS 1..5, and its standard deviation in MOS."""

    rating: float
    std: float


def predict_first_ratings(
    measured: Sequence[Features], mos: NDArray[np.float64], groups: Sequence[str], seed: int = 0
) -> list[FirstRating]:
    """Predict the MOS of each picture by a ridge regression on the other folds.

    Args:
        measured: features of N pictures; the regression reads value, mean, spread and tenths of each map.
        mos: (N,) labels, 1..5.
        groups: N names; pictures of one group are in one fold.
        seed: of the assignment of groups to folds.

    Returns:
        One rating per picture, clipped to 1..5; the deviation is the root mean square error of its fold.

    Raises:
        ValueError: there are fewer than two groups.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        raise ValueError("predicting first ratings needs pictures of at least two groups; give a file of them")
    table = np.array([_vector(one) for one in measured])
    fold_of = dict(zip(names, np.random.default_rng(seed).permutation(len(names)) % FOLDS, strict=True))
    folds = np.array([fold_of[group] for group in groups])
    predicted = np.clip(out_of_fold(table, mos, folds, _PENALTY), 1.0, 5.0)
    deviation = np.empty(len(mos))
    for fold in np.unique(folds):
        held = folds == fold
        deviation[held] = np.sqrt(np.mean((predicted[held] - mos[held]) ** 2))
    return [FirstRating(*both) for both in zip(predicted.tolist(), deviation.tolist(), strict=True)]


def out_of_fold(
    table: NDArray[np.float64], target: NDArray[np.float64], folds: NDArray[np.int64], penalty: float
) -> NDArray[np.float64]:
    """Predict (N,) targets from (N, D) features by ridge regression, each row by a fit on the other folds.

    Columns are standardised on the rows of the fit. folds: (N,) numbers. penalty: on squared weights, in rows.
    """
    predicted = np.empty(len(target))
    for fold in np.unique(folds):
        held = folds == fold
        mean, scale = table[~held].mean(axis=0), table[~held].std(axis=0) + 1e-9
        x, centre = (table - mean) / scale, target[~held].mean()
        gram = x[~held].T @ x[~held] + penalty * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x[~held].T @ (target[~held] - centre))
        predicted[held] = centre + x[held] @ weights
    return predicted


def _vector(one: Features) -> list[float]:
    numbers: list[float] = []
    for name, feature in one.values.items():
        cells = np.sign(one.maps[name]) * np.log1p(np.abs(one.maps[name]))
        numbers += [float(np.log1p(abs(feature.value))), float(cells.mean()), float(cells.std())]
        numbers += np.percentile(cells, (10, 90)).tolist()
    return numbers


def read_first_ratings(path: Path) -> dict[str, FirstRating]:
    """Read JSON lines of path, rating and std: path of the picture -> its rating.

    Raises:
        ManifestError: for the first line that cannot be used.
    """
    table = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                table[str(row["path"])] = FirstRating(float(row["rating"]), float(row["std"]))
            except (ValueError, TypeError, KeyError) as error:
                raise ManifestError(f"{path}: line {number}: needs path, rating and std ({error})") from error
    return table
