"""Signs in pixels that a picture cannot be judged: one colour, too few of them, or a part in one colour with a hard
edge, as decoders leave where data is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from snellen.region import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_ENLARGED = 2.0
"""A picture whose overview is enlarged by more shows too little to be judged."""
LEAST_SHARE = 0.15
"""Part of the height from which a plain part counts."""
_PLAIN = 2
"""Range of a channel, of 255, within rows of one colour."""
_HARD_EDGE = 24
"""Least mean difference from one of the rows above, of 255."""
_ROWS_ABOVE = 32
"""Rows above that are compared: the last rows of data may be incomplete."""
_DETAIL = 6
"""Standard deviation of the rows above, of 255: below, the picture itself is plain there."""
_NEAR_WHITE = 245
_SEVERITIES = ((0.25, 5), (0.1, 4), (0.0, 3))


def is_plain(pixels: NDArray[np.uint8]) -> bool:
    """Return whether a picture, (H, W, 3), has one colour."""
    low, high = pixels[0, 0], pixels[0, 0]
    for row in pixels:
        low, high = np.minimum(low, row.min(axis=0)), np.maximum(high, row.max(axis=0))
        if (high - low).max() > _PLAIN:
            return False
    return True


def unfit(pixels: NDArray[np.uint8], enlarged: float) -> tuple[str, ...]:
    """Return notes on why a picture, (H, W, 3), cannot be judged though it can be read; empty where it can.

    enlarged: factor by which the judge's overview is larger than the picture.
    """
    height, width = pixels.shape[:2]
    notes = ("the picture is one colour: there is nothing to judge",) if is_plain(pixels) else ()
    few = (f"{width} x {height} px are too few to judge: enlarged {enlarged:.1f} times",)
    return notes + few if enlarged > MOST_ENLARGED else notes


def missing_part(pixels: NDArray[np.uint8]) -> Region | None:
    """Return the lower part of a picture, (H, W, 3), that looks missing, or None.

    It spans the width, is at least LEAST_SHARE of the height, has one colour, and ends at a hard edge to a part with
    detail. White is left alone (paper), and so is a colour that the picture has at its top too (a frame).
    """
    height = len(pixels)
    colour = pixels[-1].reshape(-1, 3).astype(np.int16).mean(axis=0)
    first = height
    for top in range(height - 1, -1, -1):
        if np.abs(pixels[top].astype(np.int16) - colour).max() > _PLAIN:
            break
        first = top
    if not 4 <= first <= height * (1 - LEAST_SHARE) or colour.min() >= _NEAR_WHITE:
        return None
    above = pixels[max(0, first - _ROWS_ABOVE) : first].astype(np.float32)
    edge = np.abs(above - colour).mean(axis=(1, 2)).max()
    framed = np.abs(pixels[0].astype(np.int16) - colour).max() <= _PLAIN
    if framed or edge < _HARD_EDGE or above.std(axis=(0, 1)).max() < _DETAIL:
        return None
    return Region(0.0, first / height, 1.0, 1.0)


def severity(region: Region) -> int:
    """Return the severity, 3 to 5, of a corrupted region by its area: from a quarter of the picture on it is 5."""
    return next(severity for share, severity in _SEVERITIES if region.area >= share)
