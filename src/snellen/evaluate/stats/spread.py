"""How far scores of one picture lie apart, in a unit in which different measures can be compared.

Ways of one model all score on the MOS scale, and `within` compares them as it is. A peer has a scale of its own, so
there `within` is divided by how far apart the same peer puts different pictures: `noise_share`, which does not change
when a scale is stretched, moved or turned. Mapping a peer's scores to MOS through a curve fitted to people's ratings
would not be fair: the less a measure agrees with people the flatter is its curve, and the steadier it would look.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from snellen.evaluate.stats import correlation as metrics

Floats = npt.NDArray[np.float64]


def within(scores: npt.ArrayLike) -> float:
    """Root mean square over pictures of the standard deviation of each one's scores, in their unit.

    scores (pictures, repeats), at least two repeats; the deviation has N - 1 below. NaN where there is nothing.
    """
    rows = np.asarray(scores, np.float64)
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] < 2:
        return math.nan
    moved = rows - rows[:, :1]  # so that equal scores differ by nothing at all: a mean of them may be off by a last bit
    return float(np.sqrt(np.mean(moved.var(axis=1, ddof=1))))


def largest(scores: npt.ArrayLike) -> float:
    """The largest difference between two scores of one picture; scores (pictures, repeats)."""
    rows = np.asarray(scores, np.float64)
    return float(np.ptp(rows, axis=1).max()) if rows.size else math.nan


def noise_share(scores: npt.ArrayLike) -> float:
    """`within` divided by the standard deviation of the pictures' mean scores: without a unit.

    A measure that calls everything 3 does not waver either; what counts is how much it wavers for what it tells apart.
    scores (pictures, repeats). NaN with fewer than two pictures, or where all means are equal.
    """
    rows = np.asarray(scores, np.float64)
    apart = float(rows.mean(axis=1).std(ddof=1)) if rows.ndim == 2 and rows.shape[0] > 1 and rows.size else 0.0
    return within(rows) / apart if apart > 0.0 else math.nan


def ratio(ours: float, theirs: float) -> float:
    """ours / theirs; 1 where both are 0 (neither wavers), infinite where only theirs is; NaN stays NaN."""
    if math.isnan(ours) or math.isnan(theirs):
        return math.nan
    if theirs == 0.0:
        return 1.0 if ours == 0.0 else math.inf
    return ours / theirs


def ratio_interval(
    measure: Callable[[Floats], float], ours: npt.ArrayLike, theirs: npt.ArrayLike, *, seed: int, n: int = 1000
) -> tuple[float, float, float]:
    """measure(ours) / measure(theirs) with its paired 95 % bootstrap interval over pictures.

    ours (pictures, repeats), theirs (pictures, their repeats): the same pictures in the same order. measure: `within`
    or `noise_share`. The ends are NaN with fewer than three pictures.
    """
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if len(a) < 3:
        return ratio(measure(a), measure(b)), math.nan, math.nan
    return metrics.bootstrap_interval(lambda x, y: ratio(measure(x), measure(y)), a, b, seed=seed, n=n)
