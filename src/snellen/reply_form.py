"""The outer form of a reply: its tags and labels, and where its think text, its sections and its answer are.

Models wrap replies in habits of their own: a code fence, a greeting, bold labels, no tags. Such forms are repaired, and
each repair is listed; what the reply says is never changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

FIRST_LABELS = ("Image Quality Summary", "Directions for Improvement", "Issues to Avoid", "Decision & Rationale")
LATER_LABELS = ("Crop Inspection Summary", FIRST_LABELS[1], FIRST_LABELS[2], "Final Decision & Rationale")

VIEW_MARK = "<image>"
"""Placeholder of a view in the text of a user turn; see `snellen.protocol.Turn`."""
TAGS = ("<think>", "</think>", "<answer>", "</answer>", VIEW_MARK)

REPLY_ERROR_CODES: tuple[str, ...] = (
    "two_thinks", "bad_sections", "no_answer", "two_answers", "bad_order", "bad_json", "not_object",
    "missing_key", "bad_bbox", "bad_rating", "bad_tool", "bad_issues",
)  # fmt: skip
"""Values of `ReplyError.code`: tags repeated, cut off or out of order, think text without the four sections of its
round, and faults of the answer's JSON."""
REPAIRS = (
    "code fence", "text around the reply", "missing tags", "marked-up labels", "quoted rating", "box units",
    "text in parts", "reasoning apart", "asked for JSON",
    "first of several answers", "relaxed JSON", "clipped rating", "unusable rating", "missing key", "unknown tool",
    "invalid box", "issues left out",
)  # fmt: skip
"""Values of `Parsed.repaired` and `Reply.repaired`. The second line is that of servers: a text in several parts, a
think text in a field of its own, a second request that held the reply to a JSON schema. The last two lines occur with
protocol zoom-iqa only, which accepts what its authors' code accepts: a rating outside 1..5 is clipped, an answer
without box or tool is final, an unknown tool asks for a crop, an invalid box becomes the central crop, and the rating
of a first round that asks for a crop is not needed."""


