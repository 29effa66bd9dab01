"""waifu2x's networks for photographs, trained against JPEG: they double the side, which is halved again afterwards."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from snellen.restoration.learned.network import Network
from snellen.restoration.tool import Job, Pixels, to_pixels

WEIGHTS = "models/models-upconv_7_photo"


@cache
def _network(folder: Path, level: int) -> Network:
    stem = f"{folder / WEIGHTS}/noise{level}_scale2.0x_model"
    return Network(
        Path(f"{stem}.param").read_text(encoding="utf-8"), Path(f"{stem}.bin").read_bytes(), border=8, scale=2
    )


def apply(folder: Path, job: Job, level: float) -> Pixels:
    """Remove the traces of JPEG. folder: of the package. level: 0 (least) to 3 (most)."""
    values = (job.pixels / np.float32(255)).transpose(2, 0, 1)
    large = _network(folder, int(level)).run(np.ascontiguousarray(values))
    channels, height, width = large.shape
    small = large.reshape(channels, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return to_pixels(255 * small.transpose(1, 2, 0))
