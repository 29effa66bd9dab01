"""Filters on a teacher's replies: does the text need the picture, and do picture and measurements bear it out?

Source: visual-reliance and hint-augmented consistency filtering of Liang et al., Zoom-IQA (arXiv 2601.02918). They are
named there without equations; these are ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.backend import Reply
from snellen.protocol import Protocol
from snellen.reply import Answer, Parsed, ReplyError


@dataclass(frozen=True)
class RelianceLimits:
    """Least differences between the answer with and without the picture; one is enough.

    Attributes:
        box: 1 - IoU of the boxes asked for, 0..1.
        rating: difference of the ratings, in MOS.
        entropy: difference of the entropies of the rating distributions, in nats.
    """

    box: float = 0.5
    rating: float = 0.3
    entropy: float = 0.3


@dataclass(frozen=True)
class Reliance:
    """Differences between the first round's answer and the one that continues its beginning without the picture.

    Attributes:
        readable: the continuation could be read; a model that cannot go on without the picture relies on it.
        tool: one asks for a crop, the other does not.
        box: 1 - IoU of the boxes; 0 where none is asked for.
        rating: absolute difference, in MOS.
        entropy: absolute difference, in nats; 0 where the model gives no distribution.
    """

    readable: bool = True
    tool: bool = False
    box: float = 0.0
    rating: float = 0.0
    entropy: float = 0.0

    def relies(self, limits: RelianceLimits) -> bool:
        """Return whether the answer changes without the picture."""
        beyond = self.box > limits.box or self.rating > limits.rating or self.entropy > limits.entropy
        return not self.readable or self.tool or beyond

    def to_dict(self) -> dict[str, Any]:
        """Return the differences as a JSON object."""
        numbers = {"box": self.box, "rating": self.rating, "entropy": self.entropy}
        return {"readable": self.readable, "tool": self.tool} | {key: round(v, 4) for key, v in numbers.items()}


def reliance(answer: Answer, seen: Reply, blind: Reply, beginning: str, protocol: Protocol) -> Reliance:
    """Compare the answer of a first round with the reply that continues its beginning without the picture.

    Args:
        answer: of the sample's first round; `seen` is its reply.
        blind: the continuation, with or without the beginning itself.
        beginning: the part of the sample's text that was continued.
        protocol: the parser of replies.
    """
    parsed = _read(blind.text, beginning, protocol)
    if parsed is None:
        return Reliance(readable=False)
    other = parsed.answer
    box = 0.0
    if answer.region is not None and other.region is not None:
        box = 1.0 - answer.region.iou(other.region)
    entropy = 0.0
    if seen.rating is not None and blind.rating is not None:
        entropy = abs(seen.rating.entropy - blind.rating.entropy)
    return Reliance(True, answer.tool != other.tool, box, abs(answer.stated - other.stated), entropy)


def _read(text: str, beginning: str, protocol: Protocol) -> Parsed | None:
    """Return the continuation as parsed: the whole reply, or what follows the beginning."""
    for whole in (text, beginning + text, f"{beginning} {text}"):
        try:
            return protocol.parse(whole, 1)
        except ReplyError:
            continue
    return None


def contradictions(verdicts: Sequence[str], told: Sequence[tuple[str, str]]) -> list[str]:
    """Return the sentences that the checker contradicts; `told` is (label, sentence) for each verdict."""
    return [sentence for verdict, (_, sentence) in zip(verdicts, told, strict=True) if verdict == "contradicted"]


def counted(verdicts: Sequence[str]) -> Mapping[str, int]:
    """Return the number of sentences for each verdict."""
    return dict(Counter(verdicts))
