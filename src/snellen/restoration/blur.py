"""Tools that change fine detail: deconvolution, sharpening, softening."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from skimage.restoration import wiener as skimage_wiener

from snellen.features import cut_tiles, edge_steepness, luminance, noise_level
from snellen.restoration.tool import Floats, Job, Pixels, luma, to_pixels

_EDGE = 32  # px of mirrored border, so that the circular convolution of the transform meets no step
SHARP = 0.6
"""Standard deviation of an edge that is not blurred, px: the lens, the pixel, the demosaicing."""
GAUSSIAN, DISK, LINE = 0, 1, 2
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


def blur_angle(job: Job) -> float:
    """Return the direction in which a job has least fine detail for its coarse detail, radians, as of a motion blur.

    Of 12 directions; each compares the squared steps of 1 px with those of the picture smoothed by 4 px.
    """
    light = luma(job.faulty)
    fine, coarse = _tensor(light), _tensor(ndimage.gaussian_filter(light, 4))
    angles = np.arange(12) * np.pi / 12
    ways = np.stack([np.cos(angles), -np.sin(angles)])  # x to the right, y downwards
    energy = [np.einsum("in,ij,jn->n", ways, tensor, ways) for tensor in (fine, coarse)]
    return float(angles[np.argmin(energy[0] / (energy[1] + 1e-9))])


def _tensor(light: Floats) -> Floats:
    down, right = np.gradient(light)
    return np.array([[(right**2).mean(), (right * down).mean()], [(right * down).mean(), (down**2).mean()]])


def wiener(job: Job, shape: float, factor: float, balance: float) -> Pixels:
    """Wiener deconvolution with a Laplacian regulariser (scikit-image).

    shape: of the blur, `GAUSSIAN`, `DISK` (out of focus) or `LINE` (motion, in the direction of `blur_angle`).
    factor: its standard deviation in units of `blur_deviation`. balance: weight of the regulariser.
    """
    deviation = factor * blur_deviation(job)
    if shape == LINE:
        kernel = line_kernel(deviation, blur_angle(job))
    else:
        kernel = disk_kernel(deviation) if shape == DISK else gaussian_kernel(deviation)
    edge = min(_EDGE, *(side - 1 for side in job.pixels.shape[:2]))
    padded = np.pad(job.pixels, ((edge, edge), (edge, edge), (0, 0)), mode="reflect") / 255.0
    deconvolve: Any = skimage_wiener  # scikit-image has no types
    channels = [deconvolve(padded[..., channel], kernel, balance) for channel in range(3)]
    done = np.stack(channels, axis=2)[edge:-edge, edge:-edge]
    return to_pixels(255 * done)


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


def line_kernel(deviation: float, angle: float) -> Floats:
    """Return a line, sum 1, of a standard deviation in px along itself: its length is sqrt(12) of that."""
    half = np.sqrt(3) * deviation
    reach = int(np.ceil(half)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for along in np.linspace(-half, half, 64):
        x, y = reach + along * np.cos(angle), reach - along * np.sin(angle)
        left, top = int(x), int(y)
        right_share, lower_share = x - left, y - top
        kernel[top, left] += (1 - right_share) * (1 - lower_share)
        kernel[top, left + 1] += right_share * (1 - lower_share)
        kernel[top + 1, left] += (1 - right_share) * lower_share
        kernel[top + 1, left + 1] += right_share * lower_share
    return np.asarray(kernel / kernel.sum())


def unsharp(job: Job, radius: float, amount: float) -> Pixels:
    """Unsharp masking: add `amount` times the difference to a Gaussian of `radius` px."""
    values = job.pixels.astype(np.float64)
    soft = ndimage.gaussian_filter(values, (radius, radius, 0))
    return to_pixels(values + amount * (values - soft))


def soften(job: Job, radius: float) -> Pixels:
    """Gaussian of `radius` px, against halos and ringing."""
    return to_pixels(ndimage.gaussian_filter(job.pixels.astype(np.float64), (radius, radius, 0)))
