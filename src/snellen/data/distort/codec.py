"""Distortions by lossy codecs and by resampling: JPEG, JPEG 2000, WebP, AVIF, pixelation, upscaling."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, features

from snellen.data.distort.array import Pixels


def jpeg(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Baseline JPEG at KADID's qualities, color subsampled 2 x 2."""
    return encoded(pixels, "JPEG", "jpg", quality=(43, 36, 24, 7, 4)[level - 1], subsampling=2)


def jpeg2000(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """JPEG 2000 at KADID's compression ratios, irreversible wavelet."""
    height, width, _ = pixels.shape
    return encoded(
        pixels,
        "JPEG2000",
        "jpg_2000",
        quality_mode="rates",
        quality_layers=[(16, 32, 45, 120, 400)[level - 1]],
        irreversible=True,
        mct=1,
        num_resolutions=max(1, min(6, int(np.log2(min(height, width))))),
    )


def webp(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Lossy WebP: smeared texture, soft blocks. Level 5 is also stored small, as previews are."""
    quality = (82, 42, 24, 2, 0)[level - 1]
    return encoded(pixels, "WEBP", "webp", kept=0.65 if level == 5 else 1.0, quality=quality, method=2)


def avif(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """AVIF (AV1): plastic surfaces, lost texture. Level 5 is also stored small, as previews are."""
    quality = (70, 48, 40, 17, 0)[level - 1]
    return encoded(pixels, "AVIF", "avif", kept=0.65 if level == 5 else 1.0, quality=quality, speed=9, max_threads=1)


def encoded(pixels: Pixels, codec: str, feature: str, kept: float = 1.0, **options: object) -> Pixels:
    """Encode and decode in memory, at `kept` times the sides. RuntimeError if this Pillow lacks the codec."""
    if not features.check(feature):
        raise RuntimeError(
            f"this Pillow has no {codec} codec; install a Pillow 11.3 or newer wheel from PyPI, "
            f"or leave out the distortions that need {codec}"
        )
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels)
    picture.resize(_sides(picture, kept), Image.Resampling.BICUBIC).save(buffer, codec, **options)
    buffer.seek(0)
    with Image.open(buffer) as decoded:
        return np.array(decoded.convert("RGB").resize(picture.size, Image.Resampling.BICUBIC))


def _sides(picture: Image.Image, kept: float) -> tuple[int, int]:
    return max(1, int(picture.width * kept)), max(1, int(picture.height * kept))


def pixelate(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Down and up by nearest neighbour; the kept share of a side is 0.95 - s^0.6 with KADID's s."""
    kept = 0.95 - (0.01, 0.05, 0.1, 0.2, 0.5)[level - 1] ** 0.6
    return _down_and_up(pixels, kept, Image.Resampling.NEAREST, Image.Resampling.NEAREST)


def upscale(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """A small picture enlarged 1.5 to 4 times, by bilinear, bicubic or Lanczos interpolation at random."""
    enlargers = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
    enlarge = enlargers[int(rng.integers(len(enlargers)))]
    return _down_and_up(pixels, 1 / (1.5, 1.9, 2.1, 2.4, 4.0)[level - 1], Image.Resampling.BICUBIC, enlarge)


def _down_and_up(pixels: Pixels, kept: float, down: Image.Resampling, up: Image.Resampling) -> Pixels:
    picture = Image.fromarray(pixels)
    return np.array(picture.resize(_sides(picture, kept), down).resize(picture.size, up))
