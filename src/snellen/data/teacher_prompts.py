"""Prompts of a teacher, with hints about a picture, and of a checker of its reply (`data build --teacher MODEL`).

Source: the data pipeline of Liang et al., Zoom-IQA (arXiv 2601.02918). Its prompts are not public; these are ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from snellen.data.known import cluster
from snellen.features import Features, hue_name
from snellen.image import View
from snellen.protocol import Conversation, SnellenProtocol, Turn
from snellen.rationale.evidence import (
    BLOCKY,
    BRIGHT,
    CALM,
    CAST,
    CLIPPED,
    CLIPPED_LITTLE,
    CLIPPED_MUCH,
    DARK,
    DIM,
    DULL,
    FLAT,
    GAUDY,
    GRAIN_SEEN,
    GRAINY,
    NO_CAST,
    RANGE,
    SHARP,
    SOFT,
    VIVID,
)
from snellen.region import FULL
from snellen.reply import VIEW_MARK, Rationale, labels, render_box

VERDICTS = ("supported", "contradicted", "unclear")
"""A checker's verdicts on a sentence."""
BEGIN = "Your reply begins with these words; write the whole reply, with this beginning unchanged:"
"""Line before the beginning of a reply that is to be continued."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'])")


@dataclass(frozen=True)
class Told:
    """Hints about one picture.

    Attributes:
        mos: mean opinion score, 1..5.
        hints: one line for each measured feature of the whole picture. For teacher and checker.
        places: where each feature is worst, "" where nowhere. For the checker alone: a teacher that is given places
            could describe them without the picture.
    """

    mos: float
    hints: tuple[str, ...]
    places: tuple[str, ...]

    def lines(self, places: bool = False) -> str:
        """Return the hints as a list, for a checker with places."""
        ends = self.places if places else ("",) * len(self.hints)
        return "\n".join(f"- {hint}{end}" for hint, end in zip(self.hints, ends, strict=True))


class TeacherProtocol(SnellenProtocol):
    """The protocol `snellen` with the truth behind the question: MOS and measured hints. Replies are those of
    `snellen`, so a student learns them as replies to the plain question.

    told: the truth, by name of the picture.
    """

    name = "teacher"

    def __init__(self, told: Mapping[str, Told]) -> None:
        self.told = told

    def conversation(self, question: str, views: Sequence[View], replies: Sequence[Turn]) -> Conversation:
        """See `Protocol.conversation`."""
        first, *rest = super().conversation(question, views, replies)
        about = self.told[views[0].picture.name]
        turns = [replace(first, text=f"{first.text}\n\n{_lesson(about)}"), *rest]
        if rest:
            turns[-1] = replace(rest[-1], text=f"{rest[-1].text}\n\nIf this round is the last, rate {about.mos:.2f}.")
        return tuple(turns)


def _lesson(about: Told) -> str:
    return f"""\
