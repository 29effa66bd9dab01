"""Pictures and looks at them: any source -> upright sRGB pixels -> the two small pictures that a model sees."""

from __future__ import annotations

import io
import math
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, features

from snellen.region import FULL, Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERVIEW = 320
"""Longest side of an overview, in px."""
TILE = 32
"""Side of one fragment tile, in native px."""
GRID = 10
"""Tiles per side of the fragments picture."""
MIN_SIDE = 16
"""Pictures with fewer px than this on a side are refused."""

IMAGE_ERROR_CODES = (
    "missing", "directory", "empty", "truncated", "unreadable",
    "too_small", "too_large", "permission", "needs_extra", "bad_array",
)  # fmt: skip
"""What can be wrong with a picture."""

_RAW_SUFFIXES = frozenset(".3fr .arw .cr2 .cr3 .dng .erf .iiq .mrw .nef .nrw .orf .pef .raf .rw2 .srw .x3f".split())
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"))
_STARTS = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF8", "GIF"), (b"BM", "BMP"),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"),
    (b"\xff\x4f\xff\x51", "JPEG2000"), (b"\0\0\0\x0cjP  ", "JPEG2000"),
    (b"P4", "PPM"), (b"P5", "PPM"), (b"P6", "PPM"),
)  # fmt: skip
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_ORIENTATION_TAG = 0x0112
_STRIP_ROWS = 256
_HEADER_LOCK = threading.Lock()


class ImageError(Exception):
    """A picture that cannot be used. ``str()`` is one line: ``NAME: problem; remedy``.

    Attributes:
        code: one of ``IMAGE_ERROR_CODES``.
        name: the picture's name (its path, unless the caller gave another).
        problem: what is wrong.
        remedy: what to do about it.
    """

    def __init__(self, code: str, name: str, problem: str, remedy: str) -> None:
        if code not in IMAGE_ERROR_CODES:
            raise ValueError(f"unknown image error code {code!r}")
        super().__init__(code, name, problem, remedy)
        self.code, self.name, self.problem, self.remedy = code, name, problem, remedy

    def __str__(self) -> str:
        return " ".join(f"{self.name}: {self.problem}; {self.remedy}".split())


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright sRGB picture.

    Attributes:
        pixels: (H, W, 3) uint8, read-only.
        name: the path or the name that the caller gave.
        notes: what was done to the source on the way, e.g. "alpha composited on white", "first of 12 frames".
    """

    pixels: NDArray[np.uint8]
    name: str
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Width in px."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in px."""
        return int(self.pixels.shape[0])

    @property
    def megapixels(self) -> float:
        """Size in millions of px."""
        return self.width * self.height / 1e6


def load(
    source: str | Path | bytes | Image.Image | NDArray[Any],
    *,
    name: str | None = None,
    max_megapixels: float = 100.0,
) -> Picture:
    """Reads a picture: a path, the bytes of a file, a PIL image, or an array.

    Files: JPEG, PNG, WebP, AVIF, TIFF, GIF (first frame), BMP, JPEG 2000, PPM; HEIC and camera RAW through extras.
    16-bit values are scaled to 8; transparency is laid on white; an embedded colour profile is converted to sRGB;
    EXIF orientation is applied. Arrays: (H, W) or (H, W, C) with C 1, 3 or 4 (alpha last), sRGB, as uint8, uint16
    (0..65535) or float (0..1).

    Args:
        source: the picture.
        name: how errors and reports call it; by default the path, or what kind of source it is.
        max_megapixels: refuse larger pictures, from their header, before any pixel is decoded.

    Raises:
        ImageError: the picture cannot be used; the message says why and what to do.
        TypeError: ``source`` is none of the kinds above.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, name or "array", max_megapixels)
    if isinstance(source, Image.Image):
        return _from_pil(source, name or getattr(source, "filename", "") or "image", "picture", max_megapixels)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_file(io.BytesIO(source), name or "bytes", max_megapixels)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"a picture is a path, bytes, a PIL image or an array, not {type(source).__name__}")
    with _opened(Path(source), name or str(source)) as file:
        return _from_file(file, name or str(source), max_megapixels)


@contextmanager
def _opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """The file at ``path``, or the ImageError that says why there is none. Errors of the body pass through."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError("directory", name, "is a directory", "name a picture, or use a command that takes folders")
        if not stat.S_ISREG(mode):
            raise ImageError("unreadable", name, "is not a regular file", "save the picture to a file first")
        file = path.open("rb")
    except PermissionError as error:
        raise ImageError("permission", name, "no permission to read it", "change its permissions or owner") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be opened ({error})"
        raise ImageError("missing", name, reason, "check the path") from error
    with file:
        yield file


