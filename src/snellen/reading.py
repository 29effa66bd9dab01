"""A picture while it is read: its limits, the notes on it, and the errors that refuse it."""

from __future__ import annotations

import logging
import math
import os
import re
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, NoReturn

from PIL import Image, UnidentifiedImageError

MIN_SIDE = 16
"""Pictures with fewer px than this on a side are refused."""

IMAGE_ERROR_CODES = (
    "missing", "directory", "empty", "truncated", "damaged", "unreadable",
    "too_small", "too_large", "permission", "needs_extra", "bad_array",
)  # fmt: skip
"""Values of `ImageError.code`. "truncated": the decoder fails; "damaged": it gives a picture, and a warning."""

logging.getLogger("PIL").addHandler(logging.NullHandler())
# Pillow logs what it also raises; a logger without a handler prints on standard error

_LONGEST_EXTRAS = 2**28
_LONGEST_PIXEL = 8
"""Bytes of a file's side data, and of a pixel (16 bit, with alpha), that any picture may have."""
_PILLOW_FACTOR = 2
"""Pillow refuses pictures over this many times `Image.MAX_IMAGE_PIXELS`."""
_HEADER_LOCK = threading.Lock()
_PRINT_LOCK = threading.Lock()
_DECODER_LINE = re.compile(
    rb"^(\S*(TIFF|Decode|Decompress|JPEG|Fax|LZW|ZIP|LogLuv)\S*|\w+\.tif|unknown file|Fuji\S*)[:,] .+", re.M
)
"""Lines that libtiff (`ZIPDecode: ...`) and LibRaw (`unknown file: data corrupted at ...`) print on standard error."""


class ImageError(Exception):
    """A picture that cannot be used. ``str()`` is one line: ``NAME: problem; remedy``.

    Attributes:
        code: one of ``IMAGE_ERROR_CODES``.
        name: name of the picture (its path, unless the caller gave another).
        problem: what is wrong.
        remedy: what to do.
    """

    def __init__(self, code: str, name: str, problem: str, remedy: str) -> None:
        if code not in IMAGE_ERROR_CODES:
            raise ValueError(f"unknown image error code {code!r}")
        super().__init__(code, name, problem, remedy)
        self.code, self.name, self.problem, self.remedy = code, name, problem, remedy

    def __str__(self) -> str:
        return " ".join(f"{self.name}: {self.problem}; {self.remedy}".split())


@dataclass
class Reading:
    """One picture while it is read.

    Attributes:
        name: name of the picture, for errors.
        kind: name of its format, for errors.
        max_megapixels: larger pictures are refused.
        allow_damaged: give what can be decoded of a damaged file, with a note, instead of an error.
        notes: conversions and repairs so far.
        damaged: whether a decoder warned of damage.
    """

    name: str
    kind: str = "picture"
    max_megapixels: float = 100.0
    allow_damaged: bool = False
    notes: list[str] = field(default_factory=list)
    damaged: bool = False

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def refuse(self, code: str, problem: str, remedy: str) -> NoReturn:
        """Raise ImageError."""
        raise ImageError(code, self.name, problem, remedy)

    def damage(self, problem: str) -> None:
        """Note the damage; raise ImageError "damaged" unless damaged pictures are allowed."""
        if not self.allow_damaged:
            remedy = "copy or download the file again, or allow damaged pictures (--allow-damaged)"
            self.refuse("damaged", f"the {self.kind} data is damaged ({problem})", remedy)
        self.damaged = True
        self.note(f"damaged file: {problem}")

    def check_size(self, width: int, height: int) -> None:
        """Raise ImageError unless both sides have MIN_SIDE px and the area is within ``max_megapixels``."""
        size = f"{width}x{height} px"
        if min(width, height) < MIN_SIDE:
            self.refuse("too_small", f"is only {size}", f"use a picture of at least {MIN_SIDE} px on each side")
        if width * height > self.max_megapixels * 1e6:
            problem = f"{size} is {width * height / 1e6:.4g} megapixels, over the limit of {self.max_megapixels:g}"
            self.refuse("too_large", problem, "make it smaller or raise max_megapixels")

    def check_length(self, file: IO[bytes]) -> None:
        """Raise ImageError for a file that no picture within ``max_megapixels`` needs: it would be read as a whole."""
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
        if length > _LONGEST_EXTRAS + _LONGEST_PIXEL * self.max_megapixels * 1e6:
            problem = f"has {length / 1e9:.1f} GB, more than a picture of {self.max_megapixels:g} megapixels needs"
            self.refuse("too_large", problem, "cut off what is behind the picture, or raise max_megapixels")

    def exceeds_pillow(self, width: int, height: int) -> bool:
        """Return whether Pillow's own limit refuses a picture of this size."""
        limit = Image.MAX_IMAGE_PIXELS
        return limit is not None and width * height > _PILLOW_FACTOR * limit

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Turn any exception of a decoder into an ImageError."""
        try:
            yield
        except ImageError:
            raise
        except MemoryError as error:
            remedy = "make it smaller, or free some memory and try again"
            raise ImageError("too_large", self.name, "does not fit into memory", remedy) from error
        except Image.DecompressionBombError:
            self.refuse(
                "too_large",
                f"has more than the {self.max_megapixels:g} megapixels allowed",
                "make it smaller or raise max_megapixels",
            )
        except Exception as error:  # decoders raise nearly every built-in exception on damaged data
            if isinstance(error, OSError) and error.errno and error.strerror:  # of the system: Pillow's have no number
                remedy = "check the disk or the connection, and try again"
                raise ImageError("unreadable", self.name, f"cannot be read ({error.strerror})", remedy) from error
            if isinstance(error, UnidentifiedImageError):
                problem = f"the {self.kind} data is cut off, damaged or of an unsupported variant"
            else:
                reason = " ".join(str(error).split()) or type(error).__name__  # libheif's come in several lines
                problem = f"the {self.kind} data is cut off or damaged ({reason})"
            raise ImageError("truncated", self.name, problem, "copy or download the file again") from error

    @contextmanager
    def header(self) -> Iterator[None]:
        """Silence Pillow's warnings on headers, and lift its own limit of size where ``max_megapixels`` is above it.

        Both are one value per process, hence the lock: threads would restore each other's copy. Decoding, which takes
        the time, needs neither. Sizes are checked with `check_size`.
        """
        with _HEADER_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and self.max_megapixels * 1e6 > _PILLOW_FACTOR * limit:
                most = self.max_megapixels * 1e6
                Image.MAX_IMAGE_PIXELS = int(most) if math.isfinite(most) else None
            try:
                yield
            finally:
                Image.MAX_IMAGE_PIXELS = limit

    @contextmanager
    def printed(self) -> Iterator[None]:
        """Catch what libtiff and LibRaw print on standard error while the block runs, and report it as damage.

        Other lines, of other threads, are passed on afterwards.
        """
        with _PRINT_LOCK, ExitStack() as closing:
            try:
                file = closing.enter_context(tempfile.TemporaryFile())
                stream = os.dup(2)
            except OSError:  # standard error is closed, or no folder can be written to: then lines cannot be caught
                yield
                return
            os.dup2(file.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(stream, 2)
                os.close(stream)
                file.seek(0)
                text = file.read()
                if others := _DECODER_LINE.sub(b"", text).strip():
                    os.write(2, others + b"\n")
        if found := _DECODER_LINE.search(text):
            self.damage(" ".join(found.group().decode("utf-8", "replace").split()))
