"""Box units of vision-language models, by family."""

from __future__ import annotations

THOUSANDTHS = ("qwen2-vl", "qwen3-vl", "internvl")
"""Families that write boxes in thousandths of the picture."""
PIXELS = ("qwen2.5-vl", "qwen2-5-vl")
"""Families that write boxes in pixels of the picture as they receive it."""


def box_scale(model: str, size: tuple[int, int]) -> tuple[float, float] | None:
    """Return (width, height) of a picture in the box units of a model; None for fractions or an unknown family.

    Args:
        model: name or model type, for example "Qwen/Qwen2.5-VL-7B-Instruct" or "qwen2_5_vl".
        size: (width, height) of the picture as it is sent to the model, px.
    """
    name = model.lower().replace("_", "-")
    if any(family in name for family in PIXELS):
        return float(size[0]), float(size[1])
    if any(family in name for family in THOUSANDTHS):
        return 1000.0, 1000.0
    return None