For you alone; do not mention any of it in your reply:
People rated this picture {about.mos:.2f} on average. State this rating in your last round. If you ask for a \
crop, rate first what this small view alone suggests.
A program measured, over the whole picture:
{about.lines()}
Describe what you see in the picture itself: these lines only help you to check yourself."""


def told(mos: float, measured: Features) -> Told:
    """Return the hints about a picture: for each measured feature its name, a word for its strength, and its value.

    The words come from the thresholds of `snellen.rationale.evidence`, quantiles over photographs.
    """
    value = {name: feature.value for name, feature in measured.values.items()}
    hue = hue_name(value["color_cast_hue"])
    cast = _word(value["color_cast"], (NO_CAST, "none"), (CAST, f"slight, towards {hue}"), f"strong, towards {hue}")
    lost = (CLIPPED_LITTLE, "hardly any"), (CLIPPED, "little"), (CLIPPED_MUCH, "some")
    noise = (CALM, "hardly any"), (GRAIN_SEEN, "little"), (GRAINY, "visible")
    color = (DULL, "pale"), (VIVID, "middling"), (GAUDY, "rich")
    light = (DARK, "very dark"), (DIM, "dark"), (BRIGHT, "balanced")
    found = {
        "sharpness": _word(value["sharpness"], (SOFT, "soft"), (SHARP, "middling"), "sharp"),
        "noise": _word(value["noise"], *noise, "strong"),
        "blockiness": _word(value["blockiness"], (BLOCKY, "no blocks to see"), "blocks can be seen"),
        "clipped_highlights": _word(value["clipped_highlights"], *lost, "much"),
        "clipped_shadows": _word(value["clipped_shadows"], *lost, "much"),
        "luminance": _word(value["luminance"], *light, "very bright"),
        "contrast": _word(value["contrast"], (FLAT, "low"), (RANGE, "middling"), "full"),
        "colorfulness": _word(value["colorfulness"], *color, "gaudy"),
        "color_cast": cast,
    }
    lines = tuple(f"{name.replace('_', ' ')}: {word} ({value[name]:.2f})" for name, word in found.items())
    return Told(mos, lines, tuple(_worst(name, measured) for name in found))


def _word(value: float, *scale: tuple[float, str] | str) -> str:
    """Return the word of the first (limit, word) whose limit is above the value; the last is a word alone."""
    return next(
        step if isinstance(step, str) else step[1] for step in scale if isinstance(step, str) or value < step[0]
    )


def _worst(name: str, measured: Features) -> str:
    """Return where a feature is beyond its threshold, if that is a part of the picture."""
    cells = measured.maps[name]
    bad = {
        "sharpness": cells < SOFT,
        "noise": cells > GRAINY,
        "blockiness": cells > BLOCKY,
        "clipped_highlights": cells > CLIPPED_MUCH,
        "clipped_shadows": cells > CLIPPED_MUCH,
        "luminance": cells < DARK,
    }.get(name)
    box = FULL if bad is None else cluster(bad)
    words = {"sharpness": "soft", "luminance": "very dark"}
    return "" if box == FULL else f"; {words.get(name, 'most')} in {render_box(box)}"


def blind_conversation(conversation: Conversation, beginning: str) -> Conversation:
    """Return the first question of a teacher's conversation without the picture, with the beginning of its reply."""
    question = conversation[0].text.replace(VIEW_MARK, "").strip()
    return (Turn("user", f"{question}\n\n{BEGIN}\n{beginning}"),)


def beginning(reply: str, share: float) -> str:
    """Return the beginning of a reply: up to `share` (0..1) of the words of its think text, at least one word."""
    start = reply.find("<think>") + len("<think>")
    end = reply.find("</think>")
    if start < len("<think>") or end < start:
        raise ValueError("the reply has no think text")
    words = list(re.finditer(r"\S+", reply[start:end]))
    if not words:
        raise ValueError("the reply's think text is empty")
    return reply[: start + words[max(1, round(share * len(words))) - 1].end()]


def sentences(rationales: Sequence[Rationale]) -> list[tuple[str, str]]:
    """Return (label of the section, sentence) for every sentence of all rounds, in order."""
    found = []
    for number, rationale in enumerate(rationales, 1):
        for label, section in zip(labels(number), rationale.sections, strict=True):
            found += [(label, sentence) for sentence in _SENTENCE_END.split(section)]
    return found


def check_conversation(about: Told, views: Sequence[View], written: Sequence[tuple[str, str]]) -> Conversation:
    """Return the question to a checker: the views, what was measured, and the numbered sentences."""
    numbered = "\n".join(f"{number}. ({label}) {one}" for number, (label, one) in enumerate(written, 1))
    shown = "This is a picture" + (", and a part of it, closer:" if len(views) > 1 else ":")
    return (
        Turn(
            "user",
            f"""\
{shown}
{VIEW_MARK * len(views)}
People rated its technical quality {about.mos:.2f} on average, from 1.00 (bad) to 5.00 (excellent). A program measured:
{about.lines(places=True)}

Somebody wrote these sentences about it:
{numbered}

Compare each sentence with the picture and with the measurements: "supported" if they bear it out, "contradicted" if \
they show the opposite or if what it asks to repair or avoid is not there, "unclear" if neither. Reply with one JSON \
list of {len(written)} words, one for each sentence in order, and nothing else.""",
            tuple(views),
        ),
    )


def read_verdicts(text: str, count: int) -> list[str]:
    """Return the verdicts of a reply: its last JSON list. Raises ValueError unless it holds `count` of them."""
    found = re.findall(r"\[[^\[\]]*\]", text)
    if not found:
        raise ValueError("the checker's reply holds no JSON list")
    verdicts = json.loads(found[-1])
    if len(verdicts) != count:
        raise ValueError(f"the checker gave {len(verdicts)} verdicts on {count} sentences")
    if wrong := [one for one in verdicts if one not in VERDICTS]:
        raise ValueError(f"the checker's verdict {wrong[0]!r:.40} is not one of {', '.join(VERDICTS)}")
    return list(verdicts)
