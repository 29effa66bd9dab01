"""Colours of decoded pictures -> sRGB: ICC profiles, transparency, 16 bit, and the coded spaces of HDR video."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms

from snellen.reading import Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STRIP_ROWS = 256
_STRIP_PIXELS = 2**24
_SAME_COLOUR = 2
_SAME_GAMMA = 0.1
"""Difference from 2.2 below which a gamma is taken for the sRGB curve."""

_SRGB, _GAMMA_22, _GAMMA_28, _LINEAR, _PQ, _HLG = 13, 4, 5, 8, 16, 18
_CURVES = {_GAMMA_22: "gamma 2.2", _GAMMA_28: "gamma 2.8", _LINEAR: "linear", _PQ: "PQ", _HLG: "HLG"}
"""Names of transfer characteristics (ITU-T H.273, table 3); those of SDR video are taken for sRGB."""
_BT2020, _P3 = 9, 12
_PRIMARIES = {
    _BT2020: ("BT.2020", ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))),
    _P3: ("Display P3", ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979))),
}
"""Name and matrix to linear BT.709, of primaries (H.273, table 2; ITU-R BT.2087). Others are taken for BT.709."""
REFERENCE_WHITE = 203.0
"""Luminance of white in HDR pictures, in cd/m2 (ITU-R BT.2408); it becomes white in sRGB."""
_KNEE = 0.7
"""Linear value, of white, from which highlights brighter than white are compressed."""


@dataclass(frozen=True)
class Coding:
    """Colour coding of a picture without an ICC profile.

    Attributes:
        primaries, transfer: code points of ITU-T H.273, as in cICP chunks and nclx boxes; 2 is "unspecified".
        gamma: exponent of the decoding curve (PNG chunk gAMA) instead of a transfer.
    """

    primaries: int = 2
    transfer: int = 2
    gamma: float | None = None

    @property
    def hdr(self) -> bool:
        """True where values may lie above white."""
        return self.transfer in (_PQ, _HLG)

    @property
    def title(self) -> str | None:
        """Name of the coding, None where it is sRGB or so close that nothing is converted."""
        if self.gamma is not None:
            return f"gamma {self.gamma:.3g}" if abs(self.gamma - 2.2) > _SAME_GAMMA else None
        names = [_CURVES[self.transfer]] if self.transfer in _CURVES else []
        if self.primaries in _PRIMARIES:
            names.append(_PRIMARIES[self.primaries][0])
        return " ".join(names) or None

    def linear(self) -> NDArray[np.float32]:
        """Return the linear value of each code value 0..255, (256,) float32, where 1 is white.

        PQ: SMPTE ST 2084, equation 4.1. HLG: ITU-R BT.2100, table 5, for a display of 1000 cd/m2; its system gamma of
        1.2 is applied to each channel, a simplification.
        """
        code = np.arange(256) / 255.0
        if self.gamma is not None:
            value = code**self.gamma
        elif self.transfer == _PQ:
            m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
            power = code ** (1 / m2)
            value = 10_000 / REFERENCE_WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        elif self.transfer == _HLG:
            a, b, c = 0.17883277, 0.28466892, 0.55991073
            scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
            value = 1000 / REFERENCE_WHITE * scene**1.2
        elif self.transfer in (_GAMMA_22, _GAMMA_28, _LINEAR):
            value = code ** {_GAMMA_22: 2.2, _GAMMA_28: 2.8, _LINEAR: 1.0}[self.transfer]
        else:
            value = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
        return value.astype(np.float32)


def to_srgb(
    image: Image.Image, profile: bytes | None, reading: Reading, coding: Coding | None = None
) -> NDArray[np.uint8]:
    """Return the sRGB pixels of a decoded image, (H, W, 3) uint8 and read-only; note conversions that change colours.

    Strip by strip, so that no second full copy of a large picture exists at any time.

    Args:
        image: decoded and upright, of any Pillow mode but "F".
        profile: its embedded ICC profile, or None.
        reading: of the picture.
        coding: its colour coding; HDR codings go before the profile, others behind it.

    Raises:
        ImageError: integer pixels beyond 16 bit.
    """
    probe = _flat(image.crop((0, 0, 1, 1)), reading)[0]
    decoded = _Decoded.of(coding, image) if coding is not None and (coding.hdr or not profile) else None
    transform = _srgb_transform(probe.mode, profile, reading) if decoded is None else None
    if decoded is not None:
        reading.note(f"converted from {decoded.title} to sRGB")
    if probe.mode == "CMYK":
        reading.note("CMYK converted to RGB")
    transparent = False
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, min(_STRIP_ROWS, _STRIP_PIXELS // image.width))
    for top in range(0, image.height, rows):
        bottom = min(image.height, top + rows)
        strip, see_through = _flat(image.crop((0, top, image.width, bottom)), reading)
        transparent |= see_through
        rgb = strip.convert("RGB") if transform is None else transform.apply(strip)
        values = np.asarray(rgb)
        pixels[top:bottom] = values if decoded is None else decoded.apply(values)
    if transparent:
        reading.note("alpha composited on white")
    pixels.setflags(write=False)
    return pixels


def from_16_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale integers 0..65535 of any shape to 0..255, to the nearest (65535 / 255 = 257)."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def refuse_32_bit(reading: Reading) -> None:
    """Raise the ImageError for floating-point or 32-bit samples."""
    problem = "pixels of 32 bit (floating point or integer) have no agreed white"
    reading.refuse("unreadable", problem, "convert it to 8 or 16 bit first")


@dataclass(frozen=True, eq=False)
class _Decoded:
    """Conversion of 8-bit RGB in a coding to sRGB.

    Attributes:
        title: name of the coding.
        curve: (256,) linear value of each code value.
        matrix: (3, 3) to linear BT.709, or None.
        peak: the largest linear value in the picture, 1 is white.
    """

    title: str
    curve: NDArray[np.float32]
    matrix: NDArray[np.float32] | None
    peak: float

    @classmethod
    def of(cls, coding: Coding, image: Image.Image) -> _Decoded | None:
        """Return the conversion for a picture; None where its coding is sRGB."""
        if coding.title is None:
            return None
        curve = coding.linear()
        matrix = _PRIMARIES.get(coding.primaries) if coding.gamma is None else None
        highest = 255
        if coding.hdr and image.mode in ("L", "LA", "RGB", "RGBA"):
            bands = [image.getchannel(band) for band in image.getbands() if band != "A"]
            highest = int(np.max([band.getextrema() for band in bands]))
        return cls(
            coding.title, curve, None if matrix is None else np.array(matrix[1], np.float32), float(curve[highest])
        )

    def apply(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the sRGB values, uint8, of (..., 3) values in this coding."""
        linear = self.curve[values]
        if self.matrix is not None:
            linear = linear @ self.matrix.T
        linear = np.maximum(linear, 0)
        if self.peak > 1.02:
            linear = self._compress(linear)
        linear = np.minimum(linear, 1)
        srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        rounded: NDArray[np.uint8] = np.rint(srgb * 255).astype(np.uint8)
        return rounded

    def _compress(self, linear: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map [_KNEE, peak] to [_KNEE, 1] on the largest channel, which keeps hue; the slope is 1 at the knee.

        Extended Reinhard curve, u (1 + u / w^2) / (1 + u) (Reinhard et al., 2002, equation 4), above the knee.
        """
        largest = linear.max(axis=-1, keepdims=True)
        above = np.maximum(largest - _KNEE, 0) / (1 - _KNEE)
        white = (self.peak - _KNEE) / (1 - _KNEE)
        mapped = _KNEE + (1 - _KNEE) * above * (1 + above / white**2) / (1 + above)
        return np.where(largest > _KNEE, linear * (mapped / np.maximum(largest, 1e-6)), linear)


def _flat(strip: Image.Image, reading: Reading) -> tuple[Image.Image, bool]:
    """Return a strip as 8-bit L, RGB, CMYK or LAB without transparency, and whether any of it was transparent."""
    if strip.mode[0] == "I":
        values = np.asarray(strip)
        if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            refuse_32_bit(reading)
        key = strip.info.get("transparency")
        clear = values == (key if isinstance(key, int) else -1)
        return Image.fromarray(from_16_bit(np.where(clear, 65535, values))), bool(clear.any())
    if "transparency" in strip.info or strip.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        clear = strip.convert("RGBA")
        low, _ = clear.getchannel("A").getextrema()
        gray = strip.mode in ("LA", "La") or (strip.mode == "L" and "transparency" in strip.info)
        white = Image.new("RGB", strip.size, (255, 255, 255))
        white.paste(clear, mask=clear)
        return (white.getchannel("R") if gray else white), low != 255
    return (strip if strip.mode in ("L", "RGB", "CMYK", "LAB") else strip.convert("RGB")), False


def _srgb_transform(mode: str, profile: bytes | None, reading: Reading) -> ImageCms.ImageCmsTransform | None:
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
        reading.note("damaged colour profile ignored")
        return None
    if mode != "CMYK" and _keeps_colours(transform, mode):
        return None
    reading.note(f'converted from colour profile "{title}" to sRGB')
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
