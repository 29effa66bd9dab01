"""HEIC, through the extra `heic`."""

from __future__ import annotations

from typing import IO

from PIL import Image

from snellen.formats.isobmff import Properties
from snellen.reading import Reading


def open_heic(file: IO[bytes], properties: Properties, reading: Reading) -> Image.Image:
    """Return the decoded picture; its EXIF orientation is kept only where no box turns it: libheif applies the boxes.

    Raises:
        ImageError: the extra is not installed, or the picture is too large or too small.
    """
    try:
        import pillow_heif  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        reading.refuse("needs_extra", "HEIC needs an extra", 'pip install "snellen[heic]"')
    heif = pillow_heif.open_heif(file, convert_hdr_to_8bit=True)
    reading.check_size(*heif.size)
    image: Image.Image = heif.to_pillow()
    image.info.pop("xmp", None)
    orientation = image.info.get("original_orientation")
    image.info.pop("exif", None)
    if not properties.turned and orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.info["exif"] = exif.tobytes()
    return image
