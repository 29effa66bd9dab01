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
PRIOR = 20
"""Pictures with a fault that count as much as the shipped threshold of its kind."""


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
    slope is 1 + s.
    """
    centre = rated.components.mean(axis=0)
    z, r = rated.components - centre, (rated.rating - rated.rating.mean())[:, None]
    y = rated.mos - rated.rating
    n, slope_penalty = len(rated), SLOPE_RIDGE * max(float(r.var()), 1e-12)
    features = r if np.isinf(ridge) else np.hstack([r, z])
    penalty = np.full(features.shape[1], 0.0 if np.isinf(ridge) else ridge * _squared_length(z))
    penalty[0] = slope_penalty
    found = np.linalg.solve(features.T @ features + n * np.diag(penalty), features.T @ (y - y.mean()))
    weights = np.zeros(z.shape[1]) if np.isinf(ridge) else found[1:]
    slope = 1.0 + float(found[0])
    return Adaptation(float(rated.mos.mean()) - slope * float(rated.rating.mean()), slope, centre, weights)


def _squared_length(centred: Floats) -> float:
    """Mean squared length of rows (N, C)."""
    return max(float((centred**2).sum(axis=1).mean()), 1e-12)


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
    """Adapted rating (N,) of every picture by an adaptation fitted without its fold, with a ridge that was chosen
    without it too (nested cross-validation); clipped to 1..5."""
    return np.clip(_out_of_fold(rated, folds_of(rated.group, seed=seed), adapt), 1.0, 5.0)


@dataclass(frozen=True, eq=False)
class Choices:
    """P choices between two of N pictures: rating (N,) and components (N, C) as in `Rated`; pairs (P, 2), indices
    of two pictures; share (P,), 0..1, of the people who chose the first."""

    rating: Floats
    components: Floats
    pairs: Ints
    share: Floats

    def take(self, some: npt.NDArray[np.bool_] | Ints) -> Choices:
        """The choices of a mask or of indices."""
        return Choices(self.rating, self.components, self.pairs[some], self.share[some])


def fit_choices(choices: Choices, ridge: float) -> Adaptation:
    """Fit weights to choices; the level and the scale of the ratings stay the shipped ones.

    The first is chosen with probability 1 / (1 + exp(-(t (r1 - r2) + (z1 - z2) . v))); logistic regression by Newton's
    method with N ridge |z|^2 |v|^2 as in `fit`, and the weights are v / t (Bradley and Terry, 1952, with features).
    """
    centre = choices.components.mean(axis=0)
    z = choices.components - centre
    first, second = choices.pairs.T
    slopes = (choices.rating[first] - choices.rating[second])[:, None]
    features = slopes if np.isinf(ridge) else np.hstack([slopes, z[first] - z[second]])
    penalty = np.full(features.shape[1], len(choices.share) * ridge * _squared_length(z) if np.isfinite(ridge) else 0.0)
    penalty[0] = len(choices.share) * 1e-3
    found = np.zeros(features.shape[1])
    found[0] = 1.0
    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(features @ found, -30.0, 30.0)))
        gradient = features.T @ (p - choices.share) + penalty * (found - np.eye(1, len(found))[0])
        hessian = (features * (p * (1.0 - p))[:, None]).T @ features + np.diag(penalty)
        found = found - np.linalg.solve(hessian, gradient)
    weights = np.zeros(z.shape[1]) if np.isinf(ridge) else found[1:] / max(float(found[0]), 1e-3)
    return Adaptation(0.0, 1.0, centre, weights)


def adapt_to_choices(choices: Choices) -> Adaptation:
    """Fit with the ridge of the highest accuracy in cross-validation, of equal ones the strongest."""
    accuracy = [
        np.mean(_right(choices, _choices_out_of_fold(choices, 0, partial(fit_choices, ridge=ridge))))
        for ridge in RIDGES
    ]
    return fit_choices(choices, RIDGES[int(np.argmax(accuracy))])


def cross_adapt_to_choices(choices: Choices, seed: int = 1) -> tuple[Floats, Floats]:
    """Return how each choice is predicted by the shipped rating and by one fitted without both of its pictures:
    (P,), (P,), 1 right, 0 wrong, 0.5 for a tie (nested cross-validation)."""
    shipped = choices.rating[choices.pairs[:, 0]] - choices.rating[choices.pairs[:, 1]]
    return _right(choices, shipped), _right(choices, _choices_out_of_fold(choices, seed, adapt_to_choices))


def _right(choices: Choices, difference: Floats) -> Floats:
    out: Floats = 0.5 + 0.5 * np.sign(difference) * np.sign(choices.share - 0.5)
    return out


def _choices_out_of_fold(choices: Choices, seed: int, learn: Callable[[Choices], Adaptation]) -> Floats:
    """Adapted rating of the first picture less the second's, (P,): pictures are in folds, and an adaptation learns from
    the choices that touch no picture of the fold of a choice's first picture."""
    fold = folds_of(np.arange(len(choices.rating)), seed=seed)
    of_pair = fold[choices.pairs]
    out = np.empty(len(choices.share))
    for one in np.unique(of_pair[:, 0]):
        held, apart = of_pair[:, 0] == one, ~(of_pair == one).any(axis=1)
        if not apart.any():
            raise ValueError("too few choices for cross-validation")
        adapted = learn(choices.take(apart))(choices.rating, choices.components)
        out[held] = (adapted[choices.pairs[:, 0]] - adapted[choices.pairs[:, 1]])[held]
    return out


def fit_thresholds(probability: Floats, minded: npt.NDArray[np.bool_], shipped: Floats) -> Floats:
    """Thresholds (K,) of the fault kinds for own labels.

    probability, minded (N, K): of each kind in each picture, and whether its owner minds it. The threshold with the
    fewest wrong kinds (listed and not minded, or minded and not listed) is mixed with the shipped one (K,):
    M / (M + PRIOR) of it, with M the pictures in which the kind is minded.
    """
    out: Floats = shipped.copy()
    for k in range(len(shipped)):
        found = minded[:, k]
        candidates = np.unique(np.concatenate([probability[:, k], [shipped[k], 1.01]]))
        wrong = [((probability[:, k] >= one) != found).sum() for one in candidates]
        best = candidates[np.flatnonzero(wrong == np.min(wrong))]
        nearest = best[np.argmin(np.abs(best - shipped[k]))]
        share = found.sum() / (found.sum() + PRIOR)
        out[k] = share * nearest + (1.0 - share) * shipped[k]
    return out


def cross_thresholds(probability: Floats, minded: npt.NDArray[np.bool_], shipped: Floats, group: Ints) -> Floats:
    """Wrong kinds of each picture (N,) with thresholds that were fitted without its fold."""
    fold = folds_of(group, seed=1)
    out: Floats = np.empty(len(minded))
    for one in np.unique(fold):
        held = fold == one
        thresholds = fit_thresholds(probability[~held], minded[~held], shipped)
        out[held] = ((probability[held] >= thresholds) != minded[held]).sum(axis=1)
    return out


def _out_of_fold(rated: Rated, fold: Ints, learn: Callable[[Rated], Adaptation]) -> Floats:
    out = np.empty(len(rated))
    for one in np.unique(fold):
        held = fold == one
        out[held] = learn(rated.take(~held))(rated.rating[held], rated.components[held])
    return out
