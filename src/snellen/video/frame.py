"""One frame of a video or of a sequence of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from snellen.image import Picture
from snellen.video.motion import SMALL_SIDE, Gray


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame. Its full pixels are converted only when `picture` is called, while the frame is the newest.

    Attributes:
        time: seconds since the first frame.
        small: gamma-coded luminance, upright, at most SMALL_SIDE px on the long side.
        picture: returns the upright sRGB picture.
    """

    time: float
    small: Gray
    picture: Callable[[], Picture]


def small_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the small frame: even sides, never enlarged."""
    shrink = min(1.0, SMALL_SIDE / max(width, height))
    return tuple(max(2, 2 * round(side * shrink / 2)) for side in (width, height))  # type: ignore[return-value]


def small_gray(picture: Picture) -> Gray:
    """Return the small frame of a picture."""
    image = Image.fromarray(picture.pixels).convert("L")
    return np.asarray(image.resize(small_size(image.width, image.height), Image.Resampling.BOX, reducing_gap=2.0))
