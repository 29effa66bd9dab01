"""Displacement of the parts of a picture that is rotated, scaled or warped against its reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snellen.comparison.align import correlation_peak, hann_window, overlap, rms
from snellen.comparison.tone_difference import Floats
from snellen.region import Region

TILE = 64
"""Side of a tile, px."""
MOST_TILES = 10
"""Tiles a side at most; in larger pictures they lie apart."""
LEAST_SPREAD = 4.0
"""Standard deviation of a tile's luma below which its displacement cannot be measured, levels."""
LEAST_GAIN = 0.4
"""A tile counts as displaced where moving it back lowers its root mean square difference by this share."""
LEAST_SHARE = 0.2
"""Share of the measurable tiles from which the picture counts as warped."""


@dataclass(frozen=True)
class Warp:
    """Displaced parts. largest: displacement, px. share: of the tiles that can be compared. region: around them."""

    largest: float
    share: float
    region: Region


def find_warp(reference: Floats, picture: Floats) -> Warp | None:
    """Return the displaced parts of an aligned picture, both luma (H, W), levels; None where few or none are.

    Each tile is moved by the peak of its cross correlation; it is displaced if that explains most of its difference.
    """
    height, width = reference.shape
    moved, told = [], 0
    for top in _starts(height):
        for left in _starts(width):
            theirs, ours = (values[top : top + TILE, left : left + TILE] for values in (reference, picture))
            if min(theirs.std(), ours.std()) < LEAST_SPREAD:
                continue
            told += 1
            distance = tile_displacement(theirs, ours)
            if distance >= 1.0:
                moved.append((distance, left, top))
    if not moved or len(moved) < LEAST_SHARE * told or len(moved) < 3:
        return None
    box = (
        min(one[1] for one in moved), min(one[2] for one in moved),
        max(one[1] for one in moved) + TILE, max(one[2] for one in moved) + TILE,
    )  # fmt: skip
    return Warp(max(one[0] for one in moved), len(moved) / told, Region.from_pixels(box, width, height))


def tile_displacement(reference: Floats, picture: Floats) -> float:
    """Return the displacement of a tile, both (h, w), in px; 0 where moving it back leaves the difference."""
    theirs, ours = reference - reference.mean(), picture - picture.mean()
    window = hann_window(theirs.shape)
    down, right = (int(move) for move in correlation_peak(theirs * window, ours * window))
    if not (down or right) or max(abs(down), abs(right)) > min(theirs.shape) // 4:
        return 0.0
    after, before = rms(*overlap(theirs, ours, down, right)), rms(theirs, ours)
    return float(np.hypot(down, right)) if after < (1.0 - LEAST_GAIN) * before else 0.0


def _starts(side: int) -> list[int]:
    count = max(1, min(MOST_TILES, side // TILE))
    return [int(start) for start in np.linspace(0, max(0, side - TILE), count)]
