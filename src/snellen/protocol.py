"""Protocols: the wording of a conversation, and the parser of its replies."""

from __future__ import annotations

import importlib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from snellen.options import Sampling
from snellen.reply import FIRST_LABELS, LATER_LABELS, TAGS, VIEW_MARK, Parsed, ReplyError, parse_reply, render_box
from snellen.vocabulary import KINDS
from snellen.zoomiqa_reply import parse_zoomiqa

if TYPE_CHECKING:
    from snellen.image import View
    from snellen.region import Region

DEFAULT_QUESTION = "How good is the technical quality of this picture?"
QUESTION_MARK = "<|image|>"
"""Mark of the picture in questions of the Zoom-IQA authors' annotation files; their first prompt leaves it out."""
BoxScale = tuple[float, float]
"""Width and height of a picture in a model's own box units."""
Size = tuple[int, int]
"""Width and height of a picture, px."""


@dataclass(frozen=True)
class Turn:
    """One message of a conversation.

    Attributes:
        role: "user" or "assistant".
        text: a user's text holds `VIEW_MARK` once for each view, at its place; without marks the views come first.
        views: the views of a user turn.
        token_ids: tokens that an assistant turn was sampled as; empty where unknown.
        logprobs: their log-probabilities (natural log); empty where unknown.
        labels: section labels that the reply to a user turn must have; empty where its form is free. A backend that can
            hold a reply to a form uses them.
    """

    role: Literal["user", "assistant"]
    text: str
    views: tuple[View, ...] = ()
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()

    def parts(self) -> list[str | View]:
        """Return texts and views in reading order, without marks and empty texts."""
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
"""Turns in order, user first; a backend writes the next assistant turn."""


@dataclass(frozen=True)
class Levels:
    """Words that a model chooses a score from. stem: beginning of its reply. ratings: of each next word, 1..5."""

    stem: str
    ratings: Mapping[str, float]


class Protocol(typing.Protocol):
    """Wording of the turns for one kind of model, and the parser of its replies."""

    @property
    def name(self) -> str:
        """Name for `open_protocol`, and of the zoom preset."""

    @property
    def max_rounds(self) -> int | None:
        """The most rounds that the protocol allows; None without limit."""

    @property
    def questions(self) -> tuple[str, ...]:
        """Questions for a user who gives none; one is drawn for each picture, by its pixels."""

    @property
    def sampling(self) -> Sampling:
        """Decoding parameters where the user gives none."""

    @property
    def levels(self) -> Levels | None:
        """Level words, in a protocol that gives a score only; None where the model writes a rating."""

    def conversation(self, question: str, views: Sequence[View], replies: Sequence[Turn]) -> Conversation:
        """Return the conversation for the next reply.

        Args:
            question: the user's question.
            views: all views so far, the newest last.
            replies: one reply for each view before the newest.
        """

    @property
    def native(self) -> bool:
        """True where views show native pixels and crops are enlarged: then every crop shows something new."""

    def parse(self, text: str, number: int, box_scale: BoxScale | None = None, size: Size | None = None) -> Parsed:
        """Parse the reply of round `number` (from 1); raises `ReplyError`.

        Args:
            text: the reply.
            number: number of the round.
            box_scale: (width, height) of the picture in the model's own box units, see `parse_reply`.
            size: (width, height) of the picture, px, see `parse_zoomiqa`.
        """


class SnellenProtocol:
    """Our own wording and parser; every round repeats the whole history."""

    name = "snellen"
    max_rounds: int | None = None
    questions = (DEFAULT_QUESTION,)
    sampling = Sampling()
    native = False
    levels: Levels | None = None

    def conversation(self, question: str, views: Sequence[View], replies: Sequence[Turn]) -> Conversation:
        """See `Protocol.conversation`."""
        _check_history(question, views, replies)
        turns = [Turn("user", first_prompt(question), (views[0],), labels=FIRST_LABELS)]
        for reply, view in zip(replies, views[1:], strict=True):
            turns += [reply, Turn("user", later_prompt(question, view.region), (view,), labels=LATER_LABELS)]
        return tuple(turns)

    def parse(self, text: str, number: int, box_scale: BoxScale | None = None, size: Size | None = None) -> Parsed:
        """See `Protocol.parse` and `parse_reply`."""
        return parse_reply(text, number, box_scale=box_scale)


