"""Decoding of picture files and PIL images into upright sRGB pixels; failures raise ImageError."""

from __future__ import annotations

import io
import stat
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin, UnidentifiedImageError, features

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SIDE = 16
"""Pictures with fewer px than this on a side are refused."""

IMAGE_ERROR_CODES = (
    "missing", "directory", "empty", "truncated", "unreadable",
    "too_small", "too_large", "permission", "needs_extra", "bad_array",
)  # fmt: skip
"""Values of `ImageError.code`."""

RAW_SUFFIXES = frozenset(
    (".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2",
     ".srw", ".x3f")
)  # fmt: skip
"""Suffixes of camera RAW files, whose content looks like TIFF."""
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"))
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
_STARTS = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"),
    (b"\xff\x4f\xff\x51", "JPEG2000"), (b"\0\0\0\x0cjP  ", "JPEG2000"),
)  # fmt: skip
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_ORIENTATION_TAG = 0x0112
_STRIP_ROWS = 256
_SAME_COLOUR = 2
_HEADER_LOCK = threading.Lock()


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


@contextmanager
def opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open the file at ``path``; raise ImageError where that fails. Errors of the body pass through."""
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


def file_pixels(file: BinaryIO, name: str, max_megapixels: float) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the upright sRGB pixels of an open file, (H, W, 3) uint8 and read-only, and notes on conversions.

    Raises:
        ImageError: the picture cannot be used.
    """
    head = file.read(256)
    file.seek(0)
    if not head:
        raise ImageError("empty", name, "the file is empty", "copy or download it again")
    if Path(name).suffix.lower() in RAW_SUFFIXES:
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
        try:
            image = Image.open(file, formats=(kind,))
        except UnidentifiedImageError:
            if kind == "TIFF" and _has_float_samples(file):
                _refuse_32_bit(name)
            raise
    return image_pixels(image, name, kind, max_megapixels)


def _sniff(head: bytes) -> str | None:
    """Return the format by a file's first bytes: Pillow's name for it, "HEIC", or None."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        size = int.from_bytes(head[:4], "big")
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        return "HEIC" if brands & _HEIC_BRANDS else None
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if head[:2] in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6") and head[2:3].isspace():
        return "PPM"
    return next((kind for start, kind in _STARTS if head.startswith(start)), None)


@contextmanager
def _quiet_header() -> Iterator[None]:
    """Silence Pillow's warnings: sizes are checked here, and odd metadata does not concern the user.

    A lock guards the warning filters, which are one list per process: threads would restore each other's copy.
    """
    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _decoding(name: str, kind: str, max_megapixels: float) -> Iterator[None]:
    """Turn any exception of a decoder into an ImageError."""
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
        if isinstance(error, UnidentifiedImageError):
            problem = f"the {kind} data is cut off, damaged or of an unsupported variant"
        else:
            reason = " ".join(str(error).split()) or type(error).__name__  # libheif's come in several lines
            problem = f"the {kind} data is cut off or damaged ({reason})"
        raise ImageError("truncated", name, problem, "copy or download the file again") from error


def check_size(width: int, height: int, name: str, max_megapixels: float) -> None:
    """Raise ImageError unless both sides have MIN_SIDE px and the area is within ``max_megapixels``."""
    size = f"{width}x{height} px"
    if min(width, height) < MIN_SIDE:
        remedy = f"use a picture of at least {MIN_SIDE} px on each side"
        raise ImageError("too_small", name, f"is only {size}", remedy)
    if width * height > max_megapixels * 1e6:
        problem = f"{size} is {width * height / 1e6:.4g} megapixels, over the limit of {max_megapixels:g}"
        raise ImageError("too_large", name, problem, "make it smaller or raise max_megapixels")


def _has_float_samples(file: BinaryIO) -> bool:
    """Return whether the header of a TIFF file, which Pillow cannot open, declares floating-point samples."""
    sample_format, floating_point = 339, 3
    file.seek(0)
    header = file.read(16)
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(header if header[2:4] in (b"+\0", b"\0+") else header[:8])
        file.seek(tags.next)
        tags.load(file)
    except (SyntaxError, ValueError, OSError, struct.error):  # the header is damaged too
        return False
    return floating_point in tags.get(sample_format, ())


def _refuse_32_bit(name: str) -> NoReturn:
    problem = "pixels of 32 bit (floating point or integer) have no agreed white"
    raise ImageError("unreadable", name, problem, "convert it to 8 or 16 bit first")


def image_pixels(
    image: Image.Image, name: str, kind: str, max_megapixels: float
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return upright sRGB pixels of a PIL image, decoded or not, as ``file_pixels`` does; ``kind`` names its format.

    Raises:
        ImageError: the picture cannot be used.
    """
    check_size(*image.size, name, max_megapixels)
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        _refuse_32_bit(name)
    notes = []
    with _decoding(name, kind, max_megapixels):
        with _quiet_header():  # before load(), which may close the file
            # The second image of an MPO is a preview or a gain map. Pillow itself rotates a TIFF while loading it.
            frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
            turned = image.format == "TIFF" and image.getexif().get(_ORIENTATION_TAG) in _UPRIGHT
        if frames > 1:
            shown = image.tell() + 1
            notes.append(f"first of {frames} frames" if shown == 1 else f"frame {shown} of {frames}")
        tiles = str([part[3] for part in getattr(image, "tile", ())])
        if image.mode[0] == "I" or (image.format in ("PNG", "TIFF") and ";16" in tiles):
            notes.append("16 bit scaled to 8")
        image.load()
        with _quiet_header():  # after load(), since a PNG may store its EXIF data behind its pixels
            turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
        profile = image.info.get("icc_profile")
        if turn is not None:
            image = image.transpose(turn)
        if turned or turn is not None:
            notes.append("EXIF orientation applied")
        pixels = to_srgb(image, profile, name, notes)
    return pixels, tuple(notes)


