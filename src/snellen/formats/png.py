"""PNG without the side chunks that Pillow refuses: long texts and profiles, wrong checksums."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import IO

from snellen.colour import Coding
from snellen.reading import Reading

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_LONGEST_TEXT = 2**20
"""Pillow's limit for one text or profile, in bytes."""
_LONGEST_TEXTS = 2**26
"""Pillow's limit for all texts together."""
_MOST_CHUNKS = 2**18
"""Chunks of a file that is read; each takes a few microseconds, whatever is in it."""
_LONGEST_PROFILE = 2**25
_LAST_FILTER = 4
_PALETTE = b"\3"
"""Colour type of pictures whose samples are indices into a palette."""
_GAMMAS = (0.1, 10.0)
"""Decoding exponents that a gAMA chunk may mean; others are ignored, as libpng does."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel of each colour type."""


@dataclass(frozen=True)
class _Chunk:
    tag: bytes
    data: bytes
    intact: bool

    def to_bytes(self) -> bytes:
        body = self.tag + self.data
        return struct.pack(">I", len(self.data)) + body + struct.pack(">I", zlib.crc32(body))


@dataclass(frozen=True)
class PngFile:
    """A PNG file that Pillow reads.

    Attributes:
        file: the file itself, or a repaired copy in memory.
        profile: ICC profile, where the repaired copy has none.
        coding: colour coding of a cICP or gAMA chunk.
    """

    file: IO[bytes]
    profile: bytes | None = None
    coding: Coding | None = None


def repair_png(file: IO[bytes], reading: Reading) -> PngFile:
    """Return the file without the chunks that Pillow refuses; report damage of its picture data."""
    data = file.read()
    file.seek(0)
    chunks = _parse(data, reading)
    broken = [chunk.tag for chunk in chunks if not chunk.intact]
    if any(tag in _CRITICAL for tag in broken):
        reading.damage("the checksum of the picture data is wrong")
    elif _lacks_palette(chunks):
        reading.damage("the palette is missing")
    elif broken:
        names = ", ".join(sorted({tag.decode("latin-1") for tag in broken}))
        reading.note(f"chunk with a wrong checksum ignored: {names}")
    kept = [chunk for chunk in chunks if chunk.intact or chunk.tag in _CRITICAL]
    if any(tag in _ANIMATION for tag in broken):
        kept = [chunk for chunk in kept if chunk.tag not in _ANIMATION]
    profile = _profile(kept)
    if profile is not None and len(profile) > _LONGEST_TEXT:
        reading.note(f"colour profile of {len(profile) / 1e6:.1f} MB")
        kept = [chunk for chunk in kept if chunk.tag != b"iCCP"]
    short = _without_long_texts(kept)
    if len(short) < len(kept):
        reading.note("long text ignored")
    if reading.allow_damaged:
        short = _complete(short, reading)
    repaired = len(short) < len(chunks) or bool(broken) or reading.damaged
    if repaired:
        file = io.BytesIO(SIGNATURE + b"".join(chunk.to_bytes() for chunk in short))
    return PngFile(file, profile, _coding(kept))


def _parse(data: bytes, reading: Reading) -> list[_Chunk]:
    """Return the chunks up to IEND; a last one that is cut off is returned as far as it goes."""
    chunks: list[_Chunk] = []
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        if len(chunks) == _MOST_CHUNKS:
            reading.refuse("unreadable", f"has more than {_MOST_CHUNKS} chunks", "save it with another program")
        length, tag = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        checksum = data[at + 8 + length : at + 12 + length]
        cut_off = len(checksum) < 4
        chunks.append(_Chunk(tag, body, cut_off or int.from_bytes(checksum, "big") == zlib.crc32(tag + body)))
        at += 12 + length
        if tag == b"IEND":
            break
    return chunks


def _lacks_palette(chunks: list[_Chunk]) -> bool:
    """Return whether the pixels, which are there, are indices into a palette that is not; Pillow shows them as gray."""
    tags = {chunk.tag for chunk in chunks}
    return b"IDAT" in tags and b"PLTE" not in tags and chunks[0].data[9:10] == _PALETTE


