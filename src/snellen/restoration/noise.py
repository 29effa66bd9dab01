"""Tools against noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import denoise_nl_means

from snellen.restoration.tool import Floats, Job, Pixels, to_pixels

_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
_FLATTEST = 30  # per cent of the blocks
_BLOCK = 8


def noise_deviation(channel: Floats, clipped: NDArray[np.bool_] | None = None) -> float:
    """Return the standard deviation of white noise in a channel, (h, w), in its unit.

    J. Immerkaer, "Fast Noise Variance Estimation" (1996): the mean absolute response of a difference of Laplacians,
    times sqrt(pi / 2) / 6; here the mean over the flattest blocks, where texture counts least.
    clipped: pixels whose blocks are left out if any others are there, as no noise shows in black and white.
    """
    blocks = _block_means(_response(channel))
    if clipped is not None and (seen := _block_means(clipped.astype(np.float64)) == 0).any():
        blocks = blocks[seen]
    calm = blocks[blocks <= np.percentile(blocks, _FLATTEST)]
    return float(calm.mean())


def noise_map(pixels: Pixels) -> Floats:
    """Return the standard deviation of the noise at each pixel, (h, w), in 8-bit levels.

    The same estimate in blocks of 8 px, mean of the channels; each block takes the 30th percentile of the 7 x 7 blocks
    around it, where texture counts least, and the result is smoothed. So noise of a part stays in that part.
    """
    height, width, _ = pixels.shape
    channels = [pixels[..., channel].astype(np.float64) for channel in range(3)]
    blocks = np.mean([_block_means(_response(channel)) for channel in channels], axis=0)
    calm = ndimage.percentile_filter(blocks, _FLATTEST, 7, mode="nearest")
    smooth = ndimage.gaussian_filter(calm, 1, mode="nearest")
    rows = np.minimum(np.arange(height) // _BLOCK, smooth.shape[0] - 1)
    columns = np.minimum(np.arange(width) // _BLOCK, smooth.shape[1] - 1)
    return np.asarray(smooth[rows][:, columns])


def _response(channel: Floats) -> Floats:
    """Return the absolute response to the Laplacians, scaled so that its mean is the deviation of white noise."""
    return np.asarray(np.sqrt(np.pi / 2) / 6 * np.abs(ndimage.convolve(channel, _LAPLACIANS, mode="reflect")))


def _block_means(values: Floats) -> Floats:
    rows, columns = (side // _BLOCK for side in values.shape)
    cut = values[: rows * _BLOCK, : columns * _BLOCK]
    return np.asarray(cut.reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3)))


def job_deviation(job: Job) -> float:
    """Return the mean `noise_deviation` of the three channels where a job's fault is, in 8-bit levels."""
    channels = [job.faulty[..., channel] for channel in range(3)]
    return float(np.mean([noise_deviation(one.astype(np.float64), (one <= 2) | (one >= 253)) for one in channels]))


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
