"""D-test, L-test and P-test: three tests of a quality measure that need no human ratings.

Source: K. Ma, Z. Duanmu, Q. Wu, Z. Wang, H. Yong, H. Li and L. Zhang, "Waterloo Exploration Database: New Challenges
for Image Quality Assessment Models", IEEE Transactions on Image Processing 26(2), 2017. Scores are in any unit, higher
is better. D and L follow the paper; P uses another rule for its pairs, see `discriminable`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from snellen.evaluate.stats.correlation import mean_rank_correlation

Indices = npt.NDArray[np.intp]


def d_test(pristine: npt.ArrayLike, distorted: npt.ArrayLike) -> tuple[float, float]:
    """Return the pristine/distorted discriminability D, 0.5..1, and the threshold T that attains it.

    pristine: (N,), distorted: (M,). R(T) is the mean of the share of pristine pictures that score above T and the share
    of distorted pictures that score T or less; D = max over T of R(T). (nan, nan) where one array is empty.
    """
    clean, faulty = np.sort(np.asarray(pristine, np.float64)), np.sort(np.asarray(distorted, np.float64))
    if len(clean) == 0 or len(faulty) == 0:
        return math.nan, math.nan
    thresholds = np.concatenate([[-np.inf], np.unique(np.concatenate([clean, faulty]))])
    above = 1.0 - np.searchsorted(clean, thresholds, side="right") / len(clean)
    at_most = np.searchsorted(faulty, thresholds, side="right") / len(faulty)
    rates = (above + at_most) / 2.0
    best = int(np.argmax(rates))
    return float(rates[best]), float(thresholds[best])


def l_test(scores: npt.ArrayLike) -> float:
    """Return the listwise ranking consistency, -1..1: the mean SRCC of scores and quality over levels of a distortion.

    scores: (lists, levels), each row one picture with one distortion at rising levels. A row of equal scores counts 0.
    NaN without rows.
    """
    rows = np.asarray(scores, np.float64)
    return mean_rank_correlation(rows, -np.arange(rows.shape[1])) if rows.size else math.nan


def p_test(better: npt.ArrayLike, worse: npt.ArrayLike) -> float:
    """Return the pairwise preference consistency, 0..1: the share of pairs whose better picture scores higher.

    better, worse: (M,), the scores of each quality-discriminable pair; a tie counts 0. NaN without pairs.
    """
    a, b = np.asarray(better, np.float64), np.asarray(worse, np.float64)
    return float(np.mean(a > b)) if len(a) else math.nan


def discriminable(opinion: npt.ArrayLike, std: npt.ArrayLike) -> tuple[Indices, Indices]:
    """Return the pairs of N kinds of picture whose opinions differ for sure: (better, worse), index arrays (M,).

    opinion: (N,) mean opinions; std: (N,) their standard deviations over pictures. A pair counts where the opinions
    differ by more than both deviations together. Ma et al. had no opinions: they take pairs for which MS-SSIM, VIF and
    GMSD, each mapped to LIVE's scale of 0 to 100, agree by more than 40 points. A limit of ours: opinions are known by
    kind and level of the distortion only, so that a pair of two photographs counts although people may prefer one
    photograph for its content.
    """
    mean, apart = np.asarray(opinion, np.float64), np.asarray(std, np.float64)
    sure = mean[:, None] - mean[None, :] > apart[:, None] + apart[None, :]
    better, worse = np.nonzero(sure)
    return better, worse
