"""Distortions that take detail away: Gaussian, lens and motion blur, denoising.

Sigmas, radii and lengths are those of KADID-10k, in native pixels of a picture of about 512 x 384.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from snellen.data.distort.array import LUMA, Floats, Pixels, add_to_luma, bands, luma, scipy_module, to_uint8


def gaussian_blur(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Gaussian filter, sigma in px. Level 1 (0.1 px) leaves the picture as it was, as in KADID-10k."""
    return blurred(pixels, (0.1, 0.5, 1.0, 2.0, 5.0)[level - 1])


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    """Return `pixels` filtered by a Gaussian of `sigma` px; borders are repeated."""
    if sigma >= 1:  # Pillow's three box passes: exact enough here and the cost does not grow with sigma
        return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))
    out: Pixels = scipy_module("ndimage").gaussian_filter(pixels, (sigma, sigma, 0), mode="nearest", truncate=3.0)
    return out


def lens_blur(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Circle of confusion: the mean over a disk, radius in px."""
    return _disk_mean(pixels, (1, 2, 4, 6, 8)[level - 1])


def _disk_mean(pixels: Pixels, radius: int) -> Pixels:
    """Mean over the pixels within `radius`. A disk is a stack of horizontal runs, so running sums along x do it."""
    height, width, _ = pixels.shape
    halves = [int(np.sqrt(radius * radius - dy * dy)) for dy in range(-radius, radius + 1)]
    count = np.float32(sum(2 * half + 1 for half in halves))
    padded = np.pad(pixels, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    out = np.empty_like(pixels)
    for rows in bands(height, width):
        block = padded[rows.start : rows.stop + 2 * radius]
        sums = np.zeros((block.shape[0], block.shape[1] + 1, 3), dtype=np.int32)
        np.cumsum(block, axis=1, dtype=np.int32, out=sums[:, 1:])
        total = np.zeros((rows.stop - rows.start, width, 3), dtype=np.int32)
        for top, half in enumerate(halves):
            run = sums[top : top + total.shape[0]]
            total += run[:, radius + half + 1 : radius + half + 1 + width]
            total -= run[:, radius - half : radius - half + width]
        out[rows] = to_uint8(total / count)
    return out


def motion_blur(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Straight camera motion at a random angle, length in px. Level 1 (1 px) changes nothing, as in KADID-10k."""
    length = (1, 2, 4, 6, 10)[level - 1]
    angle = rng.uniform(0, np.pi)
    return _correlate(pixels, _motion_kernel(length, angle))


def _motion_kernel(length: int, angle: float) -> Floats:
    """Square odd kernel, sum 1: `length` unit steps along a line through the centre, each spread bilinearly."""
    reach = int(np.ceil((length - 1) / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), dtype=np.float32)
    for along in np.arange(length) - (length - 1) / 2:
        x, y = reach + along * np.cos(angle), reach - along * np.sin(angle)
        left, top = int(np.floor(x)), int(np.floor(y))
        right_share, bottom_share = x - left, y - top
        kernel[top, left] += (1 - right_share) * (1 - bottom_share)
        kernel[top, left + 1] += right_share * (1 - bottom_share)
        kernel[top + 1, left] += (1 - right_share) * bottom_share
        kernel[top + 1, left + 1] += right_share * bottom_share
    kernel /= kernel.sum()
    return kernel


def _correlate(pixels: Pixels, kernel: Floats) -> Pixels:
    """Correlate with a small kernel that is mostly zeros: one shifted addition for each tap that is not."""
    height, width, _ = pixels.shape
    reach = kernel.shape[0] // 2
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    taps = [(y, x, kernel[y, x]) for y, x in zip(*np.nonzero(kernel > 1e-4), strict=True)]
    out = np.empty_like(pixels)
    for rows in bands(height, width):
        block = padded[rows.start : rows.stop + 2 * reach].astype(np.float32)
        total = np.zeros((rows.stop - rows.start, width, 3), dtype=np.float32)
        for y, x, weight in taps:
            total += weight * block[y : y + total.shape[0], x : x + width]
        out[rows] = to_uint8(total)
    return out


def denoise(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """White noise, then its removal: texture and fine edges go with it.

    KADID-10k adds variances 0.01 to 0.15 and removes them with DnCNN. Here the removal is a local Wiener estimate
    with averaged coefficients (the guided filter of He, Sun and Tang, 2013, of the luma by itself) and a smoothing
    of the colors, which keeps less; so it gets less noise, for a result about as good as KADID's.
    """
    variance = 255.0**2 * (0.004, 0.012, 0.025, 0.05, 0.1)[level - 1]
    size = (3, 5, 5, 7, 9)[level - 1]
    noisy = np.empty_like(pixels)
    for rows in bands(pixels.shape[0], pixels.shape[1]):
        noise = rng.standard_normal(pixels[rows].shape, dtype=np.float32)
        noisy[rows] = to_uint8(pixels[rows] + noise * np.float32(np.sqrt(variance)))
    clean = blurred(noisy, size / 2.5)
    return add_to_luma(clean, _wiener(luma(noisy), size, np.float32(variance * LUMA @ LUMA)) - luma(clean))


def _wiener(values: Floats, size: int, noise: np.float32) -> Floats:
    """Local linear minimum mean square error estimate over `size` px windows; `noise` is the variance of the noise."""
    uniform_filter = scipy_module("ndimage").uniform_filter

    def window_mean(array: Floats) -> Floats:
        out: Floats = uniform_filter(array, size, mode="nearest")
        return out

    mean = window_mean(values)
    variance = window_mean(values * values) - mean * mean
    gain: Floats = np.maximum(variance - noise, np.float32(0)) / np.maximum(variance, noise)
    offset: Floats = (1 - gain) * mean
    return window_mean(gain) * values + window_mean(offset)
