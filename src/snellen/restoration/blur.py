"""Tools that change fine detail: deconvolution, sharpening, softening."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from skimage.restoration import wiener as skimage_wiener

from snellen.features import cut_tiles, edge_steepness, luminance, noise_level
from snellen.restoration.tool import Floats, Job, Pixels, to_pixels

_EDGE = 32  # px of mirrored border, so that the circular convolution of the transform meets no step
SHARP = 0.6
"""Standard deviation of an edge that is not blurred, px: the lens, the pixel, the demosaicing."""
GAUSSIAN, DISK = 0, 1
"""Shapes of a blur."""


def blur_deviation(job: Job) -> float:
    """Return the standard deviation of a job's blur, px, 0.4 to 4: 1 where it has no edges.

    A step blurred by a Gaussian of s px has a steepness of 0.4 / s (`features.edge_steepness`). The square of `SHARP`,
    which sharp edges have anyhow, is taken off the square of s.
    """
    tiles = luminance(cut_tiles(job.faulty))
    noise = np.nan_to_num(noise_level(tiles))
    steepness, edges = edge_steepness(tiles, np.maximum(noise, np.median(noise)))
    if not edges.any():
        return 1.0
    total = 0.4 / max(0.05, float(steepness @ edges / edges.sum()))
    return float(np.clip(np.sqrt(max(0.0, total**2 - SHARP**2)), 0.4, 4.0))


def wiener(job: Job, shape: float, factor: float, balance: float) -> Pixels:
    """Wiener deconvolution of a Gaussian or a disk.

    shape: of the blur, `GAUSSIAN` or `DISK` (out of focus). factor: its standard deviation in units of
    `blur_deviation`. balance: see `deconvolved`.
    """
    deviation = factor * blur_deviation(job)
    kernel = disk_kernel(deviation) if shape == DISK else gaussian_kernel(deviation)
    return deconvolved(job.pixels, kernel, balance)


def deconvolved(pixels: Pixels, kernel: Floats, balance: float) -> Pixels:
    """Undo a blur by Wiener deconvolution with a Laplacian regulariser of weight `balance` (scikit-image)."""
    edge = min(_EDGE, *(side - 1 for side in pixels.shape[:2]))
    padded = np.pad(pixels, ((edge, edge), (edge, edge), (0, 0)), mode="reflect") / 255.0
    deconvolve: Any = skimage_wiener  # scikit-image has no types
    channels = [deconvolve(padded[..., channel], kernel, balance) for channel in range(3)]
    return to_pixels(255 * np.stack(channels, axis=2)[edge:-edge, edge:-edge])


def gaussian_kernel(deviation: float) -> Floats:
    """Return a Gaussian, sum 1, of a standard deviation in px."""
    reach = int(np.ceil(3 * deviation))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    kernel = np.multiply.outer(line, line)
    return np.asarray(kernel / kernel.sum())


def disk_kernel(deviation: float) -> Floats:
    """Return a disk, sum 1, of a standard deviation in px along each axis: its radius is twice that."""
    reach = int(np.ceil(2 * deviation)) + 1
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(2 * deviation + 0.5 - np.hypot(rows, columns), 0, 1)  # the rim counts by its share of the pixel
    return np.asarray(kernel / kernel.sum())


def unsharp(job: Job, radius: float, amount: float) -> Pixels:
    """Unsharp masking: add `amount` times the difference to a Gaussian of `radius` px."""
    values = job.pixels.astype(np.float64)
    soft = ndimage.gaussian_filter(values, (radius, radius, 0))
    return to_pixels(values + amount * (values - soft))


def soften(job: Job, radius: float) -> Pixels:
    """Gaussian of `radius` px, against halos and ringing."""
    return to_pixels(ndimage.gaussian_filter(job.pixels.astype(np.float64), (radius, radius, 0)))
