"""Screening after ITU-R BT.500 of raters who are too often far from the others, on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Screening:
    """Outcome for R raters, each an array (R,).

    Attributes:
        rejected: True where both limits are crossed.
        above, below: number of ratings far above and far below the others'.
        share: (above + below) / ratings; rejected only above 0.05.
        asymmetry: |above - below| / (above + below), 0..1; rejected only below 0.3. NaN without far ratings.
    """

    rejected: npt.NDArray[np.bool_]
    above: npt.NDArray[np.int64]
    below: npt.NDArray[np.int64]
    share: Floats
    asymmetry: Floats


def bt500_screening(ratings: npt.ArrayLike) -> Screening:
    """Return the screening of ratings (pictures, raters), NaN where there is none.

    For each picture: mean, standard deviation S and kurtosis m4 / m2^2 of its ratings, with N in the denominators.
    Where the kurtosis lies in 2..4 the ratings count as normal, and a rating is far from 2 S on; otherwise from
    sqrt(20) S on. A rater is rejected where more than 5 % of the ratings are far and they are not mostly on one side: a
    rater who is merely strict stays. Pictures on which all agree have no far rating.
    Source: ITU-R BT.500-13, annex 2, 2.3.1.
    """
    table = np.asarray(ratings, np.float64)
    given = np.isfinite(table)
    n = np.maximum(given.sum(axis=1), 1)
    apart = np.where(given, table - (np.nansum(table, axis=1) / n)[:, None], 0.0)
    m2, m4 = (np.sum(apart**power, axis=1) / n for power in (2, 4))
    kurtosis = m4 / np.where(m2 > 0, m2, 1.0) ** 2
    limit = np.where((kurtosis >= 2) & (kurtosis <= 4), 2.0, np.sqrt(20.0)) * np.sqrt(m2)
    counts = given & (m2 > 1e-12)[:, None]
    slack = 1e-9  # a rating exactly at the limit is far, whatever the rounding
    above = (counts & (apart >= limit[:, None] - slack)).sum(axis=0)
    below = (counts & (apart <= slack - limit[:, None])).sum(axis=0)
    far, rated = above + below, given.sum(axis=0)
    share = far / np.where(rated > 0, rated, np.nan)
    asymmetry = np.abs(above - below) / np.where(far > 0, far, np.nan)
    rejected = (share > 0.05) & (asymmetry < 0.3)
    return Screening(rejected, above, below, share, asymmetry)
