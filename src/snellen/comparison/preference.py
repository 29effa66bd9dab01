"""Arithmetic of preferences: arrays in, floats out.

A preference is the probability that one picture is better than another. An equal quality counts half for each.
"""

from __future__ import annotations

from itertools import combinations
from math import erf, sqrt

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SURE = 0.75
"""Probability from which one picture is called better; below it the two are a tie."""
NORMAL_95 = 1.6448536269514722
"""95 % quantile of the standard normal distribution: mean +- NORMAL_95 * std holds 90 %."""
OPINION_STD = 0.8
"""Standard deviation of people's opinions of one picture, in MOS points, of which `share_interval` makes choices."""


def prob_better(values: Floats, probs: Floats, other_values: Floats, other_probs: Floats) -> float:
    """Return P(X > Y) + P(X = Y) / 2 of two independent ratings.

    Args:
        values, probs: (N,) ratings of the first, ascending, and their probabilities.
        other_values, other_probs: (M,) the same of the second.
    """
    below = np.concatenate([[0.0], np.cumsum(other_probs)])
    less = below[np.searchsorted(other_values, values, side="left")]
    at_most = below[np.searchsorted(other_values, values, side="right")]
    return float(np.clip(np.dot(probs, (less + at_most) / 2), 0.0, 1.0))


def difference_interval(difference: float, std: float, other_std: float) -> tuple[float, float]:
    """Return the 90 % interval of a difference of two ratings with independent normal errors, -4..4 MOS points."""
    half = NORMAL_95 * sqrt(std**2 + other_std**2)
    return max(-4.0, difference - half), min(4.0, difference + half)


def choosing(difference: float, opinion_std: float = OPINION_STD) -> float:
    """Return the share of people who choose the first of two pictures whose MOS differ by `difference`.

    Each person's opinion is normal around the MOS: Phi(difference / (sqrt(2) opinion_std)).
    Source: L. L. Thurstone, "A law of comparative judgment", Psychological Review 34, 1927, Case V.
    """
    return 0.5 * (1.0 + erf(difference / (2.0 * opinion_std)))


def share_interval(interval: tuple[float, float], opinion_std: float = OPINION_STD) -> tuple[float, float]:
    """Return the interval of the share of people who choose the first picture, from that of the difference in MOS."""
    return choosing(interval[0], opinion_std), choosing(interval[1], opinion_std)


def swapped_mean(first_shown: float, second_shown: float) -> tuple[float, float]:
    """Return (probability that A is better, position bias) of two questions about A and B.

    Args:
        first_shown: probability that A is better, A shown first.
        second_shown: probability that A is better, A shown second.

    The bias is half of what A gains by being shown first: 0 without, 0.5 where the first picture always wins, -0.5
    where the second does.
    """
    return (first_shown + second_shown) / 2, (first_shown - second_shown) / 2


def ranks(wins: Floats, sure: float = SURE) -> tuple[list[int], list[int]]:
    """Return the best and the worst rank, from 1, of each of N pictures.

    The best rank is 1 + the number of pictures that are surely better; the worst is N - the number that are surely
    worse. Pictures whose ranks overlap may be tied.

    Args:
        wins: (N, N), wins[i, j] = probability that i is better than j; the diagonal is not used.
        sure: probability from which one is better, above 0.5.
    """
    count = len(wins)
    decided = (wins >= sure) & ~np.eye(count, dtype=bool)
    return [1 + int(n) for n in decided.sum(axis=0)], [count - int(n) for n in decided.sum(axis=1)]


def order(wins: Floats) -> list[int]:
    """Return the pictures from best to worst: by the mean probability of being better than another (Borda count).

    Equal means keep their order.
    """
    count = len(wins)
    means = (wins.sum(axis=1) - np.diag(wins)) / max(1, count - 1)
    return [int(index) for index in np.argsort(-np.round(means, 12), kind="stable")]


def triples(wins: Floats, sure: float = 0.5) -> tuple[int, int]:
    """Return (consistent, all) triples in which every pair is decided: A > B, B > C and A > C, not C > A.

    A pair is decided where one has a probability above 0.5 and of at least `sure`.
    """
    beats = (wins > 0.5) & (wins >= sure)
    consistent = total = 0
    for three in combinations(range(len(wins)), 3):
        sub = beats[np.ix_(three, three)]
        if (sub | sub.T).sum() == 6:
            total += 1
            consistent += sorted(sub.sum(axis=1)) == [0, 1, 2]
    return int(consistent), total


def accuracy(preferences: Floats, human: Floats) -> float:
    """Return the share of pairs in which the judge chooses as people do; a preference of 0.5 counts half.

    Args:
        preferences: (N,) probability that the first is better.
        human: (N,) share of people who chose the first, or 1 and 0; 0.5 counts half.
    """
    chosen = np.where(preferences > 0.5, human, np.where(preferences < 0.5, 1 - human, 0.5))
    return float(chosen.mean())


def accuracy_by_share(preferences: Floats, human: Floats, shares: Floats) -> Floats:
    """Return the accuracy on the surest part of the pairs, for each share (0..1] decided; at least one pair.

    The surest pairs are those whose preference is farthest from 0.5.
    """
    surest = np.argsort(-np.abs(preferences - 0.5), kind="stable")
    counts = np.maximum(1, np.rint(shares * len(surest)).astype(int))
    return np.array([accuracy(preferences[surest[:count]], human[surest[:count]]) for count in counts])
