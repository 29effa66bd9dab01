"""How far scores of one picture lie apart, in a unit in which different measures can be compared."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def within(scores: npt.ArrayLike) -> float:
    """Root mean square over pictures of the standard deviation of each one's scores, in their unit.

    scores (pictures, repeats), at least two repeats; the deviation has N - 1 below. NaN where there is nothing.
    """
    rows = np.asarray(scores, np.float64)
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] < 2:
        return math.nan
    return float(np.sqrt(np.mean(rows.var(axis=1, ddof=1))))


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
