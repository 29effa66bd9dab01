"""Mean opinion scores with confidence intervals, difference scores, and numbers of raters that intervals need.

Ratings are arrays (pictures, raters) in rating steps, NaN where a rater did not rate a picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Floats = npt.NDArray[np.float64]
LEVEL = 0.95
"""Level of all intervals."""
NORMAL = 1.959964
"""Standard deviations to each side of the mean within which LEVEL of a normal distribution lies."""


@dataclass(frozen=True)
class Opinions:
    """Mean opinions of P pictures, each an array (P,) in rating steps; NaN where a picture has too few ratings.

    Attributes:
        mos: mean; one rating or more.
        std: standard deviation between raters (N - 1 in the denominator); two ratings or more.
        low, high: ends of the 95 % confidence interval of `mos`; two ratings or more.
        n: number of ratings.
    """

    mos: Floats
    std: Floats
    low: Floats
    high: Floats
    n: npt.NDArray[np.int64]


def quantile(degrees: npt.ArrayLike) -> Floats:
    """Return t with P(-t < T < t) = LEVEL for Student's distribution; NaN for less than one degree of freedom."""
    freedom = np.asarray(degrees, np.float64)
    return np.where(freedom >= 1, stdtrit(np.maximum(freedom, 1), (1 + LEVEL) / 2), np.nan)


def mean_opinions(ratings: npt.ArrayLike) -> Opinions:
    """Return the mean opinions of ratings (pictures, raters): mos +- t S / sqrt(N).

    t is Student's quantile with N - 1 degrees of freedom. ITU-R BT.500-13, annex 2, 2.2 takes 1.96, its limit for
    many raters; with 5 raters that covers 88 % instead of 95 %.
    """
    table = np.asarray(ratings, np.float64)
    n = np.isfinite(table).sum(axis=1)
    mos = np.nansum(table, axis=1) / np.where(n > 0, n, np.nan)
    squares = np.nansum((table - mos[:, None]) ** 2, axis=1)
    std = np.sqrt(squares / np.where(n > 1, n - 1, np.nan))
    half = quantile(n - 1) * std / np.sqrt(np.maximum(n, 1))
    return Opinions(mos, std, mos - half, mos + half, n.astype(np.int64))


def difference_ratings(ratings: npt.ArrayLike, references: npt.ArrayLike, best: float = 5.0) -> Floats:
    """Return difference ratings (pictures, raters) of ACR with hidden reference, in rating steps.

    references: (pictures,) row of each picture's reference, -1 where it has none; those rows are NaN, and so are the
    references' own. Each rater's rating is compared with the same rater's of the reference: V - V(reference) + best.
    Above `best`, where the reference was rated lower, the crushing function 7 D / (2 + D) limits the value (for
    best = 5: 5 stays 5, 6 becomes 5.25).
    Source: ITU-T P.910 (04/2008), 6.2.
    """
    table, rows = np.asarray(ratings, np.float64), np.asarray(references, np.int64)
    has = rows >= 0
    found = np.full(table.shape, np.nan)
    difference = table[has] - table[rows[has]] + best
    found[has] = np.where(difference > best, (best + 2) * difference / (2 + difference), difference)
    return found


def raters_needed(std: npt.ArrayLike, half_width: float, most: int = 10_000) -> npt.NDArray[np.int64]:
    """Return the least number of raters (P,), 2..most, whose interval mos +- half_width holds for each picture.

    std: (P,) standard deviation between raters, in steps; NaN gives 0, unknown. t S / sqrt(N) falls with N, so the
    first N that satisfies it is searched from the normal quantile's N on, which is a lower bound.
    """
    if not half_width > 0:
        raise ValueError(f"the half width of an interval is above 0, not {half_width}")
    found = np.zeros(np.shape(std), np.int64)
    for at, spread in np.ndenumerate(np.asarray(std, np.float64)):
        if math.isnan(spread):
            continue
        n = min(most, max(2, math.ceil((NORMAL * spread / half_width) ** 2)))
        while n < most and float(quantile(n - 1)) * spread / math.sqrt(n) > half_width:
            n += 1
        found[at] = n
    return found
