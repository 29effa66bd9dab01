"""Arithmetic on grids of numbers, one per cell of a look: pooling them, and finding where a fault is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snellen.region import Region

Floats = npt.NDArray[np.float32]

LIKELY = 0.25
"""Chance of a fault from which on a cell counts for a box."""


def grid_shares(n: int, side: int) -> Floats:
    """(side, n): how much of each of n equal cells lies in each of `side` equal bins, rows summing to 1."""
    edges = np.arange(side + 1) * n / side
    cells = np.arange(n)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    out: Floats = (np.clip(overlap, 0, None) * side / n).astype(np.float32)
    return out


def regrid(cells: Floats, rows: int, columns: int) -> Floats:
    """Area-average a grid of cell vectors to another shape: (C, h, w) -> (C, rows, columns)."""
    down, across = (grid_shares(n, side) for n, side in zip(cells.shape[1:], (rows, columns), strict=True))
    out: Floats = np.einsum("ih,chw,jw->cij", down, cells, across, optimize=True).astype(np.float32)
    return out


def pool_grid(cells: Floats, side: int) -> Floats:
    """Area-average to `side` x `side`, as a list: (C, h, w) -> (side * side, C), rows first."""
    out: Floats = regrid(cells, side, side).reshape(len(cells), -1).T
    return out


def pool_all(cells: Floats) -> Floats:
    """Mean and spread over the grid: (C, h, w) -> (2 C,)."""
    mean = cells.mean(axis=(1, 2))
    spread = np.sqrt(((cells - mean[:, None, None]) ** 2).mean(axis=(1, 2)) + 1e-4)
    return np.concatenate([mean, spread]).astype(np.float32)


def likely_box(chances: Floats, likely: float = LIKELY) -> Region:
    """The rectangle of cells in which a fault is, given the chance of one in each, (h, w): that which maximises the sum
    of (chance - likely). Where no cell reaches `likely`, it is the cell that comes closest."""
    h, w = chances.shape
    sums = np.zeros((h + 1, w + 1))
    sums[1:, 1:] = (chances.astype(np.float64) - likely).cumsum(0).cumsum(1)
    top, bottom = np.triu_indices(h + 1, 1)
    left, right = np.triu_indices(w + 1, 1)
    inside = sums[bottom][:, right] - sums[top][:, right] - sums[bottom][:, left] + sums[top][:, left]
    rows, columns = np.unravel_index(int(inside.argmax()), inside.shape)
    return Region(left[columns] / w, top[rows] / h, right[columns] / w, bottom[rows] / h)
