"""Calibration of intervals and rating distributions: coverage, calibration error, risk-coverage, conformal fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from snellen.backend import Calibration
from snellen.evaluate.stats.arrays import Floats, vectors
from snellen.evaluate.stats.bootstrap import Estimate, share


def conditional_coverage(
    low: npt.ArrayLike, high: npt.ArrayLike, wanted: npt.ArrayLike, by: npt.ArrayLike, bins: int = 5
) -> list[tuple[float, float, int, Estimate]]:
    """Return the coverage in bins of `by` (N,), ascending: (lowest key, highest key, pictures, share inside) of each.

    low, high: (N,) ends of the intervals, inclusive. Bins hold as equal numbers of pictures as possible. An interval
    that covers 90 % of all pictures but 70 % of the bad ones is not calibrated. Source: Vovk, Conditional validity of
    inductive conformal predictors, ACML 2012.
    """
    a, b, t, key = vectors(low, high, wanted, by)
    inside = (a <= t) & (t <= b)
    parts = [part for part in np.array_split(np.argsort(key, kind="stable"), bins) if len(part)]
    return [(float(key[p[0]]), float(key[p[-1]]), len(p), share(inside[p])) for p in parts]


def quantile_calibration(
    quantiles: npt.ArrayLike, levels: npt.ArrayLike, wanted: npt.ArrayLike
) -> tuple[Floats, float]:
    """Return (observed frequencies (Q,), expected calibration error) of predicted distributions.

    quantiles: (N, Q), the quantiles of each picture's distribution at `levels` (Q,), 0..1. The observed frequency is
    the share of pictures whose `wanted` (N,) is at most that quantile; the error is mean |observed - level|, 0 for a
    calibrated distribution. Source: Kuleshov et al., Accurate uncertainties for deep learning using calibrated
    regression, ICML 2018, with the absolute value.
    """
    table, (promised,), (t,) = np.asarray(quantiles, np.float64), vectors(levels), vectors(wanted)
    if table.shape != (len(t), len(promised)):
        raise ValueError(f"quantiles are (N, Q) = {(len(t), len(promised))} here, not {table.shape}")
    if not len(t):
        return np.full(len(promised), math.nan), math.nan
    observed: Floats = (t[:, None] <= table).mean(axis=0)
    return observed, float(np.mean(np.abs(observed - promised)))


def risk_coverage(errors: npt.ArrayLike, uncertainty: npt.ArrayLike) -> tuple[Floats, Floats, float]:
    """Return (coverage (N,), risk (N,), area under the curve) of selective prediction.

    Risk at coverage k / N is the mean of `errors` (N,) over the k pictures of least `uncertainty` (N,); tied pictures
    share their mean error, so that their order has no effect. The area is the mean risk over all coverages; an
    uncertainty without information gives the mean error. Source: Geifman and El-Yaniv, Selective classification for
    deep neural networks, NeurIPS 2017.
    """
    e, u = vectors(errors, uncertainty)
    if not len(e):
        return np.zeros(0), np.zeros(0), math.nan
    _, group, count = np.unique(u, return_inverse=True, return_counts=True)
    shared = (np.bincount(group, e) / count)[group]
    risk: Floats = np.cumsum(shared[np.argsort(u, kind="stable")]) / np.arange(1, len(e) + 1)
    return np.arange(1, len(e) + 1) / len(e), risk, float(risk.mean())


def conformal_quantile(scores: npt.ArrayLike, level: float) -> float:
    """Return the ceil((N + 1) level)-th smallest of the nonconformity scores (N,) of held-out pictures.

    The score of a new exchangeable picture is at most this value with probability `level` or more, for finite N
    (split conformal prediction: Vovk et al. 2005; Lei et al., JASA 2018). ValueError where N is too small for `level`.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is between 0 and 1, not {level}")
    ordered = np.sort(vectors(scores)[0])
    place = math.ceil((len(ordered) + 1) * level - 1e-9)
    if place > len(ordered):
        raise ValueError(f"{len(ordered)} pictures are too few for a level of {level}")
    return float(ordered[place - 1])


def fit_calibration(score: Floats, std: Floats, wanted: Floats, level: float) -> Calibration:
    """Return the conformal interval score +- q max(std, floor) whose coverage on held-out pictures is `level`.

    score, std, wanted: (N,), in MOS. The nonconformity score is |wanted - score| / max(std, floor); of ten floors, the
    quantiles of `std` from 0 to 0.9, the one with the narrowest intervals is taken. ValueError for too few pictures.
    """
    if not len(score):
        raise ValueError("there is no picture to calibrate on")
    fits = []
    for quantile in np.quantile(std, np.linspace(0, 0.9, 10)):
        floor = max(float(quantile), 1e-3)
        width = np.maximum(std, floor)
        q = conformal_quantile(np.abs(wanted - score) / width, level)
        fits.append((q * float(width.mean()), q, floor))
    _, q, floor = min(fits)
    return Calibration(q, floor, level)


@dataclass(frozen=True, eq=False)
class Scored:
    """Pictures of one rated set: score, std and wanted (the MOS), (N,) each, in MOS."""

    score: Floats
    std: Floats
    wanted: Floats


def fit_ends(calibration: Calibration, sets: Sequence[Scored]) -> Calibration:
    """Return the calibration with ends that hold on each of several rated sets.

    On each set at most (1 - coverage) / 2 of the opinions shall lie below the interval, and as many above. So each end
    is the largest over the sets of the conformal quantile at (1 + coverage) / 2 of -z or z, z = (wanted - score) /
    max(std, floor). Opinions scatter further below a score than above it, and people of another set by another scale;
    one quantile of |z| hides both. ValueError for too few pictures.
    """
    level = (1.0 + calibration.coverage) / 2.0
    errors = [(one.wanted - one.score) / np.maximum(one.std, calibration.floor) for one in sets]
    below, above = (max(conformal_quantile(sign * z, level) for z in errors) for sign in (-1.0, 1.0))
    return replace(calibration, below=below, above=above)


def card_fields(calibration: Calibration) -> dict[str, float]:
    """Return a calibration's fields as a model's card holds them: rounded, without those that are not set."""
    return {name: round(value, 5) for name, value in asdict(calibration).items() if value is not None}


def split_half_coverage(score: Floats, std: Floats, wanted: Floats, level: float, seed: int) -> float:
    """Return the coverage on a random half of the pictures of an interval fitted on the other half."""
    order = np.random.default_rng(seed).permutation(len(score))
    fit, test = order[: len(order) // 2], order[len(order) // 2 :]
    calibration = fit_calibration(score[fit], std[fit], wanted[fit], level)
    low, high = np.array([calibration.interval(score[i], std[i]) for i in test]).T
    return float(np.mean((low <= wanted[test]) & (wanted[test] <= high)))
