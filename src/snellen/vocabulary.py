"""What a reply's words may call things: kinds of fault, severities, what became of them, verdicts, moves of a rating.

The words are checked against these (`snellen.backends.pieces`), and the writer of rationales uses no others.
"""

from __future__ import annotations

import math
import re

NAMES: dict[str, tuple[str, ...]] = {
    "blur": ("blur", "softness"),
    "motion blur": ("motion blur",),
    "noise": ("noise", "grain"),
    "compression": ("compression", "compression damage"),
    "pixelation": ("pixelation",),
    "banding": ("banding",),
    "oversharpening": ("oversharpening",),
    "overexposure": ("overexposure",),
    "underexposure": ("underexposure",),
    "low contrast": ("low contrast", "contrast loss"),
    "color cast": ("color cast", "color error"),
    "saturation": ("saturation problem",),
    "corruption": ("corruption",),
}
"""The closed vocabulary of issue kinds, and what a text calls each."""
KINDS = tuple(NAMES)
_KIND_OF = {name: kind for kind, names in NAMES.items() for name in names}
_NAMED = "|".join(sorted(_KIND_OF, key=len, reverse=True))
_NAME = re.compile(rf"\b(?:{_NAMED})\b", re.IGNORECASE)

SEVERITIES = ("slight", "mild", "moderate", "strong", "severe")
"""What a text calls the severities 1 to 5."""
_HOW = "|".join(SEVERITIES)
_CALLS = re.compile(
    rf"\b(?:(?P<before>{_HOW}) )?(?P<name>{_NAMED})\b|\b(?:is|proves|as) (?P<after>{_HOW})\b(?! (?:{_NAMED}))",
    re.IGNORECASE,
)
RELATIONS = ("new", "worse", "milder", "as before", "in part", "elsewhere")
"""What a fault is beside what the round before listed (see `relation`); the last two where a crop does not show all."""
GONE = {kind: f"no {kind}" for kind in KINDS}
"""The same of a fault that was listed, where nothing is found."""
STILL_NOTHING = "still nothing"
"""The same where nothing was listed and nothing is found."""

VERDICTS = ((1.8, "bad"), (2.6, "poor"), (3.4, "fair"), (4.2, "good"), (math.inf, "excellent"))
LIKED = 3.4
"""Pictures rated at least this are called good; in others something may be said to be weak where no fault is found."""
STEADY, LITTLE, FAR = 0.12, 0.3, 0.7
"""A rating that moves by less than the first is said to be kept, by less than the second to move a little, by the third
or more to move far; in MOS."""
DIRECTIONS = ("same", "up a little", "up", "up far", "down a little", "down", "down far")


def verdict(score: float) -> str:
    """The verdict word of a score (1..5): under 1.8 bad, 2.6 poor, 3.4 fair, 4.2 good, otherwise excellent."""
    return next(word for limit, word in VERDICTS if score < limit)


def direction(move: float) -> str:
    """Where a rating goes from round to round, one of `DIRECTIONS`."""
    if abs(move) < STEADY:
        return "same"
    way = "up" if move > 0 else "down"
    return f"{way} a little" if abs(move) < LITTLE else way if abs(move) < FAR else f"{way} far"


def named(text: str) -> frozenset[str]:
    """The kinds that a text calls by name; in "motion blur" that is not blur."""
    return frozenset(_KIND_OF[name.lower()] for name in _NAME.findall(text))


def called(text: str) -> dict[str, int]:
    """How severe a text calls the kinds that it names, 1..5, where it says so: "mild blur", "the blur is mild"."""
    found: dict[str, int] = {}
    kind = None
    for match in _CALLS.finditer(text):
        kind = _KIND_OF[match["name"].lower()] if match["name"] else kind
        word = match["before"] or match["after"]
        if kind and word:
            found.setdefault(kind, 1 + SEVERITIES.index(word.lower()))
    return found


def relation(before: int | None, now: int) -> str:
    """What a fault of severity `now` is beside `before`, which the round before listed, one of `RELATIONS`."""
    if before is None:
        return "new"
    return "worse" if now > before else "milder" if now < before else "as before"
