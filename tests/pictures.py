"""Pictures and rating distributions that several tests use."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from snellen.backend import RatingDistribution
from snellen.image import Picture


def noise(width: int, height: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Return (height, width, 3) uniform random pixels: every crop of them shows new detail."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@functools.cache
def noise_picture(width: int = 700, height: int = 640, seed: int = 0, name: str = "noise") -> Picture:
    """Return a Picture of `noise`; equal arguments give the same object."""
    return Picture(noise(width, height, seed), name)


def save_noise(path: Path, width: int = 64, height: int = 40, seed: int = 0, **options: Any) -> str:
    """Write `noise` to a file, with Pillow's options for its format; return the path. Folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(width, height, seed)).save(path, **options)
    return str(path)


def spread(mean: float) -> RatingDistribution:
    """Return a distribution of two ratings, mean - 0.5 and mean + 0.5: its standard deviation is 0.5."""
    return RatingDistribution(np.array([mean - 0.5, mean + 0.5]), np.array([0.5, 0.5]))


def scene(seed: int, size: tuple[int, int] = (96, 96), grain: float = 4.0) -> Image.Image:
    """A random picture with coarse and fine structure and grain, as a photograph has."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 256, (size[1] // 3, size[0] // 3, 3), dtype=np.uint8)).resize(size)
    mixed = np.asarray(Image.blend(coarse, fine, 0.2), dtype=np.float64)
    return Image.fromarray(np.clip(mixed + rng.normal(0, grain, mixed.shape), 0, 255).astype(np.uint8))
