"""The reply format: `render_reply` writes it and `parse_reply` reads it; they are inverse of each other.

    <think>four labelled sections</think><answer>{"bbox_2d": [], "rating": 3.47, "tool": "crop", "issues": []}</answer>

The parser repairs form only (see `REPAIRS`) and lists each repair. It never repairs content: a rating that is missing
or outside 1..5 raises `ReplyError`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from snellen.region import Region
from snellen.reply_form import (
    FIRST_LABELS,
    LATER_LABELS,
    REPAIRS,
    REPLY_ERROR_CODES,
    TAGS,
    VIEW_MARK,
    Pieces,
    ReplyError,
    drop,
    find_sections,
    labels,
    take_apart,
)
from snellen.vocabulary import KINDS

__all__ = [
    "FIRST_LABELS", "LATER_LABELS", "RATING_PREFIX", "REPAIRS", "REPLY_ERROR_CODES", "TAGS", "VIEW_MARK",
    "Answer", "Issue", "Parsed", "Rationale", "ReplyError", "Tool",
    "labels", "parse_issues", "parse_rating", "parse_reply", "render_box", "render_reply", "to_grid",
]  # fmt: skip

Tool = Literal["crop", "final"]

RATING_PREFIX = '<think></think><answer>{"bbox_2d": [0.00, 0.00, 0.00, 0.00], "rating": '
"""Beginning of a reply without a rationale, up to its rating: forced on a model to read its rating alone."""

OVERSHOOT = 0.03
"""Share of a side by which a box in other units may leave the picture: models round pictures to whole patches."""


@dataclass(frozen=True)
class Issue:
    """A fault that an answer claims.

    Attributes:
        kind: one of `KINDS`.
        severity: 1 (just visible) to 5 (ruins the picture).
        region: box of the fault, in fractions of the whole picture.
    """

    kind: str
    severity: int
    region: Region

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; one of {', '.join(KINDS)}")
        if isinstance(self.severity, bool) or not isinstance(self.severity, int) or not 1 <= self.severity <= 5:
            raise ValueError(f"severity is a whole number from 1 to 5, not {self.severity!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict: kind, severity, region [x0, y0, x1, y1]."""
        return {"kind": self.kind, "severity": self.severity, "region": self.region.to_list()}


@dataclass(frozen=True)
class Answer:
    """The decision of a reply.

    Attributes:
        region: region of the next crop. None when `tool` is "final", or when the box is invalid: only protocol zoom-iqa
            accepts that, and its zoom policy then chooses the crop.
        rating: 1..5. None only beside a crop, with protocol zoom-iqa: the next round rates.
        tool: "crop" or "final".
        issues: claimed faults.
    """

    region: Region | None
    rating: float | None
    tool: Tool
    issues: tuple[Issue, ...] = ()

    def __post_init__(self) -> None:
        if self.tool not in ("crop", "final"):
            raise ValueError(f'tool is "crop" or "final", not {self.tool!r}')
        if self.rating is None and self.tool == "final":
            raise ValueError("a final answer has a rating")
        if self.rating is not None and not 1.0 <= self.rating <= 5.0:
            raise ValueError(f"rating is from 1 to 5, not {self.rating!r}")
        if self.tool == "final" and self.region is not None:
            raise ValueError("a final answer asks for no region")

    @property
    def stated(self) -> float:
        """The rating of an answer that needs one; ValueError where it has none."""
        if self.rating is None:
            raise ValueError("the answer states no rating")
        return self.rating


@dataclass(frozen=True)
class Rationale:
    """The four sections of a think text.

    Each is one non-empty paragraph with single spaces and without protocol tags; ValueError otherwise.
    """

    summary: str
    directions: str
    avoid: str
    decision: str

    def __post_init__(self) -> None:
        for section in self.sections:
            if not section or section != " ".join(section.split()):
                raise ValueError(f"a section is one paragraph with single spaces, not {section!r}")
            if any(tag in section for tag in TAGS):
                raise ValueError(f"a section cannot hold a protocol tag: {section!r}")

    @property
    def sections(self) -> tuple[str, str, str, str]:
        """The sections in order: summary, directions, avoid, decision."""
        return (self.summary, self.directions, self.avoid, self.decision)


