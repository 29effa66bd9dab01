"""TIFF directories: camera RAW is recognised by them, and what Pillow reads wrongly is read here or refused."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import nullcontext
from typing import IO, Any

import numpy as np
from PIL import Image

from snellen.colour import from_16_bit, refuse_32_bit
from snellen.reading import Reading

_SUB_DIRECTORIES, _COMPRESSION, _PHOTOMETRIC, _DNG_VERSION = 330, 259, 262, 50706
_BITS, _SAMPLES, _OFFSETS, _COUNTS, _PLANAR, _PREDICTOR, _SAMPLE_FORMAT = 258, 277, 273, 279, 284, 317, 339
_RAW_PHOTOMETRIC = (32803, 34892)
"""Values of a colour filter array and of linear raw."""
_RAW_COMPRESSION = (32767, 32769, 32770, 32772, 34713, 65000, 65535)
"""Private compressions of Sony, Epson, Samsung, Nikon, Kodak and Pentax."""
_USED = (_SUB_DIRECTORIES, _COMPRESSION, _PHOTOMETRIC, _DNG_VERSION, _SAMPLE_FORMAT)
"""Tags that are read here. The values of all others are left alone: each may point to the same megabytes."""
_TYPES = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I"}
_MOST_DIRECTORIES = 64
_MOST_VALUES = 4096

Directory = dict[int, tuple[int, ...]]


def directories(file: IO[bytes]) -> Iterator[Directory]:
    """Yield the tags `_USED` of all directories of a classic TIFF file, sub-directories included; none if damaged."""
    file.seek(0)
    head = file.read(8)
    order = "<" if head[:2] == b"II" else ">"
    if len(head) < 8:
        return
    waiting = [struct.unpack(order + "I", head[4:8])[0]]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        at = waiting.pop(0)
        if at == 0 or at in seen:
            continue
        seen.add(at)
        tags, following = _directory(file, at, order)
        yield tags
        waiting += [following, *tags.get(_SUB_DIRECTORIES, ())]


def _directory(file: IO[bytes], at: int, order: str) -> tuple[Directory, int]:
    """Return the tags of one directory, and the position of the next one or 0."""
    file.seek(at)
    count = file.read(2)
    if len(count) < 2:
        return {}, 0
    entries = file.read(12 * struct.unpack(order + "H", count)[0] + 4)
    tags: Directory = {}
    for i in range(0, len(entries) - 4, 12):
        if len(entries) < i + 12:
            return tags, 0
        tag, kind, number = struct.unpack(order + "HHI", entries[i : i + 8])
        code = _TYPES.get(kind)
        if tag not in _USED or code is None or not 0 < number <= _MOST_VALUES:
            continue
        size = struct.calcsize(f"{order}{number}{code}")
        data = entries[i + 8 : i + 8 + size]
        if size > 4:
            file.seek(struct.unpack(order + "I", entries[i + 8 : i + 12])[0])
            data = file.read(size)
        if len(data) == size:
            tags[tag] = struct.unpack(f"{order}{number}{code}", data)
    following = struct.unpack(order + "I", entries[-4:])[0] if len(entries) % 12 == 4 else 0
    return tags, following


def is_raw(file: IO[bytes]) -> bool:
    """Return whether a TIFF file holds the raw data of a camera, in whatever directory."""
    for tags in directories(file):
        if _DNG_VERSION in tags:
            return True
        if tags.get(_PHOTOMETRIC, (0,))[0] in _RAW_PHOTOMETRIC or tags.get(_COMPRESSION, (0,))[0] in _RAW_COMPRESSION:
            return True
    return False


def has_float_samples(file: IO[bytes]) -> bool:
    """Return whether the first directory declares floating-point samples."""
    first: Directory = next(directories(file), {})
    return 3 in first.get(_SAMPLE_FORMAT, ())


def load_tiff(image: Any, reading: Reading) -> Image.Image:
    """Return a TIFF image decoded: planes of 16 bit, which Pillow mixes up, from their uncompressed strips.

    Raises:
        ImageError: pixels of 32 bit; planes of 16 bit that are compressed.
    """
    if image.mode in ("F", "I"):
        refuse_32_bit(reading)
    tags = image.tag_v2
    bits, samples = tags.get(_BITS, (1,)), tags.get(_SAMPLES, 1)
    if tags.get(_PLANAR, 1) == 2 and samples > 1 and max(bits) > 8:
        if tags.get(_COMPRESSION, 1) != 1 or tags.get(_PREDICTOR, 1) != 1 or set(bits) != {16} or _OFFSETS not in tags:
            problem = "colour planes of more than 8 bit are read only uncompressed, in strips"
            reading.refuse("unreadable", problem, "convert it to interleaved pixels (planar configuration 1) first")
        return _planes(image, reading)
    with reading.printed(), reading.header() if reading.exceeds_pillow(*image.size) else nullcontext():
        image.load()  # checks Pillow's limit once more
    return image  # type: ignore[no-any-return]


def _planes(image: Any, reading: Reading) -> Image.Image:
    tags, file = image.tag_v2, image.fp
    data = bytearray()
    for offset, count in zip(tags[_OFFSETS], tags[_COUNTS], strict=True):
        file.seek(offset)
        data += file.read(count)
    width, height, samples = image.width, image.height, tags[_SAMPLES]
    if len(data) < 2 * width * height * samples:
        raise OSError("image file is truncated")
    order = "<u2" if tags.prefix == b"II" else ">u2"
    values = np.frombuffer(data, order, width * height * samples).reshape(samples, height, width)
    reading.note("16 bit scaled to 8")
    pixels = from_16_bit(values).transpose(1, 2, 0)
    kept = len(image.getbands()) if len(image.getbands()) <= samples else 3
    planes = Image.fromarray(np.ascontiguousarray(pixels[:, :, :kept]))
    planes.info = image.info
    return planes
