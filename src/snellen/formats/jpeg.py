"""JPEG, with the damage that libjpeg conceals: it fills missing data with gray, and Pillow drops its warnings.

libjpeg takes its data piece by piece and suspends where it needs more. It is fed one entropy-coded segment (a scan, or
a restart interval of one) at a time, then a few bytes of padding. After a complete segment it looks for a marker and
discards the padding; after an incomplete one it takes the padding for data and keeps what it cannot use yet. So each
segment that ends too early or too late is known, from the one decoding that is needed anyway.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from PIL import Image, JpegImagePlugin

from snellen.reading import Reading

_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_EOI, _SOS, _PROGRESSIVE = 0xD9, 0xDA, 0xC2
_RESTARTS = range(0xD0, 0xD8)
_ALONE = (0x01, 0xD8, *_RESTARTS)
"""Markers without a length."""
_HUFFMAN_FRAMES = (0xC0, 0xC1, _PROGRESSIVE)
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_NEXT = b"\xff\xd9\xff\xd8\xff"
"""End of a file and begin of the next."""
_PADDING = bytes(10)
"""More than the 8 bytes that libjpeg reads ahead."""
_SURPLUS = 8
"""Unused bytes at the end of a segment from which it is damaged."""
_MOST_SCANS = 500
"""Scans of a file that is read, as in libjpeg-turbo's own tests: a scan of few bytes takes as long as any other."""


