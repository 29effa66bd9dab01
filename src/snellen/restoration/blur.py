"""Tools that change fine detail: deconvolution, sharpening, softening."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from skimage.restoration import wiener as skimage_wiener

from snellen.restoration.tool import Floats, Job, Pixels, to_pixels

_EDGE = 32  # px of mirrored border, so that the circular convolution of the transform meets no step


def wiener(job: Job, deviation: float, balance: float) -> Pixels:
    """Wiener deconvolution of a Gaussian blur, with a Laplacian regulariser (scikit-image).

    deviation: standard deviation of the blur, px; balance: weight of the regulariser.
    """
    edge = min(_EDGE, *(side - 1 for side in job.pixels.shape[:2]))
    padded = np.pad(job.pixels, ((edge, edge), (edge, edge), (0, 0)), mode="reflect") / 255.0
    kernel = _gaussian(deviation)
    deconvolve: Any = skimage_wiener  # scikit-image has no types
    channels = [deconvolve(padded[..., channel], kernel, balance) for channel in range(3)]
    done = np.stack(channels, axis=2)[edge:-edge, edge:-edge]
    return to_pixels(255 * done)


def _gaussian(deviation: float) -> Floats:
    reach = int(np.ceil(3 * deviation))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    kernel = np.multiply.outer(line, line)
    return np.asarray(kernel / kernel.sum())


def unsharp(job: Job, radius: float, amount: float) -> Pixels:
    """Unsharp masking: add `amount` times the difference to a Gaussian of `radius` px."""
    values = job.pixels.astype(np.float64)
    soft = ndimage.gaussian_filter(values, (radius, radius, 0))
    return to_pixels(values + amount * (values - soft))


def soften(job: Job, radius: float) -> Pixels:
    """Gaussian of `radius` px, against halos and ringing."""
    return to_pixels(ndimage.gaussian_filter(job.pixels.astype(np.float64), (radius, radius, 0)))
