"""The classical tools with the settings that are tried. None needs weights."""

from __future__ import annotations

from collections.abc import Sequence

from snellen.restoration import blur, coding, noise, tone
from snellen.restoration.tool import Tool

TOOLS = (
    Tool("median", ("noise",), noise.median, "noise", ({"size": 3},)),
    Tool("nl-means", ("noise",), noise.nl_means, "noise", ({"strength": 0.8}, {"strength": 1.2})),
    Tool(
        "wiener",
        ("blur", "motion blur"),
        blur.wiener,
        "blur",
        tuple({"deviation": d, "balance": 0.01} for d in (0.8, 1.3, 2.0)),
        32,
    ),
    Tool("unsharp", ("blur", "motion blur"), blur.unsharp, "blur", ({"radius": 1.5, "amount": 0.6},)),
    Tool("soften", ("oversharpening",), blur.soften, "halo", ({"radius": 0.6},)),
    Tool(
        "shifted-jpeg", ("compression", "pixelation"), coding.shifted_jpeg, "blocks", ({"quality": 15}, {"quality": 40})
    ),
    Tool(
        "exposure",
        ("underexposure", "overexposure", "low contrast"),
        tone.exposure,
        "tone",
        ({"target": 0.42, "share": 0.5}, {"target": 0.42, "share": 0.9}),
    ),
    Tool(
        "stretch",
        ("low contrast", "underexposure", "overexposure"),
        tone.stretch,
        "range",
        ({"tail": 1, "share": 0.5}, {"tail": 1, "share": 0.9}),
    ),
    Tool("white-balance", ("color cast",), tone.white_balance, "colour", ({"norm": 4, "share": 0.8},)),
)


def tools_for(kind: str, tools: Sequence[Tool] = TOOLS) -> list[Tool]:
    """Return the tools that are tried on a kind of issue."""
    return [tool for tool in tools if kind in tool.kinds]
