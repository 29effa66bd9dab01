"""How a conversation is worded: a `Protocol` puts views and replies into the turns that a backend continues."""

from __future__ import annotations

import importlib
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from snellen.reply import (
    RATING_PREFIX,
    REPLY_ERROR_CODES,
    TAGS,
    VIEW_MARK,
    Answer,
    Issue,
    Parsed,
    Rationale,
    ReplyError,
    parse_reply,
    render_box,
    render_reply,
    to_grid,
)
from snellen.vocabulary import KINDS

if TYPE_CHECKING:
    from snellen.image import View
    from snellen.region import Region

__all__ = [
    "DEFAULT_QUESTION",
    "RATING_PREFIX",
    "REPLY_ERROR_CODES",
    "VIEW_MARK",
    "Answer",
    "Conversation",
    "Issue",
    "Parsed",
    "Protocol",
    "Rationale",
    "ReplyError",
    "Turn",
    "first_prompt",
    "later_prompt",
    "open_protocol",
    "parse_reply",
    "render_box",
    "render_reply",
    "to_grid",
]

DEFAULT_QUESTION = "How good is the technical quality of this picture?"


@dataclass(frozen=True)
class Turn:
    """One message. A model's turn keeps the token ids and log-probabilities (natural log) it was sampled with.

    A user turn's text holds `VIEW_MARK` once for each view, where that view is shown; without any mark the views come
    before the text.
    """

    role: Literal["user", "assistant"]
    text: str
    views: tuple[View, ...] = ()
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()

    def parts(self) -> list[str | View]:
        """Text and views in the order in which the model reads them; marks and empty texts left out."""
        if self.role == "assistant":
            return [self.text]
        pieces = self.text.split(VIEW_MARK)
        if len(pieces) == 1:
            return [*self.views, self.text]
        if len(pieces) != len(self.views) + 1:
            raise ValueError(f"a turn shows {len(self.views)} views but marks {len(pieces) - 1} places for them")
        parts: list[str | View] = []
        for index, piece in enumerate(pieces):
            if piece:
                parts.append(piece)
            if index < len(self.views):
                parts.append(self.views[index])
        return parts


Conversation = tuple[Turn, ...]
"""Turns in order, user first; a backend writes the assistant's turn that comes next."""


class Protocol(typing.Protocol):
    """How one kind of model is asked and read. `name` is also the name of its zoom preset."""

    @property
    def name(self) -> str:
        """The name given to `open_protocol`."""

    @property
    def max_rounds(self) -> int | None:
        """The most rounds that the protocol knows; None without limit."""

    def conversation(self, question: str, views: Sequence[View], replies: Sequence[Turn]) -> Conversation:
        """What to ask next: `views` in the order shown, the newest last; one reply for each view before it."""

    def parse(self, text: str, round: int) -> Parsed:
        """Read the reply of a round (counted from 1); raises `ReplyError`."""


class SnellenProtocol:
    """Our own wording, our strict parser, the whole history in every round."""

    name = "snellen"
    max_rounds: int | None = None

    def conversation(self, question: str, views: Sequence[View], replies: Sequence[Turn]) -> Conversation:
        """See `Protocol.conversation`."""
        _check_history(question, views, replies)
        turns = [Turn("user", first_prompt(question), (views[0],))]
        for reply, view in zip(replies, views[1:], strict=True):
            turns += [reply, Turn("user", later_prompt(question, view.region), (view,))]
        return tuple(turns)

    def parse(self, text: str, round: int) -> Parsed:
        """See `Protocol.parse`."""
        return parse_reply(text, round)


