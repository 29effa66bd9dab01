"""Thumbnail of a picture with capture time, hash and gray levels, by which pictures are grouped; decoded once."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.data.sets.duplicates import hash_of
from snellen.fileformat import RAW, RAW_SUFFIXES, sniff
from snellen.image import load
from snellen.imagefile import image_pixels, opened
from snellen.reading import Reading

SIDE = 320
"""Long side of a thumbnail, in px."""
GRAY = 16
"""Side of the gray picture that near-duplicates are compared by."""
_EXIF, _TAKEN, _TAKEN_PART, _CHANGED = 0x8769, 0x9003, 0x9291, 0x0132


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A small copy of a picture.

    Attributes:
        jpeg: the file of the copy, upright, sRGB, at most SIDE px.
        taken: capture time in seconds, by the camera's clock read as UTC; None where the file states none.
        bits: 64-bit difference hash, see `hash_of`.
        gray: (GRAY * GRAY,) float32, mean 0 and length 1, so that a product of two is their correlation; all zeros for
            a picture of one tone.
    """

    jpeg: bytes
    taken: float | None
    bits: int
    gray: NDArray[np.float32]


def make_thumbnail(path: Path, max_megapixels: float = 100.0) -> Thumbnail:
    """Return the thumbnail of a file.

    A JPEG is decoded at a fraction of its size. Of camera RAW the preview in the file is shown: nothing is judged by
    it.

    Raises:
        ImageError: the picture cannot be read.
    """
    image, taken = _reduced(path, max_megapixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    return Thumbnail(file.getvalue(), taken, hash_of(image), gray_levels(image))


def gray_levels(image: Image.Image) -> NDArray[np.float32]:
    """Return `Thumbnail.gray` of an image."""
    gray = np.asarray(image.convert("L").resize((GRAY, GRAY), Image.Resampling.BOX), np.float32).ravel()
    gray = gray - gray.mean()
    length = float(np.linalg.norm(gray))
    return np.asarray(gray / length if length > 0 else gray, np.float32)


def _reduced(path: Path, max_megapixels: float) -> tuple[Image.Image, float | None]:
    """Return an upright sRGB image of at least SIDE px where the picture has them, and the capture time."""
    reading = Reading(str(path), max_megapixels=max_megapixels)
    with opened(path, reading.name) as file:
        with reading.decoding():
            kind = sniff(file)
        if kind == RAW or (kind == "TIFF" and path.suffix.lower() in RAW_SUFFIXES):
            preview = _raw_preview(file)
            if preview is not None:
                return preview, _taken_in(file)
        elif kind == "JPEG":
            with reading.decoding(), reading.header():
                image = Image.open(file, formats=("JPEG", "MPO"))
                taken = capture_time(image)
                reading.check_size(*image.size)
                image.draft("RGB" if image.mode == "YCbCr" else image.mode, (SIDE, SIDE))
            return Image.fromarray(image_pixels(image, reading).pixels), taken
        taken = _taken_in(file)
    return Image.fromarray(load(path, max_megapixels=max_megapixels).pixels), taken


def _raw_preview(file: BinaryIO) -> Image.Image | None:
    """Return the preview in a camera's RAW file, upright; None where there is none."""
    try:
        import rawpy  # type: ignore[import-not-found, import-untyped, unused-ignore]
        from PIL import ImageOps

        file.seek(0)
        with rawpy.imread(file) as raw:
            preview: Any = raw.extract_thumb()
            if preview.format != rawpy.ThumbFormat.JPEG:
                return Image.fromarray(preview.data)
            image = Image.open(io.BytesIO(preview.data))
            image.draft("RGB", (SIDE, SIDE))
            upright = ImageOps.exif_transpose(image).convert("RGB")
            if image.getexif().get(0x0112, 1) == 1 and raw.sizes.flip in (3, 5, 6):
                upright = upright.rotate({3: 180, 5: 90, 6: 270}[raw.sizes.flip], expand=True)
            return upright
    except Exception:  # no rawpy, or any of its errors: the picture is developed, or refused, like any other
        return None


def _taken_in(file: BinaryIO) -> float | None:
    """Return the capture time that a file states in EXIF data which Pillow finds."""
    try:
        file.seek(0)
        with Image.open(file) as image:
            return capture_time(image)
    except Exception:  # not a file of Pillow's
        return None


def capture_time(image: Image.Image) -> float | None:
    """Return `Thumbnail.taken` of an open image."""
    try:
        exif: Any = image.getexif()
        inner = exif.get_ifd(_EXIF)
        text = str(inner.get(_TAKEN) or exif.get(_CHANGED) or "").strip("\0 ")
        moment = datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=timezone.utc)
        part = str(inner.get(_TAKEN_PART, "")).strip("\0 ")
        return moment.timestamp() + (float(f"0.{part}") if part.isdecimal() else 0.0)
    except Exception:  # as many kinds as there are ways to damage EXIF data
        return None
