"""Boxes of AVIF and HEIC files (ISO/IEC 14496-12 and 23008-12): properties of the primary picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from snellen.colour import Coding

_LONGEST_META = 2**24
_DEFAULT_ITEM = 1


@dataclass(frozen=True)
class Properties:
    """Properties of the primary picture.

    Attributes:
        coding: colour coding of its nclx box, or None.
        turned: whether boxes rotate or mirror it. If not, an EXIF orientation is all there is.
    """

    coding: Coding | None = None
    turned: bool = False


def primary_properties(file: IO[bytes]) -> Properties:
    """Return the properties of the primary picture; none where the boxes are damaged."""
    file.seek(0)
    try:
        meta = _meta(file)
        return Properties() if meta is None else _properties(meta)
    except (struct.error, IndexError, OverflowError, ValueError):  # the last two: a box that ends beyond any file
        return Properties()
    finally:
        file.seek(0)


def _meta(file: IO[bytes]) -> bytes | None:
    """Return the content of the box `meta`, without its version and flags."""
    while len(head := file.read(8)) == 8:
        size, tag = struct.unpack(">I4s", head)
        length = size - 8
        if size == 1:
            length = struct.unpack(">Q", file.read(8))[0] - 16
        if tag == b"meta":
            return file.read(min(length if size else _LONGEST_META, _LONGEST_META))[4:]
        if length < 0 or size == 0:
            return None
        file.seek(length, 1)
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield tag and content of the boxes in `data`."""
    at = 0
    while at + 8 <= len(data):
        size, tag = struct.unpack(">I4s", data[at : at + 8])
        if size < 8:
            return
        yield tag, data[at + 8 : at + size]
        at += size


def _properties(meta: bytes) -> Properties:
    boxes = dict(_boxes(meta))
    primary = _DEFAULT_ITEM
    if pitm := boxes.get(b"pitm"):
        primary = int.from_bytes(pitm[4:6] if pitm[0] == 0 else pitm[4:8], "big")
    inner = dict(_boxes(boxes.get(b"iprp", b"")))
    shared = list(_boxes(inner.get(b"ipco", b"")))
    coding, turned = None, False
    for index in _associations(inner.get(b"ipma", b""), primary):
        if not 0 < index <= len(shared):
            continue
        tag, data = shared[index - 1]
        turned |= tag == b"imir" or (tag == b"irot" and data[0] & 3 != 0)
        if tag == b"colr" and data[:4] == b"nclx":
            primaries, transfer = struct.unpack(">HH", data[4:8])
            coding = Coding(primaries, transfer)
    return Properties(coding, turned)


def _associations(ipma: bytes, item: int) -> list[int]:
    """Return the 1-based indices of an item's properties."""
    if not ipma:
        return []
    version, wide = ipma[0], ipma[3] & 1
    at = 8
    for _ in range(struct.unpack(">I", ipma[4:8])[0]):
        width = 4 if version else 2
        found = int.from_bytes(ipma[at : at + width], "big")
        count, at = ipma[at + width], at + width + 1
        size = 2 if wide else 1
        entries = [int.from_bytes(ipma[i : i + size], "big") for i in range(at, at + count * size, size)]
        if found == item:
            return [entry & (0x7FFF if wide else 0x7F) for entry in entries]
        at += count * size
    return []