class ZoomIqaProtocol:
    """The Zoom-IQA authors' wording, for their checkpoint; their prompts come from their installed package.

    As there, the second round's history has the bare question for the first turn, the second prompt is sent as it is
    (with its unfilled placeholder: the model was trained on that), and shows the whole picture again beside the crop.
    """

    name = "zoom-iqa"
    max_rounds: int | None = 2

    def __init__(self) -> None:
        try:
            module = importlib.import_module("zoomiqa.inference.protocol")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != "zoomiqa":
                raise
            raise ModuleNotFoundError(
                "protocol zoom-iqa takes its prompts from the Zoom-IQA authors' package, which is not installed; "
                "run: pip install git+https://github.com/EthanLiang99/Zoom-IQA",
                name=error.name,
            ) from error
        self.first_prompt = str(module.STAGE1_PROMPT)
        self.later_prompt = str(module.STAGE2_PROMPT)

    def conversation(self, question: str, views: Sequence[View], replies: Sequence[Turn]) -> Conversation:
        """See `Protocol.conversation`; at most two views."""
        _check_history(question, views, replies)
        if len(views) > 2:
            raise ValueError("the zoom-iqa protocol has two rounds")
        if len(views) == 1:
            return (Turn("user", self.first_prompt.format(question=question) + VIEW_MARK, tuple(views)),)
        shown = f"{self.later_prompt}Original image: {VIEW_MARK}Cropped Image: {VIEW_MARK}"
        return (Turn("user", question), replies[0], Turn("user", shown, tuple(views)))

    def parse(self, text: str, round: int) -> Parsed:
        """See `Protocol.parse`; as permissive as the authors' own parser, see `parse_reply`."""
        return parse_reply(text, round, official=True)


def open_protocol(name: str) -> Protocol:
    """The protocol called "snellen" or "zoom-iqa"; ValueError for another name, ModuleNotFoundError with the remedy
    when the authors' package is needed and not installed."""
    if name == "snellen":
        return SnellenProtocol()
    if name == "zoom-iqa":
        return ZoomIqaProtocol()
    raise ValueError(f"unknown protocol {name!r}; use snellen or zoom-iqa")


def _check_history(question: str, views: Sequence[View], replies: Sequence[Turn]) -> None:
    if any(tag in question for tag in TAGS):
        raise ValueError(f"a question cannot hold a protocol tag: {question!r}")
    if len(views) != len(replies) + 1:
        raise ValueError(f"{len(views)} views need {len(views) - 1} replies, not {len(replies)}")


def _answer_rules() -> str:
    return f"""\
"bbox_2d": the box to look at next as [left, top, right, bottom], in fractions of the whole picture's width and height \
from 0.00 to 1.00, or [0.00, 0.00, 0.00, 0.00] when no further look is needed.
"rating": from 1.00 (bad) to 5.00 (excellent), two decimals.
"tool": "crop" to be shown that box at full resolution, "final" when the rating stands.
"issues": a list, empty when nothing is wrong, of {{"kind": ..., "severity": ..., "bbox_2d": [...]}}, where kind is \
one of {", ".join(KINDS)}; severity is a whole number from 1 (just visible) to 5 (ruins the picture); bbox_2d says \
where, in fractions of the whole picture."""


def first_prompt(question: str) -> str:
    """What the first round asks; the mark shows where the whole picture is seen."""
    return f"""\
{VIEW_MARK}
This is a whole picture, reduced in size. Examine its technical quality as an optician examines an eye: sharpness, \
noise, compression, exposure, contrast, colour, damage. Ask for a closer look where this size leaves you in doubt.

Reply with <think>...</think><answer>...</answer> and nothing else. Inside think write four paragraphs, each on one \
line, each beginning with its label:
Image Quality Summary: what you see, and how good it is in a word.
Directions for Improvement: how the perfect version of this picture looks, part by part; positive wording only.
Issues to Avoid: what is wrong and in which parts; negative wording only.
Decision & Rationale: what you are sure of, what you are not, and why the box you ask for would settle it. Leave the \
number to the answer.

Inside answer write one JSON object with four keys:
{_answer_rules()}

{question}"""


def later_prompt(question: str, region: Region) -> str:
    """What a later round asks; the mark shows where the crop is seen, `region` is the part of the picture it shows."""
    return f"""\
{VIEW_MARK}
This is the part {render_box(region)} of the same picture, closer. Compare it with what you expected.

Reply in the same form, with these four labels:
Crop Inspection Summary: what the closer look confirmed, and what it revealed.
Directions for Improvement: how the perfect version looks, now in finer detail; positive wording only.
Issues to Avoid: what is wrong, confirmed or new, and in which parts; negative wording only.
Final Decision & Rationale: your earlier rating, why you looked closer, and how far the evidence moves the rating: as \
far as it is strong, and not at all when it changes nothing.

The answer has the same four keys; list all issues of the picture, not only those of this part. Boxes stay in \
fractions of the whole picture. Ask for another crop only when it would show something new.

{question}"""
