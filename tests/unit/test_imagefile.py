# mypy: disable-error-code="comparison-overlap"
from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from snellen.image import IMAGE_ERROR_CODES, ImageError, Picture, load

P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def scene(width: int = 96, height: int = 64) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Smooth, different in every corner and channel, without pure black or white."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 20 + 200 * x // width, 20 + 200 * y // height
    return np.stack([red, green, (red + green) // 2 + 15], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(values: np.ndarray[Any, Any]) -> bytes:
    """A 16-bit PNG, which Pillow does not write in colour: (H, W, C) uint16, C 2, 3 or 4."""

    def chunk(tag: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(values: np.ndarray[Any, Any]) -> bytes:
    """An uncompressed little-endian TIFF of any sample type: (H, W, 3)."""
    height, width, channels = values.shape
    bits, kind = values.dtype.itemsize * 8, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = {
        256: [width], 257: [height], 258: [bits] * channels, 259: [1], 262: [2], 273: [0], 277: [channels],
        278: [height], 279: [values.nbytes], 284: [1], 339: [kind] * channels,
    }  # fmt: skip
    extra_at = 8 + 2 + 12 * len(tags) + 4
    tags[273] = [extra_at + 12]
    entries, extra = b"", b""
    for tag, numbers in tags.items():
        if len(numbers) == 1:
            entries += struct.pack("<HHII", tag, 4, 1, numbers[0])
        else:
            entries += struct.pack("<HHII", tag, 3, len(numbers), extra_at + len(extra))
            extra += struct.pack(f"<{len(numbers)}H", *numbers)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + b"\0" * 4 + extra + values.tobytes()


def icc_profile(colorants: tuple[tuple[float, ...], ...], gamma: float, name: str, space: bytes = b"RGB ") -> bytes:
    """A minimal ICC 2 profile; colorants are XYZ under D50."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    white = (0.9642, 1.0, 0.8249)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    title = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name.encode() + b"\0" * 79
    tags = {b"desc": title + b"\0" * (-len(title) % 4), b"wtpt": b"XYZ \0\0\0\0" + fixed(*white)}
    if space == b"RGB ":
        for letter, colorant in zip((b"r", b"g", b"b"), colorants, strict=True):
            tags |= {letter + b"XYZ": b"XYZ \0\0\0\0" + fixed(*colorant), letter + b"TRC": curve}
    else:
        tags |= {b"kTRC": curve}
    data_at, table, data = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        table += tag + struct.pack(">II", data_at + len(data), len(value))
        data += value
    head = struct.pack(">I4xI4s4s4s12x4s", data_at + len(data), 0x02100000, b"mntr", space, b"XYZ ", b"acsp")
    return (head + b"\0" * (68 - len(head)) + fixed(*white)).ljust(128, b"\0") + table + data


def distance(picture: Picture, expected: np.ndarray[Any, Any]) -> float:
    assert picture.pixels.shape == expected.shape
    return float(np.abs(picture.pixels.astype(int) - expected.astype(int)).mean())


def refusal(source: Any, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        load(source, **options)
    assert "\n" not in str(caught.value) and caught.value.problem in str(caught.value)
    assert caught.value.code in IMAGE_ERROR_CODES and caught.value.remedy
    return caught.value


FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "a.jpg": ("JPEG", {"quality": 95}), "progressive.jpg": ("JPEG", {"quality": 95, "progressive": True}),
    "a.png": ("PNG", {}), "a.webp": ("WEBP", {"quality": 95}), "lossless.webp": ("WEBP", {"lossless": True}),
    "a.avif": ("AVIF", {"quality": 95}), "a.tif": ("TIFF", {}), "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "a.gif": ("GIF", {}), "a.bmp": ("BMP", {}), "a.jp2": ("JPEG2000", {}), "a.ppm": ("PPM", {}),
}  # fmt: skip


@pytest.fixture(params=FORMATS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path: Path = tmp_path / request.param
    kind, options = FORMATS[request.param]
    path.write_bytes(encoded(Image.fromarray(scene()), kind, **options))
    return path


def test_every_format(file: Path) -> None:
    picture = load(file)
    assert distance(picture, scene()) < (12 if file.suffix == ".gif" else 3)
    assert picture.pixels.dtype == np.uint8 and not picture.pixels.flags.writeable
    assert (picture.name, picture.notes) == (str(file), ())
    assert (picture.width, picture.height) == (96, 64) and picture.megapixels == pytest.approx(0.006144)
    assert np.array_equal(load(file.read_bytes()).pixels, picture.pixels)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.97])
def test_cut_off_files_are_errors_in_every_format(file: Path, share: float) -> None:
    kind, options = FORMATS[file.name]
    grain = np.random.default_rng(0).integers(-20, 21, (160, 240, 1))
    whole = encoded(Image.fromarray((scene(240, 160) + grain).clip(0, 255).astype(np.uint8)), kind, **options)
    file.write_bytes(whole[: int(len(whole) * share)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = refusal(file)
    assert error.code == "truncated" and error.name == str(file) and "cut off" in error.problem


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_orientation(kind: str, orientation: int) -> None:
    shown = Image.fromarray(scene())
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = shown.transpose(turns[orientation]) if orientation > 1 else shown
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = load(encoded(stored, kind, exif=exif, **({"quality": 95} if kind != "PNG" else {})))
    assert distance(picture, scene()) < 3
    assert picture.notes == (("EXIF orientation applied",) if orientation > 1 else ())


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_first_frame_is_taken_and_said(kind: str) -> None:
    first = Image.fromarray(scene())
    others = [first.transpose(Image.Transpose.ROTATE_180), first.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    picture = load(encoded(first, kind, save_all=True, append_images=others))
    assert picture.notes == ("first of 3 frames",)
    assert distance(picture, scene()) < 12


def test_first_frame_of_motion_jpeg_is_taken_and_said() -> None:
    first = Image.fromarray(scene())
    frames = [encoded(image, "JPEG", quality=95) for image in (first, ImageOps.invert(first), first)]
    picture = load(b"".join(frames))
    assert picture.notes == ("first of 3 frames",)
    assert distance(picture, scene()) < 3
    preview = encoded(first.resize((48, 32)), "JPEG")
    assert load(frames[0] + preview).notes == (), "another size is a preview behind the picture"
    assert load(frames[0] + b"\0\0" + frames[1]).notes == (), "no frames without a gap are no motion JPEG"


@pytest.mark.parametrize(
    "head",
    [b"\0\0\0\x20ftypisom", b"\x1aE\xdf\xa3", b"RIFF\x10\0\0\0AVI LIST", b"FLV\1\5"],
    ids=["mp4", "mkv", "avi", "flv"],
)
def test_a_video_is_refused_with_the_command_for_it(head: bytes) -> None:
    error = refusal(head + bytes(200))
    assert (error.code, error.problem) == ("unreadable", "is a video, not a picture")
    assert "snellen video" in error.remedy


def test_another_frame_of_an_open_animation_is_said() -> None:
    frames = [Image.fromarray(np.full((20, 20), level, np.uint8)) for level in (50, 100, 150)]
    animation = Image.open(io.BytesIO(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    animation.seek(2)
    picture = load(animation)
    assert picture.notes == ("frame 3 of 3",) and picture.pixels[5, 5].tolist() == [150] * 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_gray_is_scaled(kind: str) -> None:
    values = np.repeat(np.array([0, 128, 129, 257, 32896, 65535], np.uint16)[None], 16, 0).repeat(4, 1)
    picture = load(encoded(Image.fromarray(values), kind))
    assert picture.pixels[0, ::4, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert picture.notes == ("16 bit scaled to 8",)


@pytest.mark.parametrize("write", [png, tiff])
def test_sixteen_bit_colour_is_scaled(write: Any) -> None:
    picture = load(write(scene().astype(np.uint16) * 257))
    assert np.array_equal(picture.pixels, scene()) and picture.notes == ("16 bit scaled to 8",)


def test_sixteen_bit_alpha() -> None:
    gray = np.stack([np.full((20, 20), 257 * 100), np.full((20, 20), 257 * 51)], axis=-1).astype(np.uint16)
    picture = load(png(gray))
    assert picture.pixels[3, 3].tolist() == [224] * 3  # 0.2 * 100 + 0.8 * 255
    assert picture.notes == ("16 bit scaled to 8", "alpha composited on white")


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(np.ones((20, 20), np.float32)), "TIFF"),
        encoded(Image.fromarray(np.ones((20, 20), np.int32)), "TIFF"),
        tiff(np.ones((20, 20, 3), np.float32)),
    ],
    ids=["float gray", "integer gray", "float colour"],
)
def test_thirty_two_bit_tiff_is_refused_by_name(data: bytes) -> None:
    error = refusal(data)
    assert error.code == "unreadable" and "32 bit" in error.problem and "16 bit" in error.remedy


def test_gray_palette_and_bilevel() -> None:
    image = Image.fromarray(scene())
    gray = np.asarray(image.convert("L"))
    assert distance(load(encoded(image.convert("L"), "PNG")), np.dstack([gray] * 3)) == 0
    assert distance(load(encoded(image.quantize(128), "PNG")), scene()) < 6
    assert set(np.unique(load(encoded(image.convert("1"), "PNG")).pixels)) == {0, 255}


def test_cmyk_and_lab() -> None:
    image = Image.fromarray(scene())
    picture = load(encoded(image.convert("CMYK"), "TIFF"))
    assert np.array_equal(picture.pixels, scene()) and picture.notes == ("CMYK converted to RGB",)
    assert distance(load(encoded(image.convert("CMYK"), "JPEG", quality=95)), scene()) < 2
    neutral = load(encoded(Image.new("LAB", (20, 20), (128, 128, 128)), "TIFF"))
    assert np.ptp(neutral.pixels) <= 2 and 110 < neutral.pixels[0, 0, 0] < 130  # L* 50 is 119 in sRGB


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_alpha_is_laid_on_white(kind: str) -> None:
    pixels = np.dstack([scene(), np.full(scene().shape[:2], 255, np.uint8)])
    opaque = encoded(Image.fromarray(pixels), kind)
    assert load(opaque).notes == ()
    pixels[:32, :, 3] = 0
    picture = load(encoded(Image.fromarray(pixels), kind))
    assert picture.notes == ("alpha composited on white",)
    assert (picture.pixels[:24] >= 250).all() and (picture.pixels[40:] < 250).all()


def test_half_transparent_and_keyed_colours() -> None:
    assert load(Image.new("RGBA", (16, 16), (0, 100, 200, 51))).pixels[0, 0].tolist() == [204, 224, 244]
    assert load(Image.new("LA", (16, 16), (100, 51))).pixels[0, 0].tolist() == [224] * 3
    keyed = encoded(Image.new("RGB", (16, 16), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert load(keyed).pixels.min() == 255
    indexed = encoded(Image.new("P", (16, 16), 5), "GIF", transparency=5)
    assert load(indexed).pixels.min() == 255


def test_a_keyed_gray_of_sixteen_bit() -> None:
    gray = np.full((32, 32), 0x1234, np.uint16)
    gray[:16] = 0x8000
    data = encoded(Image.fromarray(gray), "PNG")
    key = b"tRNS" + struct.pack(">H", 0x1234)
    keyed = data[:33] + struct.pack(">I", 2) + key + struct.pack(">I", zlib.crc32(key)) + data[33:]
    picture = load(keyed)
    assert set(picture.notes) == {"16 bit scaled to 8", "alpha composited on white"}
    assert (picture.pixels[:16] == 128).all() and (picture.pixels[16:] == 255).all()


def test_colour_profiles_are_converted() -> None:
    image = Image.new("RGB", (20, 20), (128, 100, 80))
    wide = load(encoded(image, "JPEG", quality=100, icc_profile=icc_profile(P3, 2.2, "Wide")))
    assert wide.notes == ('converted from colour profile "Wide" to sRGB',)
    assert wide.pixels[0, 0].tolist() == pytest.approx([135, 99, 76], abs=2)  # redder: P3 primaries reach further
    linear = load(encoded(image, "PNG", icc_profile=icc_profile(SRGB, 1.0, "sRGB, linear")))
    assert linear.pixels[0, 0].tolist() == pytest.approx([188, 168, 152], abs=1)  # by the sRGB curve of 128, 100, 80
    gray = Image.new("L", (20, 20), 128)
    assert load(encoded(gray, "PNG", icc_profile=icc_profile((), 1.0, "Gray", b"GRAY"))).pixels[0, 0, 1] == 188


def test_profiles_that_say_nothing_new_change_nothing() -> None:
    from PIL import ImageCms

    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(scene())
    assert load(encoded(image, "PNG", icc_profile=same)).notes == ()
    mismatched = load(encoded(image.convert("L"), "PNG", icc_profile=icc_profile(P3, 2.2, "Wide")))
    assert mismatched.notes == ()
    broken = load(encoded(image, "PNG", icc_profile=b"no profile at all" * 10))
    assert np.array_equal(broken.pixels, scene()) and broken.notes == ("damaged colour profile ignored",)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may read everything: become nobody for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_paths_without_a_picture(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.jpg").code == "missing"
    assert str(refusal(str(tmp_path / "none.jpg"))) == f"{tmp_path}/none.jpg: no such file; check the path"
    assert refusal("a\0b").code == refusal("x" * 5000).code == "missing"
    assert refusal(tmp_path).code == "directory"
    (tmp_path / "empty.png").touch()
    assert refusal(tmp_path / "empty.png").code == "empty" and refusal(b"").code == "empty"
    assert refusal(Path(os.devnull)).code == "unreadable"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    Image.fromarray(scene()).save(path)
    path.chmod(0)
    with unprivileged():
        error = refusal(path)
    assert error.code == "permission" and "permission" in str(error)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"Dear diary,\nno picture today.\n", "text"), (b"BMW is a car maker", "text"), (b"GIF8 me a break", "text"),
        ("Schöne Grüße".encode(), "text"), (b"%PDF-1.7\n\0\x01", "not a picture in a format"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "is a video"), (bytes(500), "not a picture"),
    ],
)  # fmt: skip
def test_no_picture_inside(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    error = refusal(path)
    assert error.code == "unreadable" and words in error.problem and "JPEG" in error.remedy


def test_too_small_and_too_large_by_the_header_alone() -> None:
    assert refusal(encoded(Image.new("RGB", (1, 1)), "PNG")).code == "too_small"
    assert refusal(np.zeros((15, 400), np.uint8)).code == "too_small"
    assert load(np.zeros((16, 400), np.uint8)).height == 16

    def claims(width: int, height: int) -> bytes:
        real = bytearray(encoded(Image.new("RGB", (16, 16)), "PNG"))
        real[16:24] = struct.pack(">II", width, height)
        real[29:33] = struct.pack(">I", zlib.crc32(real[12:29]))
        return bytes(real)

    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = refusal(claims(12_000, 9_000))
        assert error.code == "too_large" and "12000x9000 px is 108 megapixels" in error.problem
        assert refusal(claims(60_000, 60_000)).code == "too_large"
        # Within limits the lie comes out: the data ends early. That it is decoded at all shows that 95 MP are allowed.
        assert refusal(claims(10_000, 9_500)).code == "truncated"
    assert before == Image.MAX_IMAGE_PIXELS
    assert refusal(np.zeros((200, 200), np.uint8), max_megapixels=0.03).code == "too_large"
    assert refusal(Image.new("L", (200, 200)), max_megapixels=0.03).code == "too_large"


@pytest.mark.parametrize("module", ["pillow_heif", "rawpy"])
def test_missing_extras_are_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    data, name, extra = (heic, "a.jpg", "heic") if module == "pillow_heif" else (b"II*\0", "a.NEF", "raw")
    error = refusal(data, name=name)
    assert error.code == "needs_extra" and error.remedy == f'pip install "snellen[{extra}]"'


def test_heic() -> None:
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(Image.fromarray(scene())).save(file, quality=95)
    assert distance(load(file.getvalue()), scene()) < 3
    assert refusal(file.getvalue()[:-200]).code == "truncated"
    assert refusal(file.getvalue(), max_megapixels=0.001).code == "too_large"


def test_damaged_raw() -> None:
    pytest.importorskip("rawpy")
    assert refusal(b"II*\0" + bytes(300), name="a.nef").code == "truncated"


DATA = Path(__file__).parents[1] / "data"


def test_heic_with_an_orientation_in_its_exif_data_only() -> None:
    pytest.importorskip("pillow_heif")
    picture = load(DATA / "exif_only_o6.heic")
    assert (picture.width, picture.height, picture.notes) == (448, 288, ("EXIF orientation applied",))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_heic_that_its_boxes_turn_is_turned_once(orientation: int) -> None:
    heif = pytest.importorskip("pillow_heif")
    image = Image.fromarray(scene())
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.info["exif"] = exif.tobytes()
    file = io.BytesIO()
    heif.from_pillow(image).save(file, quality=95)  # writes boxes and EXIF data
    picture = load(file.getvalue())
    assert picture.notes == () and np.array_equal(picture.pixels, np.asarray(heif.open_heif(file).to_pillow()))


def test_planes_of_sixteen_bit() -> None:
    picture = load(DATA / "planar16.tif")
    assert np.array_equal(picture.pixels, load(DATA / "plain.png").pixels)
    assert picture.notes == ("16 bit scaled to 8",)
    assert refusal((DATA / "planar16.tif").read_bytes()[:40_000]).code == "truncated"


def test_compressed_planes_of_sixteen_bit_are_refused() -> None:
    data = bytearray((DATA / "planar16.tif").read_bytes())
    count, at = struct.unpack("<H", data[8:10])[0], 10
    for entry in range(at, at + 12 * count, 12):
        if struct.unpack("<H", data[entry : entry + 2])[0] == 259:
            data[entry + 8 : entry + 10] = struct.pack("<H", 8)
    error = refusal(bytes(data))
    assert error.code == "unreadable" and "planes" in error.problem and "interleaved" in error.remedy


def test_a_bitmap_whose_alpha_is_nowhere_set() -> None:
    picture = load(DATA / "alpha0.bmp")
    assert np.array_equal(picture.pixels, load(DATA / "plain.png").pixels)
    assert picture.notes == ("alpha that is 0 everywhere ignored",)


def raw_file() -> bytes:
    return (DATA / "thumb_first.dng").read_bytes()


@pytest.mark.parametrize("name", ["bytes", "holiday.jpg", "holiday.tif"])
def test_raw_is_recognised_by_its_content(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rawpy")
    picture = load(raw_file(), name=name)
    assert (picture.width, picture.height) == (128, 96)  # the preview in its first directory has 40 x 30 px
    assert picture.notes == ("developed from RAW with the camera's white balance",)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    assert refusal(raw_file(), name=name).code == "needs_extra"


@pytest.mark.parametrize(
    "start",
    [b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\0\0\0", b"IIRS\x08\0\0\0", b"MMOR\0\0\0\x08", b"IIU\0\x18\0\0\0",
     b"FOVb\0\0\2\0", b"\0MRM\0\0\0\0", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"],
    ids=["raf", "orf", "orf sp", "orf big", "rw2", "x3f", "mrw", "cr3"],
)  # fmt: skip
def test_raw_is_recognised_by_its_first_bytes(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    assert refusal(start + bytes(300), name="photo.jpg").code == "needs_extra"


@pytest.mark.parametrize(
    ("tag", "value"),
    [(262, 32803), (262, 34892), (259, 34713), (259, 32767), (259, 65535), (259, 32770)],
    ids=["colour filter array", "linear", "nef", "arw", "pef", "srw"],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_raw_is_recognised_by_the_directory_of_its_raw_data(
    tag: int, value: int, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    first = struct.pack(order + "H HHII HHII I", 2, 256, 4, 1, 40, 330, 4, 1, 8 + 30, 0)
    second = struct.pack(order + "H HHIHH I", 1, tag, 3, 1, value, 0, 0)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    assert refusal(head + first + second).code == "needs_extra"


def test_directories_in_a_circle_end() -> None:
    head = struct.pack("<2sHI", b"II", 42, 8)
    circle = struct.pack("<H HHII HHII I", 2, 256, 4, 1, 40, 330, 4, 1, 8, 8)
    assert refusal(head + circle).code == "truncated"


def test_renamed_pictures_are_read_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(Image.fromarray(scene()), "JPEG", quality=95))
    assert distance(load(path), scene()) < 3


def test_the_second_image_of_an_mpo_is_ignored() -> None:
    first, second = Image.fromarray(scene()), Image.fromarray(255 - scene())
    picture = load(encoded(first, "MPO", save_all=True, append_images=[second], quality=95))
    assert distance(picture, scene()) < 3 and picture.notes == ()


def test_pillows_own_limit_is_lifted_within_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 110_000)  # Pillow refuses twice as many
    for kind in ("PNG", "WEBP", "GIF", "TIFF", "JPEG", "AVIF", "BMP"):
        data = encoded(Image.fromarray(scene(400, 600)), kind)
        with ThreadPoolExecutor(8) as pool:
            assert {picture.width for picture in pool.map(load, [data] * 8)} == {400}
        assert refusal(data, max_megapixels=0.23).code == "too_large"
    assert Image.MAX_IMAGE_PIXELS == 110_000


def test_two_hundred_megapixels_are_within_a_limit_of_250() -> None:
    real = bytearray(encoded(Image.new("L", (16, 16)), "PNG"))
    real[16:24] = struct.pack(">II", 20_000, 10_000)
    real[29:33] = struct.pack(">I", zlib.crc32(real[12:29]))
    assert refusal(bytes(real)).code == "too_large"
    assert refusal(bytes(real), max_megapixels=250).code == "truncated", "the header passes, the pixels are missing"


def test_errors_survive_other_processes_and_stay_on_one_line() -> None:
    error = ImageError("missing", "a\nb.jpg", "no such\nfile", "check the path")
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, str(again)) == ("missing", "a b.jpg: no such file; check the path")
    with pytest.raises(ValueError, match="unknown image error code"):
        ImageError("odd", "", "", "")
