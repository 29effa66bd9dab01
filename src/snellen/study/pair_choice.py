"""Adaptive choice of the next pairs: those with the largest expected information about the scale.

Source: J. Li, R. Mantiuk, J. Wang, S. Ling and P. Le Callet, "Hybrid-MST: A hybrid active sampling strategy for
pairwise preference aggregation", NeurIPS 2018 (information gain, spanning tree); A. Mikhailiuk, C. Wilmot, M.
Perez-Ortiz, D. Yue and R. Mantiuk, "Active sampling for pairwise comparisons via approximate message passing and
information gain maximization" (ASAP), ICPR 2020. Both renew a posterior and take a spanning tree of the largest gains.
Their posteriors are by maximum likelihood and by message passing; ours is Laplace's approximation of `fit_pairs`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.special import ndtr, xlogy

from snellen.study.pair_scale import UNIT, Floats, PairScale, fit_pairs

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(20)


def information_gain(scale: PairScale) -> Floats:
    """Return (P, P): expected information of comparing i with j, in nats, 0..log 2; symmetric, 0 on the diagonal.

    The outcome y depends on the scale through the difference d ~ N(m, s^2) alone: I(y; d) = H(E p(d)) -
    E H(p(d)), with p(d) = Phi(u d) and H the entropy of a yes or no. The expectations are by Gauss-Hermite quadrature,
    20 nodes.
    """
    mean = scale.quality[:, None] - scale.quality
    variance = np.diag(scale.covariance)
    std = np.sqrt(np.maximum(variance[:, None] + variance - 2 * scale.covariance, 0.0))
    expected, uncertain = np.zeros(mean.shape), np.zeros(mean.shape)
    for node, weight in zip(_NODES, _WEIGHTS / _WEIGHTS.sum(), strict=True):
        p = ndtr(UNIT["thurstone"] * (mean + node * std))
        expected += weight * p
        uncertain += weight * _entropy(p)
    gain = np.maximum(_entropy(expected) - uncertain, 0.0)
    np.fill_diagonal(gain, 0.0)
    return gain


def next_pairs(
    wins: npt.ArrayLike, number: int, rng: np.random.Generator, seen: npt.ArrayLike | None = None
) -> list[tuple[int, int]]:
    """Return `number` different pairs (i, j) to compare next, sides drawn at random; fewer where no more are left.

    wins: (P, P) of all raters so far. seen: (P, P) bool, pairs that this rater has had. One spanning tree of the
    largest gains after the other, each without the pairs taken, so that no picture is left out; each is shuffled.
    """
    gain = information_gain(fit_pairs(wins))
    count = len(gain)
    open_pairs = ~np.eye(count, dtype=bool)
    if seen is not None:
        had = np.asarray(seen, bool)
        open_pairs &= ~(had | had.T)
    chosen: list[tuple[int, int]] = []
    noise = rng.uniform(0.999, 1.001, size=gain.shape)  # equal gains, as at the start, are taken in random order
    cost = np.triu(1.0 / np.maximum(gain * noise, 1e-12), 1)
    while len(chosen) < number and open_pairs.any():
        tree = minimum_spanning_tree(np.where(open_pairs, cost, 0.0)).tocoo()
        edges = list(zip(tree.row.tolist(), tree.col.tolist(), strict=True))
        rng.shuffle(edges)
        for i, j in edges[: number - len(chosen)]:
            open_pairs[i, j] = open_pairs[j, i] = False
            chosen.append((i, j) if rng.random() < 0.5 else (j, i))
        if not edges:
            break
    return chosen


def _entropy(p: Floats) -> Floats:
    return -np.asarray(xlogy(p, p) + xlogy(1 - p, 1 - p), np.float64)
