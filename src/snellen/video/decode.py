"""Decoding of videos by PyAV (FFmpeg): files, pipes and addresses. Audio is left aside."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from PIL import Image

from snellen.colour import Coding, to_srgb
from snellen.image import Picture
from snellen.reading import ImageError, Reading
from snellen.video.frame import Frame, small_size
from snellen.video.motion import Gray

REMEDY = "convert it with ffmpeg, or give a video that a player opens"
PIPE_REMEDY = "pipe Matroska, MPEG-TS or an MP4 made with -movflags +faststart, or name the file"
ADDRESS_REMEDY = "check the address, and that a player opens it"
PIPE = "standard input"
MISSING_SHARE, MISSING_SECONDS = 0.05, 0.5
"""A video that ends earlier than its header says, by more than both, is cut off."""
MICROSECONDS = 1_000_000
"""Unit of a container's duration, 1/s."""
_BT709, _BT601 = 1, 5
"""Matrices in the numbering of FFmpeg's software scaler."""
_HD_HEIGHT = 720
"""Untagged videos of this height or more are decoded with the matrix of BT.709, as players do; smaller ones BT.601."""


@dataclass(frozen=True)
class VideoInfo:
    """Contents of the header. rate: mean frames per second; duration: s, None where unknown; rotation: degrees."""

    name: str
    codec: str
    width: int
    height: int
    rate: float
    duration: float | None


class Video:
    """An open video; iterate over its frames once. A context manager.

    Attributes:
        info: what the header says.
        notes: what was done to the frames: rotation, tone mapping.
        problems: what is wrong with the data; grows while the frames are read.

    Raises ImageError where the source cannot be opened or has no video.
    """

    def __init__(
        self, source: str, *, max_megapixels: float = 100.0, format: str | None = None, timeout: float = 10.0
    ) -> None:
        self.name = PIPE if source == "-" else source
        self._reading = Reading(self.name, "video", max_megapixels)
        self._container = self._open(source, format, timeout)
        stream = self._container.streams.best("video")
        if stream is None:
            self._container.close()
            self._reading.refuse("unreadable", "holds no video", "give a file with a video stream")
        stream.thread_type = "AUTO"
        self._stream = stream
        context = stream.codec_context
        try:
            self._reading.check_size(context.width, context.height)
        except ImageError:
            self._container.close()
            raise
        length = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        if length is None and self._container.duration:
            length = self._container.duration / MICROSECONDS
        rate = stream.average_rate or stream.guessed_rate or 25
        self.info = VideoInfo(
            self.name,
            context.codec.canonical_name,  # of the coding, not of its decoder (libdav1d)
            context.width,
            context.height,
            float(rate),
            None if length is None else float(length),
        )
        self.problems: list[str] = []

    def _open(self, source: str, format: str | None, timeout: float) -> Any:
        import av  # here, since --help and folders of views do without
        from av.error import FFmpegError

        file: str | IO[bytes] = source
        if source == "-":
            file = sys.stdin.buffer
        elif "://" not in source and format is None:
            self._check_file(Path(source))
        try:
            return av.open(file, format=format, timeout=timeout if isinstance(file, str) else None)
        except (FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._reading.refuse("unreadable", f"cannot be opened as a video ({reason})", self._remedy)

    def _check_file(self, path: Path) -> None:
        if path.is_dir():
            self._reading.refuse("directory", "is a folder", "name a video")
        if not path.exists():
            self._reading.refuse("missing", "no such file", "check the path")
        if not os.access(path, os.R_OK):
            self._reading.refuse("permission", "may not be read", "change its permissions")
        if path.is_file() and path.stat().st_size == 0:
            self._reading.refuse("empty", "is empty", "copy or download the file again")

    @property
    def _remedy(self) -> str:
        if "://" in self.name:
            return ADDRESS_REMEDY
        return PIPE_REMEDY if self.name == PIPE else REMEDY

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on what was done to the frames."""
        return tuple(self._reading.notes)

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames. Data that cannot be decoded is passed over and counted in `problems`."""
        from av.error import FFmpegError

        step = 1.0 / self.info.rate
        first, last, damaged, count = None, -step, 0, 0
        packets = iter(self._container.demux(self._stream))
        while True:
            try:
                packet = next(packets, None)
            except (FFmpegError, OSError) as error:
                self.problems.append(f"reading ends at {max(last, 0.0):.2f} s ({_reason(error)})")
                break
            if packet is None:
                break
            try:
                frames = packet.decode()
            except FFmpegError as error:
                damaged += not isinstance(error, EOFError)
                continue
            for frame in frames:
                if frame.is_corrupt:
                    damaged += 1
                stamp = last + step if frame.time is None else float(frame.time)
                first = stamp if first is None else first
                time = stamp - first
                if count and time <= last:
                    time = last + 0.001  # players show such a frame at once
                last, count = time, count + 1
                yield self._frame(frame, time)
        self._conclude(count, damaged, last + step)

    def _conclude(self, count: int, damaged: int, end: float) -> None:
        if damaged:
            self.problems.append(f"{damaged} damaged packets or frames")
        if count == 0:
            self._refuse_empty()
        length = self.info.duration
        if length is not None and length - end > max(MISSING_SECONDS, MISSING_SHARE * length):
            self.problems.append(f"the data ends at {end:.2f} of {length:.2f} s")

    def _refuse_empty(self) -> NoReturn:
        self._reading.refuse("unreadable", "not one frame can be decoded", self._remedy)

    def _frame(self, frame: Any, time: float) -> Frame:
        turns = round(frame.rotation / 90) % 4
        if turns:
            self._reading.note(f"rotated by {90 * turns} degrees, as the file says")
        if frame.interlaced_frame:
            self._reading.note("interlaced; assessed without deinterlacing")
        matrix, bits = _matrix(frame), _small(frame)

        def picture() -> Picture:
            rgb = frame.to_ndarray(format="rgb24", src_colorspace=matrix, interpolation="BICUBIC")
            coding = Coding(int(frame.color_primaries), int(frame.color_trc))
            if coding.hdr:
                self._reading.note("HDR: highlights compressed to the range of sRGB, frame by frame")
            upright = np.ascontiguousarray(np.rot90(rgb, turns))
            pixels = to_srgb(Image.fromarray(upright), None, self._reading, coding)
            return Picture(pixels, f"{self.name} at {time:.2f} s", self.notes)

        return Frame(time, np.ascontiguousarray(np.rot90(bits, turns)), picture)


def _matrix(frame: Any) -> int:
    if int(frame.colorspace) != 2:  # 2: unspecified
        return int(frame.colorspace)
    return _BT709 if frame.height >= _HD_HEIGHT else _BT601


def _small(frame: Any) -> Gray:
    width, height = small_size(frame.width, frame.height)
    gray: Gray = frame.reformat(width, height, "gray", interpolation="AREA").to_ndarray()
    return gray


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
