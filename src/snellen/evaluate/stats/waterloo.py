"""The three tests that need no human ratings: can a model tell pristine from distorted, rank levels, order pairs?

Source: K. Ma, Z. Duanmu, Q. Wu, Z. Wang, H. Yong, H. Li and L. Zhang, "Waterloo Exploration Database: New Challenges
for Image Quality Assessment Models", IEEE Transactions on Image Processing 26(2), 2017. All take scores
where higher is better, in any unit. D and L follow its definitions; P is theirs on pairs that are found otherwise,
see `discriminable`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from snellen.evaluate.stats import correlation as metrics

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


def d_test(pristine: npt.ArrayLike, distorted: npt.ArrayLike) -> tuple[float, float]:
    """Pristine / distorted discriminability: (D, the threshold T that attains it).

    pristine (N,), distorted (M,). With a threshold T, R(T) is the mean of two shares: of the pristine pictures that
    score above T, and of the distorted ones that score T or less. D = max over T of R(T): 1 when one threshold
    separates the two, 0.5 when none is better than a coin. (nan, nan) where one side is empty.
    """
    clean, spoilt = np.sort(np.asarray(pristine, np.float64)), np.sort(np.asarray(distorted, np.float64))
    if len(clean) == 0 or len(spoilt) == 0:
        return math.nan, math.nan
    thresholds = np.concatenate([[-np.inf], np.unique(np.concatenate([clean, spoilt]))])
    above = 1.0 - np.searchsorted(clean, thresholds, side="right") / len(clean)
    at_most = np.searchsorted(spoilt, thresholds, side="right") / len(spoilt)
    rates = (above + at_most) / 2.0
    best = int(np.argmax(rates))
    return float(rates[best]), float(thresholds[best])


def l_test(scores: npt.ArrayLike) -> float:
    """Listwise ranking consistency, -1..1: the mean SRCC of scores and quality over the levels of one distortion.

    scores (lists, levels): each row is one picture with one kind of distortion, the level rising along it. A row of
    equal scores ranks nothing and counts 0. NaN without rows.
    """
    rows = np.asarray(scores, np.float64)
    return metrics.mean_rank_correlation(rows, -np.arange(rows.shape[1])) if rows.size else math.nan


def p_test(better: npt.ArrayLike, worse: npt.ArrayLike) -> float:
    """Pairwise preference consistency, 0..1: the share of pairs whose better picture scores higher; ties do not count.

    better, worse (M,): the scores of the two pictures of each quality-discriminable pair. NaN without pairs.
    """
    a, b = np.asarray(better, np.float64), np.asarray(worse, np.float64)
    return float(np.mean(a > b)) if len(a) else math.nan


def discriminable(opinion: npt.ArrayLike, std: npt.ArrayLike) -> tuple[Indices, Indices]:
    """Which of N kinds of picture people surely tell apart: (better, worse), index arrays of one length.

    opinion (N,) are the mean opinions, std (N,) their spread over pictures: a pair is taken where the opinions lie
    further apart than both spreads together. Ma et al. find their pairs otherwise: where MS-SSIM, VIF and GMSD, each
    mapped to LIVE's scale of 0 to 100, all put the same picture ahead by more than 40 points; they had no ratings.
    Opinions of people need no such stand-in. What is lost is that ours are known by kind and level of the distortion
    only, so a pair of two photographs counts as sure although people may like one of the photographs better.
    """
    mean, apart = np.asarray(opinion, np.float64), np.asarray(std, np.float64)
    sure = mean[:, None] - mean[None, :] > apart[:, None] + apart[None, :]
    better, worse = np.nonzero(sure)
    return better, worse