@dataclass(frozen=True)
class Parsed:
    """A parsed reply.

    Attributes:
        rationale: None when the think text is empty.
        answer: the decision.
        repaired: repairs of form that parsing took, each one of `REPAIRS`; empty for a well-formed reply.
        listed: False where the answer has no list of issues, so that an empty list means nothing.
    """

    rationale: Rationale | None
    answer: Answer
    repaired: tuple[str, ...] = ()
    listed: bool = True


def to_grid(region: Region) -> Region:
    """Return the region rounded to 0.01, at least 0.01 wide and high: what two decimals can state."""

    def side(low: float, high: float) -> tuple[float, float]:
        start, stop = round(low * 100), round(high * 100)
        if start >= stop:
            start = min(max(round(50 * (low + high) - 0.5), 0), 99)
            stop = start + 1
        return start / 100, stop / 100

    x0, x1 = side(region.x0, region.x1)
    y0, y1 = side(region.y0, region.y1)
    return Region(x0, y0, x1, y1)


def render_box(region: Region | None) -> str:
    """Return a box with two decimals, e.g. `[0.10, 0.20, 0.60, 0.80]`; the all-zero box for None."""
    if region is None:
        return "[0.00, 0.00, 0.00, 0.00]"
    snapped = to_grid(region)
    return f"[{snapped.x0:.2f}, {snapped.y0:.2f}, {snapped.x1:.2f}, {snapped.y1:.2f}]"


def render_reply(rationale: Rationale | None, answer: Answer, number: int) -> str:
    """Return the text of a reply of round `number` (from 1); `parse_reply` reads it back, to two decimals."""
    if answer.tool == "crop" and answer.region is None:
        raise ValueError("a crop needs a region")
    if answer.rating is None:
        raise ValueError("a reply states a rating")
    think = ""
    if rationale is not None:
        pairs = zip(labels(number), rationale.sections, strict=True)
        think = "\n".join(f"{label}: {section}" for label, section in pairs)
    issues = ", ".join(
        f'{{"kind": "{issue.kind}", "severity": {issue.severity}, "bbox_2d": {render_box(issue.region)}}}'
        for issue in answer.issues
    )
    return (
        f'<think>{think}</think><answer>{{"bbox_2d": {render_box(answer.region)}, "rating": {answer.rating:.2f}, '
        f'"tool": "{answer.tool}", "issues": [{issues}]}}</answer>'
    )


def parse_reply(text: str, number: int, *, box_scale: tuple[float, float] | None = None) -> Parsed:
    """Parse a reply of round `number` (from 1).

    Accepted without repair: replies with only the three official keys (no issues), numbers before labels and remarks in
    brackets after them, line breaks inside a section, unknown keys. The box of a final answer is ignored.

    Args:
        text: the reply.
        number: number of the round, which decides the section labels.
        box_scale: (width, height) of the model's own box units; a box with a side over 1 is divided by them. None
            rejects such a box.

    Raises:
        ReplyError: the reply cannot be parsed.
    """
    repaired: list[str] = []
    pieces = take_apart(text, repaired)
    rationale = _rationale(pieces, number, repaired)
    answer, listed = _parse_answer(pieces.answer, box_scale, repaired)
    return Parsed(rationale, answer, tuple(dict.fromkeys(repaired)), listed)


