"""Distortions that corrupt places: jitter, displaced patches, colored blocks.

Patches and blocks keep KADID's counts, and their sides grow with the picture, so that the spoilt share of the
area is that of KADID-10k at every size.
"""

from __future__ import annotations

import numpy as np

from snellen.data.distort.array import Pixels, bands, kadid_scale, to_uint8


def jitter(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Every pixel is fetched from a random place nearby, sqrt(5) times KADID's amount (it displaces five times)."""
    amount = np.float32(np.sqrt(5) * (0.05, 0.1, 0.2, 0.5, 1.0)[level - 1])
    height, width, _ = pixels.shape
    flat = pixels.reshape(-1, 3)
    out = np.empty_like(pixels)
    for rows in bands(height, width):
        shape = (rows.stop - rows.start, width)
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + amount * rng.standard_normal(
            shape, np.float32
        )
        x = np.arange(width, dtype=np.float32) + amount * rng.standard_normal(shape, np.float32)
        y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
        top, left = y.astype(np.int64), x.astype(np.int64)
        down, right = (y - top)[..., None], (x - left)[..., None]
        below, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
        upper = flat[top * width + left] * (1 - right) + flat[top * width + beside] * right
        lower = flat[below * width + left] * (1 - right) + flat[below * width + beside] * right
        out[rows] = to_uint8(upper * (1 - down) + lower * down)
    return out


def patch_displacement(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Small patches are copied a few px away (KADID's non-eccentricity patches)."""
    count = (20, 40, 60, 80, 100)[level - 1]
    height, width, _ = pixels.shape
    side = _side(16, height, width)
    out: Pixels = pixels.copy()
    for _ in range(count):
        top, left = _corner(side, height, width, rng)
        move = np.rint(rng.uniform(-0.5, 0.5, 2) * side).astype(int)
        to_top = int(np.clip(top + move[0], 0, height - side))
        to_left = int(np.clip(left + move[1], 0, width - side))
        patch = out[top : top + side, left : left + side].copy()
        out[to_top : to_top + side, to_left : to_left + side] = patch
    return out


def color_block(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Flat blocks of random color."""
    count = (2, 4, 6, 8, 10)[level - 1]
    height, width, _ = pixels.shape
    side = _side(32, height, width)
    out: Pixels = pixels.copy()
    for _ in range(count):
        top, left = _corner(side, height, width, rng)
        out[top : top + side, left : left + side] = rng.integers(0, 256, 3)
    return out


def _side(kadid_side: int, height: int, width: int) -> int:
    """A KADID side carried to this picture: at least 2 px, at most half of the shorter side."""
    return int(np.clip(round(kadid_side * kadid_scale(height, width)), 2, min(height, width) // 2))


def _corner(side: int, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
