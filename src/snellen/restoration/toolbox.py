"""The classical tools with the settings that are tried. None needs weights."""

from __future__ import annotations

from collections.abc import Sequence

from snellen.restoration import blur, coding, motion, noise, tone
from snellen.restoration.blur import DISK, GAUSSIAN
from snellen.restoration.tool import Tool

TOOLS = (
    Tool("median", ("noise",), noise.median, "noise", ({"size": 3},), does="takes isolated specks out"),
    Tool(
        "nl-means",
        ("noise",),
        noise.nl_means,
        "noise",
        ({"strength": 0.8}, {"strength": 1.2}),
        does="smooths grain with the mean of alike patches",
    ),
    Tool(
        "wiener",
        ("blur", "motion blur", "pixelation"),
        blur.wiener,
        "blur",
        tuple(
            {"shape": shape, "factor": factor, "balance": 0.01}
            for shape, factor in ((GAUSSIAN, 0.8), (GAUSSIAN, 1.2), (DISK, 1.3))
        ),
        32,
        does="undoes a blur of the lens",
    ),
    Tool(
        "wiener-line",
        ("blur", "motion blur"),
        motion.still,
        "motion",
        ({"times": 1.0, "balance": 0.01}, {"times": 0.7, "balance": 0.01}),
        32,
        does="undoes a motion along a line",
    ),
    Tool(
        "unsharp",
        ("blur", "motion blur", "pixelation"),
        blur.unsharp,
        "blur",
        ({"radius": 1.5, "amount": 0.6},),
        does="sharpens edges",
    ),
    Tool("soften", ("oversharpening",), blur.soften, "halo", ({"radius": 0.6},), does="softens halos"),
    Tool(
        "shifted-jpeg",
        ("compression",),
        coding.shifted_jpeg,
        "blocks",
        ({"quality": 25}, {"quality": 40}),
        does="blends away the blocks of a coding",
    ),
    Tool(
        "gain",
        ("underexposure",),
        tone.gain,
        "dark",
        ({"top": 0.85, "share": 0.6}, {"top": 0.85, "share": 1.0}),
        does="a longer exposure",
    ),
    Tool(
        "exposure",
        ("underexposure",),
        tone.exposure,
        "dark",
        ({"target": 0.42, "share": 0.5},),
        does="lifts the dark and middle tones",
    ),
    Tool(
        "stretch",
        ("low contrast",),
        tone.stretch,
        "range",
        ({"tail": 1, "share": 0.5}, {"tail": 1, "share": 0.9}),
        does="stretches tones to black and white",
    ),
    Tool(
        "s-curve",
        ("low contrast",),
        tone.s_curve,
        "range",
        ({"amount": 0.5}, {"amount": 0.9}),
        does="more contrast in the middle tones",
    ),
    Tool(
        "white-balance",
        ("color cast",),
        tone.white_balance,
        "colour",
        ({"norm": 4, "share": 0.8},),
        does="takes a color cast out",
    ),
)
"""Overexposure has none: clipped light is not in the file, and a picture that is meant to be bright looks the same."""


def tools_for(kind: str, tools: Sequence[Tool] = TOOLS) -> list[Tool]:
    """Return the tools that are tried on a kind of issue."""
    return [tool for tool in tools if kind in tool.kinds]