def _from_file(file: BinaryIO, name: str, max_megapixels: float) -> Picture:
    head = file.read(256)
    file.seek(0)
    if not head:
        raise ImageError("empty", name, "the file is empty", "copy or download it again")
    if Path(name).suffix.lower() in _RAW_SUFFIXES:
        return _from_raw(file, name, max_megapixels)
    kind = _sniff(head)
    if kind is None:
        text = b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head)
        problem = "contains text, not a picture" if text else "is not a picture in a format that can be read"
        remedy = "give a JPEG, PNG, WebP, AVIF, TIFF, GIF or BMP file"
        raise ImageError("unreadable", name, problem, remedy)
    if kind == "HEIC":
        return _from_heic(file, name, max_megapixels)
    if kind in ("AVIF", "WEBP") and not features.check(kind.lower()):
        raise ImageError("unreadable", name, f"this Pillow cannot read {kind}", 'pip install --upgrade "pillow>=11.3"')
    with _decoding(name, kind, max_megapixels), _quiet_header():
        image = Image.open(file, formats=(kind,))
    return _from_pil(image, name, kind, max_megapixels)


def _sniff(head: bytes) -> str | None:
    """The format that the first bytes of a file announce: Pillow's name for it, "HEIC", or None."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        size = int.from_bytes(head[:4], "big")
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        return "HEIC" if brands & _HEIC_BRANDS else None
    return next((kind for start, kind in _STARTS if head.startswith(start)), None)


@contextmanager
def _quiet_header() -> Iterator[None]:
    """Silences Pillow's warnings: sizes are checked here, and odd metadata is none of the user's business.

    Under a lock, since the filters are one list per process and threads would restore each other's copy.
    """
    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _decoding(name: str, kind: str, max_megapixels: float) -> Iterator[None]:
    """Turns whatever a decoder throws at bad data into an ImageError."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        problem = f"has more than the {min(max_megapixels, limit):.0f} megapixels allowed"
        remedy = "make it smaller, or raise max_megapixels (and PIL.Image.MAX_IMAGE_PIXELS)"
        raise ImageError("too_large", name, problem, remedy) from error
    except Exception as error:  # decoders raise nearly every built-in exception on damaged data
        reason = "" if isinstance(error, Image.UnidentifiedImageError) else f" ({error or type(error).__name__})"
        problem = f"the {kind} data is cut off or damaged{reason}"
        raise ImageError("truncated", name, problem, "copy or download the file again") from error


def _check_size(width: int, height: int, name: str, max_megapixels: float) -> None:
    size = f"{width}x{height} px"
    if min(width, height) < MIN_SIDE:
        remedy = f"use a picture of at least {MIN_SIDE} px on each side"
        raise ImageError("too_small", name, f"is only {size}", remedy)
    if width * height > max_megapixels * 1e6:
        problem = f"{size} is {width * height / 1e6:.1f} megapixels, over the limit of {max_megapixels:g}"
        raise ImageError("too_large", name, problem, "make it smaller or raise max_megapixels")


def _from_pil(image: Image.Image, name: str, kind: str, max_megapixels: float) -> Picture:
    _check_size(*image.size, name, max_megapixels)
    if image.mode == "F":
        remedy = "convert it to 8 or 16 bit first"
        raise ImageError("unreadable", name, "floating-point pixels have no agreed white", remedy)
    notes = []
    with _decoding(name, kind, max_megapixels):
        # Before load(), which may close the file. The second picture of an MPO is a preview or a gain map.
        frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
        if frames > 1:
            notes.append(f"first of {frames} frames")
        if any("16" in str(part[3]) for part in getattr(image, "tile", ())) or image.mode[0] == "I":
            notes.append("16 bit scaled to 8")
        image.load()
        with _quiet_header():
            turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
        profile = image.info.get("icc_profile")
        if turn is not None:
            image = image.transpose(turn)
            notes.append("EXIF orientation applied")
        pixels = _to_srgb(image, profile, name, notes)
    return Picture(pixels, name, tuple(notes))


def _to_srgb(image: Image.Image, profile: bytes | None, name: str, notes: list[str]) -> NDArray[np.uint8]:
    """Pixels of a decoded image, strip by strip so that no second full copy exists; appends to ``notes``."""
    probe = _flat(image.crop((0, 0, 1, 1)), name)[0]
    transform = _srgb_transform(probe.mode, profile, notes)
    if probe.mode == "CMYK":
        notes.append("CMYK converted to RGB")
    transparent = False
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP_ROWS):
        bottom = min(image.height, top + _STRIP_ROWS)
        strip, see_through = _flat(image.crop((0, top, image.width, bottom)), name)
        transparent |= see_through
        rgb = strip.convert("RGB") if transform is None else transform.apply(strip)
        pixels[top:bottom] = np.asarray(rgb)
    if transparent:
        notes.append("alpha composited on white")
    pixels.setflags(write=False)
    return pixels


