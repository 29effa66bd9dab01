"""Array types and helpers of the distortion families: work in bands of rows, luma, scipy on demand.

Pixels are `(H, W, 3)` uint8 arrays, sRGB. A band is a run of whole rows small enough to stay in cache, so that
a 24 MP picture needs tens of megabytes of float scratch rather than gigabytes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.usage import MissingExtra

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

BAND_PIXELS = 1 << 16
KADID_AREA = 512 * 384  # px: every picture of KADID-10k, so its counts and sides refer to this area

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def scipy_module(name: str) -> Any:
    """Import `scipy.NAME`, at the first use only: manifests and data sets are read without scipy."""
    try:
        return importlib.import_module(f"scipy.{name}")
    except ImportError as error:
        raise MissingExtra("distortions need scipy", "evaluate") from error


def bands(height: int, width: int) -> Iterator[slice]:
    """Yield slices that cover `height` rows in order, each of about BAND_PIXELS pixels."""
    step = max(1, BAND_PIXELS // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def by_band(pixels: Pixels, change: Callable[[Pixels], Floats | Pixels]) -> Pixels:
    """Apply `change` (a function of single pixels, values 0..255) band by band; floats are rounded and clipped."""
    out = np.empty_like(pixels)
    for rows in bands(pixels.shape[0], pixels.shape[1]):
        out[rows] = to_uint8(change(pixels[rows]))
    return out


def to_uint8(values: Floats | Pixels) -> Pixels:
    """Round and clip values on the 0..255 scale to uint8; uint8 passes through."""
    if values.dtype == np.uint8:
        return values  # type: ignore[return-value]
    rounded = np.rint(values)
    return np.clip(rounded, 0, 255, out=rounded).astype(np.uint8)


def luma(pixels: Pixels) -> Floats:
    """Return the BT.601 luma of (H, W, 3) pixels: `(H, W)` float32, 0..255."""
    out = np.empty(pixels.shape[:2], dtype=np.float32)
    for rows in bands(*pixels.shape[:2]):
        out[rows] = pixels[rows].astype(np.float32) @ LUMA
    return out


def add_to_luma(pixels: Pixels, change: Floats) -> Pixels:
    """Add `change` `(H, W)`, on the 0..255 scale, to all three channels: luma moves, chroma differences stay."""
    out = np.empty_like(pixels)
    for rows in bands(*pixels.shape[:2]):
        out[rows] = to_uint8(pixels[rows].astype(np.float32) + change[rows, :, None])
    return out


def kadid_scale(height: int, width: int) -> float:
    """Return the side length relative to a KADID-10k picture: sqrt(area / (512 * 384))."""
    return float(np.sqrt(height * width / KADID_AREA))