@dataclass
class _Stream:
    """The parts of a JPEG stream.

    Attributes:
        segments: (start, end) of each entropy-coded segment; none behind a restart marker that is wrong.
        scans: number of scans.
        ordered: whether the restart markers count from 0 to 7 and on from 0, at most one for each block of 8 x 8 px.
        frame: marker of the frame, 0xC0 baseline and 0xC2 progressive, or 0.
        size: (height, width) of the frame.
        end: position of the end marker, or None.
        missing: for each component, the bits of each of its 64 coefficients that no scan has yet given (progressive).
    """

    segments: list[tuple[int, int]] = field(default_factory=list)
    scans: int = 0
    ordered: bool = True
    frame: int = 0
    size: tuple[int, int] = (0, 0)
    end: int | None = None
    missing: dict[int, list[int]] = field(default_factory=dict)

    @property
    def blocks(self) -> int:
        """Blocks of 8 x 8 px that the frame has."""
        return -(-self.size[0] // 8) * -(-self.size[1] // 8)


def open_jpeg(file: IO[bytes], reading: Reading) -> Image.Image:
    """Return the decoded picture; report its damage, and note a missing end marker.

    Of a file with several pictures, the first: the others of an MPO are previews or gain maps. The frames of motion
    JPEG (whole JPEG files of one size in a row) are noted, as those of an animation are.
    """
    data = file.read()
    file.seek(0)
    with reading.header():
        image = JpegImagePlugin.JpegImageFile(file)
    reading.check_size(*image.size)
    stream = _parse(data)
    if "mp" not in image.info and (frames := _frames(data, stream)) > 1:
        reading.note(f"first of {frames} frames")
    if stream.scans > _MOST_SCANS:
        reading.refuse("unreadable", f"has more than {_MOST_SCANS} scans", "save it with another program")
    if stream.frame not in _HUFFMAN_FRAMES or not stream.segments or len(image.tile) != 1:
        image.load()
        return image
    problem = _decode(image, data, stream) if stream.ordered else "restart markers are missing or wrong"
    if problem is None and any(any(bits) for bits in stream.missing.values()):
        problem = "scans are missing"
    if problem is None:
        if stream.end is None:
            reading.note("missing end marker added")
        return image
    if stream.end is None and not reading.allow_damaged:
        raise OSError(problem)  # the file is shorter than it was, not just changed
    reading.damage(problem)
    with reading.header():
        file.seek(0)
        image = JpegImagePlugin.JpegImageFile(file)
    decoder = _Decoder(image)
    decoder.feed(data + b"\xff\xd9")
    decoder.close()
    return image


def _parse(data: bytes) -> _Stream:
    stream = _Stream()
    at = 2
    while found := _MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            stream.end = found.start()
            break
        if marker in _ALONE:
            continue
        size = int.from_bytes(data[at : at + 2], "big")
        head, at = data[at + 2 : at + size], at + max(size, 2)
        if marker in _FRAMES and len(head) > 5:
            stream.frame = marker
            stream.size = struct.unpack(">HH", head[1:5])
            if marker == _PROGRESSIVE:
                stream.missing = {head[i]: [1] * 64 for i in range(6, len(head) - 2, 3)}
        if marker == _SOS:
            stream.scans += 1
            if stream.scans > _MOST_SCANS:
                return stream
            _scan(head, stream.missing)
            for number, (start, end) in enumerate(_segments(data, at)):
                right = number == 0 or (number <= stream.blocks and data[start - 1] == _RESTARTS[(number - 1) % 8])
                if not right:
                    stream.ordered = False
                    last = data.rfind(b"\xff\xd9")
                    stream.end = last if last >= at else None
                    return stream
                stream.segments.append((start, end))
                at = end
    return stream


def _frames(data: bytes, first: _Stream) -> int:
    """Return the number of frames of motion JPEG, 1 for a picture: a second file follows at once and has its size."""
    if first.end is None or not data.startswith(_NEXT[2:], first.end + 2):
        return 1
    end = data.find(_NEXT, first.end + 2)
    second = _parse(data[first.end + 2 : end + 2 if end >= 0 else None])
    if (second.frame, second.size) != (first.frame, first.size):
        return 1
    return 1 + data.count(_NEXT, first.end)


def _scan(head: bytes, missing: dict[int, list[int]]) -> None:
    """Take the coefficients that a progressive scan completes from those that are missing."""
    count = head[0] if head else 0
    if not missing or len(head) < 4 + 2 * count:
        return
    first, last, bits = head[1 + 2 * count], head[2 + 2 * count], head[3 + 2 * count] & 15
    for component in head[1 : 1 + 2 * count : 2]:
        for k in range(first, min(last, 63) + 1):
            if component in missing:
                missing[component][k] = bits


def _segments(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each restart interval of a scan that begins at `at`."""
    while True:
        found = _MARKER.search(data, at)
        end = found.start() if found else len(data)
        yield at, end
        if found is None or found[1][0] not in _RESTARTS:
            return
        at = found.end()


class _Decoder:
    """Pillow's decoder of one JPEG picture, fed piece by piece."""

    def __init__(self, image: Any) -> None:
        tile = image.tile[0]
        image.load_prepare()
        self._decoder = Image._getdecoder(image.mode, tile[0], tile[3], image.decoderconfig)
        self._decoder.setimage(image.im, tile[1])
        image.tile = []
        self._rest = b""
        self.done = False

    def feed(self, piece: bytes) -> bool:
        """Return whether the decoder took all data so far."""
        if not self.done:
            self._rest += piece
            taken, code = self._decoder.decode(self._rest)
            if taken < 0:
                self.done, self._rest = True, b""
                if code < 0:
                    raise OSError(f"broken data stream, code {code}")
            else:
                self._rest = self._rest[taken:]
        return not self._rest

    def discards(self, pieces: bytes) -> bool:
        """Return whether the decoder takes each of two bytes at once: in a segment, it collects up to 8 bytes."""
        one, two = self.feed(pieces[:1]), self.feed(pieces[1:2])
        return one and two

    def close(self) -> None:
        self._decoder.cleanup()


def _decode(image: Image.Image, data: bytes, stream: _Stream) -> str | None:
    """Decode into `image`; return what is wrong with the entropy-coded data, or None."""
    decoder = _Decoder(image)
    fed = 0
    problem = None
    for start, end in stream.segments:
        if end - start > 2 * _SURPLUS:
            cut = end - _SURPLUS
            decoder.feed(data[fed : cut - 2])
            if decoder.discards(data[cut - 2 : cut]):
                problem = problem or "bytes without a meaning in the picture data"
            fed = cut
        decoder.feed(data[fed:end])
        fed = end
        decoder.feed(_PADDING)
        if not decoder.discards(_PADDING[:2]):
            problem = "the picture data ends too early"
            break
    else:
        # with one scan, rows are given out as they are read, so nothing is left to do at its end
        complete = decoder.done or stream.scans > 1 or stream.frame == _PROGRESSIVE
        decoder.feed(data[fed:] + b"\xff\xd9")
        if not complete or not decoder.done:
            problem = problem or "the picture data ends too early"
    decoder.close()
    return problem