@dataclass(frozen=True)
class ZoomIqaProtocol:
    """The wording of the Zoom-IQA authors, for their checkpoint; `open_protocol` takes it from their installed package.

    As in their code, the history of the second round has the bare question as its first turn; the second prompt keeps
    its unfilled placeholder, as in training; and the second turn shows the whole picture beside the crop. Pictures are
    shown in native pixels, a crop enlarged to fit the picture's size, the central crop for an invalid box as it is.

    Attributes:
        first_prompt: prompt of the first round, for `str.format` with `question`.
        later_prompt: prompt of the second round, as it is sent.
        questions: questions that they draw from.
        sampling: theirs, but for the seed.
    """

    first_prompt: str
    later_prompt: str
    questions: tuple[str, ...]

    name: ClassVar[str] = "zoom-iqa"
    max_rounds: ClassVar[int | None] = 2
    native: ClassVar[bool] = True
    levels: ClassVar[Levels | None] = None
    sampling: ClassVar[Sampling] = Sampling(temperature=1.0, top_p=0.95, top_k=50, max_tokens=1024)

    def conversation(self, question: str, views: Sequence[View], replies: Sequence[Turn]) -> Conversation:
        """See `Protocol.conversation`; at most two views."""
        _check_history(question, views, replies)
        if len(views) > 2:
            raise ValueError("the zoom-iqa protocol has two rounds")
        size = (views[0].picture.width, views[0].picture.height)
        whole = replace(views[0], fit=size)
        if len(views) == 1:
            asked = question.replace(QUESTION_MARK, "")
            return (Turn("user", self.first_prompt.format(question=asked) + VIEW_MARK, (whole,)),)
        shown = f"{self.later_prompt}Original image: {VIEW_MARK}Cropped Image: {VIEW_MARK}"
        fit = size if self._asks_for_region(replies[0].text, size) else _native_size(views[1])
        return (Turn("user", question), replies[0], Turn("user", shown, (whole, replace(views[1], fit=fit))))

    def _asks_for_region(self, text: str, size: tuple[int, int]) -> bool:
        """Return whether a first reply asks for a region; otherwise the central crop is shown in its place."""
        try:
            return self.parse(text, 1, size=size).answer.region is not None
        except ReplyError:
            return False

    def parse(self, text: str, number: int, box_scale: BoxScale | None = None, size: Size | None = None) -> Parsed:
        """See `Protocol.parse` and `parse_zoomiqa`: boxes are fractions or pixels, whatever `box_scale` is."""
        return parse_zoomiqa(text, number, size)


class LevelsProtocol:
    """Score only, from the probabilities of five words: Q-Align (Wu et al., arXiv 2312.17090), also DeQA-Score and
    Q-ReAlign.

    The model is asked once, with the whole picture, and its reply is forced to begin with the stem. The score is the
    expectation of the rating over the five words, from 5 for "excellent" to 1 for "bad".
    """

    name = "levels"
    max_rounds: int | None = None
    questions = ("How would you rate the quality of this image?",)
    sampling = Sampling()
    native = False
    levels: Levels | None = Levels(
        "The quality of the image is", {"excellent": 5.0, "good": 4.0, "fair": 3.0, "poor": 2.0, "bad": 1.0}
    )

    def conversation(self, question: str, views: Sequence[View], replies: Sequence[Turn]) -> Conversation:
        """See `Protocol.conversation`; one view."""
        _check_history(question, views, replies)
        if len(views) > 1:
            raise ValueError("the levels protocol has one round")
        return (Turn("user", VIEW_MARK + question, tuple(views)),)

    def parse(self, text: str, number: int, box_scale: BoxScale | None = None, size: Size | None = None) -> Parsed:
        """Raise ReplyError: no reply is written."""
        raise ReplyError("bad_rating", "the levels protocol has no replies to parse")


def open_protocol(name: str) -> Protocol:
    """Return the protocol "snellen", "zoom-iqa" or "levels".

    Raises:
        ValueError: unknown name.
        ModuleNotFoundError: "zoom-iqa" without the authors' package; the message states the remedy.
    """
    if name == "snellen":
        return SnellenProtocol()
    if name == "zoom-iqa":
        return _zoomiqa()
    if name == "levels":
        return LevelsProtocol()
    raise ValueError(f"unknown protocol {name!r}; use snellen, zoom-iqa or levels")


def _zoomiqa() -> ZoomIqaProtocol:
    try:
        module = importlib.import_module("zoomiqa.inference.protocol")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "zoomiqa":
            raise
        raise ModuleNotFoundError(
            "protocol zoom-iqa takes its prompts from the Zoom-IQA authors' package, which is not installed; run: "
            "pip install --no-deps git+https://github.com/EthanLiang99/Zoom-IQA (their pins exclude ours)",
            name=error.name,
        ) from error
    return ZoomIqaProtocol(str(module.STAGE1_PROMPT), str(module.STAGE2_PROMPT), tuple(module.RANDOM_QUESTIONS))


def _check_history(question: str, views: Sequence[View], replies: Sequence[Turn]) -> None:
    if any(tag in question for tag in TAGS):
        raise ValueError(f"a question cannot hold a protocol tag: {question!r}")
    if len(views) != len(replies) + 1:
        raise ValueError(f"{len(views)} views need {len(views) - 1} replies, not {len(replies)}")


def _native_size(view: View) -> tuple[int, int]:
    left, top, right, bottom = view.region.to_pixels(view.picture.width, view.picture.height)
    return right - left, bottom - top


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
    """Return the prompt of the first round; the mark is the place of the whole picture."""
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
    """Return the prompt of a later round; the mark is the place of the crop, `region` the part that it shows."""
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
