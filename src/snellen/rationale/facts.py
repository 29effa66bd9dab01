"""Facts about one round, and what became of each issue since the round before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from snellen.features import Features
from snellen.rationale.evidence import strengths, traits
from snellen.region import FULL, Region
from snellen.reply import Issue
from snellen.vocabulary import LIKED


@dataclass(frozen=True)
class Facts:
    """Everything that one round's text is written from.

    Attributes:
        number: round, from 1.
        rating: MOS 1..5 of this round.
        issues: claimed faults, the most important first.
        measured: features of the whole picture.
        shown: region that this round's view shows.
        crop: region that is asked for next; None in the last round.
        earlier_rating: MOS 1..5 of the round before; needed from round 2 on.
        earlier_issues: claimed faults of the round before.
        unsure: a crop is asked for because the rating is uncertain.
        possible: kinds of fault that are not claimed but may be there; what they would spoil is not praised.
    """

    number: int
    rating: float
    issues: tuple[Issue, ...]
    measured: Features
    shown: Region = FULL
    crop: Region | None = None
    earlier_rating: float | None = None
    earlier_issues: tuple[Issue, ...] = ()
    unsure: bool = False
    possible: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"rounds count from 1, not {self.number}")
        if not 1.0 <= self.rating <= 5.0:
            raise ValueError(f"rating is from 1 to 5, not {self.rating!r}")
        if (self.number > 1) != (self.earlier_rating is not None):
            raise ValueError("the rating of the round before is given from round 2 on, and only then")

    @property
    def move(self) -> float:
        """Change of the rating since the round before, between the printed values; 0 in round 1."""
        if self.earlier_rating is None:
            return 0.0
        return round(round(self.rating, 2) - round(self.earlier_rating, 2), 2)

    @property
    def liked(self) -> bool:
        """True where the printed rating is at least LIKED."""
        return round(self.rating, 2) >= LIKED

    def seed(self) -> int:
        """Return a seed that is the same in every process: hash of the facts at the precision of a reply."""
        facts = [
            self.number, f"{self.rating:.2f}", _listed(self.issues), self.shown.to_list(),
            self.crop and self.crop.to_list(), self.earlier_rating and f"{self.earlier_rating:.2f}",
            _listed(self.earlier_issues), self.unsure, strengths(self.measured), traits(self.measured),
        ]  # fmt: skip
        return int.from_bytes(hashlib.sha256(json.dumps(facts).encode()).digest()[:8], "big")


def _listed(issues: Sequence[Issue]) -> list[list[object]]:
    return [[issue.kind, issue.severity, issue.region.to_list()] for issue in issues]


What = Literal["confirmed", "worse", "milder", "new", "partly", "outside", "withdrawn"]
"""Confirmed, worse or milder: listed before, and in view. Partly, outside: the crop shows a part or none of it.
Withdrawn: listed before, but not any more."""


@dataclass(frozen=True)
class Change:
    """One issue and what became of it since the round before."""

    issue: Issue
    what: What


def changes(facts: Facts) -> list[Change]:
    """Return the changes of all issues of this round, in their order, then of those withdrawn.

    Issues of one kind that overlap are the same issue.
    """
    left = list(facts.earlier_issues)
    found = []
    for issue in facts.issues:
        same = [one for one in left if one.kind == issue.kind and one.region.intersect(issue.region) is not None]
        before = max(same, key=lambda one: one.region.iou(issue.region), default=None)
        if before is not None:
            left.remove(before)
        found.append(Change(issue, _became(issue, before, facts.shown)))
    return found + [Change(issue, "withdrawn") for issue in left]


def _became(issue: Issue, before: Issue | None, shown: Region) -> What:
    if not in_view(shown, issue):
        return "outside" if shown.intersect(issue.region) is None else "partly"
    if before is None:
        return "new"
    if issue.severity == before.severity:
        return "confirmed"
    return "worse" if issue.severity > before.severity else "milder"


def in_view(shown: Region, issue: Issue) -> bool:
    """Return whether a view can judge an issue: it shows half of it, or half of the view is that issue."""
    return shown.covers(issue.region) >= 0.5 or issue.region.covers(shown) >= 0.5
