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
        raise ImportError("the logistic fit needs scipy; run: pip install snellen[train]") from error
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
