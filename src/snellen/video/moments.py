"""The worst moments of a video: a few pictures with the lowest scores, apart in time."""

from __future__ import annotations

from dataclasses import dataclass

from snellen.image import Picture


@dataclass(frozen=True, eq=False)
class Moment:
    """A scored frame that is kept. time in s; score 1..5."""

    time: float
    score: float
    picture: Picture


class Worst:
    """Keeps the `most` moments with the lowest scores that lie `apart` s or more from each other."""

    def __init__(self, most: int, apart: float = 1.0) -> None:
        self._most, self._apart = most, apart
        self._kept: list[Moment] = []

    def add(self, moment: Moment) -> None:
        """Keep a moment if it is among the worst; of near ones the worse stays."""
        near = [kept for kept in self._kept if abs(kept.time - moment.time) < self._apart]
        if any(kept.score <= moment.score for kept in near):
            return
        self._kept = [kept for kept in self._kept if kept not in near]
        self._kept = sorted([*self._kept, moment], key=lambda kept: kept.score)[: self._most]

    def moments(self) -> list[Moment]:
        """Return the moments, worst first."""
        return list(self._kept)
