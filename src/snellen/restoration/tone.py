"""Tools that change tones and colours: exposure, contrast, white balance."""

from __future__ import annotations

import math

import numpy as np

from snellen.data.distort.lab import SRGB_TO_LINEAR, linear_to_srgb
from snellen.restoration.tool import Job, Pixels, luma, to_pixels


def exposure(job: Job, target: float, share: float) -> Pixels:
    """Gamma curve that carries the mean luma towards `target` (0..1), by `share` of the way in the exponent."""
    values = job.pixels / 255.0
    mean = min(0.98, max(0.02, float(luma(job.faulty).mean()) / 255))
    gamma = min(3.0, max(0.3, math.log(target) / math.log(mean))) ** share
    return to_pixels(255 * np.power(values, gamma))


def gain(job: Job, top: float, share: float) -> Pixels:
    """One gain in linear light, as a longer exposure gives, that carries the brightest half per cent to `top` (0..1);
    `share` of it, in logarithms. A picture that reaches `top` stays as it is."""
    linear = SRGB_TO_LINEAR[job.pixels]
    brightest = float(np.percentile(SRGB_TO_LINEAR[job.faulty].max(axis=2), 99.5))
    factor = float(np.clip(top / max(brightest, 1e-3), 1.0, 8.0)) ** share
    return linear_to_srgb(linear * np.float32(factor))


def s_curve(job: Job, amount: float) -> Pixels:
    """More contrast in the middle tones, less in the others: x - amount sin(2 pi x) / (2 pi), slope 1 + amount."""
    x = np.arange(256) / 255
    return to_pixels(255 * (x - amount * np.sin(2 * np.pi * x) / (2 * np.pi)))[job.pixels]


def stretch(job: Job, tail: float, share: float) -> Pixels:
    """Linear stretch that carries the percentiles `tail` and 100 - `tail` of luma to 2 % and 98 % of the scale, by
    `share` of the way."""
    light = luma(job.faulty)
    low, high = np.percentile(light, (tail, 100 - tail))
    if high - low < 8:
        return np.array(job.pixels)
    values = job.pixels.astype(np.float64)
    full = 5 + (values - low) * (245 / (high - low))
    return to_pixels(values + share * (full - values))


def white_balance(job: Job, norm: float, share: float) -> Pixels:
    """Shades of grey (G. Finlayson, E. Trezzi, CIC 2004): one gain a channel equals the Minkowski means of order
    `norm`; `share` of the gains, in logarithms, is applied."""
    values = np.maximum(job.pixels / 255.0, 1e-4)
    means = (np.maximum(job.faulty / 255.0, 1e-4) ** norm).mean(axis=(0, 1)) ** (1 / norm)
    gains = (means.mean() / means) ** share
    return to_pixels(255 * values * gains)
