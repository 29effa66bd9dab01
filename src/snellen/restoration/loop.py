"""The restoration loop: assess, act on the worst issue in its region, keep what judge and check accept, again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.image import Picture
from snellen.region import FULL
from snellen.reply import Issue
from snellen.restoration.check import LEAST_SIDE, Verdict, check_change
from snellen.restoration.tool import Pixels, Tool, ToolError, repair
from snellen.restoration.toolbox import TOOLS, tools_for
from snellen.vocabulary import merged

LEAST_GAIN = 0.15
"""Least gain of the judge's score, in MOS: of the picture for a global fault, of the region's crop for a local one."""
TOLERANCE = 0.02
"""Most that the picture's score may fall when a region of it is repaired, in MOS."""
SAME_PLACE = 0.5
"""Intersection over union from which two issues of one kind are the same one, and are not acted on twice."""


@dataclass(frozen=True, eq=False)
class Attempt:
    """One candidate: a tool with one setting on one issue.

    Attributes:
        issue: what it acts on.
        tool: name of the tool. setting: its parameters.
        prompts: positive and negative text of the assessment that it follows.
        check: result of the independent check; None where the tool failed.
        score: score of the picture before and after, 1..5; after is None where the judge was not asked or gave none.
        crop_score: the same of the region alone, for a local issue; None for a global one.
        reason: why it was kept or not.
        accepted: whether it was kept.
        before, after: (h, w, 3) uint8, the region; after is None where the tool failed.
    """

    issue: Issue
    tool: str
    setting: Mapping[str, float]
    prompts: Mapping[str, str]
    check: Verdict | None
    score: tuple[float, float | None]
    crop_score: tuple[float, float | None] | None
    reason: str
    accepted: bool
    before: Pixels = field(repr=False)
    after: Pixels | None = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return {
            "issue": {
                "kind": self.issue.kind,
                "severity": self.issue.severity,
                "region": self.issue.region.to_list(),
            },
            "tool": self.tool,
            "parameters": dict(self.setting),
            "prompts": dict(self.prompts),
            "check": asdict(self.check) if self.check else None,
            "score": list(self.score),
            "crop_score": list(self.crop_score) if self.crop_score else None,
            "accepted": self.accepted,
            "reason": self.reason,
        }


