"""The restoration loop: assess, act on the worst issue in its region, keep what judge and check accept, again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.image import Picture
from snellen.region import FULL, Region
from snellen.reply import Issue
from snellen.restoration.check import LEAST_SIDE, Verdict, check_change
from snellen.restoration.tool import Pixels, Tool, ToolError, repair
from snellen.restoration.toolbox import TOOLS, tools_for
from snellen.vocabulary import merged

LEAST_GAIN, LEAST_CROP_GAIN = 0.05, 0.09
"""Least gain of the judge's score, in MOS: of the picture, and of a region's crop, which is scored in one round. Twice
the spread of a difference of two scores under imperceptible changes, 2 sqrt(2) x 0.018 and x 0.030 for snellen-1."""
TOLERANCE = 0.025
"""Most that the picture's score may fall where a region of it is repaired or an issue vanishes, in MOS: that spread."""
CANDIDATES = 6
"""Candidates of an issue that the judge is shown at most."""
MARGIN = 0.1
"""Share of the picture's sides by which a repair reaches beyond a box that is not the whole picture: boxes lie on
tenths, and the repair fades out in this margin as far as possible, not in the fault."""
SAME_PLACE = 0.5
"""Intersection over union from which two issues of one kind are the same one, and are not acted on twice."""
PLACE_LEFT = 0.3
"""Intersection over union from which an issue that is left counts as the one that was acted on."""


