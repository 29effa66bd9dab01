"""Measures of stated probabilities of events. Arrays in, floats out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from snellen.evaluate.stats.correlation import ranks

BINS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Edges of the bins of `reliability`; narrow where most kinds of fault of a photograph lie."""


def auc(probability: npt.ArrayLike, happened: npt.ArrayLike) -> float:
    """Return the area under the ROC curve, 0..1: the share of pairs of an event (N,) that happened and one that did not
    in which the former has the higher probability; ties count half (Mann and Whitney 1947). NaN without both."""
    p, y = np.asarray(probability, np.float64), np.asarray(happened, bool)
    yes, no = int(y.sum()), int((~y).sum())
    if not yes or not no:
        return math.nan
    above = ranks(p)[y].sum() - yes * (yes + 1) / 2
    return float(above / (yes * no))


def brier_skill(probability: npt.ArrayLike, happened: npt.ArrayLike, rate: npt.ArrayLike) -> float:
    """Return 1 - BS / BS of `rate`, at most 1: 0 where the probabilities (N,) predict no better than the base rate (N,)
    of each event. BS is the mean squared difference to 1 for what happened and 0 for the rest (Brier 1950)."""
    p, y, base = (np.asarray(one, np.float64) for one in (probability, happened, rate))
    worst = float(np.mean((base - y) ** 2))
    return math.nan if worst == 0.0 else 1.0 - float(np.mean((p - y) ** 2)) / worst


def reliability(probability: npt.ArrayLike, happened: npt.ArrayLike) -> list[tuple[float, float, int, float, float]]:
    """Return (low, high, number, mean probability, share that happened) of each bin of `BINS` that has events.

    A bin holds the probabilities from `low` up to, without, `high`; the last holds 1 too.
    """
    p, y = np.asarray(probability, np.float64), np.asarray(happened, bool)
    place = np.clip(np.searchsorted(BINS, p, side="right") - 1, 0, len(BINS) - 2)
    return [
        (BINS[i], BINS[i + 1], int(inside.sum()), float(p[inside].mean()), float(y[inside].mean()))
        for i in range(len(BINS) - 1)
        if (inside := place == i).any()
    ]
