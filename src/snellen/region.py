"""Regions of a picture: axis-aligned boxes in fractions of its width and height."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOCAL_AREA = 0.6
"""Share of the picture's area below which a region is local; larger regions count as the whole picture."""
NEAR = 0.1
"""Tolerance of `Region.places`, as a share of the picture's side or area."""
PLACES = (
    ("upper left", "top centre", "upper right"),
    ("left side", "centre", "right side"),
    ("lower left", "bottom centre", "lower right"),
)


@dataclass(frozen=True)
class Region:
    """A box ``(x0, y0, x1, y1)`` in fractions of the upright picture; x grows to the right, y downwards.

    Raises:
        ValueError: unless ``0 <= x0 < x1 <= 1`` and ``0 <= y0 < y1 <= 1`` (NaN fails too).
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.x0 < self.x1 <= 1.0 and 0.0 <= self.y0 < self.y1 <= 1.0):
            raise ValueError(
                f"region ({self.x0}, {self.y0}, {self.x1}, {self.y1}) must satisfy "
                "0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1"
            )

    @property
    def width(self) -> float:
        """Width as a fraction of the picture's width, in (0, 1]."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Height as a fraction of the picture's height, in (0, 1]."""
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        """Area as a share of the picture, in [0, 1] (0 only where the product underflows)."""
        return self.width * self.height

    @property
    def center(self) -> tuple[float, float]:
        """Centre of the box, ``(x, y)``."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def place(self) -> str:
        """Place of the box in words: one of nine by its centre, or "whole picture" (area >= LOCAL_AREA)."""
        if self.area >= LOCAL_AREA:
            return "whole picture"
        x, y = self.center
        return PLACES[min(2, int(3 * y))][min(2, int(3 * x))]

    @property
    def places(self) -> frozenset[str]:
        """Acceptable names of the place: `place`, and that of the box moved by NEAR or with NEAR more or less area."""
        near = [[min(2, max(0, int(3 * (at + off)))) for off in (-NEAR, 0.0, NEAR)] for at in self.center]
        cells = {PLACES[row][column] for row in near[1] for column in near[0]} if self.area < LOCAL_AREA + NEAR else ()
        return frozenset({*cells, *(["whole picture"] if self.area >= LOCAL_AREA - NEAR else [])})

    def intersect(self, other: Region) -> Region | None:
        """Return the intersection of both boxes; None where they share no area (touching edges do not count)."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        x1, y1 = min(self.x1, other.x1), min(self.y1, other.y1)
        return Region(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def iou(self, other: Region) -> float:
        """Intersection over union, in [0, 1]; symmetric, 1 for equal boxes."""
        if self == other:
            return 1.0
        common = self.intersect(other)
        if common is None:
            return 0.0
        union = self.area + other.area - common.area
        return min(1.0, common.area / union) if union > 0 else 0.0

    def covers(self, other: Region) -> float:
        """Return the share of ``other``'s area that lies inside this box, in [0, 1]."""
        common = self.intersect(other)
        return 0.0 if common is None else (common.width / other.width) * (common.height / other.height)

    def to_pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the box in pixels of a ``width`` x ``height`` picture: ``(left, top, right, bottom)``, half-open.

        Edges go to the nearest pixel edge. The result holds at least one pixel and lies inside the picture.

        Raises:
            ValueError: if the picture has no pixels.
        """
        _check_size(width, height)
        left, right = _span_to_pixels(self.x0, self.x1, width)
        top, bottom = _span_to_pixels(self.y0, self.y1, height)
        return left, top, right, bottom

    @classmethod
    def from_pixels(cls, box: Sequence[float], width: int, height: int) -> Region:
        """Return the region of a pixel box ``(left, top, right, bottom)``, half-open, clipped to the picture.

        Raises:
            ValueError: if the picture has no pixels, or the box holds none of them.
        """
        _check_size(width, height)
        left, top, right, bottom = box
        return cls(max(0.0, left / width), max(0.0, top / height), min(1.0, right / width), min(1.0, bottom / height))

    def within(self, outer: Region) -> Region:
        """Return this box, which is in fractions of ``outer``, in fractions of the picture that holds ``outer``.

        Raises:
            ValueError: if the result is so thin that rounding makes its edges equal.
        """
        x0, x1 = _into(outer.x0, outer.x1, self.x0), _into(outer.x0, outer.x1, self.x1)
        y0, y1 = _into(outer.y0, outer.y1, self.y0), _into(outer.y0, outer.y1, self.y1)
        return Region(x0, y0, x1, y1)

    def relative_to(self, outer: Region) -> Region | None:
        """Return the part of this box inside ``outer``, in fractions of ``outer``; None where they are disjoint."""
        common = self.intersect(outer)
        if common is None:
            return None
        x0, x1 = ((x - outer.x0) / outer.width for x in (common.x0, common.x1))
        y0, y1 = ((y - outer.y0) / outer.height for y in (common.y0, common.y1))
        x1, y1 = min(1.0, x1), min(1.0, y1)
        return Region(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def grown(self, left: float, top: float, right: float, bottom: float) -> Region:
        """Return the box with these shares of the picture's sides added at its edges, inside the picture."""
        return Region(
            max(0.0, self.x0 - left), max(0.0, self.y0 - top), min(1.0, self.x1 + right), min(1.0, self.y1 + bottom)
        )

    def to_list(self) -> list[float]:
        """Return ``[x0, y0, x1, y1]`` rounded to two decimals, the form of answers."""
        return [round(float(v), 2) for v in (self.x0, self.y0, self.x1, self.y1)]


FULL = Region(0.0, 0.0, 1.0, 1.0)
"""The whole picture."""


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ValueError(f"a picture of {width}x{height} px holds no pixels")


def _span_to_pixels(low: float, high: float, size: int) -> tuple[int, int]:
    """Return the nearest pixel edges of a span, at least one pixel apart, inside ``[0, size]``."""
    first = min(size - 1, math.floor(low * size + 0.5))
    last = min(size, math.floor(high * size + 0.5))
    if last <= first:
        first = min(size - 1, math.floor((low + high) / 2 * size))
        last = first + 1
    return first, last


def _into(low: float, high: float, fraction: float) -> float:
    """Interpolate from ``low`` (fraction 0, exactly) to ``high`` (fraction 1, exactly)."""
    return min(high, max(low, low * (1.0 - fraction) + high * fraction))