def _flat(strip: Image.Image, name: str) -> tuple[Image.Image, bool]:
    """A strip as 8-bit L, RGB, CMYK or LAB without transparency, and whether any of it was transparent."""
    if strip.mode[0] == "I":
        values = np.asarray(strip)
        if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            remedy = "convert it to 8 or 16 bit first"
            raise ImageError("unreadable", name, "32-bit integer pixels have no agreed white", remedy)
        return Image.fromarray(_from_16_bit(values)), False
    if "transparency" in strip.info or strip.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        clear = strip.convert("RGBA")
        low, _ = clear.getchannel("A").getextrema()
        if low == 255:
            return clear.convert("RGB"), False
        white = Image.new("RGB", strip.size, (255, 255, 255))
        white.paste(clear, mask=clear)
        return white, True
    return (strip if strip.mode in ("L", "RGB", "CMYK", "LAB") else strip.convert("RGB")), False


def _srgb_transform(mode: str, profile: bytes | None, notes: list[str]) -> ImageCms.ImageCmsTransform | None:
    """The colour transform from an embedded profile to sRGB; None where plain conversion is right."""
    if mode == "LAB":
        return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        title = ImageCms.getProfileDescription(source).strip()
        if source.profile.xcolor_space.strip() != {"L": "GRAY"}.get(mode, mode) or "srgb" in title.lower():
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (OSError, ImageCms.PyCMSError):
        notes.append("damaged colour profile ignored")
        return None
    notes.append(f'converted from colour profile "{title}" to sRGB')
    return transform


