"""Decoding of picture files and PIL images into upright sRGB pixels; failures raise ImageError."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from snellen.colour import Coding, refuse_32_bit, to_srgb
from snellen.damage import missing_part
from snellen.fileformat import HEAD, RAW, RAW_SUFFIXES, is_video, sniff
from snellen.formats.heic import open_heic
from snellen.formats.isobmff import primary_properties
from snellen.formats.jpeg import open_jpeg
from snellen.formats.png import repair_png
from snellen.formats.raw import raw_pixels
from snellen.formats.tiff import has_float_samples, load_tiff
from snellen.reading import ImageError, Reading
from snellen.region import FULL, Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_ORIENTATION_TAG = 0x0112
_READ_WHOLE = ("JPEG", "PNG", "WEBP", "AVIF", "HEIC", RAW)
"""Formats whose files are taken into memory as a whole; of the others, what the header points to."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded picture.

    Attributes:
        pixels: upright, sRGB, (H, W, 3) uint8, read-only.
        notes: conversions and repairs.
        damaged: the damaged part, where a decoder warned of damage and that is allowed; None for an intact picture.
    """

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...]
    damaged: Region | None = None


@contextmanager
def opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open the file at ``path``; raise ImageError where that fails. Errors of the body pass through."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError("directory", name, "is a directory", "name a picture, or use a command that takes folders")
        if not stat.S_ISREG(mode):
            raise ImageError("unreadable", name, "is not a regular file", "save the picture to a file first")
        file = path.open("rb")
    except PermissionError as error:
        raise ImageError("permission", name, "no permission to read it", "change its permissions or owner") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be opened ({error})"
        raise ImageError("missing", name, reason, "check the path") from error
    with file:
        yield file


def file_pixels(file: BinaryIO, reading: Reading) -> Decoded:
    """Return the picture in an open file, which must be seekable.

    Raises:
        ImageError: the picture cannot be used.
    """
    with reading.decoding():
        file.seek(0)
        head = file.read(HEAD)
        kind = sniff(file)
    if not head:
        reading.refuse("empty", "the file is empty", "copy or download it again")
    if kind == "TIFF" and Path(reading.name).suffix.lower() in RAW_SUFFIXES:
        kind = RAW
    if kind is None:
        if is_video(head):
            reading.refuse("unreadable", "is a video, not a picture", "use snellen video, or save a frame as JPEG")
        text = b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head)
        problem = "contains text, not a picture" if text else "is not a picture in a format that can be read"
        reading.refuse("unreadable", problem, "give a JPEG, PNG, WebP, AVIF, TIFF, GIF or BMP file")
    reading.kind = kind
    if kind in ("AVIF", "WEBP") and not features.check(kind.lower()):
        reading.refuse("unreadable", f"this Pillow cannot read {kind}", 'pip install --upgrade "pillow>=11.3"')
    with reading.decoding():
        if kind in _READ_WHOLE:
            reading.check_length(file)
        if kind == RAW:
            pixels = raw_pixels(file, reading)
        else:
            image, coding = _open(file, kind, reading)
            pixels = _pixels(image, reading, coding)
    part = missing_part(pixels)
    if part is not None and not reading.damaged:
        reading.note(f"the lower {part.height:.0%} is one colour with a hard edge: data may be missing")
    damaged = (part or FULL) if reading.damaged else None
    return Decoded(pixels, tuple(reading.notes), damaged)


def _open(file: IO[bytes], kind: str, reading: Reading) -> tuple[Image.Image, Coding | None]:
    """Return the image in a file, decoded or not, and its colour coding."""
    if kind == "JPEG":
        return open_jpeg(file, reading), None
    if kind == "PNG":
        png = repair_png(file, reading)
        image = _pillow(png.file, kind, reading)
        if png.profile is not None:
            image.info["icc_profile"] = png.profile
        return image, png.coding
    if kind in ("AVIF", "HEIC"):
        properties = primary_properties(file)
        if kind == "HEIC":
            return open_heic(file, properties, reading), properties.coding
        return _pillow(file, kind, reading), properties.coding
    try:
        return _pillow(file, kind, reading), None
    except (UnidentifiedImageError, SyntaxError):
        if kind == "TIFF" and has_float_samples(file):
            refuse_32_bit(reading)
        raise


def _pillow(file: IO[bytes], kind: str, reading: Reading) -> Image.Image:
    """Open a file with Pillow's reader of one format."""
    with reading.header():
        return Image.open(file, formats=(kind,))


def image_pixels(image: Image.Image, reading: Reading) -> Decoded:
    """Return the picture in a PIL image, decoded or not.

    Raises:
        ImageError: the picture cannot be used.
    """
    with reading.decoding():
        pixels = _pixels(image, reading, None)
    return Decoded(pixels, tuple(reading.notes))


def _pixels(image: Image.Image, reading: Reading, coding: Coding | None) -> NDArray[np.uint8]:
    reading.check_size(*image.size)
    if image.mode == "F":
        refuse_32_bit(reading)
    file_format = image.format
    with reading.header():  # before load(), which may close the file
        # The second image of an MPO is a preview or a gain map. Pillow itself rotates a TIFF while loading it.
        frames = 1 if file_format == "MPO" else int(getattr(image, "n_frames", 1))
        turned = file_format == "TIFF" and _orientation(image, reading) in _UPRIGHT
    if frames > 1:
        shown = image.tell() + 1
        reading.note(f"first of {frames} frames" if shown == 1 else f"frame {shown} of {frames}")
    tiles = str([part[3] for part in getattr(image, "tile", ())])
    if image.mode[0] == "I" or (file_format in ("PNG", "TIFF") and ";16" in tiles):
        reading.note("16 bit scaled to 8")
    if file_format == "TIFF":
        image = load_tiff(image, reading)
    image.load()
    with reading.header():  # after load(), since a PNG may store its EXIF data behind its pixels
        turn = _UPRIGHT.get(_orientation(image, reading))
    profile = image.info.get("icc_profile")
    if file_format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        image = image.convert("RGB")
        reading.note("alpha that is 0 everywhere ignored")
    if turn is not None:
        image = image.transpose(turn)
    if turned or turn is not None:
        reading.note("EXIF orientation applied")
    return to_srgb(image, profile, reading, coding)


def _orientation(image: Image.Image, reading: Reading) -> Any:
    """Return the EXIF orientation, 1 where there is none or where it cannot be read."""
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # as many kinds as there are ways to damage it
        reading.note("damaged EXIF data ignored")
        return 1
