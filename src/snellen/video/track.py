"""Recorder of the measurements of a sequence, frame by frame; scene cuts are found on the way."""

from __future__ import annotations

from array import array
from collections import deque
from statistics import median

import numpy as np

from snellen.video.faults import Track
from snellen.video.frame import Frame
from snellen.video.motion import Change, Gray, compare

CUT_RESIDUAL = 12.0
"""Mean absolute difference after alignment, in 8-bit levels, from which a step can be a cut."""
CUT_FACTOR = 4.0
"""A cut's residual over the median of the steps before it."""
_STEPS = 12


class Tracker:
    """Measures each frame against the one before. Keeps 80 bytes for each frame and one small frame."""

    def __init__(self) -> None:
        self._columns = {name: array("d") for name in Track.__dataclass_fields__}
        self._before: Gray | None = None
        self._residuals: deque[float] = deque(maxlen=_STEPS)

    def add(self, frame: Frame) -> bool:
        """Measure a frame; return whether a scene begins with it."""
        same_shape = self._before is not None and self._before.shape == frame.small.shape
        change = compare(self._before, frame.small) if same_shape and self._before is not None else Change()
        cut = not same_shape or is_cut(change.residual, self._residuals)
        if cut:
            self._residuals.clear()
        else:
            self._residuals.append(change.residual)
        self._before = frame.small
        row = {
            "time": frame.time, "x": change.x, "y": change.y, "trust": change.trust, "change": change.change,
            "local": change.local, "gain": change.gain, "stripes": change.stripes,
            "bright": float(np.percentile(frame.small, 99)), "cut": float(cut),
        }  # fmt: skip
        for name, value in row.items():
            self._columns[name].append(value)
        return cut

    def track(self) -> Track:
        """Return the measurements so far."""
        return Track(**{name: np.array(column, np.float64) for name, column in self._columns.items()})


def is_cut(residual: float, before: deque[float]) -> bool:
    """Return whether a step begins a scene: it cannot be aligned, and the steps before it could far better."""
    return residual > CUT_RESIDUAL and (not before or residual > CUT_FACTOR * median(before))
