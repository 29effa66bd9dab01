"""Model of raters with bias and inconsistency: quality without a strict rater's strictness and a careless one's noise.

rating = quality of the picture + bias of the rater + inconsistency of the rater * normal noise

Source: ITU-T P.910 (07/2022), annex E; Z. Li, C. Bampis, L. Krasula, L. Janowski and I. Katsavounidis, "A simple model
for subject behavior in subjective experiments", Human Vision and Electronic Imaging, 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snellen.study.opinions import NORMAL

Floats = npt.NDArray[np.float64]
ROUNDING = 1 / math.sqrt(12)
"""Standard deviation that rounding to whole steps alone causes; no rater counts as more consistent than that."""


@dataclass(frozen=True)
class RaterModel:
    """Estimates for P pictures and R raters, in rating steps.

    Attributes:
        quality: (P,) with mean bias 0, so that it has the level of the MOS.
        low, high: (P,) 95 % confidence interval of `quality`.
        bias: (R,) positive for a lenient rater.
        inconsistency: (R,) standard deviation of a rater's ratings around quality + bias.
    """

    quality: Floats
    low: Floats
    high: Floats
    bias: Floats
    inconsistency: Floats


def fit_rater_model(ratings: npt.ArrayLike, least: float = ROUNDING, most_rounds: int = 1000) -> RaterModel:
    """Return the maximum-likelihood estimates for ratings (pictures, raters), NaN where there is none.

    Alternating projection: from quality = mean over raters, in turn bias = mean over pictures of rating - quality,
    inconsistency = root mean square of what is left, quality = mean of rating - bias with weights 1 / inconsistency^2,
    until quality moves by less than 1e-8 in all. The interval is quality +- 1.96 / sqrt(sum of the weights of those who
    rated the picture), from the Fisher information; NaN where no picture has two ratings,
    since nothing tells raters from pictures then.

    least: lower limit of inconsistency, of ours. Without it the likelihood grows without limit where one rater is
    believed alone, and with few raters the iteration runs there. Pictures and raters without ratings get NaN.
    """
    table = np.asarray(ratings, np.float64)
    given = np.isfinite(table)
    by_picture, by_rater = given.sum(axis=1), given.sum(axis=0)
    per_picture, per_rater = (np.where(count > 0, count, np.nan) for count in (by_picture, by_rater))
    filled = np.where(given, table, 0.0)
    quality = filled.sum(axis=1) / per_picture
    bias, spread = np.zeros(table.shape[1]), np.full(table.shape[1], np.nan)
    for _ in range(most_rounds):
        left = np.where(given, table - quality[:, None], 0.0)
        bias = left.sum(axis=0) / per_rater
        left = np.where(given, left - bias, 0.0)
        spread = np.maximum(least, np.sqrt((left**2).sum(axis=0) / per_rater))
        weights = np.where(given, 1.0 / spread**2, 0.0)
        before = quality
        quality = (weights * np.where(given, table - bias, 0.0)).sum(axis=1) / _positive(weights.sum(axis=1))
        if np.sqrt(np.nansum((quality - before) ** 2)) < 1e-8:
            break
    level = float(np.nanmean(bias)) if by_rater.any() else 0.0
    half = NORMAL / np.sqrt(_positive(np.where(given, 1.0 / spread**2, 0.0).sum(axis=1)))
    if by_picture.max(initial=0) < 2:
        half[:] = np.nan
    quality, bias = quality + level, bias - level
    return RaterModel(quality, quality - half, quality + half, bias, spread)


def _positive(values: Floats) -> Floats:
    """Return the values, NaN where they are 0."""
    return np.where(values > 0, values, np.nan)
