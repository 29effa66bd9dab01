"""Estimates with confidence intervals: bootstrap over pictures, Wilson's interval for shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Metric = Callable[..., float]
SEED = 0
"""Seed of every bootstrap of an evaluation, so that two runs resample the same pictures."""
RESAMPLINGS = 1000
"""Resamplings of a bootstrap, where a call gives no other number."""


class Estimate(NamedTuple):
    """A value with its 95 % confidence interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """True where the interval does not hold 0."""
        return self.low > 0.0 or self.high < 0.0


UNDEFINED = Estimate(math.nan, math.nan, math.nan)


def bootstrap_interval(
    metric: Metric, *arrays: npt.ArrayLike, seed: int = SEED, n: int | None = None, level: float = 0.95
) -> Estimate:
    """Return `metric(*arrays)` with its percentile bootstrap interval.

    All arrays are resampled together, `n` times, along their first axis. Resamplings where the metric is NaN are left
    out; the ends are NaN where none remains. ValueError where the arrays differ in length.
    Source: Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13.
    """
    columns = [np.asarray(array) for array in arrays]
    if not columns or any(len(column) != len(columns[0]) for column in columns):
        raise ValueError(f"arrays of one length are needed, not {[len(column) for column in columns]}")
    count = len(columns[0])
    value = metric(*columns)
    if count == 0:
        return Estimate(value, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    resamplings = (rng.integers(count, size=count) for _ in range(RESAMPLINGS if n is None else n))
    draws = np.array([metric(*(column[i] for column in columns)) for i in resamplings])
    return Estimate(value, *percentiles(draws, level))


def percentiles(draws: npt.NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Return the ends of the central interval that holds `level` of the draws (N,); NaN draws are left out.

    Where draws are infinite, as ratios to 0 are, an end is the nearest draw: nothing lies between them.
    """
    defined = draws[~np.isnan(draws)]
    if len(defined) == 0:
        return math.nan, math.nan
    method: Literal["linear", "nearest"] = "linear" if np.isfinite(defined).all() else "nearest"
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2], method=method)
    return float(low), float(high)


def bootstrap_difference(
    metric: Metric, first: npt.ArrayLike, second: npt.ArrayLike, wanted: npt.ArrayLike, *, seed: int = SEED,
    n: int | None = None,
) -> Estimate:  # fmt: skip
    """Return metric(first, wanted) - metric(second, wanted) with its paired interval: both see the same resamplings."""
    return bootstrap_interval(lambda a, b, t: metric(a, t) - metric(b, t), first, second, wanted, seed=seed, n=n)


def mean(values: Iterable[float]) -> float:
    """Return the mean, NaN of no values."""
    those = list(values)
    return float(np.mean(those)) if those else math.nan


def mean_interval(values: Sequence[float], groups: Sequence[Hashable] | None = None) -> Estimate:
    """Return the mean with its bootstrap interval; NaN of no values. NaN values are left out.

    groups: one for each value, for example its photograph. With groups the bootstrap draws groups, because pictures
    made of one photograph are alike (cluster bootstrap; Davison and Hinkley, Bootstrap methods, 1997, section 3.8).
    The value stays the mean over all values.
    """
    owners = range(len(values)) if groups is None else groups
    clusters: dict[Hashable, list[float]] = {}
    for owner, value in zip(owners, values, strict=True):
        if not math.isnan(value):
            clusters.setdefault(owner, []).append(value)
    if not clusters:
        return UNDEFINED
    sums, counts = zip(*((sum(those), len(those)) for those in clusters.values()), strict=True)
    return bootstrap_interval(lambda s, c: float(s.sum() / c.sum()), sums, counts)


def share(hits: npt.ArrayLike) -> Estimate:
    """Return the share of true among (N,) booleans, 0..1, with Wilson's 95 % interval (JASA 22, 1927); NaN of none."""
    flags = np.asarray(hits, bool)
    n, z = len(flags), 1.959964
    if n == 0:
        return UNDEFINED
    p = float(flags.mean())
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Estimate(p, min(p, middle - half), max(p, middle + half))
