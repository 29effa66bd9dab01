"""Formats of picture files, recognised by content."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

from snellen.formats import tiff

RAW = "RAW"
RAW_SUFFIXES = frozenset(
    (".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef",
     ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f")
)  # fmt: skip
"""Suffixes of camera RAW files: those that no marker tells from another TIFF are developed for their suffix."""
PICTURE_SUFFIXES = RAW_SUFFIXES | frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".avif", ".avifs", ".tif", ".tiff", ".gif",
     ".bmp", ".dib", ".jp2", ".jpx", ".jpf", ".jpc", ".j2k", ".j2c", ".heic", ".heif", ".hif", ".heics", ".ppm", ".pgm",
     ".pbm", ".pnm")
)  # fmt: skip
"""Suffixes of files that are taken for pictures whatever their content."""

HEAD = 256
"""Bytes at the start of a file that `sniff` needs."""
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"))
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
_STARTS = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"),
    (b"FUJIFILMCCD-RAW", RAW), (b"IIRO", RAW), (b"IIRS", RAW), (b"MMOR", RAW), (b"IIU\0", RAW), (b"FOVb", RAW),
    (b"\0MRM", RAW),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"),
    (b"\xff\x4f\xff\x51", "JPEG2000"), (b"\0\0\0\x0cjP  ", "JPEG2000"),
)  # fmt: skip
"""First bytes of formats; the raw ones are those of Fujifilm, Olympus, Panasonic, Sigma and Minolta."""


_PPM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+\d")


def sniff(file: IO[bytes]) -> str | None:
    """Return the format of an open file by its content: Pillow's name for it, "HEIC", "RAW", or None."""
    file.seek(0)
    kind = _by_head(file.read(HEAD))
    if kind == "TIFF" and tiff.is_raw(file):
        kind = RAW
    file.seek(0)
    return kind


def _by_head(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        size = int.from_bytes(head[:4], "big")
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))}
        if b"crx " in brands:  # Canon CR3
            return RAW
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        return "HEIC" if brands & _HEIC_BRANDS else None
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if _PPM.match(head):
        return "PPM"
    return next((kind for start, kind in _STARTS if head.startswith(start)), None)


def is_video(head: bytes) -> bool:
    """Return whether the first bytes of a file that is no picture are those of a video (MP4, Matroska, AVI, FLV)."""
    return (
        head[4:8] == b"ftyp"
        or head.startswith((b"\x1aE\xdf\xa3", b"FLV\1"))
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
    )


def is_picture(path: Path) -> bool:
    """Return whether a regular file holds a picture, by its content; False where it cannot be read."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return sniff(file) is not None
    except OSError:
        return False
