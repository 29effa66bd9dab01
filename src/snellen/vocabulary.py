"""Closed vocabulary of replies: kinds of fault, severities, verdicts, directions of a rating."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

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
    "color cast": ("color cast",),
    "saturation": ("saturation problem",),
    "corruption": ("corruption",),
}
"""Names of each kind of fault in a text."""
KIND_OF = {name: kind for kind, names in NAMES.items() for name in names}
"""Kind of fault by each of its names."""
KINDS = tuple(NAMES)
"""The kinds of fault that an issue can have."""
SEVERITIES = ("slight", "mild", "moderate", "strong", "severe")
"""Words for the severities 1 to 5."""

VERDICTS = ((1.8, "bad"), (2.6, "poor"), (3.4, "fair"), (4.2, "good"), (math.inf, "excellent"))
"""Upper limit (exclusive) of the score, 1..5, for each verdict word."""
POSSIBLE = 0.1
"""Probability from which a kind of fault is possible: a result names it as such, and the text does not praise what it
would spoil. Of the praise on 160 validation photographs a rater contradicts 17 % without this, 8 % with it:
recipes/bench/praise.py."""
LIKED = 3.4
"""Rating from which a picture is called good."""
STEADY, LITTLE, FAR = 0.12, 0.3, 0.7
"""Limits of `direction`, in MOS points."""


def verdict(score: float) -> str:
    """Return the verdict word of a score (1..5): below 1.8 bad, 2.6 poor, 3.4 fair, 4.2 good, otherwise excellent."""
    return next(word for limit, word in VERDICTS if score < limit)


def direction(move: float) -> str:
    """Return the direction of a rating's change from round to round, in MOS points.

    "same" below STEADY; otherwise "up" or "down", followed by "a little" below LITTLE and by "far" from FAR on.
    """
    if abs(move) < STEADY:
        return "same"
    way = "up" if move > 0 else "down"
    return f"{way} a little" if abs(move) < LITTLE else way if abs(move) < FAR else f"{way} far"


def merged(kind: str) -> str:
    """Return the kind that a kind counts as where people label faults: motion blur is blur, they often cannot tell."""
    return "blur" if kind == "motion blur" else kind


def possible(probabilities: Mapping[str, float], listed: Iterable[str]) -> dict[str, float]:
    """Return the kinds of fault that are not listed but have a probability, 0..1, of at least POSSIBLE, with it."""
    known = {merged(kind) for kind in listed}
    return {kind: value for kind, value in probabilities.items() if value >= POSSIBLE and kind not in known}