class ReplyError(ValueError):
    """A reply that cannot be parsed.

    Attributes:
        code: one of `REPLY_ERROR_CODES`.
        message: what is wrong.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Pieces:
    """Parts of a reply, as `take_apart` finds them.

    Attributes:
        think: think text, or the text before the answer where no tag marks it.
        marked: True where a tag marks the think text; otherwise it may be a greeting.
        answer: text of the answer.
    """

    think: str
    marked: bool
    answer: str


def labels(number: int) -> tuple[str, str, str, str]:
    """Return the section labels of round `number` (from 1)."""
    if number < 1:
        raise ValueError(f"rounds count from 1, not {number}")
    return FIRST_LABELS if number == 1 else LATER_LABELS


def take_apart(text: str, repaired: list[str]) -> Pieces:
    """Return think text and answer of a reply, and append the repairs that it took.

    Raises:
        ReplyError: tags are repeated, out of order or cut off, or there is no answer.
    """
    opened, closed = text.count("<answer>"), text.count("</answer>")
    if opened > 1 or closed > 1:
        raise ReplyError("two_answers", "the reply holds more than one <answer> or </answer>")
    if text.count("<think>") > 1 or text.count("</think>") > 1:
        raise ReplyError("two_thinks", "the reply holds more than one <think> or </think>")
    if opened + closed == 0:
        start, stop = _only_object(text)
        repaired.append("missing tags")
        return _before(text[:start], text[start:stop], text[stop:], repaired)
    if opened + closed == 1:
        raise ReplyError("no_answer", "the reply holds no <answer>...</answer>: one of the tags is missing")
    match = re.fullmatch(r"(.*)<answer>(.*)</answer>(.*)", text, re.DOTALL)
    if match is None:
        raise ReplyError("bad_order", "</answer> comes before <answer>")
    return _before(match[1], unfenced(match[2], repaired), match[3], repaired)


def _before(before: str, answer: str, after: str, repaired: list[str]) -> Pieces:
    """Return the pieces of a reply, given the texts before, in and after its answer."""
    opens, closes = "<think>" in before, "</think>" in before
    if any(tag in part for tag in ("<think>", "</think>") for part in (answer, after)):
        raise ReplyError("bad_order", "a reply is <think>...</think><answer>...</answer>, in this order")
    if not (opens or closes):
        if "missing tags" not in repaired:
            repaired.append("missing tags")
        drop(after, repaired)
        return Pieces(before, False, answer)
    greeting, think = before.split("<think>") if opens else ("", before)
    between = ""
    if closes:
        think, closed, between = think.partition("</think>")
        if not closed:
            raise ReplyError("bad_order", "</think> comes before <think>")
    if not (opens and closes):  # servers that parse the think text themselves drop its first tag
        repaired.append("missing tags")
    drop(greeting + between + after, repaired)
    return Pieces(think, True, answer)


def _only_object(text: str) -> tuple[int, int]:
    """Return start and end of the one JSON object with a rating that a text without answer tags holds.

    Raises:
        ReplyError: there is none, it is cut off, or there are several.
    """
    found, at = [], 0
    decoder = json.JSONDecoder()
    inside_think = text.find("<think>"), text.find("</think>")
    if inside_think[0] > inside_think[1]:
        raise ReplyError("no_answer", "the reply ends inside its think text")
    at = max(0, inside_think[1])
    while (at := text.find("{", at)) >= 0:
        try:
            value, stop = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        if isinstance(value, dict) and "rating" in value:
            found.append((at, stop))
        at = stop
    if len(found) > 1:
        raise ReplyError("two_answers", "the reply holds more than one JSON object with a rating")
    if not found:
        raise ReplyError("no_answer", "the reply holds neither <answer>...</answer> nor a JSON object with a rating")
    return found[0]


def drop(outside: str, repaired: list[str]) -> None:
    """Record what is dropped with the text outside the tags."""
    if "```" in outside:
        repaired.append("code fence")
    if re.sub(r"```\w*", "", outside).strip():
        repaired.append("text around the reply")


def unfenced(payload: str, repaired: list[str]) -> str:
    """Return the answer without a code fence around it."""
    match = re.fullmatch(r"\s*```\w*\s(.*)```\s*", payload, re.DOTALL)
    if match is None:
        return payload
    repaired.append("code fence")
    return match[1]


def find_sections(think: str, number: int, repaired: list[str]) -> tuple[str, list[str]]:
    """Return the text before the first label of round `number`, and the four sections, with single spaces.

    Raises:
        ReplyError: the think text does not hold the four labels once each and in order.
    """
    names = labels(number)
    found = _find_labels(think, names, anchor=r"^\s*") or _find_labels(think, names, anchor=r"(?<!Final )(?<!\w)")
    if found is None:
        raise ReplyError("bad_sections", f"the think text does not hold, once each and in order: {', '.join(names)}")
    if any(set(match[0]) & set("#>*_-") for match in found):
        repaired.append("marked-up labels")
    stops = [match.start() for match in found[1:]] + [len(think)]
    texts = [" ".join(think[match.end() : stop].split()) for match, stop in zip(found, stops, strict=True)]
    return think[: found[0].start()], texts


def _find_labels(think: str, names: Sequence[str], anchor: str) -> list[re.Match[str]] | None:
    """Return the matches of the four labels; None unless each occurs exactly once, in order."""
    found: list[re.Match[str]] = []
    for name in names:
        wording = re.escape(name).replace(r"\&", "&").replace("&", "(?:&|and)")
        numbered = r"(?:[#>*_-]+ *)?(?:\d[.)]\s*)?(?:[*_]+)?"
        pattern = rf"{anchor}{numbered}{wording}(?:\s*\([^)\n]*\))?[*_]*\s*:[*_]*"
        matches = list(re.finditer(pattern, think, re.MULTILINE))
        if len(matches) != 1 or (found and matches[0].start() < found[-1].end()):
            return None
        found.append(matches[0])
    return found
