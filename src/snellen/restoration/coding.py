"""A tool against the blocks of compression."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from snellen.restoration.tool import Job, Pixels, to_pixels

_SHIFTS = (0, 2, 4, 6)


def shifted_jpeg(job: Job, quality: float) -> Pixels:
    """Mean of JPEG codings of the shifted picture (A. Nosratinia, "Denoising of JPEG images by re-application of
    JPEG", 2001): blocks and ringing of each coding differ, what the picture holds does not. quality: of the coding."""
    total = np.zeros(job.pixels.shape)
    height, width, _ = job.pixels.shape
    for down in _SHIFTS:
        for right in _SHIFTS:
            padded = np.pad(job.pixels, ((down, 8), (right, 8), (0, 0)), mode="edge")
            file = io.BytesIO()
            Image.fromarray(padded).save(file, "JPEG", quality=int(quality), subsampling=0)
            total += np.asarray(Image.open(file))[down : down + height, right : right + width]
    return to_pixels(total / len(_SHIFTS) ** 2)
