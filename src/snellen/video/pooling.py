"""One score of a video from the scores of frames. Arithmetic on arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WORST_SHARE = 0.1
"""Share of the time that `worst` is the mean of."""
Z90 = 1.645
"""Standard normal quantile of a central 90 % interval."""


@dataclass(frozen=True)
class Pooled:
    """Scores of a video, 1..5. score: mean over time; low, high: its interval; worst: mean of the worst tenth."""

    score: float
    low: float | None
    high: float | None
    worst: float


def weights(times: Sequence[float], duration: float) -> npt.NDArray[np.float64]:
    """Return the share of the duration that each sample stands for: up to halfway to its neighbours. (N,), sum 1."""
    at = np.asarray(times, np.float64)
    edges = np.concatenate(([0.0], (at[1:] + at[:-1]) / 2, [max(duration, at[-1])]))
    spans = np.diff(edges)
    total = float(spans.sum())
    return spans / total if total > 0 else np.full(len(at), 1 / len(at))


def pool(
    times: Sequence[float], scores: Sequence[float], intervals: Sequence[tuple[float, float] | None], duration: float
) -> Pooled:
    """Return the pooled scores.

    The interval of a frame is the model's error, and the frames of a video share it: it does not average out. So the
    half widths are averaged, and the standard error of the mean, from sampling few frames, is added in quadrature. It
    has not been calibrated on opinions of videos. Percentile pooling: Moorthy and Bovik, Visual importance pooling for
    image quality assessment, 2009.

    ValueError without scores.
    """
    if not scores:
        raise ValueError("no scores to pool")
    share = weights(times, duration)
    values = np.asarray(scores, np.float64)
    mean = float(share @ values)
    worst = worst_mean(values, share)
    if any(interval is None for interval in intervals):
        return Pooled(mean, None, None, worst)
    ends = np.array(intervals, np.float64)
    below, above = float(share @ (values - ends[:, 0])), float(share @ (ends[:, 1] - values))
    sampled = Z90 * standard_error(values, share)
    low, high = mean - math.hypot(below, sampled), mean + math.hypot(above, sampled)
    return Pooled(mean, max(1.0, low), min(5.0, high), worst)


def standard_error(values: npt.NDArray[np.float64], share: npt.NDArray[np.float64]) -> float:
    """Return the standard error of a weighted mean: standard deviation over the root of the effective number."""
    if len(values) < 2:
        return 0.0
    effective = 1.0 / float((share**2).sum())
    spread = float(share @ (values - share @ values) ** 2) * effective / max(effective - 1.0, 1e-9)
    return math.sqrt(spread / effective)


def worst_mean(values: npt.NDArray[np.float64], share: npt.NDArray[np.float64], part: float = WORST_SHARE) -> float:
    """Return the weighted mean of the lowest values that make up `part` of the weight."""
    order = np.argsort(values, kind="stable")
    before = np.concatenate(([0.0], np.cumsum(share[order])[:-1]))
    taken = np.clip(part - before, 0.0, share[order])
    return float((taken @ values[order]) / taken.sum())
