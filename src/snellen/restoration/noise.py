"""Tools against noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.restoration import denoise_nl_means

from snellen.restoration.tool import Floats, Job, Pixels, to_pixels

_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
_FLATTEST = 30  # per cent of the blocks
_BLOCK = 8


def noise_deviation(channel: Floats) -> float:
    """Return the standard deviation of white noise in a channel, (h, w), in its unit.

    J. Immerkaer, "Fast Noise Variance Estimation" (1996): the mean absolute response of a difference of Laplacians,
    times sqrt(pi / 2) / 6; here the mean over the flattest blocks, where texture counts least.
    """
    blocks = _block_means(np.abs(ndimage.convolve(channel, _LAPLACIANS, mode="reflect")))
    calm = blocks[blocks <= np.percentile(blocks, _FLATTEST)]
    return float(np.sqrt(np.pi / 2) / 6 * calm.mean())


def _block_means(values: Floats) -> Floats:
    rows, columns = (side // _BLOCK for side in values.shape)
    cut = values[: rows * _BLOCK, : columns * _BLOCK]
    return np.asarray(cut.reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3)))


def job_deviation(job: Job) -> float:
    """Return the mean `noise_deviation` of the three channels where a job's fault is, in 8-bit levels."""
    return float(np.mean([noise_deviation(job.faulty[..., channel].astype(np.float64)) for channel in range(3)]))


def nl_means(job: Job, strength: float) -> Pixels:
    """Non-local means (A. Buades, B. Coll, J.-M. Morel, CVPR 2005) over all channels. strength: filter width in units
    of the noise's standard deviation, which is estimated."""
    values = job.pixels / 255.0
    deviation = job_deviation(job) / 255
    done = denoise_nl_means(
        values, patch_size=5, patch_distance=4, h=strength * deviation, sigma=deviation, fast_mode=True, channel_axis=2
    )
    return to_pixels(255 * done)


def median(job: Job, size: float) -> Pixels:
    """Replace values that stick out of their neighbourhood by its median (salt and pepper); size: its side in px."""
    side = int(size)
    middle = ndimage.median_filter(job.pixels, (side, side, 1), mode="reflect")
    apart = np.abs(job.pixels.astype(np.int16) - middle)
    extreme = (job.pixels <= 2) | (job.pixels >= 253)
    return np.where(extreme & (apart > 30), middle, job.pixels)
