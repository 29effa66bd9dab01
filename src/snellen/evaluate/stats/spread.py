"""Repeatability: spread of repeated scores of one picture, absolute and relative to the spread between pictures; and
consistency with people, the agreement that repeated scores leave.

Modes of one model score on the MOS scale, so their spreads compare directly. A baseline has its own scale:
`relative_spread` divides by the standard deviation between pictures and is invariant to affine changes of the scale.
Mapping a baseline to MOS by a fitted curve would be unfair: the less it agrees with people, the flatter the curve and
the more repeatable it would appear.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from snellen.evaluate.stats.arrays import Floats
from snellen.evaluate.stats.bootstrap import Estimate, bootstrap_interval


def within_std(scores: npt.ArrayLike) -> float:
    """Return the repeatability standard deviation: root mean square over pictures of the std of each one's scores.

    scores: (pictures, repeats), at least two repeats; the std has N - 1 in the denominator (ISO 5725-2). NaN for none.
    """
    rows = np.asarray(scores, np.float64)
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] < 2:
        return math.nan
    moved = rows - rows[:, :1]  # equal scores then have a std of exactly 0, without rounding of their mean
    return float(np.sqrt(np.mean(moved.var(axis=1, ddof=1))))


def largest_difference(scores: npt.ArrayLike) -> float:
    """Return the largest difference between two scores of one picture; scores: (pictures, repeats)."""
    rows = np.asarray(scores, np.float64)
    return float(np.ptp(rows, axis=1).max()) if rows.size else math.nan


def relative_spread(scores: npt.ArrayLike) -> float:
    """Return `within_std` divided by the standard deviation of the pictures' mean scores, without a unit.

    A constant measure is perfectly repeatable and useless; dividing by what it distinguishes accounts for that.
    scores: (pictures, repeats). NaN with fewer than two pictures, or where all means are equal.
    """
    rows = np.asarray(scores, np.float64)
    between = float(rows.mean(axis=1).std(ddof=1)) if rows.ndim == 2 and rows.shape[0] > 1 and rows.size else 0.0
    return within_std(rows) / between if between > 0.0 else math.nan


def consistency(scores: npt.ArrayLike, wanted: npt.ArrayLike, group: npt.ArrayLike | None = None) -> float:
    """Return the share of pairs of pictures that are ordered as `wanted` whichever of their scores are compared: every
    score of the better picture lies above every score of the worse one. Ours.

    scores: (pictures, repeats). wanted: (pictures,), for example MOS; ties do not count. group: (pictures,), only pairs
    within one group count. One column gives the share of pairs in the right order. NaN where no pair counts.
    """
    rows, quality = np.asarray(scores, np.float64), np.asarray(wanted, np.float64)
    counts = quality[:, None] > quality
    if group is not None:
        names = np.asarray(group)
        counts &= names[:, None] == names
    if not counts.any():
        return math.nan
    return float((rows.min(axis=1)[:, None] > rows.max(axis=1))[counts].mean())


def ratio(numerator: float, denominator: float) -> float:
    """Return the quotient of two numbers: 1 where both are 0, infinite where only the denominator is 0, or NaN."""
    if math.isnan(numerator) or math.isnan(denominator):
        return math.nan
    if denominator == 0.0:
        return 1.0 if numerator == 0.0 else math.inf
    return numerator / denominator


def ratio_interval(
    measure: Callable[[Floats], float], first: npt.ArrayLike, second: npt.ArrayLike, *, n: int | None = None
) -> Estimate:
    """Return measure(first) / measure(second) with its paired 95 % bootstrap interval over pictures.

    first: (pictures, repeats), second: (pictures, other repeats); the same pictures in the same order. measure:
    `within_std` or `relative_spread`. The ends are NaN with fewer than three pictures.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if len(a) < 3:
        return Estimate(ratio(measure(a), measure(b)), math.nan, math.nan)
    return bootstrap_interval(lambda x, y: ratio(measure(x), measure(y)), a, b, n=n)
