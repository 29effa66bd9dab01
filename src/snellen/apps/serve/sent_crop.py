"""A crop that a client sends as a picture of its own, and the view that it is of the whole picture."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from PIL import Image

from snellen.image import Picture, View
from snellen.region import Region
from snellen.zoom import ZOOM_PRESETS

ASPECT = 0.05
"""Largest relative difference between the aspect ratio of a crop and of the part that it is said to show."""
_BOX = re.compile(r"\[\s*([01]\.\d+)\s*,\s*([01]\.\d+)\s*,\s*([01]\.\d+)\s*,\s*([01]\.\d+)\s*\]")


class CropError(ValueError):
    """A picture that is no crop of the whole picture."""


def stated_box(text: str) -> Region | None:
    """Return the first box of fractions in a prompt, None where it holds none."""
    found = _BOX.search(text)
    try:
        return Region(*(float(side) for side in found.groups())) if found else None
    except ValueError:
        return None


def crop_view(crop: Picture, whole: Picture, asked: Region, stated: Region | None, max_megapixels: float) -> View:
    """Return the view that a crop is, in a picture of the size that it was cut from.

    Where the whole picture was sent in its own size, that is the whole picture. Where it was made smaller, it is
    enlarged, and the crop laid on it; the view shows the crop's own pixels.

    Args:
        crop: the crop as sent.
        whole: the whole picture as sent.
        asked: the box that the reply asked for.
        stated: the box that the client's prompt names, if any.
        max_megapixels: limit of the enlarged picture.

    Raises:
        CropError: the crop's shape is not that of the box, or the enlarged picture is too large.
    """
    settled = ZOOM_PRESETS["snellen"].settle(asked, whole.width, whole.height)
    left, top, right, bottom = settled.to_pixels(whole.width, whole.height)
    if (crop.width, crop.height) == (right - left, bottom - top):
        pixels = whole.pixels.copy()
    else:
        region = stated or settled
        width, height = round(crop.width / region.width), round(crop.height / region.height)
        if abs(width * whole.height / (height * whole.width) - 1) > ASPECT:
            raise CropError(f"a crop of {crop.width}x{crop.height} px is not the part that the reply asked for")
        if width * height > max_megapixels * 1e6:
            problem = f"the crop is of a picture of {width * height / 1e6:.4g} megapixels"
            raise CropError(f"{problem}, over the limit of {max_megapixels:g}")
        pixels = np.array(Image.fromarray(whole.pixels).resize((width, height), Image.Resampling.BICUBIC))
        left, top = (
            min(round(region.x0 * width), width - crop.width),
            min(round(region.y0 * height), height - crop.height),
        )
        right, bottom = left + crop.width, top + crop.height
    height, width = pixels.shape[:2]
    pixels[top:bottom, left:right] = crop.pixels
    pixels.setflags(write=False)
    region = Region(left / width, top / height, right / width, bottom / height)
    return replace(whole, pixels=pixels).view(region)
