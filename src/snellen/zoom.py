"""Zoom policies: the crop that is shown for the box that a model asks for."""

from __future__ import annotations

import math
import typing
from collections.abc import Sequence
from dataclasses import dataclass

from snellen.image import GRID, OVERVIEW, TILE, Picture, View
from snellen.region import Region


class Zoom(typing.Protocol):
    """Rule for the crop that follows a reply; `ZoomPolicy` is one."""

    def settle(self, region: Region | None, width: int, height: int) -> Region:
        """Return the crop to show for a requested box (None: an invalid one) on a picture of `width` x `height` px.

        Raises:
            ValueError: the box is refused.
        """


@dataclass(frozen=True)
class ZoomPolicy:
    """Limits on the crops of a protocol.

    Attributes:
        min_area: smallest share of the picture.
        max_area: largest share of the picture.
        min_side_px: smallest side in native px (or the picture's side where that is shorter); stronger than max_area.
        invalid: what an invalid box becomes: "error" raises, "central" is the central half of each side.
        steps: number of grid steps per side; a box is first widened to this grid, so that slightly different boxes give
            the same crop and thus the same rating. None leaves boxes as they are.
    """

    min_area: float
    max_area: float
    min_side_px: int
    invalid: str
    steps: int | None = None

    def widened(self, region: Region) -> Region:
        """Return the smallest region on the grid of ``steps`` that contains ``region``."""
        if self.steps is None:
            return region
        tolerance = 1e-6  # of a step: 0.3 * 10 is not exactly 3
        x0, y0 = (math.floor(side * self.steps + tolerance) / self.steps for side in (region.x0, region.y0))
        x1, y1 = (math.ceil(side * self.steps - tolerance) / self.steps for side in (region.x1, region.y1))
        return Region(x0, y0, x1, y1)

    def settle(self, region: Region | None, width: int, height: int) -> Region:
        """Return the allowed crop nearest to ``region`` on a picture of ``width`` x ``height`` px, on whole pixels.

        The centre is kept unless the crop would leave the picture, the aspect ratio unless a side reaches its limit.

        Args:
            region: the requested box; None for an invalid one.
            width: width of the picture, px.
            height: height of the picture, px.

        Raises:
            ValueError: the box is invalid and the policy is "error".
        """
        if region is None:
            if self.invalid == "error":
                raise ValueError("the box to zoom into is invalid")
            region = Region(0.25, 0.25, 0.75, 0.75)
        left, top, right, bottom = self.widened(region).to_pixels(width, height)
        w, h = right - left, bottom - top
        total = width * height
        if w * h > self.max_area * total:
            shrink = math.sqrt(self.max_area * total / (w * h))
            w, h = math.floor(w * shrink), math.floor(h * shrink)
        if w * h < self.min_area * total:
            grow = math.sqrt(self.min_area * total / (w * h))
            w = min(width, math.ceil(w * grow))
            h = min(height, math.ceil(self.min_area * total / w))
            w = min(width, max(w, math.ceil(self.min_area * total / h)))
        least_w, least_h = min(width, self.min_side_px), min(height, self.min_side_px)
        w, h = max(w, least_w), max(h, least_h)
        if w * h > self.max_area * total:  # min_side_px has enlarged one side: shrink the other
            h = max(least_h, math.floor(self.max_area * total / w))
            w = max(least_w, min(w, math.floor(self.max_area * total / h)))
        left = min(max(0, math.floor((left + right - w) / 2)), width - w)
        top = min(max(0, math.floor((top + bottom - h) / 2)), height - h)
        return Region.from_pixels((left, top, left + w, top + h), width, height)


