"""Progressive re-sampling: which pictures come next.

People rate most pictures as middling, so a policy that learns from pictures as they come learns to call everything
middling. The paper (Zoom-IQA, arXiv 2601.02918) names a progressive re-sampling strategy against this annotation bias;
its rule is not public. Ours: with f the flatness (0 at first, up to 1 at the end), K MOS bins that hold pictures, n_b
of the N pictures in bin b, and d_i how far the rollouts of picture i last disagreed,

    p(bin b)         = (1 - f) n_b / N + f / K
    p(i | its bin b) = (1 - f) / n_b + f d_i / sum of d over the bin

so at first the histogram is the natural one, at the end it is flat, and inside a bin the pictures on which rollouts
disagree come more often: those are the ones whose group tells a good reply from a bad one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BINS = 10
"""Bins of equal width over MOS 1..5."""
LEAST_DISAGREEMENT = 0.05
"""In MOS: a picture whose rollouts agreed is not lost for good, they may agree on something wrong."""


def mos_bins(mos: npt.ArrayLike, bins: int = BINS) -> Ints:
    """The bin of each MOS, (N,) of 0..bins - 1; bins are of equal width over 1..5."""
    scaled = (np.asarray(mos, np.float64) - 1.0) / 4.0 * bins
    return np.clip(np.floor(scaled), 0, bins - 1).astype(np.int64)


def flatness(progress: float, start: float, end: float, most: float = 1.0) -> float:
    """The schedule: 0 until `start`, rising in a straight line to `most` at `end`; all in 0..1, progress is the share
    of training that is done. most = 0 is training without re-sampling."""
    if not 0.0 <= start < end <= 1.0 or not 0.0 <= most <= 1.0:
        raise ValueError(f"a schedule has 0 <= start < end <= 1 and most in 0..1, not {start}, {end}, {most}")
    return most * min(1.0, max(0.0, (progress - start) / (end - start)))


def probabilities(bins: Ints, disagreement: npt.ArrayLike, flat: float) -> Floats:
    """p of N pictures, (N,), summing to 1; the equation is above.

    disagreement (N,): standard deviation of the ratings of the picture's last rollouts in MOS, NaN where it had none
    yet (it then counts as the mean of those that had). flat: see `flatness`.
    """
    d = np.array(disagreement, np.float64)
    seen = ~np.isnan(d)
    d[~seen] = d[seen].mean() if seen.any() else 1.0
    d = np.maximum(d, LEAST_DISAGREEMENT)
    count = np.bincount(bins)
    in_bin, sum_in_bin = count[bins], np.bincount(bins, d)[bins]
    of_bin = (1.0 - flat) * in_bin / len(bins) + flat / np.count_nonzero(count)
    p = of_bin * ((1.0 - flat) / in_bin + flat * d / sum_in_bin)
    out: Floats = p / p.sum()
    return out


def draw(p: Floats, count: int, seed: int, step: int) -> Ints:
    """`count` different pictures for one step, (count,). The same p, seed and step draw the same."""
    if count > len(p):
        raise ValueError(f"{count} pictures a step cannot be drawn from {len(p)}; ask for fewer or add to the manifest")
    rng = np.random.default_rng([seed, step])
    return rng.choice(len(p), count, replace=False, p=p).astype(np.int64)
