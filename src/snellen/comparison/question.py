"""The two-picture protocol: a vision-language model is asked which of two is better, in both orders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from snellen.backend import Backend, Conversation, Reply, Sampling
from snellen.comparison.preference import swapped_mean
from snellen.image import Picture, View
from snellen.protocol import Turn
from snellen.region import FULL, Region
from snellen.reply import VIEW_MARK, ReplyError, render_box
from snellen.reply_form import take_apart

STEM = "The better picture is the"
CHOICES = {"first": 5.0, "second": 1.0}
"""Words after STEM, at the ends of the scale of `Backend.rate_levels`: a mean of 1 + 4 P(first)."""
LEAST_MASS = 0.5
"""Probability of both words together below which the written probability counts."""
ANSWERS = ("first", "second", "same")


@dataclass(frozen=True)
class Choice:
    """Answer to one question. first: probability, 0..1, that the picture shown first is better. why: its reasons."""

    first: float
    why: str


@dataclass(frozen=True)
class Preference:
    """Answers to both questions about A and B.

    Attributes:
        probability: mean probability that A is better.
        bias: half of what a picture gains by being shown first, -0.5..0.5.
        orders: probability that A is better, shown first and shown second.
        why: the model's reasons, A shown first and shown second.
    """

    probability: float
    bias: float
    orders: tuple[float, float]
    why: tuple[str, str]


def question(first: Picture, second: Picture, regions: Sequence[Region]) -> Conversation:
    """Return the question which of two pictures is better: both whole, then the same regions of both, closer."""
    views: list[View] = []
    lines = []
    for region in (FULL, *(one for one in regions if one != FULL)):
        part = "the whole picture, reduced in size" if region == FULL else f"the part {render_box(region)}, closer"
        for name, picture in (("First", first), ("Second", second)):
            views.append(picture.view(region))
            lines.append(f"{name} picture, {part}: {VIEW_MARK}")
    text = "\n".join(lines) + "\n" + _ASK
    return (Turn("user", text, tuple(views)),)


_ASK = """
Which of the two pictures has the better technical quality: sharpness, noise, compression, exposure, contrast, colour, \
damage? The order in which they are shown means nothing.

Reply with <think>...</think><answer>...</answer> and nothing else. Inside think, say in a few sentences what the \
second picture has gained and lost against the first, and where. Inside answer, write one JSON object with two keys:
"better": "first", "second" or "same".
"probability": how sure you are that it is the better one, from 0.50 (a guess) to 1.00 (certain); 0.50 for "same"."""


def parse_choice(text: str) -> Choice:
    """Return the choice of a reply to `question`.

    Raises:
        ReplyError: there is no answer, or its keys are missing or out of range. Nothing is guessed.
    """
    pieces = take_apart(text, [])
    try:
        answer = json.loads(pieces.answer)
    except ValueError as error:
        raise ReplyError("bad_json", f"the answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise ReplyError("not_object", "the answer is not a JSON object")
    if missing := [key for key in ("better", "probability") if key not in answer]:
        raise ReplyError("missing_key", f"the answer to a question about two pictures has no {missing[0]!r}")
    better, sure = answer["better"], answer["probability"]
    if better not in ANSWERS:
        raise ReplyError("missing_key", f"better is first, second or same, not {better!r}")
    if isinstance(sure, bool) or not isinstance(sure, (int, float)) or not 0.5 <= sure <= 1.0:
        raise ReplyError("bad_rating", f"probability is from 0.50 to 1.00, not {sure!r}")
    first = {"first": float(sure), "second": 1.0 - float(sure), "same": 0.5}[better]
    return Choice(first, " ".join(pieces.think.split()))


def ask(
    backend: Backend, pairs: Sequence[tuple[Picture, Picture]], regions: Sequence[Region], sampling: Sampling
) -> list[Preference | ReplyError]:
    """Return the preference of each pair, or why its answer cannot be read. Each pair is asked about in both orders.

    The probability is that of the words "first" and "second", where the model gives probabilities of words and these
    two have at least LEAST_MASS of it; otherwise the written one.
    """
    found: list[Preference | ReplyError] = []
    step = max(1, backend.batch_size // 2)
    for start in range(0, len(pairs), step):
        asked = [question(*shown, regions) for a, b in pairs[start : start + step] for shown in ((a, b), (b, a))]
        replies = backend.reply(asked, sampling)
        words = _words(backend, asked)
        for one in range(0, len(asked), 2):
            try:
                found.append(_preference(replies[one : one + 2], words[one : one + 2]))
            except ReplyError as error:
                found.append(error)
    return found


def _words(backend: Backend, asked: Sequence[Conversation]) -> list[float | None]:
    """Return the probability of "first" against "second" for each question; None where the model does not give it."""
    if type(backend).rate_levels is Backend.rate_levels:
        return [None] * len(asked)
    rated = backend.rate_levels(asked, STEM, CHOICES)
    return [
        (one.rating.mean - 1.0) / 4.0 if one.rating is not None and (one.rating_mass or 0.0) >= LEAST_MASS else None
        for one in rated
    ]


def _preference(replies: Sequence[Reply], words: Sequence[float | None]) -> Preference:
    shown = []
    for reply, word in zip(replies, words, strict=True):
        if reply.failure is not None:
            raise ReplyError("no_answer", reply.failure)
        written = parse_choice(reply.text)
        shown.append(written if word is None else Choice(word, written.why))
    orders = (shown[0].first, 1.0 - shown[1].first)
    probability, bias = swapped_mean(*orders)
    return Preference(probability, bias, orders, (shown[0].why, shown[1].why))
