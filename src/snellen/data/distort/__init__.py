"""Distortions of known kind and strength, for a picture or a region of it.

The 25 of KADID-10k with its parameters (H. Lin, V. Hosu, D. Saupe, "KADID-10k: A Large-scale Artificially Distorted
IQA Database", QoMEX 2019) and seven that it lacks. Strength is a level, 1 (least) to 5 (most); `snellen.data.levels`
has the mean opinion of each level.

Two of KADID's distortions go both ways, with the best quality in the middle: `mean_shift` (levels 1, 2 brighter,
3 unchanged, 4, 5 darker) and `contrast` (1 to 3 higher, ever less, 4, 5 lower). Some first levels change nothing
visible (`gaussian_blur`, `motion_blur`, `saturation_lab`). `Distortion.kind_at` gives the kind of issue that a level
shows, None where it shows none in the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snellen.data.distort import blur, codec, color, corrupt, noise, tone
from snellen.data.distort.array import Floats, Pixels
from snellen.data.levels import check_level
from snellen.region import Region


@dataclass(frozen=True)
class Distortion:
    """One distortion.

    kind: the issue kind it shows, one of `snellen.vocabulary.KINDS`. context: native px around a region that its result
    depends on. kinds: the kind of each level, for a distortion whose levels are not all of one kind.
    """

    name: str
    kind: str
    apply: Callable[[Pixels, int, np.random.Generator], Pixels]
    context: int = 0
    kinds: tuple[str | None, ...] = ()

    def kind_at(self, level: int) -> str | None:
        """Return the kind of issue that `level` shows; None if it is invisible or not in the vocabulary."""
        check_level(level)
        return self.kinds[level - 1] if self.kinds else self.kind


_ALL = (
    Distortion("gaussian_blur", "blur", blur.gaussian_blur, 16, (None, "blur", "blur", "blur", "blur")),
    Distortion("lens_blur", "blur", blur.lens_blur, 8),
    Distortion("motion_blur", "motion blur", blur.motion_blur, 6, (None, *["motion blur"] * 4)),
    Distortion("color_diffusion", "color cast", color.color_diffusion, 40),
    Distortion("color_shift", "color cast", color.color_shift, 16),
    Distortion("color_quantization", "banding", color.color_quantization),
    Distortion("saturation_hsv", "saturation", color.saturation_hsv),
    Distortion("saturation_lab", "saturation", color.saturation_lab, 0, (None, *["saturation"] * 4)),
    Distortion("jpeg2000", "compression", codec.jpeg2000),
    Distortion("jpeg", "compression", codec.jpeg),
    Distortion("white_noise", "noise", noise.white_noise),
    Distortion("white_noise_ycbcr", "noise", noise.white_noise_ycbcr),
    Distortion("impulse_noise", "noise", noise.impulse_noise),
    Distortion("multiplicative_noise", "noise", noise.multiplicative_noise),
    Distortion("denoise", "blur", blur.denoise, 16),
    Distortion("brighten", "overexposure", tone.brighten),
    Distortion("darken", "underexposure", tone.darken),
    Distortion(
        "mean_shift",
        "overexposure",
        tone.mean_shift,
        0,
        ("overexposure", "overexposure", None, "underexposure", "underexposure"),
    ),
    Distortion("jitter", "corruption", corrupt.jitter, 8),
    Distortion("patch_displacement", "corruption", corrupt.patch_displacement),
    Distortion("pixelate", "pixelation", codec.pixelate),
    Distortion("quantization", "banding", color.quantization),
    Distortion("color_block", "corruption", corrupt.color_block),
    Distortion("sharpen", "oversharpening", tone.sharpen, 6),
    Distortion("contrast", "low contrast", tone.contrast, 0, (None, None, None, "low contrast", "low contrast")),
    Distortion("webp", "compression", codec.webp),
    Distortion("avif", "compression", codec.avif),
    Distortion("haze", "low contrast", tone.haze),
    Distortion("low_light", "underexposure", tone.low_light),
    Distortion("banding", "banding", color.banding, 8),
    Distortion("ringing", "oversharpening", tone.ringing, 9),
    Distortion("upscale", "pixelation", codec.upscale, 8),
)

DISTORTIONS: dict[str, Distortion] = {distortion.name: distortion for distortion in _ALL}


def distort(
    pixels: Pixels, name: str, level: int, rng: np.random.Generator, region: Region | None = None, feather: float = 0.15
) -> Pixels:
    """Return a distorted copy of `pixels`, (H, W, 3) uint8 sRGB, H and W at least 8.

    With a `region` only that part changes: inside it the result fades in over `feather` (0 to 0.5) times its shorter
    side, and every pixel outside is the same byte for byte. The same `rng` state gives the same result. ValueError
    for an unknown name or level, other shapes or types, or a feather out of range.
    """
    distortion = _find(name)
    check_level(level)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < 8:
        raise ValueError(
            f"distort needs (H, W, 3) uint8 pixels of at least 8 x 8, not {pixels.shape} {pixels.dtype}; "
            "load pictures with snellen.image.load"
        )
    if not 0 <= feather <= 0.5:
        raise ValueError(f"feather {feather} is not a share of the region's shorter side; give 0 to 0.5")
    if region is None:
        return distortion.apply(pixels, level, rng)
    height, width, _ = pixels.shape
    left, top, right, bottom = region.to_pixels(width, height)
    first, last = _widened(left, right, width, distortion.context)
    upper, lower = _widened(top, bottom, height, distortion.context)
    changed = distortion.apply(np.ascontiguousarray(pixels[upper:lower, first:last]), level, rng)
    inside = changed[top - upper : bottom - upper, left - first : right - first]
    out: Pixels = pixels.copy()
    mask = soft_mask(bottom - top, right - left, feather)[..., None]
    before = pixels[top:bottom, left:right].astype(np.float32)
    out[top:bottom, left:right] = np.rint(before + mask * (inside - before))
    return out


def _widened(low: int, high: int, size: int, context: int) -> tuple[int, int]:
    """The span low..high with `context` px each side and at least 8 px long, kept within 0..size."""
    low, high = max(0, low - context), min(size, high + context)
    low = max(0, min(low, size - 8))
    return low, max(high, low + 8)


def soft_mask(height: int, width: int, feather: float) -> Floats:
    """Return (height, width) weights: 1 in the middle, a smooth fall to nearly 0 at the border over `feather` times the
    shorter side; all 1 where that is less than a pixel."""
    ramp = feather * min(height, width)

    def profile(size: int) -> Floats:
        distance = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
        share = np.clip(distance / ramp, 0, 1) if ramp >= 1 else np.ones(size)
        return (share * share * (3 - 2 * share)).astype(np.float32)

    return np.multiply.outer(profile(height), profile(width))


def _find(name: str) -> Distortion:
    if name not in DISTORTIONS:
        raise ValueError(f"unknown distortion {name!r}; use one of {', '.join(DISTORTIONS)}")
    return DISTORTIONS[name]
