"""The one shape of a restoration tool, and how a tool is applied to a region."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from snellen.region import FULL, Region

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Change = Literal["noise", "blur", "motion", "halo", "blocks", "coding", "dark", "range", "colour", "free"]
"""The fault that a tool claims to remove; `check.check_change` tests that claim. free: any."""

MOST_SIDE = 512
"""Longest side, px, of the part on which a spectrum is measured."""
FEATHER = 0.15
"""Share of a region's shorter side over which a repair fades in."""


@dataclass(frozen=True, eq=False)
class Job:
    """Input of a tool.

    Attributes:
        pixels: (h, w, 3) uint8, the region with some surroundings.
        mask: (h, w) float, 0..1: how far each pixel of the result will count.
        positive: prompt of what to work towards (the Directions of the reply), may be empty.
        negative: prompt of what to avoid (the Issues of the reply), may be empty.
        measured: (left, top, right, bottom) in `pixels`: where the fault is, for tools that measure it; None: all over.
    """

    pixels: Pixels
    mask: Floats
    positive: str = ""
    negative: str = ""
    measured: tuple[int, int, int, int] | None = None

    @property
    def faulty(self) -> Pixels:
        """The part of `pixels` where the fault is."""
        left, top, right, bottom = self.measured or (0, 0, self.pixels.shape[1], self.pixels.shape[0])
        return self.pixels[top:bottom, left:right]


Apply = Callable[..., Pixels]
"""A function from a Job, and one number for each parameter by name, to pixels of the same shape."""


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        name: name in reports.
        kinds: kinds of issue that it is tried on, of `vocabulary.KINDS`.
        apply: the repair.
        change: fault that it removes, for the independent check.
        settings: values of its parameters; each is one candidate.
        context: native px around the region that the result depends on.
        does: what it does, in a photographer's words.
    """

    name: str
    kinds: tuple[str, ...]
    apply: Apply
    change: Change
    settings: tuple[Mapping[str, float], ...] = field(default=({},))
    context: int = 16
    does: str = ""


class ToolError(Exception):
    """A tool that cannot do its work. The text names the tool, the problem and the remedy."""


def repair(
    pixels: Pixels,
    region: Region,
    tool: Tool,
    setting: Mapping[str, float],
    positive: str = "",
    negative: str = "",
    fault: Region | None = None,
) -> Pixels:
    """Return a copy of `pixels`, (H, W, 3) uint8, repaired in a region; every pixel outside it is the same.

    fault: part of the region where tools measure the fault; by default the region.

    The repair fades in over `FEATHER` inside the region, except at the border of the picture.

    Raises:
        ToolError: the tool failed, or gave other than (h, w, 3) uint8 pixels.
    """
    height, width, _ = pixels.shape
    left, top, right, bottom = region.to_pixels(width, height)
    first, upper = max(0, left - tool.context), max(0, top - tool.context)
    last, lower = min(width, right + tool.context), min(height, bottom + tool.context)
    inside = (slice(top - upper, bottom - upper), slice(left - first, right - first))
    mask = np.zeros((lower - upper, last - first))
    mask[inside] = _ramp(region, width, height)
    cut = np.ascontiguousarray(pixels[upper:lower, first:last])
    x0, y0, x1, y1 = (fault or region).to_pixels(width, height)
    measured = (max(x0, first) - first, max(y0, upper) - upper, min(x1, last) - first, min(y1, lower) - upper)
    changed = tool.apply(Job(cut, mask, positive, negative, measured), **setting)
    if changed.shape != cut.shape or changed.dtype != np.uint8:
        raise ToolError(
            f"{tool.name} gave {changed.shape} {changed.dtype} for {cut.shape} uint8; a tool must keep size and type"
        )
    out: Pixels = pixels.copy()
    blended = cut + mask[..., None] * (changed.astype(np.float64) - cut)
    out[top:bottom, left:right] = np.rint(blended[inside])
    return out


def _ramp(region: Region, width: int, height: int) -> Floats:
    """Return the weights of a region's pixels, (h, w): a smooth rise from its borders that lie inside the picture."""
    left, top, right, bottom = region.to_pixels(width, height)
    if region == FULL:
        return np.ones((bottom - top, right - left))
    ramp = max(1.0, FEATHER * min(bottom - top, right - left))

    def profile(low: int, high: int, size: int) -> Floats:
        at = np.arange(high - low) + 0.5
        rise = np.ones(high - low) if low == 0 else np.clip(at / ramp, 0, 1)
        fall = np.ones(high - low) if high == size else np.clip(at[::-1] / ramp, 0, 1)
        share = np.minimum(rise, fall)
        return np.asarray(share * share * (3 - 2 * share))

    return np.multiply.outer(profile(top, bottom, height), profile(left, right, width))


def to_pixels(values: NDArray[np.floating[typing.Any]]) -> Pixels:
    """Return values on the 0..255 scale as uint8, rounded and clipped."""
    rounded: Pixels = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return rounded


def luma(pixels: Pixels) -> Floats:
    """Return BT.601 luma, (h, w), 0..255."""
    return np.asarray(pixels @ np.array([0.299, 0.587, 0.114]))


def middle(light: Floats) -> Floats:
    """Return the middle of luma, at most `MOST_SIDE` px a side: what spectra are measured on."""
    height, width = (min(side, MOST_SIDE) for side in light.shape)
    top, left = (light.shape[0] - height) // 2, (light.shape[1] - width) // 2
    return light[top : top + height, left : left + width]