@dataclass(frozen=True, eq=False)
class Restoration:
    """Result of the loop.

    Attributes:
        picture: the repaired picture; the same pixels as the source where nothing was accepted.
        first, last: assessments of the source and of the result.
        attempts: all candidates in order.
        stopped: why the loop ended.
    """

    picture: Picture
    first: Assessment
    last: Assessment
    attempts: tuple[Attempt, ...]
    stopped: str

    @property
    def accepted(self) -> list[Attempt]:
        """The steps that were kept, in order."""
        return [attempt for attempt in self.attempts if attempt.accepted]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict: first and last as `Assessment.to_dict`, attempts, stopped."""
        return {
            "first": self.first.to_dict(),
            "last": self.last.to_dict(),
            "attempts": [attempt.to_dict() for attempt in self.attempts],
            "accepted": len(self.accepted),
            "stopped": self.stopped,
        }


def restore(picture: Picture, assessor: Assessor, tools: Sequence[Tool] = TOOLS, max_steps: int = 4) -> Restoration:
    """Repair a picture under the guidance of a judge.

    Each issue is acted on once, the most severe first. A candidate is kept if the independent check accepts it and the
    judge's score rises by `LEAST_GAIN`; of several, the one with the largest gain. Then the picture is assessed again.
    Pixels outside the box of an issue stay the same; an issue of the whole picture changes all.

    Raises:
        ValueError: the judge gives no score for the source; the text holds the reason.
        BackendError: the model does not answer.
    """
    judge = _Judge(assessor)
    (first,) = assessor.assess([picture])
    if first.score is None:
        assert first.error is not None
        raise ValueError(f"{picture.name}: {first.error.problem}; {first.error.remedy}")
    now, last, attempts, done = picture, first, list[Attempt](), list[Issue]()
    for _ in range(max_steps):
        for issue in sorted(last.issues, key=lambda issue: (-issue.severity, -issue.region.area)):
            if any(_same(issue, other) for other in done):
                continue
            done.append(issue)
            candidates = _try(now, last, issue, tools, judge)
            attempts += [attempt for attempt, _, _ in candidates]
            kept = [candidate for candidate in candidates if candidate[0].accepted]
            if kept:
                _, now, better = kept[0]
                assert better is not None
                last = better
                break
        else:
            return Restoration(now, first, last, tuple(attempts), "no tool improves any issue that is left")
    return Restoration(now, first, last, tuple(attempts), f"{max_steps} steps were made")


class _Judge:
    """The assessor for pictures, and its score alone for crops."""

    def __init__(self, assessor: Assessor) -> None:
        self.assessor = assessor
        self.scorer = Assessor(assessor.backend, assessor.protocol.name, score_only=True)

    def assess(self, pictures: Sequence[Picture]) -> list[Assessment]:
        return self.assessor.assess(pictures)

    def crop_scores(self, crops: Sequence[Pixels], name: str) -> list[float | None]:
        return [one.score for one in self.scorer.assess([Picture(crop, f"{name}, region") for crop in crops])]


def _same(one: Issue, other: Issue) -> bool:
    return merged(one.kind) == merged(other.kind) and one.region.iou(other.region) >= SAME_PLACE


def _try(
    picture: Picture, last: Assessment, issue: Issue, tools: Sequence[Tool], judge: _Judge
) -> list[tuple[Attempt, Picture, Assessment | None]]:
    """Return the candidates for an issue, each with its picture and, if the judge was asked, its assessment."""
    made = [
        _candidate(picture, last, issue, tool, setting)
        for tool in tools_for(issue.kind, tools)
        for setting in tool.settings
    ]
    asked = [index for index, (attempt, _) in enumerate(made) if attempt.check is not None and attempt.check.passed]
    assessments = dict(zip(asked, judge.assess([made[index][1] for index in asked]), strict=True)) if asked else {}
    crops: dict[int, tuple[float | None, float | None]] = {}
    if asked and issue.region != FULL:
        before = made[asked[0]][0].before
        parts = [after for index in asked if (after := made[index][0].after) is not None]
        first, *rest = judge.crop_scores([before, *parts], picture.name)
        crops = {index: (first, score) for index, score in zip(asked, rest, strict=True)}
    judged = [
        (_judged(attempt, assessments.get(index), crops.get(index)), changed, assessments.get(index))
        for index, (attempt, changed) in enumerate(made)
    ]
    best = max(
        (index for index, (attempt, _, _) in enumerate(judged) if attempt.accepted),
        key=lambda index: _gain(judged[index][0]),
        default=None,
    )
    return [
        (
            attempt
            if index == best or not attempt.accepted
            else replace(attempt, accepted=False, reason="accepted by both, but another candidate gains more"),
            changed,
            assessment,
        )
        for index, (attempt, changed, assessment) in enumerate(judged)
    ]


def _candidate(
    picture: Picture, last: Assessment, issue: Issue, tool: Tool, setting: Mapping[str, float]
) -> tuple[Attempt, Picture]:
    """Return a candidate that the judge has not seen yet."""
    assert last.score is not None
    prompts = last.prompts or {"positive": "", "negative": ""}
    left, top, right, bottom = issue.region.to_pixels(picture.width, picture.height)
    before = np.ascontiguousarray(picture.pixels[top:bottom, left:right])
    attempt = Attempt(
        issue, tool.name, setting, prompts, None, (last.score, None), None, "", False, before=before, after=None
    )
    if min(before.shape[:2]) < LEAST_SIDE:
        reason = f"the region has less than {LEAST_SIDE} px on a side"
        return replace(attempt, reason=reason), picture
    try:
        pixels = repair(picture.pixels, issue.region, tool, setting, prompts["positive"], prompts["negative"])
    except ToolError as error:
        return replace(attempt, reason=str(error)), picture
    after = np.ascontiguousarray(pixels[top:bottom, left:right])
    check = check_change(before, after, tool.change)
    return replace(attempt, after=after, check=check, reason=f"check: {check.reason}"), replace(picture, pixels=pixels)


def _judged(
    attempt: Attempt, assessment: Assessment | None, crops: tuple[float | None, float | None] | None
) -> Attempt:
    """Return the attempt with the judge's decision; as it is where the judge was not asked."""
    if assessment is None:
        return attempt
    before, after = attempt.score[0], assessment.score
    if after is None:
        return replace(attempt, reason="judge: no score for the changed picture")
    attempt = replace(attempt, score=(before, after))
    if crops is None:
        if after - before < LEAST_GAIN:
            return replace(attempt, reason=f"judge: the score moves by {after - before:+.2f}")
        return replace(attempt, accepted=True, reason=f"judge: {after - before:+.2f}; {attempt.reason}")
    first, last = crops
    if first is None or last is None:
        return replace(attempt, reason="judge: no score for the region")
    attempt = replace(attempt, crop_score=(first, last))
    moved = f"the region's score moves by {last - first:+.2f}, the picture's by {after - before:+.2f}"
    if last - first < LEAST_GAIN or after - before < -TOLERANCE:
        return replace(attempt, reason=f"judge: {moved}")
    return replace(attempt, accepted=True, reason=f"judge: {moved}; {attempt.reason}")


def _gain(attempt: Attempt) -> float:
    """Return the judge's gain: of the region where it was scored alone, else of the picture."""
    first, last = attempt.crop_score or attempt.score
    return 0.0 if last is None else last - first
