"""Damaged and odd pictures of all formats from a seeded generator: small files after one to three changes.

A change cuts off, flips bits, removes, repeats, inserts or overwrites bytes, takes parts of the structure (PNG chunks,
JPEG segments, boxes) away, repeats or changes them, or puts another file behind.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]

Change = Callable[[bytes, Random], bytes]


def originals() -> dict[str, bytes]:
    """Return intact files by name; the part of the name before the first space is their format."""
    photo = Image.open(ROOT / "examples" / "mountains.jpg").convert("RGB").resize((160, 112))
    exif = Image.Exif()
    exif[0x0112] = 6
    alpha = photo.copy()
    alpha.putalpha(photo.convert("L"))
    frames = [photo.transpose(Image.Transpose.ROTATE_180)]
    deep = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    kinds: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("JPEG baseline", photo, {"quality": 90}),
        ("JPEG progressive", photo, {"quality": 90, "progressive": True}),
        ("JPEG restart", photo, {"quality": 90, "restart_marker_rows": 1}),
        ("JPEG gray", photo.convert("L"), {}),
        ("JPEG cmyk", photo.convert("CMYK"), {}),
        ("JPEG turned", photo, {"exif": exif}),
        ("PNG rgb", photo, {}),
        ("PNG gray", photo.convert("L"), {}),
        ("PNG palette", photo.quantize(64), {}),
        ("PNG alpha", alpha, {}),
        ("PNG deep", deep, {}),
        ("PNG animated", photo, {"save_all": True, "append_images": frames}),
        ("WEBP lossy", photo, {}),
        ("WEBP lossless", photo, {"lossless": True}),
        ("WEBP alpha", alpha, {}),
        ("WEBP animated", photo, {"save_all": True, "append_images": frames}),
        ("AVIF plain", photo, {}),
        ("AVIF turned", photo, {"exif": exif}),
        ("TIFF raw", photo, {}),
        ("TIFF lzw", photo, {"compression": "tiff_lzw"}),
        ("TIFF deflate", photo, {"compression": "tiff_adobe_deflate"}),
        ("TIFF jpeg", photo, {"compression": "jpeg"}),
        ("TIFF fax", photo.convert("1"), {"compression": "group4"}),
        ("TIFF deep", deep, {}),
        ("GIF still", photo, {}),
        ("GIF animated", photo, {"save_all": True, "append_images": frames}),
        ("BMP rgb", photo, {}),
        ("BMP alpha", alpha, {}),
        ("JPEG2000 plain", photo, {}),
        ("PPM rgb", photo, {}),
    ]
    files = {}
    for name, image, options in kinds:
        file = io.BytesIO()
        image.save(file, name.split()[0], **options)
        files[name] = file.getvalue()
    data = ROOT / "tests" / "data"
    others = {
        "HEIC": "exif_only_o6.heic",
        "RAW": "thumb_first.dng",
        "TIFF planes": "planar16.tif",
        "PNG text": "long_text.png",
    }
    return files | {name: (data / path).read_bytes() for name, path in others.items()}


def cut_off(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def cut_and_end(data: bytes, random: Random) -> bytes:
    """Cut off, with the last bytes put back (end markers and chunks)."""
    return cut_off(data, random) + data[-random.choice((2, 4, 12)) :]


def flip_bits(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 5, 20, 100))):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def flip_in_head(data: bytes, random: Random) -> bytes:
    """Change bytes where headers are."""
    return flip_bits(data[:200], random) + data[200:]


def remove(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at + random.choice((1, 7, 100, 3000)) :]


def repeat(data: bytes, random: Random) -> bytes:
    at, size = random.randrange(len(data) + 1), random.choice((1, 7, 100, 3000))
    return data[: at + size] + data[at:]


def insert(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.randbytes(random.choice((1, 7, 100, 3000))) + data[at:]


def overwrite(data: bytes, random: Random) -> bytes:
    at, size = random.randrange(len(data) + 1), random.choice((4, 100, 3000))
    filler = random.choice((b"\0", b"\xff", b"\x80")) * size
    return (data[:at] + filler + data[at + size :])[: len(data)]


def append(data: bytes, random: Random) -> bytes:
    return data + random.choice((data, bytes(100), random.randbytes(1000)))


def parts(data: bytes) -> list[bytes]:
    """Return the parts of a file's structure: PNG chunks, JPEG segments, boxes or RIFF chunks; else equal pieces."""
    if data.startswith(b"\x89PNG"):
        return _sized(data, 8, 0, ">I", 12)
    if data[4:8] == b"ftyp" or data.startswith(b"\0\0\0\x0cjP  "):
        return _sized(data, 0, 0, ">I", 0)
    if data.startswith(b"RIFF"):
        return _sized(data, 12, 4, "<I", 8)
    if data.startswith(b"\xff\xd8"):
        found = [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] not in (0, 0xFF)]
        edges = [*found, len(data)]
        return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    step = max(1, len(data) // 20)
    return [data[at : at + step] for at in range(0, len(data), step)]


def _sized(data: bytes, start: int, field: int, order: str, extra: int) -> list[bytes]:
    """Return the head of a file, then its parts: `field` bytes into each is its length, without `extra` bytes."""
    found, at = [data[:start]], start
    while at + 8 <= len(data):
        size = max(8, struct.unpack_from(order, data, at + field)[0] + extra)
        found.append(data[at : at + size])
        at += size
    return [part for part in found if part]


def surgery(data: bytes, random: Random) -> bytes:
    """Remove, repeat, move or change a part; checksums of PNG chunks are made right again half of the time."""
    found = parts(data)
    if len(found) < 3:
        return flip_bits(data, random)
    at = random.randrange(1, len(found))
    action = random.randrange(4)
    if action == 0:
        del found[at]
    elif action == 1:
        found.insert(at, found[at])
    elif action == 2:
        found.insert(random.randrange(1, len(found)), found.pop(at))
    else:
        part = found[at][:8] + flip_bits(found[at][8:], random)
        if data.startswith(b"\x89PNG") and random.random() < 0.5 and len(part) >= 12:
            part = part[:-4] + struct.pack(">I", zlib.crc32(part[4:-4]))
        found[at] = part
    return b"".join(found)


CHANGES: tuple[Change, ...] = (
    cut_off, cut_and_end, flip_bits, flip_in_head, remove, repeat, insert, overwrite, append, surgery, surgery, surgery
)  # fmt: skip


def odd_picture(index: int, seed: int, files: dict[str, bytes]) -> tuple[str, bytes]:
    """Return name and bytes of picture number `index`: the same for the same seed and versions of the encoders."""
    random = Random(f"{seed}/{index}")
    name = random.choice(sorted(files))
    data = files[name]
    for change in random.choices(CHANGES, k=random.choice((1, 1, 1, 2, 3))):
        data = change(data, random)
        name += f" {change.__name__}"
    return name, data
