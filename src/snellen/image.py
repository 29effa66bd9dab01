"""Pictures and views: any source -> upright sRGB pixels -> the two small images that a model is shown."""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from snellen.colour import from_16_bit, to_srgb
from snellen.imagefile import Decoded, file_pixels, image_pixels, opened
from snellen.reading import IMAGE_ERROR_CODES, ImageError, Reading
from snellen.region import FULL, Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "GRID", "IMAGE_ERROR_CODES", "OVERVIEW", "TILE",
    "ImageError", "Picture", "View", "load", "resample",
]  # fmt: skip

OVERVIEW = 320
"""Longest side of an overview, in px."""
TILE = 32
"""Side of one fragment tile, in native px."""
GRID = 10
"""Tiles per side of the fragments picture."""
FLOAT_TOLERANCE = 1 / 255
"""Float values this far outside 0..1 are clipped: rounding and resampling overshoot."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright sRGB picture.

    Attributes:
        pixels: (H, W, 3) uint8, read-only.
        name: the path, or the name that the caller gave.
        notes: conversions of the source, e.g. "alpha composited on white", "first of 12 frames".
        damaged: the damaged part, where the decoder warned of damage and ``allow_damaged`` was given.
    """

    pixels: NDArray[np.uint8]
    name: str
    notes: tuple[str, ...] = ()
    damaged: Region | None = None

    @property
    def width(self) -> int:
        """Width in px."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in px."""
        return int(self.pixels.shape[0])

    @property
    def megapixels(self) -> float:
        """Size in millions of px."""
        return self.width * self.height / 1e6

    def view(self, region: Region = FULL) -> View:
        """Return the view of a region that a model is shown; see ``View``."""
        return View(region, self)


def load(
    source: str | Path | bytes | IO[bytes] | Image.Image | NDArray[Any],
    *,
    name: str | None = None,
    max_megapixels: float = 100.0,
    allow_damaged: bool = False,
) -> Picture:
    """Load a picture from a path, the bytes of a file, an open file, a PIL image, or an array.

    Files: JPEG, PNG, WebP, AVIF, TIFF, GIF (first frame), BMP, JPEG 2000, PPM; HEIC and camera RAW through extras.
    They are recognised by content. 16-bit values are scaled to 8; transparency is laid on white; embedded colour
    profiles, and codings such as PQ, are converted to sRGB; EXIF orientation is applied. Arrays: (H, W) or (H, W, C)
    with C 1, 3 or 4 (alpha last), sRGB, as uint8, uint16 (0..65535) or float (0..1).

    Args:
        source: the picture. An open file (BytesIO, or opened in mode "rb") is read from its start.
        name: name in errors and reports; by default the path, or the kind of source.
        max_megapixels: refuse larger pictures, from their header, before any pixel is decoded.
        allow_damaged: give what can be decoded of a damaged file, with a note, instead of an error "damaged".

    Raises:
        ImageError: the picture cannot be used; the message states the problem and the remedy.
        TypeError: ``source`` is none of these kinds.
    """
    if isinstance(source, np.ndarray):
        kind = "array"
    elif isinstance(source, Image.Image):
        kind = str(getattr(source, "filename", "")) or "image"
    elif isinstance(source, (bytes, bytearray, memoryview)):
        kind = "bytes"
    elif isinstance(source, (str, os.PathLike)):
        kind = str(source)
    elif hasattr(source, "read"):
        kind = str(getattr(source, "name", "")) or "file"
    else:
        raise TypeError(f"a picture is a path, bytes, a file, a PIL image or an array, not {type(source).__name__}")
    reading = Reading(name or kind or "''", "picture", max_megapixels, allow_damaged)
    if not kind:
        reading.refuse("missing", "the path is empty", "give the path of a picture")
    decoded = _decode(source, reading)
    return Picture(decoded.pixels, reading.name, decoded.notes, decoded.damaged)


def _decode(source: str | Path | bytes | IO[bytes] | Image.Image | NDArray[Any], reading: Reading) -> Decoded:
    if isinstance(source, np.ndarray):
        return Decoded(_array_pixels(source, reading), tuple(reading.notes))
    if isinstance(source, Image.Image):
        return image_pixels(source, reading)
    if isinstance(source, (str, os.PathLike)):
        with opened(Path(source), reading.name) as file:
            return file_pixels(file, reading)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return file_pixels(io.BytesIO(source), reading)
    with reading.decoding():
        if source.seekable():
            source.seek(0)
        data = source.read()
    if not isinstance(data, bytes):
        raise TypeError('the file is open as text; open it in mode "rb"')
    return file_pixels(io.BytesIO(data), reading)


def _array_pixels(array: NDArray[Any], reading: Reading) -> NDArray[np.uint8]:
    expected = "give (H, W) or (H, W, C) with C 1, 3 or 4, as uint8, uint16 or float in 0..1"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        reading.refuse("bad_array", f"an array of shape {array.shape} is not a picture", expected)
    reading.check_size(array.shape[1], array.shape[0])
    kind = array.dtype.newbyteorder("=").name
    if kind == "uint16":
        array = from_16_bit(array)
        reading.note("16 bit scaled to 8")
    elif array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= -FLOAT_TOLERANCE and high <= 1.0 + FLOAT_TOLERANCE):  # NaN fails too
            problem = f"values of {kind} go from {low:g} to {high:g}, outside 0..1"
            reading.refuse("bad_array", problem, "scale them to 0..1 or convert to uint8")
        array = np.rint(np.clip(array, 0.0, 1.0) * array.dtype.type(255)).astype(np.uint8)
        reading.note("float 0..1 scaled to 8 bit")
    elif kind != "uint8":
        reading.refuse("bad_array", f"an array of {kind} is not a picture", expected)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return to_srgb(Image.fromarray(np.ascontiguousarray(array)), None, reading)


