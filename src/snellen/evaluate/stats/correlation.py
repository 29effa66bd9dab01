"""Agreement of scores with opinions: correlations, errors, fits, ordered pairs.

Arrays are (N,), one entry per picture, without NaN (ValueError otherwise). Correlations are NaN where they are not
defined: fewer than two pictures, or a constant array.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeWarning, curve_fit

from snellen.evaluate.stats import bootstrap
from snellen.evaluate.stats.arrays import Floats, vectors
from snellen.evaluate.stats.bootstrap import SEED, UNDEFINED, Estimate, percentiles


def ranks(values: npt.ArrayLike) -> Floats:
    """Return ranks from 1, tied values at their mean rank: [30, 10, 30] -> [2.5, 1, 2.5]."""
    (flat,) = vectors(values)
    _, group, count = np.unique(flat, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean: Floats = last - (count - 1) / 2.0
    return mean[group]


def plcc(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """Return Pearson's linear correlation, -1..1."""
    a, b = vectors(predicted, wanted)
    if len(a) < 2 or np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(np.dot(a, b) / math.sqrt(np.dot(a, a) * np.dot(b, b)), -1.0, 1.0))


def srcc(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """Return Spearman's rank correlation, -1..1: Pearson's correlation of the ranks, ties at their mean rank."""
    return plcc(ranks(predicted), ranks(wanted))


def krcc(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """Return Kendall's tau-b, -1..1.

    (concordant - discordant pairs) / sqrt(pairs untied in `predicted` * pairs untied in `wanted`). Discordant pairs are
    the inversions left after sorting by the other array (Knight, JASA 61, 1966): O(N log N).
    """
    a, b = vectors(predicted, wanted)
    x, y = np.unique(a, return_inverse=True)[1], np.unique(b, return_inverse=True)[1]
    pairs = len(x) * (len(x) - 1) // 2
    tied_x, tied_y = _tied_pairs(x), _tied_pairs(y)
    if pairs in (tied_x, tied_y):
        return math.nan
    tied_both = _tied_pairs(x * (int(y.max()) + 1) + y)
    discordant = _inversions(y[np.lexsort((y, x))])
    concordant = pairs - tied_x - tied_y + tied_both - discordant
    return float((concordant - discordant) / math.sqrt((pairs - tied_x) * (pairs - tied_y)))


def rmse(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """Return the root mean square error, in the unit of the arrays; NaN of no pictures."""
    a, b = vectors(predicted, wanted)
    return float(np.sqrt(np.mean((a - b) ** 2))) if len(a) else math.nan


def logistic(scores: npt.ArrayLike, parameters: tuple[float, float, float, float]) -> Floats:
    """Return (b1 - b2) / (1 + exp(-(s - b3) / |b4|)) + b2, the four-parameter logistic of VQEG, for scores s (N,).

    parameters: (b1, b2, b3, b4). Source: see `fit_logistic`.
    """
    top, bottom, middle, width = parameters
    (flat,) = vectors(scores)
    steps = np.clip(-(flat - middle) / abs(width), -500.0, 500.0)
    out: Floats = (top - bottom) / (1.0 + np.exp(steps)) + bottom
    return out


def fit_logistic(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> tuple[float, float, float, float]:
    """Return the parameters (b1, b2, b3, b4) of `logistic` that map scores to MOS with the least squared error.

    The curve is fitted to the labels that the fitted scores are then compared with: report the result beside the raw
    PLCC. RuntimeError when the fit does not converge. Source: VQEG, Final report on the validation of objective models
    of video quality assessment, 2000.
    """
    a, b = vectors(predicted, wanted)
    scale = float(a.std()) or 1.0
    ends = (float(b.max()), float(b.min()))
    start = (*(ends if plcc(a, b) >= 0 else ends[::-1]), 0.0, 1.0)

    def curve(s: Floats, top: float, bottom: float, middle: float, width: float) -> Floats:
        return logistic(s, (top, bottom, middle, width))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # of the covariance, which is not used
        (top, bottom, middle, width), _ = curve_fit(curve, (a - a.mean()) / scale, b, start, maxfev=20000)
    return float(top), float(bottom), float(middle * scale + a.mean()), float(abs(width) * scale)


def outlier_ratio(predicted: npt.ArrayLike, wanted: npt.ArrayLike, std: npt.ArrayLike) -> float:
    """Return the share of pictures with |predicted - wanted| > 2 `std`, the standard deviation of their opinions.

    All in the unit of `wanted`. Source: VQEG, Final report from the FR-TV phase II test, 2003, metric 3.
    """
    a, b, spread = vectors(predicted, wanted, std)
    return float(np.mean(np.abs(a - b) > 2 * spread)) if len(a) else math.nan


def isotonic(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> Floats:
    """Return, for each picture (N,), the non-decreasing function of `predicted` that is closest to `wanted` (L2).

    Equal predictions get one value. Pool adjacent violators (Barlow et al., Statistical inference under order
    restrictions, 1972): while the mean of a block is below that of the block before, the two are merged.
    """
    a, b = vectors(predicted, wanted)
    _, group, count = np.unique(a, return_inverse=True, return_counts=True)
    blocks: list[tuple[float, int, int]] = []  # mean, pictures, values of `predicted`
    for total, number in zip(np.bincount(group, b), count, strict=True):
        mean, pictures, values = float(total / number), int(number), 1
        while blocks and blocks[-1][0] >= mean:
            before, more, joined = blocks.pop()
            mean = (mean * pictures + before * more) / (pictures + more)
            pictures, values = pictures + more, values + joined
        blocks.append((mean, pictures, values))
    fitted: Floats = np.repeat([mean for mean, _, _ in blocks], [values for _, _, values in blocks])[group]
    return fitted


def isotonic_fit(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> tuple[float, float]:
    """Return (PLCC, SRCC) after `isotonic`, as the evaluator of Zoom-IQA's authors computes them.

    The curve is fitted to the labels that the fitted scores are then correlated with, which raises both: report them
    beside the raw values. Source: github.com/EthanLiang99/Zoom-IQA, inference/metrics.py.
    """
    fitted = isotonic(predicted, wanted)
    return plcc(fitted, wanted), srcc(fitted, wanted)


def pair_agreement(
    predicted: npt.ArrayLike,
    wanted: npt.ArrayLike,
    low: npt.ArrayLike | None = None,
    high: npt.ArrayLike | None = None,
    *,
    seed: int = SEED,
    n: int | None = None,
) -> Estimate:
    """Return the share of pairs of pictures that `predicted` orders as `wanted` does, with its bootstrap interval.

    Pairs tied in `wanted` do not count; a tie in `predicted` counts 0.5. With `low` and `high` (N,), the ends of an
    interval for each picture, only pairs with disjoint intervals count. NaN where no pair counts. The bootstrap draws
    pictures: with w_i the number of times that picture i was drawn, a pair has the weight w_i w_j. O(n N^2).
    """
    a, b = vectors(predicted, wanted)
    ends = (b, b) if low is None or high is None else vectors(low, high, b)[:2]
    rng, n = np.random.default_rng(seed), bootstrap.RESAMPLINGS if n is None else n
    drawn = [np.bincount(rng.integers(len(a), size=len(a)), minlength=len(a)) for _ in range(n)] if len(a) else []
    weights = np.array([np.ones(len(a), np.int64), *drawn], np.float32)
    right, counted = np.zeros(n + 1), np.zeros(n + 1)
    for start in range(0, len(a), 512):
        rows = slice(start, start + 512)
        counts = b[rows, None] > b  # each pair once, from the side of its better picture
        counts &= (ends[0][rows, None] > ends[1]) | (ends[1][rows, None] < ends[0])
        hits = counts * (0.5 + 0.5 * np.sign(a[rows, None] - a))
        right += ((weights[:, rows] @ hits.astype(np.float32)) * weights).sum(axis=1, dtype=np.float64)
        counted += ((weights[:, rows] @ counts.astype(np.float32)) * weights).sum(axis=1, dtype=np.float64)
    shares = right[counted > 0] / counted[counted > 0]
    return UNDEFINED if counted[0] == 0 else Estimate(float(shares[0]), *percentiles(shares[1:]))


def two_alternative_accuracy(first: npt.ArrayLike, second: npt.ArrayLike, preferred: npt.ArrayLike) -> float:
    """Return the two-alternative forced choice (2AFC) score, 0..1: the mean share of people who chose as the scores do.

    first, second: (N,) scores of the two pictures of each pair; preferred: share of people who chose the first, 0..1.
    A tie counts 0.5. Source: the 2AFC score of Zhang et al., CVPR 2018.
    """
    a, b, p = vectors(first, second, preferred)
    credit = np.where(a > b, p, np.where(a < b, 1 - p, 0.5))
    return float(credit.mean()) if len(credit) else math.nan


def mean_rank_correlation(scores: npt.ArrayLike, levels: npt.ArrayLike) -> float:
    """Return the mean over rows of the SRCC of `scores` (M, L) with `levels` (L,); a row of equal scores counts 0."""
    rows = [srcc(row, levels) for row in np.asarray(scores, np.float64)]
    return float(np.mean(np.nan_to_num(rows))) if rows else math.nan


def _tied_pairs(groups: npt.NDArray[np.int64]) -> int:
    count = np.unique(groups, return_counts=True)[1].astype(np.int64)
    return int((count * (count - 1) // 2).sum())


def _inversions(values: npt.NDArray[np.int64]) -> int:
    """Return the number of pairs i < j with values[i] > values[j], by merging sorted runs of doubling length."""
    above = int(values.max()) + 1
    runs = np.full(1 << (len(values) - 1).bit_length(), above, np.int64)
    runs[: len(values)] = values
    found, width = 0, 1
    while width < len(runs):
        pairs = runs.reshape(-1, 2, width)
        offset = np.arange(len(pairs))[:, None] * (above + 1)  # one search for all pairs of runs: each in its own range
        left, right = (pairs[:, 0] + offset).ravel(), pairs[:, 1] + offset
        at_most = np.searchsorted(left, right, side="right") - np.arange(len(pairs))[:, None] * width
        found += int((width - at_most).sum())
        runs = np.sort(pairs.reshape(len(pairs), -1), axis=1).ravel()
        width *= 2
    return found
