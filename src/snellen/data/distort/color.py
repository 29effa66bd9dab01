"""Distortions of color: diffusion, shift, saturation, and too few colors or steps."""

from __future__ import annotations

import numpy as np
from PIL import Image

from snellen.data.distort.array import Floats, Pixels, add_to_luma, bands, by_band, luma, scipy_module, to_uint8
from snellen.data.distort.lab import lab_to_rgb, rgb_to_lab


def color_diffusion(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Blur a and b of Lab with sigma 1.5 n + 2 px and multiply them by n: colors run over the edges."""
    amount = (1, 3, 6, 8, 12)[level - 1]
    height, width, _ = pixels.shape
    sigma = 1.5 * amount + 2
    lightness = np.empty((height, width), dtype=np.float32)
    chroma: Floats = np.empty((2, height, width), dtype=np.float32)
    for rows in bands(height, width):
        lab = rgb_to_lab(pixels[rows])
        lightness[rows] = lab[..., 0]
        chroma[:, rows] = np.moveaxis(lab[..., 1:], -1, 0)
    wide = [_smooth(plane, sigma) * amount for plane in chroma]
    out = np.empty_like(pixels)
    for rows in bands(height, width):
        out[rows] = lab_to_rgb(np.stack([lightness[rows], wide[0][rows], wide[1][rows]], axis=-1))
    return out


def _smooth(plane: Floats, sigma: float) -> Floats:
    """Gaussian of a float plane by three box passes, whose cost does not grow with `sigma`."""
    size = max(1, 2 * round(sigma - 0.5) + 1)
    ndimage = scipy_module("ndimage")
    for _ in range(3):
        plane = ndimage.uniform_filter(plane, size, mode="nearest")
    return plane


def color_shift(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Move green by n px in a random direction and blend it in where the picture has edges."""
    amount = (1, 3, 6, 8, 12)[level - 1]
    grey, ndimage = luma(pixels), scipy_module("ndimage")
    edges = _smooth(np.hypot(ndimage.sobel(grey, 0, mode="nearest"), ndimage.sobel(grey, 1, mode="nearest")), 4.0)
    low, high = np.percentile(edges, (1, 99))
    weight = np.clip((edges - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)
    direction = rng.random(2)
    down, right = np.rint(amount * direction / np.linalg.norm(direction)).astype(int)
    height, width = grey.shape
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    green = pixels[..., 1].astype(np.float32)
    out: Pixels = pixels.copy()
    out[..., 1] = to_uint8(green + weight * (green[rows][:, columns] - green))
    return out


def saturation_hsv(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """HSV saturation times f: ever greyer, and at level 5 (f = -0.4) pale and of the opposite hue."""
    factor = np.float32((0.4, 0.2, 0.1, 0.0, -0.4)[level - 1])

    def scale(band: Pixels) -> Floats:
        value = band.max(axis=-1, keepdims=True).astype(np.float32)
        scaled: Floats = value + factor * (band - value)  # at a fixed V every channel is linear in S
        return scaled

    return by_band(pixels, scale)


def saturation_lab(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """a and b of Lab times f, garish. Level 1 (f = 1) changes nothing, as in KADID-10k."""
    factor = (1, 2, 3, 6, 9)[level - 1]
    if factor == 1:
        unchanged: Pixels = pixels.copy()
        return unchanged
    gains = np.array([1, factor, factor], dtype=np.float32)
    return by_band(pixels, lambda band: lab_to_rgb(rgb_to_lab(band) * gains))


def color_quantization(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """A palette of 64 to 8 colors chosen for the picture by k-means, with error diffusion."""
    colors = (64, 48, 32, 16, 8)[level - 1]
    picture = Image.fromarray(pixels)
    sample = picture.resize((min(picture.width, 64), min(picture.height, 64)), Image.Resampling.NEAREST)
    palette = sample.quantize(colors, method=Image.Quantize.MEDIANCUT, kmeans=20)  # until under 20 pixels move
    return np.array(picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))


def quantization(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """20 to 7 even steps in every channel, no dither: posterised."""
    steps = (20, 16, 13, 10, 7)[level - 1]
    codes = np.arange(256)
    table = np.rint(np.minimum(codes * steps // 255, steps - 1) * 255 / (steps - 1)).astype(np.uint8)
    out: Pixels = table[pixels]
    return out


def banding(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Contours in smooth gradients, texture kept: the smoothed luma is rounded to steps, detail is added back."""
    step = np.float32((7, 10, 14, 20, 30)[level - 1])
    smooth = _smooth(luma(pixels), 2.0)
    return add_to_luma(pixels, np.rint(smooth / step) * step - smooth)
