"""Measurements between two successive frames: motion, change, brightness, stripes. Functions of small gray frames.

All take *small frames*: gamma-coded luminance, (h, w) uint8, of at most `SMALL_SIDE` px on the long side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

SMALL_SIDE = 256
"""Long side of a small frame, px."""
PEAK_WIDTH = 1.0
"""Standard deviation of the correlation peak, px of a small frame."""
STILL = 0.25
"""Mean absolute change, in 8-bit levels, below which small frames show the same: lossy coding changes repeats a bit."""
FLAT = 1.0
"""Standard deviation of a small frame, in levels, below which no motion can be measured."""
BLOCKS = 4
"""Blocks per side for the local change."""
_SMOOTH_ROWS = 5


@dataclass(frozen=True)
class Change:
    """Differences between a small frame and the one before.

    Attributes:
        x, y: motion of the content, right and down, as a share of the frame's long side.
        trust: height of the correlation peak, 0 (no common content) to 1 (pure motion).
        change: mean absolute difference in 8-bit levels.
        residual: the same after alignment and after equal brightness.
        local: the largest residual of a block, one of BLOCKS x BLOCKS.
        gain: change of brightness: log2 of the ratio of the mean gamma-coded luminances, over the part that both show.
        stripes: strength of stripes that came or went: standard deviation, over rows, of the log2 ratio of the rows'
            means, less what columns show too; rows or columns, whichever is stronger.
    """

    x: float = 0.0
    y: float = 0.0
    trust: float = 0.0
    change: float = 0.0
    residual: float = 0.0
    local: float = 0.0
    gain: float = 0.0
    stripes: float = 0.0


def compare(before: Gray, after: Gray) -> Change:
    """Return what differs between two small frames of one size."""
    dx, dy, trust = shift(before, after)
    old, new = overlap(before, after, round(dx), round(dy))
    ratio = (float(new.mean()) + 1.0) / (float(old.mean()) + 1.0)
    difference = np.abs(new - np.clip(old * ratio, 0.0, 255.0))
    side = max(before.shape)
    plain = np.abs(after.astype(np.int16) - before.astype(np.int16))
    return Change(
        dx / side, dy / side, trust, float(plain.mean()), float(difference.mean()), _largest_block(difference),
        math.log2(ratio), stripes(old, new),
    )  # fmt: skip


def shift(before: Gray, after: Gray) -> tuple[float, float, float]:
    """Return the motion of the content between two small frames: right and down in px, and its peak's height, 0..1.

    Phase correlation (Kuglin and Hines, 1975) of Hann-windowed frames. The normalised cross-power spectrum is weighted
    with a Gaussian, so that the peak is one of standard deviation PEAK_WIDTH; three points of its logarithm then give
    its place to a fraction of a pixel. Zeros where a frame is flat.
    """
    if before.std() < FLAT or after.std() < FLAT:
        return 0.0, 0.0, 0.0
    height, width = before.shape
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    old, new = (np.fft.rfft2((frame - frame.mean(dtype=np.float32)) * window) for frame in (before, after))
    cross = new * np.conj(old)
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    low = np.exp(-2.0 * (math.pi * PEAK_WIDTH) ** 2 * (fy**2 + fx**2))
    surface = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-6) * low, s=(height, width))
    top, left = np.unravel_index(int(surface.argmax()), surface.shape)
    peak = float(surface[top, left])
    highest = 1.0 / (2.0 * math.pi * PEAK_WIDTH**2)  # of a pure motion by whole pixels: the integral of the weights
    down = _vertex(*(float(surface[(top + step) % height, left]) for step in (-1, 0, 1)))
    right = _vertex(*(float(surface[top, (left + step) % width]) for step in (-1, 0, 1)))
    return _signed(left + right, width), _signed(top + down, height), min(1.0, peak / highest)


def _vertex(left: float, middle: float, right: float) -> float:
    """Return the place of a Gaussian's peak, -0.5..0.5, from its values at -1, 0 and 1."""
    if min(left, middle, right) <= 0.0:
        return 0.0
    a, b, c = math.log(left), math.log(middle), math.log(right)
    bend = a - 2.0 * b + c
    return 0.0 if bend >= 0.0 else max(-0.5, min(0.5, 0.5 * (a - c) / bend))


def _signed(place: float, size: int) -> float:
    return float(place - size if place > size / 2 else place)


def overlap(before: Gray, after: Gray, right: int, down: int) -> tuple[Floats, Floats]:
    """Return the part that both frames show, as float32, where the content moved by whole pixels."""
    height, width = before.shape
    right, down = (max(-size // 2, min(size // 2, move)) for move, size in ((right, width), (down, height)))
    old = before[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    new = after[max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)]
    return old.astype(np.float32), new.astype(np.float32)


def stripes(old: Floats, new: Floats) -> float:
    """Return the strength of stripes between two aligned frames, see `Change`.

    A lamp on mains, read row by row by a rolling shutter, changes rows and leaves columns alone. Moving objects change
    both: three times the variance over the columns is subtracted.
    """
    spread = []
    for axis in (1, 0):
        profile = np.log2((new.mean(axis=axis) + 1.0) / (old.mean(axis=axis) + 1.0))
        kernel = np.ones(_SMOOTH_ROWS) / _SMOOTH_ROWS
        spread.append(float(np.convolve(profile, kernel, "valid").var()) if len(profile) > _SMOOTH_ROWS else 0.0)
    rows, columns = spread
    return math.sqrt(max(0.0, rows - 3.0 * columns, columns - 3.0 * rows))


def _largest_block(difference: Floats) -> float:
    rows = np.array_split(difference, BLOCKS, axis=0)
    return max(float(block.mean()) for row in rows for block in np.array_split(row, BLOCKS, axis=1) if block.size)
