"""Changes of faults from one picture to another of the same scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from snellen.reply import Issue

GROWN = 1.5
"""Ratio of areas from which a fault of the same severity has grown."""

What = Literal["appeared", "vanished", "grew", "shrank", "same"]


@dataclass(frozen=True)
class Change:
    """A fault of the first picture, of the second or of both.

    Attributes:
        what: "appeared" is in the second only, "vanished" in the first only; "grew": more severe in the second, or as
            severe and at least GROWN times as large; "shrank": the reverse; "same": neither.
        before: the fault in the first picture; None where it appeared.
        after: the fault in the second picture; None where it vanished.
    """

    what: What
    before: Issue | None
    after: Issue | None

    @property
    def issue(self) -> Issue:
        """The fault in the second picture, or in the first where it vanished."""
        issue = self.after or self.before
        assert issue is not None
        return issue

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict: kind, what, before and after {severity, region, place}, null where absent."""
        return {"kind": self.issue.kind, "what": self.what, "before": _fault(self.before), "after": _fault(self.after)}


def _fault(issue: Issue | None) -> dict[str, Any] | None:
    if issue is None:
        return None
    return {"severity": issue.severity, "region": issue.region.to_list(), "place": issue.region.place}


def changes(first: Sequence[Issue], second: Sequence[Issue]) -> list[Change]:
    """Return what became of the faults of `first` in `second`: those of both, then those that vanished.

    Faults of one kind that overlap are the same fault; of several the one with the largest IoU.
    """
    left = list(first)
    found = []
    for issue in second:
        same = [one for one in left if one.kind == issue.kind and one.region.intersect(issue.region) is not None]
        before = max(same, key=lambda one: one.region.iou(issue.region), default=None)
        if before is not None:
            left.remove(before)
        found.append(Change(_became(before, issue), before, issue))
    return found + [Change("vanished", issue, None) for issue in left]


def _became(before: Issue | None, after: Issue) -> What:
    if before is None:
        return "appeared"
    if after.severity != before.severity:
        return "grew" if after.severity > before.severity else "shrank"
    ratio = after.region.area / before.region.area
    return "grew" if ratio >= GROWN else "shrank" if ratio <= 1 / GROWN else "same"


def agreed(readings: Sequence[Sequence[Issue]]) -> tuple[Issue, ...]:
    """Return the faults that at least half of several readings of one picture list, as the first of them lists each."""
    kept: list[Issue] = []
    for listed in readings:
        for issue in listed:
            if any(_alike(issue, one) for one in kept):
                continue
            votes = sum(any(_alike(issue, other) for other in others) for others in readings)
            if 2 * votes >= len(readings):
                kept.append(issue)
    return tuple(kept)


def _alike(issue: Issue, other: Issue) -> bool:
    return issue.kind == other.kind and issue.region.intersect(other.region) is not None
