"""A tool against the blur of a camera or a subject that moved along a line."""

from __future__ import annotations

import numpy as np

from snellen.restoration.blur import deconvolved
from snellen.restoration.tool import Floats, Job, Pixels, luma, middle

_DIRECTIONS, _WEDGE = 24, 9.0  # half the angle around each, degrees
_EDGES = np.linspace(0.04, 0.30, 13)  # of frequency bands, cycles a px; above, noise and coding hide the detail
_LENGTHS = np.arange(1.5, 16.1, 0.5)
_LOCAL = 0.6
_FLOOR = 0.03  # of the power that is left where a line's spectrum is zero


def motion_line(light: Floats) -> tuple[float, float]:
    """Return the angle, radians from the right upwards, and the length, px, of the line that fits a motion blur best.

    A line of length L multiplies the power of waves along it by sinc^2(f L), and leaves those across it. So the
    logarithm of the power along a direction over that across it is compared with that of sinc^2(f L), for 24 directions
    and lengths of 1.5 to 16 px; a constant between both is free, as no scene is alike in all directions. Any picture
    has a line that fits best: whether it was moved at all is left to the check.
    """
    power = _power_by_direction(light)
    middles = (_EDGES[1:] + _EDGES[:-1]) / 2
    expected = np.log(np.sinc(np.multiply.outer(_LENGTHS, middles)) ** 2 + _FLOOR)
    best, found = -np.inf, (0.0, 1.5)
    for n in range(_DIRECTIONS):
        ratio = power[n] - power[(n + _DIRECTIONS // 2) % _DIRECTIONS]
        explained = ratio.var() - (ratio - expected).var(axis=1)
        if explained.max() > best:
            best = float(explained.max())
            found = float(np.pi * n / _DIRECTIONS), float(_LENGTHS[explained.argmax()])
    return found


def _power_by_direction(light: Floats) -> Floats:
    """Return the logarithm of the mean power in each direction and band, (24, 12), of the `middle`, Hann window."""
    light = middle(light)
    window = np.multiply.outer(np.hanning(light.shape[0]), np.hanning(light.shape[1]))
    power = np.abs(np.fft.fft2((light - light.mean()) * window)) ** 2
    down, right = np.fft.fftfreq(light.shape[0])[:, None], np.fft.fftfreq(light.shape[1])[None]
    band = np.digitize(np.hypot(down, right), _EDGES) - 1
    inside = (band >= 0) & (band < len(_EDGES) - 1)
    angle = np.degrees(np.arctan2(-down, right))
    rows = []
    for n in range(_DIRECTIONS):
        near = inside & (np.abs((angle - 180 * n / _DIRECTIONS + 90) % 180 - 90) <= _WEDGE)
        total = np.bincount(band[near], power[near], len(_EDGES) - 1)
        count = np.bincount(band[near], minlength=len(_EDGES) - 1)
        rows.append(np.log(total / np.maximum(count, 1) + 1e-9))
    return np.array(rows)


def still(job: Job, times: float, balance: float) -> Pixels:
    """Deconvolve a motion blur. times: length of the line in units of that of `motion_line`. balance: see
    `blur.deconvolved`.

    Where the repair fades out inside the picture the line is shortened by _LOCAL: what surrounds a moved part is sharp,
    and deconvolution harms it.
    """
    angle, length = motion_line(luma(job.faulty))
    share = 1.0 if job.mask.min() == 1.0 else _LOCAL
    return deconvolved(job.pixels, line_kernel(share * times * length, angle), balance)


def line_kernel(length: float, angle: float) -> Floats:
    """Return a line, sum 1, of a length in px; angle in radians, from the right upwards."""
    half = length / 2
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
