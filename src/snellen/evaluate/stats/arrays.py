"""Checked vectors, shared by the statistics."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def vectors(*arrays: npt.ArrayLike) -> tuple[Floats, ...]:
    """Return the arrays as float64 vectors of one length; ValueError where they are not, or where one holds NaN."""
    columns = tuple(np.asarray(array, np.float64) for array in arrays)
    if any(column.ndim != 1 or column.shape != columns[0].shape for column in columns):
        raise ValueError(f"vectors of one length are needed, not {', '.join(str(c.shape) for c in columns)}")
    if any(np.isnan(column).any() for column in columns):
        raise ValueError("an array holds NaN; leave out pictures without a value and report their number")
    return columns
