"""Damaged files: refused as damaged, or read with a note and the damaged part; repaired where the pixels are whole."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snellen.assessor import Assessor
from snellen.backends.scripted import ScriptedBackend
from snellen.damage import is_plain, missing_part, severity
from snellen.image import ImageError, load
from snellen.region import FULL, Region

DATA = Path(__file__).parents[1] / "data"
PLAIN = load(DATA / "plain.png").pixels
SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restart after each row": {"restart_marker_rows": 1},
    "restart after three blocks": {"restart_marker_blocks": 3},
}


def photo() -> Image.Image:
    return Image.open(DATA / "whole.jpg").convert("RGB")


def jpeg(**options: Any) -> tuple[bytes, int]:
    """Return a JPEG file and the position of its last scan."""
    file = io.BytesIO()
    photo().save(file, "JPEG", quality=90, **options)
    return file.getvalue(), file.getvalue().rindex(b"\xff\xda")


def refusal(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        load(data)
    return caught.value


def chunks(data: bytes) -> list[bytes]:
    """Return the chunks of a PNG, with length and checksum."""
    found, at = [], 8
    while at < len(data):
        size = 12 + int.from_bytes(data[at : at + 4], "big")
        found.append(data[at : at + size])
        at += size
    return found


def chunk(tag: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))


def with_chunk(extra: bytes) -> bytes:
    """Return plain.png with one more chunk after its header."""
    header, *others = chunks((DATA / "plain.png").read_bytes())
    return SIGNATURE + header + extra + b"".join(others)


def test_a_cut_jpeg_with_its_end_marker_put_back_is_damaged() -> None:
    path = DATA / "cut60_eoi.jpg"
    error = refusal(path.read_bytes())
    assert error.code == "damaged" and "ends too early" in error.problem and "--allow-damaged" in error.remedy
    picture = load(path, allow_damaged=True)
    assert picture.notes == ("damaged file: the picture data ends too early",)
    assert picture.damaged is not None
    assert picture.damaged.y0 == pytest.approx(176 / 300, abs=0.01)  # 160 rows are whole, the next 16 only at the left
    whole = load(DATA / "whole.jpg")
    assert np.array_equal(picture.pixels[:158], whole.pixels[:158])  # colours of row 159 depend on the rows below


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.8, 0.99])
def test_every_cut_of_a_jpeg_is_noticed(options: dict[str, Any], share: float) -> None:
    whole, scan = jpeg(**options)
    at = scan + 20 + int(share * (len(whole) - scan - 20))
    assert refusal(whole[:at]).code == "truncated"
    assert refusal(whole[:at] + b"\xff\xd9").code == "damaged"
    for data in (whole[:at], whole[:at] + b"\xff\xd9"):
        assert load(data, allow_damaged=True).damaged is not None


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_intact_jpegs_have_pillows_pixels_and_no_note(options: dict[str, Any]) -> None:
    whole, _ = jpeg(**options)
    picture = load(whole)
    assert picture.notes == () and picture.damaged is None
    assert np.array_equal(picture.pixels, np.asarray(Image.open(io.BytesIO(whole))))


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_that_lacks_only_its_end_marker_is_read(options: dict[str, Any]) -> None:
    whole, _ = jpeg(**options)
    picture = load(whole[:-2])
    assert picture.notes == ("missing end marker added",)
    assert np.array_equal(picture.pixels, load(whole).pixels)


def test_a_jpeg_without_one_of_its_restart_intervals_is_damaged() -> None:
    whole, scan = jpeg(restart_marker_rows=1)
    one, two = whole.index(b"\xff\xd1", scan), whole.index(b"\xff\xd2", scan)
    assert "restart markers" in refusal(whole[:one] + whole[two:]).problem


def test_a_hole_in_a_jpeg_is_damage() -> None:
    whole, scan = jpeg()
    middle = (scan + len(whole)) // 2
    assert refusal(whole[:middle] + whole[middle + 500 :]).code == "damaged"
    assert refusal(whole[: scan + 500] + whole[middle : middle + 300] + whole[scan + 500 :]).code == "damaged"


def test_a_progressive_jpeg_without_its_last_scan_is_damaged() -> None:
    whole, scan = jpeg(progressive=True)
    assert "scans are missing" in refusal(whole[:scan] + b"\xff\xd9").problem


def test_gray_and_cmyk_jpegs_go_the_same_way() -> None:
    for mode in ("L", "CMYK"):
        file = io.BytesIO()
        photo().convert(mode).save(file, "JPEG", quality=95)
        assert load(file.getvalue()[:-2]).notes[0] == "missing end marker added"
        assert refusal(file.getvalue()[:-3000] + b"\xff\xd9").code == "damaged"


def test_long_texts_and_profiles_of_a_png_do_not_matter() -> None:
    text, profile = load(DATA / "long_text.png"), load(DATA / "long_profile.png")
    assert np.array_equal(text.pixels, PLAIN) and text.notes == ("long text ignored",)
    assert np.array_equal(profile.pixels, PLAIN) and profile.notes == ("colour profile of 1.1 MB",)
    long = b"a" * 1_100_000
    for extra in (
        chunk(b"tEXt", b"k\0" + long),
        chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(long)),
        chunk(b"iTXt", b"k\0\0\0\0\0" + long),
    ):
        picture = load(with_chunk(extra))
        assert np.array_equal(picture.pixels, PLAIN) and picture.notes == ("long text ignored",)


def test_a_png_without_its_palette_is_damaged() -> None:
    file = io.BytesIO()
    photo().quantize(16).save(file, "PNG")
    header, *others = chunks(file.getvalue())
    error = refusal(SIGNATURE + header + b"".join(one for one in others if one[4:8] != b"PLTE"))
    assert error.code == "damaged" and "the palette is missing" in error.problem
    assert refusal(SIGNATURE + header).code == "truncated", "its pixels are missing too"


def test_broken_side_chunks_of_a_png_are_ignored_with_a_note() -> None:
    broken = load(DATA / "broken_exif.png")
    assert np.array_equal(broken.pixels, PLAIN) and broken.notes == ("damaged EXIF data ignored",)
    wrong = chunk(b"tIME", b"\0" * 7)[:-1] + b"x"
    picture = load(with_chunk(wrong))
    assert np.array_equal(picture.pixels, PLAIN)
    assert picture.notes == ("chunk with a wrong checksum ignored: tIME",)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
def test_broken_exif_is_ignored_in_every_format(kind: str) -> None:
    file = io.BytesIO()
    Image.fromarray(PLAIN).save(file, kind, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    picture = load(file.getvalue())
    assert picture.pixels.shape == PLAIN.shape and set(picture.notes) <= {"damaged EXIF data ignored"}


def test_a_wrong_checksum_of_png_pixels_is_damage() -> None:
    whole = (DATA / "plain.png").read_bytes()
    parts = chunks(whole)
    place = next(i for i, part in enumerate(parts) if part[4:8] == b"IDAT")
    flipped = bytearray(parts[place])
    flipped[len(flipped) * 2 // 3] ^= 16
    data = SIGNATURE + b"".join([*parts[:place], bytes(flipped), *parts[place + 1 :]])
    assert refusal(data).code == "damaged"
    picture = load(data, allow_damaged=True)
    assert picture.damaged is not None and picture.notes[0].startswith("damaged file: the checksum")
    assert np.array_equal(picture.pixels[:20], PLAIN[:20])


@pytest.mark.parametrize("interlaced", [False, True])
def test_what_is_left_of_a_cut_png_is_read_where_allowed(interlaced: bool) -> None:
    file = io.BytesIO()
    photo().save(file, "PNG")
    data = file.getvalue()
    if interlaced:  # Pillow writes no such file: the rows of a plain one as seven passes
        pixels = np.asarray(photo())
        starts = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
        rows = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in starts for row in pixels[y::dy, x::dx])
        header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 1)
        data = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        assert np.array_equal(load(data).pixels, pixels)
    cut = data[: int(len(data) * 0.6)]
    assert refusal(cut).code == "truncated"
    picture = load(cut, allow_damaged=True)
    assert picture.damaged is not None
    if not interlaced:
        assert picture.damaged.y0 == pytest.approx(0.6, abs=0.1) and picture.damaged.y1 == 1
        assert np.array_equal(picture.pixels[:100], np.asarray(photo())[:100])


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (0, 135, 0)], ids=["black", "gray", "green"])
def test_a_lower_half_in_one_colour_is_noted(colour: tuple[int, int, int]) -> None:
    pixels = np.asarray(photo()).copy()
    pixels[150:] = colour
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    picture = load(file.getvalue())
    assert picture.notes == ("the lower 50% is one colour with a hard edge: data may be missing",)
    assert picture.damaged is None


def test_plain_parts_that_are_meant_are_not_noted() -> None:
    pixels = np.asarray(photo()).copy()
    assert missing_part(pixels) is None
    paper = pixels.copy()
    paper[150:] = 255
    assert missing_part(paper) is None
    framed = pixels.copy()
    framed[:50] = framed[250:] = 0
    assert missing_part(framed) is None
    assert missing_part(np.full((100, 100, 3), 128, np.uint8)) is None
    thin = pixels.copy()
    thin[280:] = 0
    assert missing_part(thin) is None
    ramp = np.repeat(np.linspace(200, 0, 200).clip(20).astype(np.uint8)[:, None, None], 300, 1).repeat(3, 2)
    assert missing_part(ramp) is None


def test_a_picture_of_one_colour_is_plain() -> None:
    assert is_plain(np.full((100, 100, 3), 128, np.uint8))
    assert is_plain(np.random.default_rng(0).integers(127, 130, (100, 100, 3), np.uint8))  # noise of one level
    corner = np.full((100, 100, 3), 128, np.uint8)
    corner[-1, -1] = 140
    assert not is_plain(corner)


def test_severity_grows_with_the_damaged_area() -> None:
    assert [severity(Region(0, 1 - share, 1, 1)) for share in (0.05, 0.2, 0.5)] == [3, 4, 5]


def test_damage_that_is_allowed_is_an_issue_and_leaves_the_score() -> None:
    answer = '{"bbox_2d": [0, 0, 0, 0], "rating": 2.5, "tool": "final", "issues": []}'
    backend = ScriptedBackend([f"<think></think><answer>{answer}</answer>"] * 2)
    path = DATA / "cut60_eoi.jpg"
    (refused,) = Assessor(backend).assess([path])
    assert refused.error is not None and refused.error.code == "damaged" and refused.score is None
    (allowed,) = Assessor(backend, allow_damaged=True).assess([path])
    assert allowed.error is None and allowed.score == 2.5
    assert [(issue.kind, issue.severity) for issue in allowed.issues] == [("corruption", 5)]
    assert allowed.issues[0].region.y0 == pytest.approx(176 / 300, abs=0.01)
    assert any("ends too early" in note for note in allowed.notes)


def test_without_a_plain_part_the_whole_picture_is_damaged() -> None:
    whole, scan = jpeg()
    middle = (scan + len(whole)) // 2
    twice = whole[: scan + 500] + whole[middle : middle + 300] + whole[scan + 500 :]
    assert load(twice, allow_damaged=True).damaged == FULL


def test_decoders_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    file = io.BytesIO()
    Image.fromarray(PLAIN).save(file, "TIFF", compression="tiff_adobe_deflate")
    data = bytearray(file.getvalue())
    data[2000:2040] = b"\x55" * 40
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refusal(bytes(data)).code in ("truncated", "damaged")
    if importlib.util.find_spec("rawpy"):
        raw = (DATA / "thumb_first.dng").read_bytes()
        for end in range(4000, len(raw), 5000):
            with contextlib.suppress(ImageError):
                load(raw[:end])
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_pillow_logs_nothing_to_the_terminal(tmp_path: Path) -> None:
    many = bytearray((DATA / "planar16.tif").read_bytes())
    for entry in range(10, 10 + 12 * many[8], 12):
        if many[entry : entry + 2] == b"\x15\x01":  # samples per pixel
            many[entry + 8 : entry + 10] = b"\0\x3c"
    (tmp_path / "many.tif").write_bytes(many)
    code = "import sys, snellen\ntry: snellen.load(sys.argv[1])\nexcept snellen.ImageError as error: print(error.code)"
    command = [sys.executable, "-c", code, str(tmp_path / "many.tif")]  # a test runner has handlers of its own
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("truncated\n", "")
