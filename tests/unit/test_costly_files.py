"""Files that ask for far more memory or time than their size, and files that the system cannot read."""

from __future__ import annotations

import errno
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snellen.formats.isobmff import Properties, primary_properties
from snellen.formats.tiff import directories
from snellen.image import ImageError, load
from snellen.reading import Reading

DATA = Path(__file__).parents[1] / "data"
PLAIN = load(DATA / "plain.png").pixels


def refusal(source: Any, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        load(source, **options)
    return caught.value


def encoded(kind: str, size: tuple[int, int] = (128, 96), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.open(DATA / "plain.png").convert("RGB").resize(size).save(file, kind, **options)
    return file.getvalue()


def chunk(tag: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))


def with_chunks(extra: bytes) -> bytes:
    """Return plain.png with more chunks after its header, which ends at byte 33."""
    data = (DATA / "plain.png").read_bytes()
    return data[:33] + extra + data[33:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_file_longer_than_any_picture_is_not_taken_into_memory(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "film"
    with path.open("wb") as file:
        file.write(encoded(kind))
        file.truncate(100 * 10**9)  # takes no space
    error = refusal(path)
    assert (error.code, error.problem) == ("too_large", "has 100.0 GB, more than a picture of 100 megapixels needs")
    assert refusal(path, max_megapixels=1000).problem.endswith("1000 megapixels needs")


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "GIF"])
def test_what_is_read_by_parts_may_be_as_long_as_it_likes(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    with path.open("wb") as file:
        file.write(encoded(kind))
        file.truncate(100 * 10**9)
    assert load(path).width == 128


def test_no_memory_for_a_picture_is_an_error_of_this_picture() -> None:
    problem = r"a\.png: does not fit into memory; make it smaller, or "
    with pytest.raises(ImageError, match=problem) as caught, Reading("a.png").decoding():
        raise MemoryError
    assert caught.value.code == "too_large"


class Broken(io.BytesIO):
    """A file on a disk that fails after `good` bytes."""

    good = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() + (size if size and size > 0 else len(self.getvalue())) > self.good:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


def test_a_disk_that_fails_is_an_error_of_this_picture() -> None:
    file = Broken(encoded("TIFF"))
    error = refusal(file, name="a.tif")
    assert str(error) == ("a.tif: cannot be read (Input/output error); check the disk or the connection, and try again")
    assert error.code == "unreadable"


def test_no_limit_of_size() -> None:
    assert load(DATA / "plain.png", max_megapixels=float("inf")).width == 128
    assert load(encoded("TIFF"), max_megapixels=1e300).width == 128


def test_an_empty_path_is_not_the_current_folder() -> None:
    assert str(refusal("")) == "'': the path is empty; give the path of a picture"


def jpeg_scan() -> tuple[bytes, int]:
    """Return a progressive JPEG file and the position of its last scan."""
    data = encoded("JPEG", quality=90, progressive=True)
    return data, data.rindex(b"\xff\xda")


def test_a_jpeg_of_restart_markers_is_damaged() -> None:
    data = encoded("JPEG", quality=90)
    for markers in (b"\xff\xd0" * 100_000, b"".join(bytes([0xFF, 0xD0 + i % 8]) for i in range(100_000))):
        hostile = data[:-2] + markers + b"\xff\xd9"
        error = refusal(hostile)
        assert error.code == "damaged" and "restart markers are missing or wrong" in error.problem
        allowed = load(hostile, allow_damaged=True)
        assert np.abs(allowed.pixels.astype(int) - load(data).pixels).mean() < 1.0


def test_as_many_restart_markers_as_blocks_are_right() -> None:
    data = encoded("JPEG", quality=90, subsampling=0, restart_marker_blocks=1)
    assert load(data).notes == () and data.count(b"\xff\xd0") > 20


def test_a_jpeg_of_scans_is_refused() -> None:
    data, scan = jpeg_scan()
    error = refusal(data[:-2] + data[scan:-2] * 600 + b"\xff\xd9", allow_damaged=True)
    assert (error.code, error.problem) == ("unreadable", "has more than 500 scans")


def test_a_png_of_chunks_is_refused() -> None:
    assert refusal(with_chunks(chunk(b"tEXt", b"k\0") * 300_000)).problem == "has more than 262144 chunks"


def test_a_png_with_more_text_than_pillow_takes_is_read() -> None:
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 1_000_000))
    picture = load(with_chunks(text * 70))
    assert np.array_equal(picture.pixels, PLAIN) and picture.notes == ("long text ignored",)
    assert load(with_chunks(text * 35)).notes == (), "Pillow takes 64 MB in all"


@pytest.mark.parametrize("order", ["<", ">"])
def test_only_the_values_of_tags_in_use_are_read(order: str) -> None:
    """Entries of a directory may all point to the same data: 60,000 times 16 kB, from a file of 0.7 MB."""
    entries = [(259, 3, 1, 5 << (16 if order == ">" else 0)), *((tag, 4, 4096, 0) for tag in range(1000, 61_000))]
    entries = [entry for entry in entries if entry[0] != 50706]
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    body = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    file = io.BytesIO(head + struct.pack(order + "H", len(entries)) + body + bytes(20_000))
    assert list(directories(file)) == [{259: (5,)}]


def test_a_box_beyond_the_end_of_any_file_has_no_properties() -> None:
    data = encoded("AVIF")
    at = data.index(b"meta") - 4
    hostile = data[:at] + struct.pack(">I4sQ", 1, b"free", 2**64 - 1) + data[at:]
    assert primary_properties(io.BytesIO(hostile)) == Properties()
    assert refusal(hostile).code == "truncated"
