"""What a reply says, and how it is written and read: `render_reply` and `parse_reply` are inverse of each other.

Nothing is repaired: a reply that does not say exactly what the protocol asks for raises `ReplyError` with a code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from snellen.region import Region
from snellen.vocabulary import KINDS

Tool = Literal["crop", "final"]

FIRST_LABELS = (
    "Image Quality Summary",
    "Directions for Improvement",
    "Issues to Avoid",
    "Decision & Rationale",
)
LATER_LABELS = (
    "Crop Inspection Summary",
    "Directions for Improvement",
    "Issues to Avoid",
    "Final Decision & Rationale",
)
RATING_PREFIX = '<think></think><answer>{"bbox_2d": [0.00, 0.00, 0.00, 0.00], "rating": '
"""The forced beginning of a reply after which the next token is the rating (a score without a text)."""

VIEW_MARK = "<image>"
"""Where in a user turn's text a view is shown; see `snellen.protocol.Turn`."""
TAGS = ("<think>", "</think>", "<answer>", "</answer>", VIEW_MARK)

REPLY_ERROR_CODES: tuple[str, ...] = (
    "no_think",  # no <think>...</think>
    "two_thinks",
    "bad_sections",  # the think text is not the four labelled sections of this round
    "no_answer",  # no complete <answer>...</answer>, for example because the reply was cut short
    "two_answers",
    "extra_text",  # anything but white space before, between or after think and answer
    "bad_json",
    "not_object",
    "missing_key",
    "bad_bbox",
    "bad_rating",
    "bad_tool",
    "bad_issues",
)