@dataclass(frozen=True)
class OfficialZoomPolicy:
    """The zoom policy of the Zoom-IQA authors' code, to the pixel.

    Written anew after EthanLiang99/Zoom-IQA, src/zoomiqa/inference/protocol.py (`adjust_bbox`): edges are cut to whole
    pixels, a box outside the allowed areas is scaled about its centre, its ends are clipped to the picture (which moves
    the centre), and then short sides are lengthened. An invalid box becomes the central half of each side.

    Attributes:
        min_area: smallest share of the picture, before clipping.
        max_area: largest share of the picture.
        min_side_px: smallest side in native px, or the picture's side where that is shorter.
    """

    min_area: float = 0.25
    max_area: float = 0.75
    min_side_px: int = 28

    def settle(self, region: Region | None, width: int, height: int) -> Region:
        """See `Zoom.settle`; no box is refused."""
        if region is None:
            central = (width // 4, height // 4, width * 3 // 4, height * 3 // 4)
            return Region.from_pixels(central, width, height)
        left, right = _whole(region.x0 * width, region.x1 * width, width)
        top, bottom = _whole(region.y0 * height, region.y1 * height, height)
        area, full = (right - left) * (bottom - top), width * height
        bound = min(max(area, full * self.min_area), full * self.max_area)
        if bound != area:
            factor = math.sqrt(bound / area)
            left, right = _scaled(left, right, factor, width)
            top, bottom = _scaled(top, bottom, factor, height)
        left, right = _lengthened(left, right, width, self.min_side_px)
        top, bottom = _lengthened(top, bottom, height, self.min_side_px)
        return Region.from_pixels((int(left), int(top), int(right), int(bottom)), width, height)


def _whole(low: float, high: float, size: int) -> tuple[float, float]:
    """Return both ends, px, cut to whole pixels, at least one apart where the picture has one more."""
    start, stop = int(low), int(high)
    return start, min(start + 1, size) if start == stop else stop


def _scaled(low: float, high: float, factor: float, size: int) -> tuple[float, float]:
    """Return both ends, px, moved away from their middle by a factor and clipped to the picture."""
    middle, length = (low + high) / 2, (high - low) * factor
    return max(0, middle - length / 2), min(size, middle + length / 2)


def _lengthened(low: float, high: float, size: int, least: int) -> tuple[float, float]:
    """Return both ends, px, at least `least` apart, or `size` where that is less; in the authors' two steps."""
    missing = least - (high - low)
    if missing > 0:
        low, high = low - missing // 2, high + (missing + 1) // 2
        low, high = max(0, low), high - min(0, low)
        low, high = max(0, low - max(0, high - size)), min(high, size)
    least = min(least, size)
    missing = least - (high - low)
    if missing > 0:  # halves of pixels were left out
        before = min(missing // 2, max(0, low))
        after = min(missing - before, max(0, size - high))
        low, high = low - before, high + after
        if high - low < least:
            low = max(0, min(low - (least - (high - low)), size - least))
            high = low + least
    return low, high


FINER = 1.5
"""A crop is worth a round where it shows pixels at least so many times finer than the overview of the whole picture."""


def finer(picture: Picture, region: Region) -> float:
    """Return how many times finer a view of a region shows the pixels than a view of the whole picture, at least 1."""
    return picture.view(region).scale / picture.view().scale


def shows_more(crop: Region, views: Sequence[View]) -> bool:
    """Return whether a crop shows pixels that no earlier view has shown at native resolution.

    It does not where it equals one of them, or lies inside one so small that its fragments hold every native pixel.
    """
    native = GRID * TILE
    for view in views:
        width, height = view.picture.width, view.picture.height
        left, top, right, bottom = crop.to_pixels(width, height)
        shown = view.region.to_pixels(width, height)
        inside = shown[0] <= left and shown[1] <= top and right <= shown[2] and bottom <= shown[3]
        small = max(shown[2] - shown[0], shown[3] - shown[1]) <= native
        if shown == (left, top, right, bottom) or (inside and small):
            return False
    return True


ZOOM_PRESETS: dict[str, Zoom] = {
    "snellen": ZoomPolicy(min_area=0.0, max_area=0.75, min_side_px=OVERVIEW, invalid="error", steps=10),
    "zoom-iqa": OfficialZoomPolicy(),
    "levels": ZoomPolicy(min_area=0.0, max_area=0.75, min_side_px=OVERVIEW, invalid="error", steps=10),
}
"""Zoom policies by protocol: "snellen" crops down to views of native pixels, "zoom-iqa" clamps as its authors do,
"levels" never crops."""
