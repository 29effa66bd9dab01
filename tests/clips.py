"""Clips for tests: a camera that pans over a textured scene, as frames and as encoded files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = list[NDArray[np.uint8]]


def scene(width: int = 400, height: int = 120, seed: int = 0) -> NDArray[np.uint8]:
    """Return a textured picture, (height, width, 3): noise of several sizes."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for size in (4, 8, 16):
        coarse = rng.normal(size=(height // size + 2, width // size + 2))
        total += np.kron(coarse, np.ones((size, size)))[:height, :width] * size
    gray = np.clip(128 + 40 * total / total.std(), 0, 255).astype(np.uint8)
    return np.stack([gray, gray[::-1], gray], axis=2)


def pan(count: int = 45, step: int = 2, width: int = 128, height: int = 96) -> Frames:
    """Return frames of a camera that moves `step` px to the right each frame."""
    wide = scene(width + step * count, height)
    return [np.ascontiguousarray(wide[:, step * i : step * i + width]) for i in range(count)]


def encode(
    path: Path, frames: Sequence[NDArray[np.uint8]], codec: str = "libx264", times: Sequence[int] | None = None,
    **tags: Any,
) -> Path:  # fmt: skip
    """Write frames, 30 per second. times: of the frames, in 1/30 s. tags: attributes of the codec's context."""
    import av

    options = {
        "libx264": {"preset": "ultrafast", "crf": "12"},
        "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    }
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options.get(codec, {}))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if hasattr(os, "sched_setscheduler"):  # SVT-AV1, run by root, leaves the process at real-time priority 99
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return path