def _from_16_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """0..65535 to 0..255, to the nearest: 65535 / 255 = 257."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_heic(file: BinaryIO, name: str, max_megapixels: float) -> Picture:
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError("needs_extra", name, "HEIC needs an extra", 'pip install "snellen[heic]"') from error
    with _decoding(name, "HEIC", max_megapixels):
        heif = pillow_heif.open_heif(file, convert_hdr_to_8bit=True)
        _check_size(*heif.size, name, max_megapixels)
        image = heif.to_pillow()
        image.info.pop("exif", None)  # the decoder has turned the picture upright already
        image.info.pop("xmp", None)
    return _from_pil(image, name, "HEIC", max_megapixels)


def _from_raw(file: BinaryIO, name: str, max_megapixels: float) -> Picture:
    try:
        import rawpy
    except ImportError as error:
        raise ImageError("needs_extra", name, "camera RAW needs an extra", 'pip install "snellen[raw]"') from error
    with _decoding(name, "RAW", max_megapixels), rawpy.imread(file) as raw:
        _check_size(raw.sizes.width, raw.sizes.height, name, max_megapixels)
        pixels = np.ascontiguousarray(raw.postprocess(use_camera_wb=True, output_bps=8))
    pixels.setflags(write=False)
    return Picture(pixels, name, ("developed from RAW with the camera's white balance",))


def _from_array(array: NDArray[Any], name: str, max_megapixels: float) -> Picture:
    expected = "give (H, W) or (H, W, C) with C 1, 3 or 4, as uint8, uint16 or float in 0..1"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError("bad_array", name, f"an array of shape {array.shape} is not a picture", expected)
    _check_size(array.shape[1], array.shape[0], name, max_megapixels)
    notes = []
    if array.dtype == np.uint16:
        array = _from_16_bit(array)
        notes.append("16 bit scaled to 8")
    elif array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0.0 and high <= 1.0):  # NaN fails too
            problem = f"float values go from {low:g} to {high:g}, outside 0..1"
            raise ImageError("bad_array", name, problem, "scale them to 0..1 or convert to uint8")
        array = np.rint(array * 255.0).astype(np.uint8)
        notes.append("float 0..1 scaled to 8 bit")
    elif array.dtype != np.uint8:
        raise ImageError("bad_array", name, f"an array of {array.dtype} is not a picture", expected)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    pixels = _to_srgb(Image.fromarray(np.ascontiguousarray(array)), None, name, notes)
    return Picture(pixels, name, tuple(notes))


@dataclass(frozen=True, eq=False)
class View:
    """What a model sees of one region: two small pictures.

    Attributes:
        region: what part of the picture.
        overview: (h, w, 3) uint8, the region resampled; h and w are multiples of 32 in 64..OVERVIEW.
        fragments: (GRID*TILE, GRID*TILE, 3) uint8, native pixels from GRID x GRID places, edge to edge.
        scale: overview px per native px along the long side, at most 1.
        picture: what is looked at, for backends that cut their own view; see ``resample``.
    """

    region: Region
    overview: NDArray[np.uint8]
    fragments: NDArray[np.uint8]
    scale: float
    picture: Picture


def look(picture: Picture, region: Region = FULL) -> View:
    """Looks at a region: the whole of it small, and samples of it in native pixels. Deterministic.

    ``overview`` is the region scaled down so that its long side is OVERVIEW px, never up, each side then rounded to
    a multiple of 32 (to the nearest, but not above the native size). Sides shorter than 64 px are the exception:
    they become 64. ``fragments`` are tiles of TILE native px from the centres of GRID x GRID cells (grid mini-patch
    sampling; Wu et al., FAST-VQA, 2022); in regions under GRID*TILE px tiles overlap, under TILE they repeat edges.
    """
    left, top, right, bottom = region.to_pixels(picture.width, picture.height)
    cut = picture.pixels[top:bottom, left:right]
    height, width = cut.shape[:2]
    shrink = min(1.0, OVERVIEW / max(width, height))
    size = (_overview_side(width, shrink), _overview_side(height, shrink))
    overview = np.array(
        Image.fromarray(np.ascontiguousarray(cut)).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    )
    fragments = cut[_tile_indices(height)[:, None], _tile_indices(width)[None, :]]
    return View(region, overview, fragments, min(1.0, max(size) / max(width, height)), picture)


def resample(picture: Picture, region: Region, long_side: int) -> NDArray[np.uint8]:
    """The pixels of a region, (h, w, 3) uint8, scaled down to at most ``long_side`` px on the long side, never up."""
    left, top, right, bottom = region.to_pixels(picture.width, picture.height)
    cut = picture.pixels[top:bottom, left:right]
    shrink = min(1.0, long_side / max(cut.shape[:2]))
    size = (max(1, round(cut.shape[1] * shrink)), max(1, round(cut.shape[0] * shrink)))
    image = Image.fromarray(np.ascontiguousarray(cut))
    return np.array(image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))


def _overview_side(native: int, shrink: float) -> int:
    nearest = 32 * math.floor(native * shrink / 32 + 0.5)
    return max(64, min(nearest, native // 32 * 32))


def _tile_indices(size: int) -> NDArray[np.intp]:
    """Which of ``size`` pixels along a side the fragments take: (GRID * TILE,), each in [0, size)."""
    starts = np.floor((np.arange(GRID) + 0.5) * size / GRID - TILE / 2 + 0.5).astype(np.intp)
    starts = np.clip(starts, min(0, (size - TILE) // 2), max(0, size - TILE))
    return np.clip((starts[:, None] + np.arange(TILE)).ravel(), 0, size - 1)


@dataclass(frozen=True)
class ZoomPolicy:
    """Which crops a protocol allows.

    Attributes:
        min_area: smallest share of the picture.
        max_area: largest share of the picture.
        min_side_px: smallest side in native px (or the picture's side where that is shorter); stronger than max_area.
        invalid: what an invalid box becomes: "error" raises, "central" is the central half of each side.
    """

    min_area: float
    max_area: float
    min_side_px: int
    invalid: str

    def settle(self, region: Region | None, width: int, height: int) -> Region:
        """The allowed crop nearest to ``region`` on a picture of ``width`` x ``height`` px, on whole pixels.

        The centre is kept unless the crop would leave the picture, the aspect ratio unless a side is used up.

        Args:
            region: the box that was asked for; None for an invalid one.
            width: of the picture, px.
            height: of the picture, px.

        Raises:
            ValueError: the box is invalid and the policy is "error".
        """
        if region is None:
            if self.invalid == "error":
                raise ValueError("the box to zoom into is invalid")
            region = Region(0.25, 0.25, 0.75, 0.75)
        left, top, right, bottom = region.to_pixels(width, height)
        w, h = right - left, bottom - top
        total = width * height
        if w * h > self.max_area * total:
            shrink = math.sqrt(self.max_area * total / (w * h))
            w, h = max(1, math.floor(w * shrink)), max(1, math.floor(h * shrink))
        if w * h < self.min_area * total:
            grow = math.sqrt(self.min_area * total / (w * h))
            w = min(width, math.ceil(w * grow))
            h = min(height, math.ceil(self.min_area * total / w))
            w = min(width, max(w, math.ceil(self.min_area * total / h)))
        w, h = min(width, max(w, self.min_side_px)), min(height, max(h, self.min_side_px))
        left = min(max(0, math.floor((left + right - w) / 2)), width - w)
        top = min(max(0, math.floor((top + bottom - h) / 2)), height - h)
        return Region.from_pixels((left, top, left + w, top + h), width, height)


ZOOM_PRESETS = {
    "snellen": ZoomPolicy(min_area=0.0, max_area=0.75, min_side_px=OVERVIEW, invalid="error"),
    "zoom-iqa": ZoomPolicy(min_area=0.25, max_area=0.75, min_side_px=28, invalid="central"),
}
"""Zoom policies by name: crops down to what shows native pixels, and the Zoom-IQA authors' clamping."""
