"""Scales from pair comparisons: Bradley-Terry and Thurstone's Case V, with intervals.

Choices are a matrix (P, P): `wins[i, j]` is how often picture i was preferred to picture j; a tie adds 0.5 to both.
Qualities are in JOD, "just objectionable differences": of two pictures 1 JOD apart, 75 % of people choose the better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit, log_ndtr, ndtr, ndtri

from snellen.study.opinions import NORMAL

Floats = npt.NDArray[np.float64]
Link = Literal["bradley-terry", "thurstone"]
UNIT = {"bradley-terry": np.log(3.0), "thurstone": float(ndtri(0.75))}
"""Difference of the latent scale at which 75 % choose the better: 1 JOD."""
PRIOR_STDS = (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Spreads of quality, JOD, that the prior may have: the most probable one is taken."""
USUAL_STD, USUAL_RANGE = 1.5, 0.6
"""Median of the spread before anything is known, JOD, and standard deviation of its logarithm."""


@dataclass(frozen=True)
class PairScale:
    """Qualities of P pictures: mean 0, JOD. covariance: (P, P) of the posterior, JOD^2.

    low, high: (P,) 95 % interval of each quality relative to the mean of all.
    """

    quality: Floats
    covariance: Floats
    link: Link

    @property
    def std(self) -> Floats:
        """Standard deviations (P,), JOD."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def low(self) -> Floats:
        """Lower ends of the 95 % intervals, JOD."""
        return self.quality - NORMAL * self.std

    @property
    def high(self) -> Floats:
        """Upper ends of the 95 % intervals, JOD."""
        return self.quality + NORMAL * self.std

    def chosen(self) -> Floats:
        """Return (P, P): the share of people who choose picture i over picture j."""
        apart = (self.quality[:, None] - self.quality) * UNIT[self.link]
        return np.asarray(expit(apart) if self.link == "bradley-terry" else ndtr(apart), np.float64)


def fit_pairs(wins: npt.ArrayLike, link: Link = "thurstone", prior_std: float | None = None) -> PairScale:
    """Return the scale of the most probable qualities, by Newton's method, and its Laplace covariance.

    wins: (P, P), 0 on the diagonal. P(i beats j) = F(u (q_i - q_j)) with F logistic (R. Bradley and M. Terry,
    Biometrika 39, 1952) or normal (L. L. Thurstone, Psychological Review 34, 1927, Case V; unit as in M. Perez-Ortiz
    and R. Mantiuk, arXiv 1712.03686). The prior is normal with `prior_std` JOD, independent for each picture: it keeps
    a picture that never lost at a finite place. None takes that of PRIOR_STDS with the largest evidence, times a
    log-normal prior of the spread itself. The posterior is log-concave, so that the maximum is the only one.
    Covariance: inverse of the negative Hessian there, centred.
    """
    table = np.asarray(wins, np.float64)
    count, unit = len(table), UNIT[link]
    if table.shape != (count, count) or (table < 0).any() or np.diag(table).any():
        raise ValueError("wins is a square table of counts, 0 or more, with 0 on the diagonal")
    stds = PRIOR_STDS if prior_std is None else (prior_std,)
    fits = [_most_probable(table, link, 1.0 / (std * unit) ** 2) for std in stds]
    usual = [-0.5 * (np.log(std / USUAL_STD) / USUAL_RANGE) ** 2 for std in stds]
    best = max(range(len(stds)), key=lambda at: fits[at][2] + usual[at])
    latent, precision, _ = fits[best]
    centre = np.eye(count) - 1.0 / max(count, 1)
    covariance = centre @ np.linalg.inv(precision) @ centre / unit**2
    return PairScale((latent - latent.mean() if count else latent) / unit, covariance, link)


def _most_probable(table: Floats, link: Link, tight: float) -> tuple[Floats, Floats, float]:
    """Return latent qualities, their precision, and the logarithm of the evidence, for a prior of precision `tight`.

    Evidence by Laplace's method (D. MacKay, Neural Computation 4, 1992): log P(choices | q) + log P(q) + the log volume
    of the posterior, without constants.
    """
    count = len(table)
    latent = np.zeros(count)
    precision = tight * np.eye(count)
    for _ in range(100):
        slope, curve = _derivatives(latent[:, None] - latent, link)
        gradient = (table * slope).sum(axis=1) - (table * slope).sum(axis=0) - tight * latent
        pull = table * curve
        pull = pull + pull.T
        precision = np.diag(pull.sum(axis=1) + tight) - pull
        step = np.linalg.solve(precision, gradient)
        latent = latent + step / max(1.0, float(np.abs(step).max(initial=0.0)) / 2)  # damped far from the maximum
        if float(np.abs(step).max(initial=0.0)) < 1e-10:
            break
    apart = latent[:, None] - latent
    fits = (table * (log_expit(apart) if link == "bradley-terry" else log_ndtr(apart))).sum()
    volume = 0.5 * (count * np.log(tight) - np.linalg.slogdet(precision)[1])
    return latent, precision, float(fits - 0.5 * tight * latent @ latent + volume)


def _derivatives(apart: Floats, link: Link) -> tuple[Floats, Floats]:
    """Return d/dx log F(x) and -d2/dx2 log F(x)."""
    if link == "bradley-terry":
        beaten = expit(-apart)
        return beaten, beaten * (1.0 - beaten)
    ratio = np.exp(-0.5 * apart**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(apart))
    return ratio, ratio * (ratio + apart)


def count_wins(first: npt.ArrayLike, second: npt.ArrayLike, preferred: npt.ArrayLike, pictures: int) -> Floats:
    """Return wins (P, P) of M choices: rows of both pictures (M,), and 1, 0 or 0.5 (a tie) for the first (M,)."""
    a, b, share = np.asarray(first, np.int64), np.asarray(second, np.int64), np.asarray(preferred, np.float64)
    wins = np.zeros((pictures, pictures))
    np.add.at(wins, (a, b), share)
    np.add.at(wins, (b, a), 1.0 - share)
    return wins