class ReplyError(ValueError):
    """A reply that cannot be read. `code` is one of `REPLY_ERROR_CODES`, `message` says what is wrong."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Issue:
    """One fault: `kind` out of `KINDS`, `severity` 1 (just visible) to 5 (ruins it), `region` of the whole picture."""

    kind: str
    severity: int
    region: Region

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; one of {', '.join(KINDS)}")
        if isinstance(self.severity, bool) or not isinstance(self.severity, int) or not 1 <= self.severity <= 5:
            raise ValueError(f"severity is a whole number from 1 to 5, not {self.severity!r}")


@dataclass(frozen=True)
class Answer:
    """What a reply decides. `rating` 1..5; `region` is what to look at next (None when `tool` is "final").

    `region` None with `tool` "crop" means that a crop was asked for with a box that is none; only the zoom-iqa
    protocol lets that through, and the zoom policy then decides what to show.
    """

    region: Region | None
    rating: float
    tool: Tool
    issues: tuple[Issue, ...] = ()

    def __post_init__(self) -> None:
        if self.tool not in ("crop", "final"):
            raise ValueError(f'tool is "crop" or "final", not {self.tool!r}')
        if not 1.0 <= self.rating <= 5.0:
            raise ValueError(f"rating is from 1 to 5, not {self.rating!r}")
        if self.tool == "final" and self.region is not None:
            raise ValueError("a final answer asks for no region")


@dataclass(frozen=True)
class Rationale:
    """The four sections of a think text, each one non-empty paragraph with single spaces and no protocol tags."""

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
        """summary, directions, avoid, decision."""
        return (self.summary, self.directions, self.avoid, self.decision)


@dataclass(frozen=True)
class Parsed:
    """A reply that was read; `rationale` is None when the think text is empty."""

    rationale: Rationale | None
    answer: Answer


def to_grid(region: Region) -> Region:
    """The region that two decimals can say: rounded to 0.01, never less than 0.01 wide or high."""

    def side(low: float, high: float) -> tuple[float, float]:
        start, stop = round(low * 100), round(high * 100)
        if start >= stop:
            start = min(max(round(50 * (low + high) - 0.5), 0), 99)
            stop = start + 1
        return start / 100, stop / 100

    x0, x1 = side(region.x0, region.x1)
    y0, y1 = side(region.y0, region.y1)
    return Region(x0, y0, x1, y1)


def labels(round: int) -> tuple[str, str, str, str]:
    """The section labels of round 1 or of a later round (rounds count from 1)."""
    if round < 1:
        raise ValueError(f"rounds count from 1, not {round}")
    return FIRST_LABELS if round == 1 else LATER_LABELS


def render_box(region: Region | None) -> str:
    """`[0.10, 0.20, 0.60, 0.80]`: always two decimals; None is the all-zero box."""
    if region is None:
        return "[0.00, 0.00, 0.00, 0.00]"
    snapped = to_grid(region)
    return f"[{snapped.x0:.2f}, {snapped.y0:.2f}, {snapped.x1:.2f}, {snapped.y1:.2f}]"


def render_reply(rationale: Rationale | None, answer: Answer, round: int) -> str:
    """Write a reply of round 1, 2, ...; `parse_reply` reads back the same to two decimals."""
    if answer.tool == "crop" and answer.region is None:
        raise ValueError("a crop needs a region")
    think = ""
    if rationale is not None:
        pairs = zip(labels(round), rationale.sections, strict=True)
        think = "\n".join(f"{label}: {section}" for label, section in pairs)
    issues = ", ".join(
        f'{{"kind": "{issue.kind}", "severity": {issue.severity}, "bbox_2d": {render_box(issue.region)}}}'
        for issue in answer.issues
    )
    return (
        f'<think>{think}</think><answer>{{"bbox_2d": {render_box(answer.region)}, "rating": {answer.rating:.2f}, '
        f'"tool": "{answer.tool}", "issues": [{issues}]}}</answer>'
    )


def parse_reply(text: str, round: int, *, official: bool = False) -> Parsed:
    """Read a reply of round 1, 2, ...; raises `ReplyError`.

    Replies with only the three official keys are read (no issues), numbers before labels and remarks in brackets after
    them are allowed, line breaks inside a section count as spaces, and unknown keys are passed over. A final answer's
    box is not used. `official=True` is as permissive as the Zoom-IQA authors' parser: the think text may be anything,
    text around the answer is allowed, an all-zero box is a final answer, and a box that is none gives region None.
    """
    opened, closed = text.count("<answer>"), text.count("</answer>")
    if opened == 0 or closed == 0:
        raise ReplyError("no_answer", "the reply holds no <answer>...</answer>")
    if opened > 1 or closed > 1:
        raise ReplyError("two_answers", "the reply holds more than one <answer> or </answer>")
    if official:
        return _parse_official(text, round)
    opened, closed = text.count("<think>"), text.count("</think>")
    if opened == 0 or closed == 0:
        raise ReplyError("no_think", "the reply holds no <think>...</think>")
    if opened > 1 or closed > 1:
        raise ReplyError("two_thinks", "the reply holds more than one <think> or </think>")
    match = re.fullmatch(r"\s*<think>(.*)</think>\s*<answer>(.*)</answer>\s*", text, re.DOTALL)
    if match is None:
        raise ReplyError("extra_text", "a reply is <think>...</think><answer>...</answer> and nothing else")
    return Parsed(_parse_think(match[1], round), _parse_answer(match[2], official=False))


def _parse_official(text: str, round: int) -> Parsed:
    match = re.search(r"<answer>(.*)</answer>", text, re.DOTALL)
    if match is None:
        raise ReplyError("no_answer", "</answer> comes before <answer>")
    rationale = None
    think = re.search(r"<think>(.*?)</think>", text, re.DOTALL)
    if think is not None:
        try:
            rationale = _parse_think(think[1], round)
        except ReplyError:
            rationale = None  # the authors' parser never reads the think text; the reply itself keeps it
    return Parsed(rationale, _parse_answer(match[1], official=True))


def _parse_think(think: str, round: int) -> Rationale | None:
    if not think.strip():
        return None
    names = labels(round)
    found = _find_labels(think, names, anchor=r"^\s*") or _find_labels(think, names, anchor=r"(?<!Final )(?<!\w)")
    if found is None:
        raise ReplyError("bad_sections", f"the think text does not hold, once each and in order: {', '.join(names)}")
    stops = [match.start() for match in found[1:]] + [len(think)]
    texts = [" ".join(think[match.end() : stop].split()) for match, stop in zip(found, stops, strict=True)]
    if think[: found[0].start()].strip():
        raise ReplyError("bad_sections", f"the think text does not begin with {names[0]}")
    try:
        return Rationale(*texts)
    except ValueError as error:
        raise ReplyError("bad_sections", str(error)) from error


def _find_labels(think: str, names: Sequence[str], anchor: str) -> list[re.Match[str]] | None:
    """The four labels, or None unless each stands there exactly once and in order."""
    found: list[re.Match[str]] = []
    for name in names:
        wording = re.escape(name).replace(r"\&", "&").replace("&", "(?:&|and)")
        pattern = rf"{anchor}(?:\d[.)]\s*)?{wording}(?:\s*\([^)\n]*\))?\s*:"
        matches = list(re.finditer(pattern, think, re.MULTILINE))
        if len(matches) != 1 or (found and matches[0].start() < found[-1].end()):
            return None
        found.append(matches[0])
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands there twice")
    return result


def _parse_answer(payload: str, *, official: bool) -> Answer:
    try:
        value = json.loads(payload, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:  # ValueError covers JSONDecodeError and numbers of absurd length
        raise ReplyError("bad_json", f"the answer is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ReplyError("not_object", "the answer is JSON, but no object")
    for key in ("bbox_2d", "rating", "tool"):
        if key not in value:
            raise ReplyError("missing_key", f"the answer has no {key!r}")
    rating = _parse_rating(value["rating"])
    tool = value["tool"]
    if tool not in ("crop", "final"):
        raise ReplyError("bad_tool", f'tool is "crop" or "final", not {tool!r}')
    region: Region | None
    if official:
        tool = "final" if _is_zero(value["bbox_2d"]) else tool
        region = None if tool == "final" else _region_or_none(value["bbox_2d"])
    elif _is_zero(value["bbox_2d"]):
        if tool == "crop":
            raise ReplyError("bad_bbox", "a crop is asked for, but the box is all zero")
        region = None
    else:
        region = _parse_box(value["bbox_2d"], "bad_bbox")
    return Answer(None if tool == "final" else region, rating, tool, _parse_issues(value.get("issues", [])))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_zero(box: object) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(_is_number(side) and side == 0 for side in box)


def _parse_rating(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ReplyError("bad_rating", f"rating is a number, not {value!r}")
    if not 1 <= value <= 5:  # also false for NaN
        raise ReplyError("bad_rating", f"rating is from 1.00 to 5.00, not {value!r:.40}")
    return float(value)


def parse_rating(text: str) -> float:
    """Read a rating that stands by itself: one digit and at most two decimals, 1..5; raises `ReplyError`."""
    match = re.fullmatch(r"\s*([1-5](?:\.\d{1,2})?)\s*", text)
    if match is None:
        raise ReplyError("bad_rating", f"a rating from 1.00 to 5.00 is expected, not {text!r:.40}")
    return _parse_rating(float(match[1]))


def _parse_box(value: object, code: str) -> Region:
    if not isinstance(value, list) or len(value) != 4 or not all(_is_number(side) for side in value):
        raise ReplyError(code, f"bbox_2d is a list of four numbers, not {value!r}")
    if not all(0 <= side <= 1 for side in value):  # also false for NaN; before float(), which overflows for huge ints
        raise ReplyError(code, "bbox_2d is in fractions of the picture, 0 to 1")
    try:
        return Region(*(float(side) for side in value))
    except ValueError as error:
        raise ReplyError(code, f"bbox_2d is no region: {error}") from error


def _region_or_none(value: object) -> Region | None:
    try:
        return _parse_box(value, "bad_bbox")
    except ReplyError:
        return None


def _parse_issues(value: object) -> tuple[Issue, ...]:
    if not isinstance(value, list):
        raise ReplyError("bad_issues", "issues is a list")
    issues = []
    for item in value:
        if not isinstance(item, dict) or not {"kind", "severity", "bbox_2d"} <= item.keys():
            raise ReplyError("bad_issues", 'an issue is an object with "kind", "severity" and "bbox_2d"')
        region = _parse_box(item["bbox_2d"], "bad_issues")
        try:
            issues.append(Issue(item["kind"], item["severity"], region))
        except ValueError as error:
            raise ReplyError("bad_issues", str(error)) from error
    return tuple(issues)