def _profile(chunks: list[_Chunk]) -> bytes | None:
    for chunk in chunks:
        if chunk.tag == b"iCCP":
            packed = chunk.data.partition(b"\0")[2][1:]
            try:
                return zlib.decompressobj().decompress(packed, _LONGEST_PROFILE)
            except zlib.error:
                return None
    return None


def _without_long_texts(chunks: list[_Chunk]) -> list[_Chunk]:
    """Return the chunks without the texts that Pillow refuses. No more than its limit is unpacked."""
    kept = []
    total = 0
    for chunk in chunks:
        if chunk.tag in _TEXTS:
            size = _text_length(chunk) if total <= _LONGEST_TEXTS else 0
            total += size
            if size > _LONGEST_TEXT or total > _LONGEST_TEXTS:
                continue
        kept.append(chunk)
    return kept


def _text_length(chunk: _Chunk) -> int:
    """Return the bytes of the text of a chunk, unpacked up to _LONGEST_TEXT + 1; 0 where Pillow ignores it."""
    packed = chunk.data.partition(b"\0")[2]
    if chunk.tag == b"tEXt":
        return len(chunk.data)
    if chunk.tag == b"iTXt":
        if packed[:1] != b"\1":
            return len(packed)
        packed = packed[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        packed = packed[1:]
    try:
        return len(zlib.decompressobj().decompress(packed, _LONGEST_TEXT + 1))
    except zlib.error:
        return 0


def _coding(chunks: list[_Chunk]) -> Coding | None:
    """Return the coding of the picture: that of cICP before iCCP and sRGB (None), and those before gAMA."""
    found = {chunk.tag: chunk.data for chunk in chunks}
    coded, gamma = found.get(b"cICP", b""), found.get(b"gAMA", b"")
    if len(coded) == 4:
        return Coding(coded[0], coded[1])
    if len(gamma) == 4 and not found.keys() & {b"iCCP", b"sRGB"}:
        exponent = 1e5 / max(1, int.from_bytes(gamma, "big"))
        return Coding(gamma=exponent) if _GAMMAS[0] <= exponent <= _GAMMAS[1] else None
    return None


def _complete(chunks: list[_Chunk], reading: Reading) -> list[_Chunk]:
    """Return chunks whose picture data is as long as it should be: what is missing or cannot be unpacked is zeros."""
    header = next((chunk.data for chunk in chunks if chunk.tag == b"IHDR"), b"")
    if len(header) < 13:
        return chunks
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[:13])
    reading.check_size(width, height)
    rows = _rows(width, height, depth * _CHANNELS.get(colour, 4), bool(interlaced))
    size = sum(length * count for length, count in rows)
    unpacker = zlib.decompressobj()
    unpacked = bytearray()
    problem = None
    for chunk in chunks:
        for at in range(0, len(chunk.data) if chunk.tag == b"IDAT" else 0, 4096):
            try:
                unpacked += unpacker.decompress(chunk.data[at : at + 4096], max(1, size - len(unpacked)))
            except zlib.error as error:
                problem = str(error)
                break
        if problem:
            break
    if problem is None and len(unpacked) >= size:
        return chunks
    reading.damage(problem or "the picture data ends too early")
    whole = unpacked[:size].ljust(size, b"\0")
    at = 0
    for length, count in rows:
        for _ in range(count):
            if whole[at] > _LAST_FILTER:
                whole[at] = 0
            at += length
    packed = zlib.compress(whole, 1)
    place = next((i for i, chunk in enumerate(chunks) if chunk.tag == b"IDAT"), len(chunks))
    kept = [chunk for chunk in chunks if chunk.tag not in (b"IDAT", b"IEND", *_ANIMATION)]
    return [*kept[:place], _Chunk(b"IDAT", packed, True), _Chunk(b"IEND", b"", True)]


def _rows(width: int, height: int, bits: int, interlaced: bool) -> list[tuple[int, int]]:
    """Return (bytes of a row with its filter byte, rows) of each pass; `bits` a pixel (PNG, section 8.2)."""
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    found = []
    for left, top, across, down in passes:
        columns, rows = -(-max(0, width - left) // across), -(-max(0, height - top) // down)
        if columns:
            found.append((1 + -(-columns * bits // 8), rows))
    return found