@dataclass(frozen=True, eq=False)
class View:
    """A region of a picture as a model is shown it: two small images, computed at first use. Deterministic.

    Attributes:
        region: part of the picture.
        picture: the picture.
        fit: (width, height), px, that `shown` scales the region to fit into, up or down; None: see there.
    """

    region: Region
    picture: Picture
    fit: tuple[int, int] | None = None

    def shown(self, long_side: int) -> NDArray[np.uint8]:
        """Return the pixels for a backend with an encoder of its own, (h, w, 3) uint8.

        Without `fit` the region is scaled down to a long side of ``long_side`` px, never up. With `fit` it is scaled by
        LANCZOS until one side is that of `fit`, and ``long_side`` has no effect: protocol zoom-iqa shows native pixels,
        and crops enlarged.
        """
        if self.fit is None:
            return resample(self.picture, self.region, long_side)
        height, width = self.pixels.shape[:2]
        if (width, height) == self.fit:
            return np.ascontiguousarray(self.pixels)
        ratio = width / height
        wide = ratio > self.fit[0] / self.fit[1]
        size = (self.fit[0], int(self.fit[0] / ratio)) if wide else (int(self.fit[1] * ratio), self.fit[1])
        image = Image.fromarray(np.ascontiguousarray(self.pixels))
        return np.array(image.resize((max(1, size[0]), max(1, size[1])), Image.Resampling.LANCZOS))

    @cached_property
    def overview(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8: the region scaled down so that its long side is OVERVIEW px, never up.

        Each side is then rounded to a multiple of 32, to the nearest, but not above the native size. Sides shorter than
        64 px are the exception: they become 64.
        """
        image = Image.fromarray(np.ascontiguousarray(self.pixels))
        return np.array(image.resize(self._size, Image.Resampling.LANCZOS, reducing_gap=2.0))

    @cached_property
    def fragments(self) -> NDArray[np.uint8]:
        """(GRID * TILE, GRID * TILE, 3) uint8: tiles of TILE native px from the centres of GRID x GRID cells.

        Grid mini-patch sampling (Wu et al., FAST-VQA, 2022). In regions under GRID * TILE px tiles overlap, under TILE
        they repeat edges.
        """
        height, width = self.pixels.shape[:2]
        return self.pixels.take(_tile_indices(height), axis=0).take(_tile_indices(width), axis=1)

    @property
    def scale(self) -> float:
        """Overview px per native px along the long side, at most 1."""
        return min(1.0, max(self._size) / int(max(self.pixels.shape[:2])))

    @property
    def enlarged(self) -> float:
        """Largest factor by which a side of the overview is longer than the region's, 1 where none is."""
        height, width = self.pixels.shape[:2]
        return max(1.0, self._size[0] / int(width), self._size[1] / int(height))

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """Native pixels of the region, (H, W, 3) uint8."""
        left, top, right, bottom = self.region.to_pixels(self.picture.width, self.picture.height)
        return self.picture.pixels[top:bottom, left:right]

    @property
    def _size(self) -> tuple[int, int]:
        """Width and height of the overview."""
        height, width = self.pixels.shape[:2]
        shrink = min(1.0, OVERVIEW / max(width, height))
        return _overview_side(width, shrink), _overview_side(height, shrink)


def resample(picture: Picture, region: Region, long_side: int) -> NDArray[np.uint8]:
    """Return the pixels of a region, (h, w, 3) uint8, scaled down to a long side of ``long_side`` px, never up."""
    left, top, right, bottom = region.to_pixels(picture.width, picture.height)
    cut: NDArray[np.uint8] = np.ascontiguousarray(picture.pixels[top:bottom, left:right])
    shrink = min(1.0, long_side / max(cut.shape[:2]))
    if shrink == 1.0:
        whole: NDArray[np.uint8] = cut.copy()
        return whole
    size = (max(1, round(cut.shape[1] * shrink)), max(1, round(cut.shape[0] * shrink)))
    return np.array(Image.fromarray(cut).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))


def _overview_side(native: int, shrink: float) -> int:
    nearest = 32 * math.floor(native * shrink / 32 + 0.5)
    return max(64, min(nearest, native // 32 * 32))


def _tile_indices(size: int) -> NDArray[np.intp]:
    """Return the pixel indices of the fragments along a side of ``size`` px: (GRID * TILE,), each in [0, size)."""
    starts = np.floor((np.arange(GRID) + 0.5) * size / GRID - TILE / 2 + 0.5).astype(np.intp)
    starts = np.clip(starts, min(0, (size - TILE) // 2), max(0, size - TILE))
    indices: NDArray[np.intp] = np.clip((starts[:, None] + np.arange(TILE)).ravel(), 0, size - 1)
    return indices
