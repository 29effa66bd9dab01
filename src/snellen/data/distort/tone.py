"""Distortions of brightness and contrast, and of edges: exposure, haze, low light, sharpening, ringing."""

from __future__ import annotations

import numpy as np

from snellen.data.distort.array import Floats, Pixels, add_to_luma, bands, by_band, luma, scipy_module
from snellen.data.distort.lab import SRGB_TO_LINEAR, lab_to_rgb, linear_to_srgb, rgb_to_lab

_CODES: Floats = np.arange(256, dtype=np.float32) / np.float32(255)


def _bend(x: Floats, middle: float) -> Floats:
    """The parabola through (0, 0), (1/2, middle) and (1, 1), clipped to 0..1."""
    bend: Floats = np.clip(x + (4 * middle - 2) * x * (1 - x), 0, 1)
    return bend


def _mapped(pixels: Pixels, curve: Floats) -> Pixels:
    """Look every value up in `curve`: (256,) tones, clipped to 0..1, one for each code value."""
    table = np.rint(255 * np.clip(curve, 0, 1)).astype(np.uint8)
    out: Pixels = table[pixels]
    return out


def brighten(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Lift the middle tones, two parts in RGB and one in L of Lab."""
    middle = 0.5 + (0.1, 0.2, 0.4, 0.7, 1.1)[level - 1] / 2
    table = 255 * _bend(_CODES, middle)

    def lift(band: Pixels) -> Floats:
        lab = rgb_to_lab(band)
        lightness: Floats = lab[..., 0] / np.float32(100)
        lab[..., 0] = 100 * _bend(lightness, middle)
        lifted: Floats = (2 * table[band] + lab_to_rgb(lab)) / np.float32(3)
        return lifted

    return by_band(pixels, lift)


def darken(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Lower the middle tones."""
    return _mapped(pixels, _bend(_CODES, 0.5 - (0.05, 0.1, 0.2, 0.4, 0.8)[level - 1] / 2))


def mean_shift(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Add a constant, clipped: levels 1 and 2 brighter, level 3 unchanged, levels 4 and 5 darker, as in KADID-10k."""
    return _mapped(pixels, _CODES + np.float32((0.15, 0.08, 0.0, -0.08, -0.15)[level - 1]))


def contrast(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """A cubic tone curve through (0.3, 0.25 - c/4), the centre and (0.7, 0.75 + c/4): levels 1 to 3 raise contrast,
    ever less, and levels 4 and 5 lower it, as in KADID-10k."""
    amount = (0.3, 0.15, 0.0, -0.4, -0.6)[level - 1]
    tones = [0, 0.25 - amount / 4, 0.5, 0.75 + amount / 4, 1]
    curve = scipy_module("interpolate").CubicSpline([0, 0.3, 0.5, 0.7, 1], tones)
    return _mapped(pixels, curve(_CODES))


def haze(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """A veil of light (Koschmieder): x t + A (1 - t), thicker towards the top, where distance usually is."""
    thickness = (0.07, 0.13, 0.27, 0.47, 0.7)[level - 1]
    height = pixels.shape[0]
    air = 255 * (rng.uniform(0.78, 0.92) + np.array([-0.01, 0.0, 0.015])).astype(np.float32)
    kept = (1 - thickness * np.linspace(1.1, 0.9, height, dtype=np.float32))[:, None, None]
    out = np.empty_like(pixels)
    for rows in bands(height, pixels.shape[1]):
        out[rows] = np.rint(np.minimum(pixels[rows] * kept[rows] + air * (1 - kept[rows]), 255))
    return out


def low_light(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Too few photons: exposure times e in linear light, shot noise (its Gaussian limit) and read noise."""
    exposure = np.float32((0.7, 0.5, 0.35, 0.24, 0.14)[level - 1])
    full_well = np.float32((4000, 1600, 900, 600, 400)[level - 1])  # electrons that make white
    read = np.float32(2.0)  # electrons, standard deviation

    def expose(band: Pixels) -> Pixels:
        electrons = SRGB_TO_LINEAR[band] * (exposure * full_well)
        noise = rng.standard_normal(band.shape, dtype=np.float32) * np.sqrt(electrons + read * read)
        return linear_to_srgb((electrons + noise) / full_well)

    return by_band(pixels, expose)


def sharpen(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Unsharp mask of L in Lab, radius 3 px, at KADID's amounts: halos, amplified grain."""
    amount = np.float32((1, 2, 3, 6, 12)[level - 1])
    height, width, _ = pixels.shape
    lightness = np.empty((height, width), dtype=np.float32)
    for rows in bands(height, width):
        lightness[rows] = rgb_to_lab(pixels[rows])[..., 0]
    detail = lightness - scipy_module("ndimage").gaussian_filter(lightness, 3.0, mode="nearest", truncate=2.0)
    out = np.empty_like(pixels)
    for rows in bands(height, width):
        lab = rgb_to_lab(pixels[rows])
        lab[..., 0] = np.clip(lab[..., 0] + amount * detail[rows], 0, 100)
        out[rows] = lab_to_rgb(lab)
    return out


def ringing(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Ripples beside edges: the difference between a truncated sinc low-pass and a smooth one of the same cutoff."""
    amount = np.float32((2.2, 3.5, 4.4, 6.0, 7.5)[level - 1])
    cutoff = 0.16  # cycles per px
    reach = np.arange(-9, 10)
    sinc = np.sinc(2 * cutoff * reach)
    sinc /= sinc.sum()
    grey, ndimage = luma(pixels), scipy_module("ndimage")
    sharp = ndimage.correlate1d(ndimage.correlate1d(grey, sinc, 0, mode="nearest"), sinc, 1, mode="nearest")
    smooth = ndimage.gaussian_filter(grey, 0.187 / cutoff, mode="nearest", truncate=3.0)
    return add_to_luma(pixels, amount * (sharp - smooth))