def to_srgb(image: Image.Image, profile: bytes | None, name: str, notes: list[str]) -> NDArray[np.uint8]:
    """Return the sRGB pixels of a decoded image, (H, W, 3) uint8 and read-only; append conversions to ``notes``.

    Strip by strip, so that no second full copy of a large picture exists at any time.

    Args:
        image: decoded and upright, of any Pillow mode but "F".
        profile: its embedded ICC profile, or None.
        name: for errors.
        notes: gets one line per conversion that changed colours.

    Raises:
        ImageError: integer pixels beyond 16 bit.
    """
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
    """Return a strip as 8-bit L, RGB, CMYK or LAB without transparency, and whether any of it was transparent."""
    if strip.mode[0] == "I":
        values = np.asarray(strip)
        if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            _refuse_32_bit(name)
        return Image.fromarray(from_16_bit(values)), False
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
    """Return the colour transform from an embedded profile to sRGB; None where plain conversion is correct."""
    if mode == "LAB":
        return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != {"L": "GRAY"}.get(mode, mode):
            return None  # e.g. the RGB profile of a camera in a picture stored as gray
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        title = " ".join(ImageCms.getProfileDescription(source).split())
    except (OSError, ImageCms.PyCMSError):
        notes.append("damaged colour profile ignored")
        return None
    if mode != "CMYK" and _keeps_colours(transform, mode):
        return None
    notes.append(f'converted from colour profile "{title}" to sRGB')
    return transform


def _keeps_colours(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether a transform leaves colours unchanged up to rounding; names of profiles are unreliable."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    if mode == "L":
        probe = Image.fromarray(levels[None, :])
    else:
        probe = Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3))
    before = np.asarray(probe.convert("RGB"), dtype=np.int16)
    after = np.asarray(transform.apply(probe), dtype=np.int16)
    return int(np.abs(after - before).max()) <= _SAME_COLOUR


def from_16_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale integers 0..65535 of any shape to 0..255, to the nearest (65535 / 255 = 257)."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_heic(file: BinaryIO, name: str, max_megapixels: float) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    try:
        import pillow_heif  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ImageError("needs_extra", name, "HEIC needs an extra", 'pip install "snellen[heic]"') from error
    with _decoding(name, "HEIC", max_megapixels):
        heif = pillow_heif.open_heif(file, convert_hdr_to_8bit=True)
        width, height = heif.size
        check_size(width, height, name, max_megapixels)
        image = heif.to_pillow()
        image.info.pop("exif", None)  # the decoder has already applied the orientation
        image.info.pop("xmp", None)
    return image_pixels(image, name, "HEIC", max_megapixels)


def _from_raw(file: BinaryIO, name: str, max_megapixels: float) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    try:
        import rawpy  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ImageError("needs_extra", name, "camera RAW needs an extra", 'pip install "snellen[raw]"') from error
    try:
        with rawpy.imread(file) as raw:
            check_size(raw.sizes.width, raw.sizes.height, name, max_megapixels)
            pixels = np.ascontiguousarray(raw.postprocess(use_camera_wb=True, output_bps=8))
    except rawpy.LibRawError as error:
        problem = "the RAW data is cut off, damaged or from an unsupported camera"
        raise ImageError("truncated", name, problem, "copy the file again or export it as TIFF") from error
    pixels.setflags(write=False)
    return pixels, ("developed from RAW with the camera's white balance",)
