"""Distortions that add noise. Variances and densities are those of KADID-10k, on a 0..1 scale."""

from __future__ import annotations

import math

import numpy as np

from snellen.data.distort.array import Pixels, by_band

# Noise in Y, Cb, Cr (BT.601, limited range) carried to R, G, B.
_FROM_YCBCR = np.array([[1.164, 0.0, 1.596], [1.164, -0.392, -0.813], [1.164, 2.017, 0.0]], dtype=np.float32)


def white_noise(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Gaussian noise, independent in R, G and B."""
    deviation = _deviation((0.001, 0.002, 0.003, 0.005, 0.01)[level - 1])
    return by_band(pixels, lambda band: band + deviation * rng.standard_normal(band.shape, dtype=np.float32))


def white_noise_ycbcr(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Gaussian noise, independent in Y, Cb and Cr: mottled colors."""
    mix = _deviation((0.0001, 0.0005, 0.001, 0.002, 0.003)[level - 1]) * _FROM_YCBCR.T
    return by_band(pixels, lambda band: band + rng.standard_normal(band.shape, dtype=np.float32) @ mix)


def impulse_noise(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Salt and pepper: a share of the channel values goes to 0 or 255, half each."""
    share = (0.001, 0.005, 0.01, 0.02, 0.03)[level - 1]

    def strike(band: Pixels) -> Pixels:
        chance = rng.random(band.shape, dtype=np.float32)
        struck = np.where(chance < share / 2, np.uint8(0), band)
        return np.where(chance > 1 - share / 2, np.uint8(255), struck)

    return by_band(pixels, strike)


def multiplicative_noise(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Speckle: x + x n with n Gaussian, so that bright parts suffer more."""
    deviation = _deviation((0.001, 0.005, 0.01, 0.02, 0.05)[level - 1]) / np.float32(255)
    return by_band(pixels, lambda band: band * (1 + deviation * rng.standard_normal(band.shape, dtype=np.float32)))


def _deviation(variance: float) -> np.float32:
    """Standard deviation on the 0..255 scale for a variance on the 0..1 scale."""
    deviation: np.float32 = np.float32(255 * math.sqrt(variance))
    return deviation
