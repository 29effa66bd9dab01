"""Extreme ladders: blur, noise, compression and darkness up to where nothing of the picture is left.

KADID-10k's levels end where a picture is still recognised. What users feed a judge goes further, and a score that rises
again past the last level it was taught is worse than none. The steps here end at a blur of 64 px, noise of 160, JPEG
quality 1 and 5 % of the brightness.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from snellen.data.distort.array import Pixels, to_uint8
from snellen.data.distort.blur import blurred

LADDERS: dict[str, tuple[float, ...]] = {
    "blur": (1, 2, 4, 8, 16, 32, 64),
    "noise": (5, 10, 20, 40, 80, 160),
    "compression": (90, 70, 50, 30, 15, 8, 4, 1),
    "darkness": (0.8, 0.6, 0.4, 0.3, 0.2, 0.1, 0.05),
}
"""Steps from the least to the most. blur: sigma, px. noise: standard deviation of white Gaussian noise, 0..255.
compression: JPEG quality. darkness: factor on the sRGB values."""


def extreme(pixels: Pixels, ladder: str, step: int, seed: int = 0) -> Pixels:
    """Return a picture (H, W, 3) uint8 at a step, from 0, of one of `LADDERS`."""
    value = LADDERS[ladder][step]
    if ladder == "blur":
        return blurred(pixels, value)
    if ladder == "noise":
        noise = np.random.default_rng(seed).normal(0.0, value, pixels.shape)
        return to_uint8((pixels + noise).astype(np.float32))
    if ladder == "darkness":
        return to_uint8(pixels * np.float32(value))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=int(value))
    return np.array(Image.open(file))
