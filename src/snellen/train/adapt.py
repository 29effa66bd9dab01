"""Adaptation of snellen-1 to its owner's ratings: fit and nested cross-validation. numpy only.

The adapted rating is a line of the shipped rating plus a linear function of the photo rating head's components
(`snellen.snellen1.adaptation`). Ridge regression holds it near the shipped rating, and how strongly is chosen by
cross-validation: a ridge of infinity leaves the line alone. Equations are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from snellen.snellen1.adaptation import Adaptation
from snellen.snellen1.kernel import Floats

Ints = npt.NDArray[np.int64]

RIDGES = (np.inf, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Ridges to choose from, relative to the mean squared length of the centred components; the strongest first."""
FOLDS = 5
SLOPE_RIDGE = 0.1
"""Ridge on the slope's distance to 1, relative to the variance of the shipped ratings: a few ratings, or ratings that
hardly differ, keep the slope near 1."""
STEPS = 25
"""Newton steps of the fit to choices; it converges in fewer."""


@dataclass(frozen=True, eq=False)
class Rated:
    """N pictures with own ratings: rating (N,), the shipped one, MOS; components (N, C) of the photo rating head; mos
    (N,), the own rating; group (N,), pictures of one group stay in one fold."""

    rating: Floats
    components: Floats
    mos: Floats
    group: Ints

    def __len__(self) -> int:
        return len(self.mos)

    def take(self, some: npt.NDArray[np.bool_] | Ints) -> Rated:
        """The pictures of a mask or of indices."""
        return Rated(self.rating[some], self.components[some], self.mos[some], self.group[some])


def fit(rated: Rated, ridge: float) -> Adaptation:
    """Fit the line and, for a finite ridge, the weights.

    With r the shipped ratings and z the components, both centred, and y the own ratings less r, centred, it minimises
    |y - s r - z w|^2 + N SLOPE_RIDGE var(r) s^2 + N ridge |z|^2 |w|^2, where |z|^2 is the mean squared length; the
    slope is 1 + s. Solved in its dual form: (k + N 1) a = y with k = r r' / (SLOPE_RIDGE var(r)) + z z' / (ridge |z|^2),
    then s = r'a / (SLOPE_RIDGE var(r)) and w = z'a / (ridge |z|^2).
    """
    centre = rated.components.mean(axis=0)
    z, r = rated.components - centre, rated.rating - rated.rating.mean()
    y = rated.mos - rated.rating
    target = y - y.mean()
    n, spread = len(rated), max(float(r.var()), 1e-12)
    scale_r = 1.0 / (SLOPE_RIDGE * spread)
    scale_z = 0.0 if np.isinf(ridge) else 1.0 / (ridge * max(float((z**2).sum(axis=1).mean()), 1e-12))
    kernel = scale_r * np.outer(r, r) + scale_z * (z @ z.T)
    dual = np.linalg.solve(kernel + n * np.eye(n), target)
    slope = 1.0 + scale_r * float(r @ dual)
    intercept = float(rated.mos.mean()) - slope * float(rated.rating.mean())
    return Adaptation(intercept, slope, centre, scale_z * (z.T @ dual))


def folds_of(group: Ints, folds: int = FOLDS, seed: int = 0) -> Ints:
    """Fold (N,) of each picture, 0 .. folds - 1; groups are drawn at random and stay together."""
    names, member = np.unique(group, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    out: Ints = (order % folds)[member].astype(np.int64)
    return out


def choose_ridge(rated: Rated, ridges: Sequence[float] = RIDGES) -> float:
    """Return the ridge of the least squared error in cross-validation, of equal ones the first."""
    fold = folds_of(rated.group)
    errors = [np.mean((_out_of_fold(rated, fold, partial(fit, ridge=ridge)) - rated.mos) ** 2) for ridge in ridges]
    return ridges[int(np.argmin(errors))]


def adapt(rated: Rated) -> Adaptation:
    """Fit with the ridge that `choose_ridge` chooses."""
    return fit(rated, choose_ridge(rated))


def cross_adapt(rated: Rated, seed: int = 1) -> Floats:
    """Adapted rating (N,) of every picture by an adaptation that saw no picture of its fold, its ridge chosen without
    it too (nested cross-validation); clipped to 1..5."""
    return np.clip(_out_of_fold(rated, folds_of(rated.group, seed=seed), adapt), 1.0, 5.0)


def _out_of_fold(rated: Rated, fold: Ints, learn: Callable[[Rated], Adaptation]) -> Floats:
    out = np.empty(len(rated))
    for one in np.unique(fold):
        held = fold == one
        out[held] = learn(rated.take(~held))(rated.rating[held], rated.components[held])
    return out
