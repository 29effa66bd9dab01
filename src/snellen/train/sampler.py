"""Samplers: the probability with which each picture is drawn for the next step.

People rate most pictures as middling, so a policy that draws pictures uniformly learns to rate everything middling.
Zoom-IQA (arXiv 2601.02918) names a progressive re-sampling strategy against this annotation bias; its rule is not
public. Ours is `progressive`. With the flatness f (0 at first, 1 at the end), K MOS bins that hold pictures, n_b of the
N pictures in bin b, and the disagreement d_i of picture i,

    p(bin b)         = (1 - f) n_b / N + f / K
    p(i | its bin b) = (1 - f) / n_b + f d_i / sum of d over the bin

At first the MOS histogram is the natural one, at the end it is flat; inside a bin, pictures on which rollouts disagree
come more often, because only groups that disagree have advantages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from snellen.data.sample import Sample
from snellen.train.rewards import Truth, truth_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BINS = 10
"""Bins of equal width over MOS 1..5."""
LEAST_DISAGREEMENT = 0.05
"""Smallest disagreement that counts, in MOS: pictures on which rollouts agree are still drawn, for they may agree on a
wrong rating."""
RISE = (0.1, 0.7)
"""Progress at which the flatness begins to rise, and at which it reaches 1."""


@dataclass
class Pool:
    """Pictures to draw from.

    real: True for human MOS. bins (N,): MOS bin of each picture. disagreement (N,): standard deviation of the ratings
    of the picture's last group of rollouts, in MOS; NaN before the first.
    """

    samples: Sequence[Sample]
    real: bool
    truths: list[Truth] = field(init=False)
    bins: Ints = field(init=False)
    disagreement: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.truths = [truth_of(sample, self.real) for sample in self.samples]
        self.bins = mos_bins([truth.mos for truth in self.truths])
        self.disagreement = np.full(len(self.samples), np.nan)

    def remember(self, index: int, ratings: Floats) -> None:
        """Record the disagreement of a group's ratings (G,), NaN where a rollout has none; fewer than two change
        nothing."""
        if np.count_nonzero(~np.isnan(ratings)) > 1:
            self.disagreement[index] = np.nanstd(ratings)


Sampler = Callable[[Pool, float], Floats]
"""(pool of N pictures, progress 0..1) -> probability of each picture, (N,), sum 1."""


def uniform(pool: Pool, progress: float) -> Floats:
    """Return equal probabilities, (N,)."""
    return np.full(len(pool.samples), 1.0 / max(1, len(pool.samples)))


def progressive(pool: Pool, progress: float) -> Floats:
    """Return the probabilities of progressive re-sampling, (N,); see the equations at the top of the file."""
    return probabilities(pool.bins, pool.disagreement, flatness(progress))


def open_sampler(name: str) -> Sampler:
    """Return the sampler called "progressive" or "uniform"; ValueError for another name."""
    if name == "progressive":
        return progressive
    if name == "uniform":
        return uniform
    raise ValueError(f"unknown sampler {name!r}; use progressive or uniform")


def mos_bins(mos: npt.ArrayLike, bins: int = BINS) -> Ints:
    """Return the bin of each MOS, (N,), 0..bins - 1; bins are of equal width over 1..5."""
    scaled = (np.asarray(mos, np.float64) - 1.0) / 4.0 * bins
    return np.clip(np.floor(scaled), 0, bins - 1).astype(np.int64)


def flatness(progress: float, rise: tuple[float, float] = RISE) -> float:
    """Return the flatness f, 0..1, at a progress of 0..1: 0 before `rise`, linear inside it, 1 after it."""
    start, end = rise
    return min(1.0, max(0.0, (progress - start) / (end - start)))


def probabilities(bins: Ints, disagreement: npt.ArrayLike, flat: float) -> Floats:
    """Return the probabilities of N pictures, (N,), sum 1, by the equations at the top of the file.

    bins (N,). disagreement (N,), MOS; NaN counts as the mean of the others. flat: the flatness f, 0..1.
    """
    if len(bins) == 0:
        return np.zeros(0)
    d = np.array(disagreement, np.float64)
    known = ~np.isnan(d)
    d[~known] = d[known].mean() if known.any() else 1.0
    d = np.maximum(d, LEAST_DISAGREEMENT)
    count = np.bincount(bins)
    in_bin, sum_in_bin = count[bins], np.bincount(bins, d)[bins]
    of_bin = (1.0 - flat) * in_bin / len(bins) + flat / np.count_nonzero(count)
    p = of_bin * ((1.0 - flat) / in_bin + flat * d / sum_in_bin)
    out: Floats = p / p.sum()
    return out


def draw(p: Floats, count: int, seed: int, step: int) -> Ints:
    """Draw `count` different pictures, (count,), with probabilities `p`. The same arguments draw the same pictures.

    Raises ValueError where there are fewer pictures than that.
    """
    if count > len(p):
        raise ValueError(f"{count} pictures a step cannot be drawn from {len(p)}; ask for fewer or add to the manifest")
    rng = np.random.default_rng([seed, step])
    return rng.choice(len(p), count, replace=False, p=p).astype(np.int64) if count else np.zeros(0, np.int64)
