"""Groups of near-duplicates and bursts, and the best picture of each with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import erf, hypot, sqrt

import numpy as np
from numpy.typing import NDArray

from snellen.comparison.preference import NORMAL_95, SURE
from snellen.data.sets.duplicates import joined, near_pairs

BURST = 3.0
"""Most seconds between two pictures of a burst."""
NEAR_BITS, BURST_BITS = 10, 20
"""Most bits, of 64, that the hashes of two near-duplicates, and of two neighbours in a burst, differ in."""
NEAR_LEVELS, BURST_LEVELS = 0.95, 0.8
"""Least correlation of the gray levels of two near-duplicates, and of two neighbours in a burst."""


def group_pictures(
    taken: NDArray[np.float64], hashes: NDArray[np.uint64], gray: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Return the group of each picture, (N,): the index of the group's first picture.

    Two pictures are near-duplicates where both hash and gray levels agree; hashes alone agree for plain skies. Two
    that follow one another within BURST seconds are of a burst where they agree roughly. Groups are transitive.

    Args:
        taken: (N,) capture times in seconds, NaN where unknown.
        hashes: (N,) difference hashes.
        gray: (N, GRAY * GRAY) gray levels, see `Thumbnail.gray`.
    """
    return joined(_alike(taken, hashes, gray), len(hashes))


def _alike(
    taken: NDArray[np.float64], hashes: NDArray[np.uint64], gray: NDArray[np.float32]
) -> Iterator[tuple[int, int]]:
    for i, j in near_pairs(hashes, NEAR_BITS):
        if gray[i] @ gray[j] >= NEAR_LEVELS:
            yield i, j
    order = np.argsort(taken, kind="stable")
    order = order[: np.isfinite(taken).sum()]
    for i, j in zip(order[:-1].tolist(), order[1:].tolist(), strict=True):
        bits = int(hashes[i] ^ hashes[j]).bit_count()
        if taken[j] - taken[i] <= BURST and bits <= BURST_BITS and gray[i] @ gray[j] >= BURST_LEVELS:
            yield i, j


@dataclass(frozen=True)
class Scored:
    """Score of a picture, 1..5.

    half: half of its 90 % interval, or None. faults: {kind: severity 1..5}, None where they were not looked for.
    """

    score: float
    half: float | None
    faults: dict[str, int] | None


@dataclass(frozen=True)
class Proposal:
    """The best of a group. best: its place in the group; why: the reason."""

    best: int
    why: str


def propose(pictures: Sequence[Scored | None]) -> Proposal | None:
    """Return the best of a group, None where nothing in it has a score.

    The highest score leads. Those that it is better than with a probability below SURE are ties; among them the one
    with the least severe faults is proposed, then the one with the higher score.
    """
    scored = {place: one for place, one in enumerate(pictures) if one is not None}
    if not scored:
        return None
    top = max(scored, key=lambda place: scored[place].score)
    ties = [place for place in scored if place == top or better(scored[top], scored[place]) < SURE]
    if len(ties) == 1:
        others = [better(scored[top], one) for place, one in scored.items() if place != top]
        sure = f", better than the others with a probability of {min(0.99, *others):.2f} or more" if others else ""
        return Proposal(top, f"the highest score, {scored[top].score:.2f}{sure}")
    low = min(scored[place].score for place in ties)
    many = f"{len(ties)} scores tie, {low:.2f} to {scored[top].score:.2f}"
    if any(scored[place].faults is None for place in ties):
        return Proposal(top, f"{many}; this one has the highest, and faults were not looked for")
    best = min(ties, key=lambda place: (_worst(scored[place]), -scored[place].score))
    rest = [place for place in ties if place != best]
    worst = min(_worst(scored[place]) for place in rest)
    if _worst(scored[best]) < worst:
        other = next(place for place in rest if _worst(scored[place]) == worst)
        return Proposal(best, f"{many}; this one has the least faults: {_named(scored[best])}, "
                                    f"the next {_named(scored[other])}")  # fmt: skip
    return Proposal(best, f"{many}, and their faults are as severe; this one has the higher score")


def better(first: Scored, second: Scored) -> float:
    """Return the probability that the first is better: two independent ratings with normal errors.

    0.5, 0 or 1 where a picture has no interval.
    """
    difference = first.score - second.score
    if first.half is None or second.half is None or not (first.half or second.half):
        return 0.5 if difference == 0 else float(difference > 0)
    deviation = hypot(first.half, second.half) / NORMAL_95
    return 0.5 * (1.0 + erf(difference / deviation / sqrt(2.0)))


def _worst(one: Scored) -> tuple[int, int]:
    """Return the severity of the worst fault, 0 without, and the sum of all."""
    severities = (one.faults or {}).values()
    return max(severities, default=0), sum(severities)


def _named(one: Scored) -> str:
    ordered = sorted((one.faults or {}).items(), key=lambda fault: -fault[1])
    return ", ".join(f"{kind} {severity}" for kind, severity in ordered) or "none"
