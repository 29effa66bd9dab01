"""Pictures for tests: noise, which has every kind of detail and compresses badly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image


def noise(width: int = 64, height: int = 40, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Return (height, width, 3) pixels of uniform noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def photo(path: Path, width: int = 64, height: int = 40, seed: int = 0, **options: Any) -> str:
    """Write noise to a file, by the suffix of its name, in a folder that is made; return the path.

    options: those of `Image.save`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(width, height, seed)).save(path, **options)
    return str(path)