def _rationale(pieces: Pieces, number: int, repaired: list[str]) -> Rationale | None:
    """Return the rationale in a think text; None for an empty one, or where neither tags nor labels mark one."""
    if not pieces.think.strip():
        return None
    try:
        before, sections = find_sections(pieces.think, number, repaired)
        if pieces.marked and before.strip():
            raise ReplyError("bad_sections", f"the think text does not begin with {labels(number)[0]}")
        rationale = Rationale(*sections)
    except ValueError as error:
        if pieces.marked:
            raise error if isinstance(error, ReplyError) else ReplyError("bad_sections", str(error)) from error
        rationale, before = None, pieces.think
    drop(before, repaired)
    return rationale


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _parse_answer(payload: str, box_scale: tuple[float, float] | None, repaired: list[str]) -> tuple[Answer, bool]:
    try:
        value = json.loads(payload, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:  # ValueError covers JSONDecodeError and numbers of absurd length
        raise ReplyError("bad_json", f"the answer is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ReplyError("not_object", "the answer is JSON, but not an object")
    for key in ("bbox_2d", "rating", "tool"):
        if key not in value:
            raise ReplyError("missing_key", f"the answer has no {key!r}")
    rating = _parse_rating(value["rating"], repaired)
    tool = value["tool"]
    if tool not in ("crop", "final"):
        raise ReplyError("bad_tool", f'tool is "crop" or "final", not {tool!r}')
    box = value["bbox_2d"]
    region: Region | None = None
    if tool == "crop":
        if _is_zero(box):
            raise ReplyError("bad_bbox", "the answer asks for a crop, but its box is all zero")
        region = _parse_box(box, "bad_bbox", box_scale, repaired)
    issues = parse_issues(value.get("issues", []), box_scale, repaired)
    return Answer(None if tool == "final" else region, rating, tool, issues), "issues" in value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_zero(box: object) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(_is_number(side) and side == 0 for side in box)


def _parse_rating(value: object, repaired: list[str]) -> float:
    if isinstance(value, str) and re.fullmatch(r"\s*\d(?:\.\d+)?\s*", value):
        repaired.append("quoted rating")
        value = float(value)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ReplyError("bad_rating", f"rating is a number, not {value!r}")
    if not 1 <= value <= 5:  # also false for NaN
        raise ReplyError("bad_rating", f"rating is from 1.00 to 5.00, not {value!r:.40}")
    return float(value)


def parse_rating(text: str) -> float:
    """Parse a rating without a reply around it: 1..5 with at most two decimals; raises `ReplyError`."""
    match = re.fullmatch(r"\s*([1-5](?:\.\d{1,2})?)\s*", text)
    if match is None:
        raise ReplyError("bad_rating", f"a rating from 1.00 to 5.00 is expected, not {text!r:.40}")
    return _parse_rating(float(match[1]), [])


def _parse_box(value: object, code: str, box_scale: tuple[float, float] | None, repaired: list[str]) -> Region:
    if not isinstance(value, list) or len(value) != 4 or not all(_is_number(side) for side in value):
        raise ReplyError(code, f"bbox_2d is a list of four numbers, not {value!r}")
    if box_scale is not None and any(side > 1 for side in value) and all(0 <= side <= 1e6 for side in value):
        scaled = [side / scale for side, scale in zip(value, box_scale * 2, strict=True)]
        if max(scaled) <= 1 + OVERSHOOT:
            repaired.append("box units")
            value = [min(1.0, side) for side in scaled]
    if not all(0 <= side <= 1 for side in value):  # also false for NaN; before float(), which overflows for huge ints
        raise ReplyError(code, "bbox_2d is in fractions of the picture, 0 to 1")
    try:
        return Region(*(float(side) for side in value))
    except ValueError as error:
        raise ReplyError(code, f"bbox_2d is not a region: {error}") from error


def parse_issues(value: object, box_scale: tuple[float, float] | None, repaired: list[str]) -> tuple[Issue, ...]:
    """Return the issues of an answer; raises `ReplyError`. box_scale, repaired: see `parse_reply`, `Parsed`."""
    if not isinstance(value, list):
        raise ReplyError("bad_issues", "issues is a list")
    issues = []
    for item in value:
        if not isinstance(item, dict) or not {"kind", "severity", "bbox_2d"} <= item.keys():
            raise ReplyError("bad_issues", 'an issue is an object with "kind", "severity" and "bbox_2d"')
        region = _parse_box(item["bbox_2d"], "bad_issues", box_scale, repaired)
        try:
            issues.append(Issue(item["kind"], item["severity"], region))
        except ValueError as error:
            raise ReplyError("bad_issues", str(error)) from error
    return tuple(issues)
