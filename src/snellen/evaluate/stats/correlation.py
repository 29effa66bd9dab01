"""How well scores agree with people: arrays in, floats out. Needs numpy; only `fit_logistic` asks for scipy.

Correlations are NaN where they are not defined: fewer than two pictures, or one side all the same value. Arrays are
(N,), one entry per picture, without NaN; ValueError where they are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Metric = Callable[..., float]


def ranks(values: npt.ArrayLike) -> Floats:
    """Ranks from 1, ties sharing the mean of theirs: [30, 10, 30] -> [2.5, 1, 2.5]."""
    (flat,) = _columns(values)
    _, group, count = np.unique(flat, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean: Floats = last - (count - 1) / 2.0
    return mean[group]


def plcc(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """Pearson's linear correlation, -1..1."""
    a, b = _columns(predicted, wanted)
    if len(a) < 2 or np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(np.dot(a, b) / math.sqrt(np.dot(a, a) * np.dot(b, b)), -1.0, 1.0))


def srcc(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """Spearman's rank correlation, -1..1: Pearson's of the ranks, ties at their mean rank."""
    return plcc(ranks(predicted), ranks(wanted))


def balanced_srcc(predicted: npt.ArrayLike, levels: npt.ArrayLike) -> float:
    """Spearman's rank correlation with few levels, each of which counts alike however many pictures it has, -1..1.

    A rank correlation depends on how the levels are mixed: among pictures that are nearly all at two of five levels
    it is low for a judge that tells all five apart. Pictures weigh 1 / those of their level, in ranks and correlation.
    """
    a, b = _columns(predicted, levels)
    if len(a) < 2 or np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return math.nan
    _, group, count = np.unique(b, return_inverse=True, return_counts=True)
    weight = 1.0 / (len(count) * count[group])
    a, b = (_weighted_ranks(values, weight) for values in (a, b))
    a, b = a - weight @ a, b - weight @ b
    return float(np.clip(weight @ (a * b) / math.sqrt((weight @ (a * a)) * (weight @ (b * b))), -1.0, 1.0))


def _weighted_ranks(values: Floats, weight: Floats) -> Floats:
    """Share of the weight below each value, and half of that at it."""
    _, group = np.unique(values, return_inverse=True)
    mass = np.bincount(group, weight)
    below: Floats = np.cumsum(mass) - mass / 2.0
    return below[group]


def krcc(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """Kendall's tau-b, -1..1: (concordant - discordant pairs) / sqrt(pairs untied in one * pairs untied in the other).

    Discordant pairs are the inversions left after sorting by the other side (Knight, JASA 1966), N log N.
    """
    a, b = _columns(predicted, wanted)
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
    """Root mean square error, in the unit of the arrays."""
    a, b = _columns(predicted, wanted)
    return float(np.sqrt(np.mean((a - b) ** 2))) if len(a) else math.nan


def logistic(scores: npt.ArrayLike, parameters: tuple[float, float, float, float]) -> Floats:
    """The four-parameter logistic (b1 - b2) / (1 + exp(-(s - b3) / |b4|)) + b2 that VQEG maps scores to MOS with."""
    top, bottom, middle, width = parameters
    (flat,) = _columns(scores)
    steps = np.clip(-(flat - middle) / abs(width), -500.0, 500.0)
    out: Floats = (top - bottom) / (1.0 + np.exp(steps)) + bottom
    return out


def fit_logistic(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> tuple[float, float, float, float]:
    """Least-squares parameters of `logistic` that map scores to MOS.

    It is fitted to the very labels that are then correlated with, so report it beside the raw PLCC, never alone.
    RuntimeError when the fit does not converge, ImportError with the remedy when scipy is not installed.
    Source: VQEG, Final report on the validation of objective models of video quality assessment, 2000.
    """
    try:
        from scipy.optimize import curve_fit
    except ImportError as error:
        raise ImportError('the logistic fit needs scipy; run: pip install "snellen[evaluate]"') from error
    a, b = _columns(predicted, wanted)
    scale = float(a.std()) or 1.0
    ends = (float(b.max()), float(b.min()))
    start = (*(ends if plcc(a, b) >= 0 else ends[::-1]), 0.0, 1.0)

    def curve(s: Floats, top: float, bottom: float, middle: float, width: float) -> Floats:
        return logistic(s, (top, bottom, middle, width))

    (top, bottom, middle, width), _ = curve_fit(curve, (a - a.mean()) / scale, b, start, maxfev=20000)
    return float(top), float(bottom), float(middle * scale + a.mean()), float(abs(width) * scale)


def plcc_logistic(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """PLCC after `fit_logistic`; see the warning there."""
    return plcc(logistic(predicted, fit_logistic(predicted, wanted)), wanted)


def outlier_ratio(predicted: npt.ArrayLike, wanted: npt.ArrayLike, std: npt.ArrayLike) -> float:
    """Share of pictures with |predicted - wanted| > 2 `std`, the standard deviation of that picture's opinions.

    All in the unit of `wanted`. Source: VQEG, Final report from the FR-TV phase II test, 2003, metric 3.
    """
    a, b, spread = _columns(predicted, wanted, std)
    return float(np.mean(np.abs(a - b) > 2 * spread)) if len(a) else math.nan


def isotonic(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> Floats:
    """The non-decreasing function of `predicted` (N,) closest to `wanted` in least squares, at each picture: (N,).

    Pictures of one prediction get one value. By pooling adjacent violators (Barlow et al., Statistical inference under
    order restrictions, 1972): while a block's mean lies under that of the one before, the two become one.
    """
    a, b = _columns(predicted, wanted)
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


def official_fit(predicted: npt.ArrayLike, wanted: npt.ArrayLike) -> tuple[float, float]:
    """(PLCC, SRCC) after `isotonic`, as the evaluator of Zoom-IQA's authors computes them.

    The curve is fitted to the very labels that are then correlated with, which raises both, so report them beside the
    raw ones, never alone. Source: github.com/EthanLiang99/Zoom-IQA, inference/metrics.py.
    """
    fitted = isotonic(predicted, wanted)
    return plcc(fitted, wanted), srcc(fitted, wanted)


def pair_agreement(
    predicted: npt.ArrayLike,
    wanted: npt.ArrayLike,
    low: npt.ArrayLike | None = None,
    high: npt.ArrayLike | None = None,
    *,
    seed: int,
    n: int = 1000,
) -> tuple[float, float, float]:
    """(share, low, high) of pairs of pictures that are ordered as people order them, with its bootstrap interval.

    Pairs of one `wanted` do not count; a tie in `predicted` is half right. With `low` and `high` (N,), the ends of an
    interval for each picture, only pairs whose intervals do not touch count. NaN where no pair does. The bootstrap
    draws pictures: with w_i how often picture i was drawn, a pair weighs w_i w_j. N^2 n multiplications.
    """
    a, b = _columns(predicted, wanted)
    ends = (b, b) if low is None or high is None else _columns(low, high, b)[:2]
    rng = np.random.default_rng(seed)
    drawn = [np.bincount(rng.integers(len(a), size=len(a)), minlength=len(a)) for _ in range(n)] if len(a) else []
    weights = np.array([np.ones(len(a), np.int64), *drawn], np.float32)
    right, counted = np.zeros(n + 1), np.zeros(n + 1)
    for start in range(0, len(a), 512):
        rows = slice(start, start + 512)
        counts = b[rows, None] > b  # each pair once, from its better picture's side
        counts &= (ends[0][rows, None] > ends[1]) | (ends[1][rows, None] < ends[0])
        hits = counts * (0.5 + 0.5 * np.sign(a[rows, None] - a))
        right += ((weights[:, rows] @ hits.astype(np.float32)) * weights).sum(axis=1, dtype=np.float64)
        counted += ((weights[:, rows] @ counts.astype(np.float32)) * weights).sum(axis=1, dtype=np.float64)
    shares = right[counted > 0] / counted[counted > 0]
    if counted[0] == 0:
        return math.nan, math.nan, math.nan
    edges = np.quantile(shares[1:], [0.025, 0.975]) if len(shares) > 1 else (math.nan, math.nan)
    return float(shares[0]), float(edges[0]), float(edges[1])


def two_alternative_accuracy(first: npt.ArrayLike, second: npt.ArrayLike, preferred: npt.ArrayLike) -> float:
    """Agreement with people who chose between two pictures, 0..1: the mean share of them who chose as the scores do.

    first, second: (N,) scores of the two pictures of each pair; preferred: share of people who chose the first, 0..1.
    A tie counts 0.5. Source: the 2AFC score of Zhang et al., CVPR 2018.
    """
    a, b, p = _columns(first, second, preferred)
    credit = np.where(a > b, p, np.where(a < b, 1 - p, 0.5))
    return float(credit.mean()) if len(credit) else math.nan


def mean_rank_correlation(scores: npt.ArrayLike, levels: npt.ArrayLike) -> float:
    """Mean over rows of the rank correlation of `scores` (M, L) with `levels` (L,); a row of equal scores counts 0."""
    rows = [srcc(row, levels) for row in np.asarray(scores, np.float64)]
    return float(np.mean(np.nan_to_num(rows))) if rows else math.nan


def bootstrap_interval(
    metric: Metric, *arrays: npt.ArrayLike, seed: int, n: int = 1000, level: float = 0.95
) -> tuple[float, float, float]:
    """(value, low, high): `metric(*arrays)` and the percentile interval over `n` resamplings of the pictures.

    All arrays are resampled alike, along their first axis. Resamplings where the metric is NaN are left out.
    Source: Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13.
    """
    columns = [np.asarray(array) for array in arrays]
    if not columns or any(len(column) != len(columns[0]) for column in columns):
        raise ValueError(f"arrays of one length are needed, not {[len(column) for column in columns]}")
    count = len(columns[0])
    value = metric(*columns)
    if count == 0:
        return value, math.nan, math.nan
    rng = np.random.default_rng(seed)
    draws = np.array([metric(*(c[i] for c in columns)) for i in (rng.integers(count, size=count) for _ in range(n))])
    draws = draws[~np.isnan(draws)]
    if len(draws) == 0:
        return value, math.nan, math.nan
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return value, float(low), float(high)


def bootstrap_difference(
    metric: Metric, first: npt.ArrayLike, second: npt.ArrayLike, wanted: npt.ArrayLike, *, seed: int, n: int = 1000
) -> tuple[float, float, float]:
    """metric(first, wanted) - metric(second, wanted) with its paired 95 % interval: both see the same resamplings."""
    return bootstrap_interval(lambda a, b, t: metric(a, t) - metric(b, t), first, second, wanted, seed=seed, n=n)


def share(hits: npt.ArrayLike) -> tuple[float, float, float]:
    """(share, low, high) of true among (N,) booleans, with Wilson's 95 % interval (JASA 1927)."""
    flags = np.asarray(hits, bool)
    n, z = len(flags), 1.959964
    if n == 0:
        return math.nan, math.nan, math.nan
    p = float(flags.mean())
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return p, min(p, middle - half), max(p, middle + half)


def coverage(low: npt.ArrayLike, high: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """Share of pictures whose value lies in its interval, ends included."""
    a, b, t = _columns(low, high, wanted)
    return float(np.mean((a <= t) & (t <= b))) if len(t) else math.nan


def conditional_coverage(
    low: npt.ArrayLike, high: npt.ArrayLike, wanted: npt.ArrayLike, by: npt.ArrayLike, bins: int = 5
) -> list[tuple[float, float, int, tuple[float, float, float]]]:
    """Coverage where `by` (N,) is small to where it is large: (from, to, pictures, `share` inside) of each bin.

    Bins hold equally many pictures, as far as that goes. An interval that holds the MOS of 90 % of all pictures, but of
    70 % of the bad ones, is not calibrated. Source: Vovk, Conditional validity of inductive conformal predictors, 2012.
    """
    a, b, t, key = _columns(low, high, wanted, by)
    inside = (a <= t) & (t <= b)
    parts = [part for part in np.array_split(np.argsort(key, kind="stable"), bins) if len(part)]
    return [(float(key[p[0]]), float(key[p[-1]]), len(p), share(inside[p])) for p in parts]


def quantile_calibration(
    quantiles: npt.ArrayLike, levels: npt.ArrayLike, wanted: npt.ArrayLike
) -> tuple[Floats, float]:
    """Does the rating distribution tell the truth? (observed (Q,), expected calibration error).

    quantiles: (N, Q), each picture's quantiles at `levels` (Q,), 0..1. Observed is the share of pictures whose `wanted`
    lies at or under each; the error is mean |observed - level|, 0 for a distribution that is right. Source: Kuleshov
    et al., Accurate uncertainties for deep learning using calibrated regression, ICML 2018, with the absolute value.
    """
    table, (promised,), (t,) = np.asarray(quantiles, np.float64), _columns(levels), _columns(wanted)
    if table.shape != (len(t), len(promised)):
        raise ValueError(f"quantiles are (N, Q) = {(len(t), len(promised))} here, not {table.shape}")
    if not len(t):
        return np.full(len(promised), math.nan), math.nan
    observed: Floats = (t[:, None] <= table).mean(axis=0)
    return observed, float(np.mean(np.abs(observed - promised)))


def risk_coverage(errors: npt.ArrayLike, uncertainty: npt.ArrayLike) -> tuple[Floats, Floats, float]:
    """What is left when the unsure ones are set aside: (coverage (N,), risk (N,), area under the curve).

    Risk at coverage k / N is the mean of `errors` (N,) over the k pictures of least `uncertainty` (N,); ties share
    their mean error, so their order does not matter. The area is the mean risk over all coverages; where uncertainty
    says nothing it is the mean error. Source: Geifman and El-Yaniv, Selective classification, NeurIPS 2017.
    """
    e, u = _columns(errors, uncertainty)
    if not len(e):
        return np.zeros(0), np.zeros(0), math.nan
    _, group, count = np.unique(u, return_inverse=True, return_counts=True)
    shared = (np.bincount(group, e) / count)[group]
    risk: Floats = np.cumsum(shared[np.argsort(u, kind="stable")]) / np.arange(1, len(e) + 1)
    return np.arange(1, len(e) + 1) / len(e), risk, float(risk.mean())


def conformal_quantile(scores: npt.ArrayLike, level: float) -> float:
    """The q that a new picture's score stays at or under with probability at least `level`, by split conformal.

    `scores` (N,) are nonconformity scores of held-out pictures, for example |error| / predicted std. It is the
    ceil((N + 1) level)-th smallest, so the promise holds for finite N when pictures are exchangeable (Vovk et al.
    2005; Lei et al., JASA 2018). ValueError when there are too few pictures for that level.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is between 0 and 1, not {level}")
    ordered = np.sort(_columns(scores)[0])
    place = math.ceil((len(ordered) + 1) * level - 1e-9)
    if place > len(ordered):
        raise ValueError(f"{len(ordered)} pictures are too few for a level of {level}")
    return float(ordered[place - 1])


def _columns(*arrays: npt.ArrayLike) -> tuple[Floats, ...]:
    columns = tuple(np.asarray(array, np.float64) for array in arrays)
    if any(column.ndim != 1 or column.shape != columns[0].shape for column in columns):
        raise ValueError(f"vectors of one length are needed, not {', '.join(str(c.shape) for c in columns)}")
    if any(np.isnan(column).any() for column in columns):
        raise ValueError("there is a NaN; leave out pictures without a value, and report how many")
    return columns


def _tied_pairs(groups: npt.NDArray[np.int64]) -> int:
    count = np.unique(groups, return_counts=True)[1].astype(np.int64)
    return int((count * (count - 1) // 2).sum())


def _inversions(values: npt.NDArray[np.int64]) -> int:
    """Pairs i < j with values[i] > values[j], by merging sorted runs of doubling length, all runs at once."""
    above = int(values.max()) + 1
    runs = np.full(1 << (len(values) - 1).bit_length(), above, np.int64)
    runs[: len(values)] = values
    found, width = 0, 1
    while width < len(runs):
        pairs = runs.reshape(-1, 2, width)
        offset = np.arange(len(pairs))[:, None] * (above + 1)  # keeps each pair of runs to itself in one search
        left, right = (pairs[:, 0] + offset).ravel(), pairs[:, 1] + offset
        at_most = np.searchsorted(left, right, side="right") - np.arange(len(pairs))[:, None] * width
        found += int((width - at_most).sum())
        runs = np.sort(pairs.reshape(len(pairs), -1), axis=1).ravel()
        width *= 2
    return found
