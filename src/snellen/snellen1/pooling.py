"""Grids of cells, averaged from one shape to another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def grid_shares(n: int, side: int) -> Floats:
    """(side, n): how much of each of n equal cells lies in each of `side` equal bins, rows summing to 1."""
    edges = np.arange(side + 1) * n / side
    cells = np.arange(n)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    out: Floats = (np.clip(overlap, 0, None) * side / n).astype(np.float32)
    return out


def regrid(cells: Floats, rows: int, columns: int) -> Floats:
    """Area-average a grid of cells to another shape: (C, h, w) -> (C, rows, columns)."""
    if cells.shape[1:] == (rows, columns):
        return cells
    down, across = (grid_shares(n, side) for n, side in zip(cells.shape[1:], (rows, columns), strict=True))
    # small products, one by one: one large one would start threads that are in the way of the runtime's own
    out: Floats = (down @ cells @ across.T).astype(np.float32)
    return out