@dataclass(frozen=True, eq=False)
class Attempt:
    """One candidate: a tool with one setting on one issue.

    Attributes:
        issue: what it acts on.
        acted: region that is changed: the issue's and a margin.
        tool: name of the tool. does: what it does, in words. setting: its parameters.
        prompts: positive and negative text of the assessment that it follows.
        check: result of the independent check; None where the tool failed.
        score: score of the picture before and after, 1..5; after is None where the judge was not asked or gave none.
        crop_score: the same of the region alone, for a local issue; None for a global one.
        cleared: whether the judge, asked again, finds the issue gone or less severe; None where it was not asked.
        reason: why it was kept or not.
        accepted: whether it was kept.
        before, after: (h, w, 3) uint8, the issue's region; after is None where the tool failed.
    """

    issue: Issue
    acted: Region
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
    cleared: bool | None = None
    does: str = ""

    @property
    def named(self) -> str:
        """Name of the tool with its parameters, e.g. "unsharp: amount 1.5"."""
        setting = ", ".join(f"{name} {value:g}" for name, value in self.setting.items())
        return f"{self.tool}: {setting}" if setting else self.tool

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return {
            "issue": self.issue.to_dict(),
            "acted": self.acted.to_list(),
            "tool": self.tool,
            "does": self.does,
            "parameters": dict(self.setting),
            "prompts": dict(self.prompts),
            "check": asdict(self.check) if self.check else None,
            "score": list(self.score),
            "crop_score": list(self.crop_score) if self.crop_score else None,
            "cleared": self.cleared,
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


def restore(
    picture: Picture,
    assessor: Assessor,
    tools: Sequence[Tool] = TOOLS,
    max_steps: int = 4,
    candidates: int = CANDIDATES,
    watch: Callable[[Attempt], None] = lambda attempt: None,
) -> Restoration:
    """Repair a picture under the guidance of a judge.

    Each issue is acted on once, the most severe first. Tools and settings make candidates, at most `candidates` of
    those that the independent check accepts are shown to the judge. It accepts one where its score rises by more than
    its own repeatability, or where it finds the issue gone or less severe and the score does not fall; never where a
    new kind of issue appears that is as severe. Of several, the one with the largest gain is kept, and the picture is
    assessed again. Pixels outside the box of an issue and its margin stay the same; an issue of the whole picture
    changes all. `watch` is called with each candidate when it is decided.

    Raises:
        ValueError: the judge gives no score for the source; the text holds the reason.
        BackendError: the model does not answer.
    """
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
            tried = _try(now, last, issue, tools, assessor, candidates)
            for attempt, _, _ in tried:
                attempts.append(attempt)
                watch(attempt)
            kept = [candidate for candidate in tried if candidate[0].accepted]
            if kept:
                _, now, better = kept[0]
                assert better is not None
                last = better
                break
        else:
            return Restoration(now, first, last, tuple(attempts), "no tool improves any issue that is left")
    return Restoration(now, first, last, tuple(attempts), f"{max_steps} steps were made")


def with_margin(region: Region) -> Region:
    """Return the region with `MARGIN` around it, inside the picture."""
    return region.grown(MARGIN, MARGIN, MARGIN, MARGIN)


def _same(one: Issue, other: Issue) -> bool:
    return merged(one.kind) == merged(other.kind) and one.region.iou(other.region) >= SAME_PLACE


def _try(
    picture: Picture, last: Assessment, issue: Issue, tools: Sequence[Tool], assessor: Assessor, most: int
) -> list[tuple[Attempt, Picture, Assessment | None]]:
    """Return the candidates for an issue, each with its picture and, if the judge was asked, its assessment."""
    made = [
        _candidate(picture, last, issue, tool, setting)
        for tool in tools_for(issue.kind, tools)
        for setting in tool.settings
    ]
    passed = [index for index, (attempt, _) in enumerate(made) if attempt.check is not None and attempt.check.passed]
    asked = passed[:most]
    for index in passed[most:]:
        made[index] = (replace(made[index][0], reason=f"not asked: {most} candidates before it"), made[index][1])
    assessments = dict(zip(asked, assessor.assess([made[index][1] for index in asked]), strict=True)) if asked else {}
    crops: dict[int, tuple[float | None, float | None]] = {}
    if asked and issue.region != FULL:
        before = made[asked[0]][0].before
        parts = [after for index in asked if (after := made[index][0].after) is not None]
        scorer = Assessor(assessor.backend, assessor.protocol.name, score_only=True)
        crops_shown = [Picture(crop, f"{picture.name}, region") for crop in (before, *parts)]
        first, *rest = (one.score for one in scorer.assess(crops_shown))
        crops = {index: (first, score) for index, score in zip(asked, rest, strict=True)}
    judged = [
        (_judged(attempt, last, assessments.get(index), crops.get(index)), changed, assessments.get(index))
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
    acted = with_margin(issue.region)
    attempt = Attempt(
        issue,
        acted,
        tool.name,
        setting,
        prompts,
        None,
        (last.score, None),
        None,
        "",
        False,
        before=before,
        after=None,
        does=tool.does,
    )
    if min(before.shape[:2]) < LEAST_SIDE:
        reason = f"the region has less than {LEAST_SIDE} px on a side"
        return replace(attempt, reason=reason), picture
    try:
        pixels = repair(picture.pixels, acted, tool, setting, prompts["positive"], prompts["negative"], issue.region)
    except ToolError as error:
        return replace(attempt, reason=str(error)), picture
    after = np.ascontiguousarray(pixels[top:bottom, left:right])
    check = check_change(before, after, tool.change)
    return replace(attempt, after=after, check=check, reason=f"check: {check.reason}"), replace(picture, pixels=pixels)


def _judged(
    attempt: Attempt, last: Assessment, assessment: Assessment | None, crops: tuple[float | None, float | None] | None
) -> Attempt:
    """Return the attempt with the judge's decision; as it is where the judge was not asked.

    last: assessment of the picture before. assessment: of the candidate. crops: scores of the region, before and after.
    """
    if assessment is None:
        return attempt
    before, after = attempt.score[0], assessment.score
    if after is None:
        return replace(attempt, reason="judge: no score for the changed picture")
    cleared = _cleared(attempt.issue, assessment.issues)
    attempt = replace(attempt, score=(before, after), cleared=cleared)
    severe = [other for other in assessment.issues if other.severity >= attempt.issue.severity]
    new = {other.kind for other in severe if not _known(other, last.issues)}
    if new:
        return replace(attempt, reason=f"judge: new issue: {', '.join(sorted(new))}")
    least, moved, gain = LEAST_GAIN, f"the score moves by {after - before:+.2f}", after - before
    if crops is not None:
        first, second = crops
        if first is None or second is None:
            return replace(attempt, reason="judge: no score for the region")
        attempt = replace(attempt, crop_score=(first, second))
        least, gain = LEAST_CROP_GAIN, second - first
        moved = f"the region's score moves by {second - first:+.2f}, the picture's by {after - before:+.2f}"
    if cleared:
        moved = f"the issue is gone or less severe, {moved}"
    if after - before < -TOLERANCE or (gain < least and not cleared):
        return replace(attempt, reason=f"judge: {moved}")
    return replace(attempt, accepted=True, reason=f"judge: {moved}; {attempt.reason}")


def _cleared(issue: Issue, found: Sequence[Issue]) -> bool:
    """Return True where no issue of the kind in this place is as severe."""
    same = [
        other
        for other in found
        if merged(other.kind) == merged(issue.kind) and issue.region.iou(other.region) >= PLACE_LEFT
    ]
    return all(other.severity < issue.severity for other in same)


def _known(issue: Issue, before: Sequence[Issue]) -> bool:
    """Return True where the kind was an issue before."""
    return any(merged(issue.kind) == merged(other.kind) for other in before)


def _gain(attempt: Attempt) -> float:
    """Return the judge's gain: of the region where it was scored alone, else of the picture."""
    first, last = attempt.crop_score or attempt.score
    return 0.0 if last is None else last - first
