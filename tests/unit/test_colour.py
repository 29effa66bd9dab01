"""Colours: codings of HDR and gamma chunks, profiles of gray pictures with alpha."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_imagefile import P3, icc_profile

from snellen.colour import Coding
from snellen.formats.isobmff import Properties, primary_properties
from snellen.image import load

DATA = Path(__file__).parents[1] / "data"


def png(image: Image.Image, tag: bytes, data: bytes) -> bytes:
    """Return a PNG with one more chunk after its header."""
    file = io.BytesIO()
    image.save(file, "PNG")
    whole = file.getvalue()
    extra = struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
    return whole[:33] + extra + whole[33:]


def test_curves_by_hand() -> None:
    assert Coding(gamma=1.0).linear()[51] == pytest.approx(0.2)
    pq, hlg = Coding(9, 16).linear(), Coding(9, 18).linear()
    # ST 2084: code 0.58069 is 203 cd/m2, white; code 1 is 10,000 cd/m2
    assert pq[148] == pytest.approx(1.0, abs=0.02) and pq[255] == pytest.approx(10_000 / 203)
    # BT.2100: code 0.75 is 0.265 of the scene's peak; 1000 * 0.265 ** 1.2 = 203 cd/m2
    assert hlg[191] == pytest.approx(1.0, abs=0.02) and hlg[255] == pytest.approx(1000 / 203, rel=0.001)
    assert Coding(1, 13).linear()[188] == pytest.approx(0.5028, abs=0.001)


def test_names_of_codings() -> None:
    assert Coding(9, 16).title == "PQ BT.2020" and Coding(12, 13).title == "Display P3"
    assert Coding().title is None and Coding(1, 13).title is None and Coding(gamma=2.2).title is None


def test_pq_is_tone_mapped() -> None:
    picture = load(DATA / "pq_bt2020.avif")
    assert picture.notes == ("converted from PQ BT.2020 to sRGB",)
    stored = np.asarray(Image.open(DATA / "pq_bt2020.avif").convert("RGB"))
    assert stored.max() < 160 and picture.pixels.max() >= 250  # white is 148 of 255 in PQ
    rim, saucer = picture.pixels[90:120, 180:186].mean((0, 1)), picture.pixels[150:200, 100:130].mean((0, 1))
    assert rim.min() > 200 and saucer[0] > 2 * saucer[1] and saucer[0] > 2 * saucer[2]


@pytest.mark.parametrize(("transfer", "code"), [(16, 148), (18, 191)])
def test_white_of_hdr_becomes_white(transfer: int, code: int) -> None:
    gray = Image.new("RGB", (20, 20), (code,) * 3)
    picture = load(png(gray, b"cICP", bytes((9, transfer, 0, 1))))
    assert picture.pixels.min() >= 253


def test_highlights_above_white_keep_their_order() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 20, 0).repeat(3, 2)
    shown = load(png(Image.fromarray(ramp), b"cICP", bytes((9, 16, 0, 1)))).pixels[0, :, 0].astype(int)
    assert (np.diff(shown) >= 0).all() and shown[255] == 255 and 200 < shown[148] < 255 and shown[0] == 0


def test_gamma_chunks_are_applied() -> None:
    gray = Image.new("L", (20, 20), 128)
    linear = load(png(gray, b"gAMA", struct.pack(">I", 100_000)))
    assert linear.pixels[0, 0].tolist() == [188] * 3 and linear.notes == ("converted from gamma 1 to sRGB",)
    usual = load(png(gray, b"gAMA", struct.pack(">I", 45_455)))
    assert usual.pixels[0, 0].tolist() == [128] * 3 and usual.notes == ()
    for senseless in (0, 1, 2**31):
        ignored = load(png(gray, b"gAMA", struct.pack(">I", senseless)))
        assert ignored.pixels[0, 0].tolist() == [128] * 3 and ignored.notes == ()


def test_a_profile_goes_before_a_gamma_chunk() -> None:
    file = io.BytesIO()
    image = Image.new("RGB", (20, 20), (128, 100, 80))
    image.save(file, "PNG", icc_profile=icc_profile(P3, 2.2, "Wide"))
    whole = file.getvalue()
    tag, data = b"gAMA", struct.pack(">I", 100_000)
    extra = struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
    picture = load(whole[:33] + extra + whole[33:])
    assert picture.notes == ('converted from colour profile "Wide" to sRGB',)


def test_gray_with_alpha_keeps_its_profile() -> None:
    file = io.BytesIO()
    Image.new("LA", (20, 20), (128, 255)).save(file, "PNG", icc_profile=icc_profile((), 1.0, "Gray", b"GRAY"))
    picture = load(file.getvalue())
    assert picture.pixels[0, 0].tolist() == pytest.approx([188] * 3, abs=1)
    assert picture.notes == ('converted from colour profile "Gray" to sRGB',)


def box(tag: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data) + 8, tag) + data


def meta(properties: list[bytes], associations: bytes, primary: int = 1) -> bytes:
    ipma = box(b"ipma", associations)
    inside = box(b"pitm", b"\0\0\0\0" + struct.pack(">H", primary)) + box(
        b"iprp", box(b"ipco", b"".join(properties)) + ipma
    )
    return box(b"ftyp", b"avif\0\0\0\0") + box(b"meta", b"\0\0\0\0" + inside)


def test_properties_are_those_of_the_primary_picture() -> None:
    boxes = [
        box(b"colr", b"nclx" + struct.pack(">HHHB", 9, 16, 9, 128)), box(b"irot", b"\1"), box(b"irot", b"\0"),
    ]  # fmt: skip
    first = b"\0\0\0\0" + struct.pack(">I", 2) + struct.pack(">HBB", 7, 1, 3) + struct.pack(">HBBB", 8, 2, 0x81, 2)
    assert primary_properties(io.BytesIO(meta(boxes, first, 8))) == Properties(Coding(9, 16), True)
    assert primary_properties(io.BytesIO(meta(boxes, first, 7))) == Properties(None, False)
    wide = b"\1\0\0\1" + struct.pack(">I", 1) + struct.pack(">IBH", 8, 1, 0x8001)
    assert primary_properties(io.BytesIO(meta(boxes, wide, 8))).coding == Coding(9, 16)


def test_damaged_boxes_are_no_properties() -> None:
    whole = (DATA / "pq_bt2020.avif").read_bytes()
    for end in range(0, 400, 7):
        primary_properties(io.BytesIO(whole[:end]))
    assert primary_properties(io.BytesIO(b"\0\0\0\x09meta")) == Properties()
