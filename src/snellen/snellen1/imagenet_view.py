"""Input of the frozen ImageNet network: the overview of a view at the size that such networks are trained with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from snellen.image import OVERVIEW

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGENET_SIDE = 224
"""Longest side, in px."""


def imagenet_view(overview: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an overview (h, w, 3) uint8 scaled by IMAGENET_SIDE / OVERVIEW.

    Each side is rounded to the nearest multiple of 32 and is at least 64 px.
    """
    height, width = (
        max(64, 32 * math.floor(side * IMAGENET_SIDE / OVERVIEW / 32 + 0.5)) for side in overview.shape[:2]
    )
    if (height, width) == overview.shape[:2]:
        return overview
    return np.array(Image.fromarray(overview).resize((width, height), Image.Resampling.BICUBIC))
