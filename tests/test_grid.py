"""Grids of cells: pooling keeps means and places; boxes worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from snellen.backends.grid import likely_box, pool_grid, regrid


def test_pool_grid_keeps_means_and_places() -> None:
    cells = np.zeros((1, 7, 10), np.float32)
    cells[0, 0, 0] = 70.0  # 70 cells, so the mean is 1
    pooled = pool_grid(cells, 5)
    assert pooled.mean() == pytest.approx(1.0, rel=1e-5)
    assert pooled[0, 0] == pytest.approx(25.0, rel=1e-5) and not pooled[1:].any()


def test_regrid_to_a_finer_grid_repeats() -> None:
    cells = np.array([[[1.0, 3.0]]], np.float32)
    assert regrid(cells, 1, 4).tolist() == [[[1.0, 1.0, 3.0, 3.0]]]
    assert regrid(cells, 2, 1).tolist() == [[[2.0], [2.0]]]


def test_likely_box_by_hand() -> None:
    chances = np.full((4, 5), 0.1, np.float32)
    chances[1:3, 2:4] = 0.9
    chances[2, 4] = 0.4  # + 0.05, but the cell above it costs 0.25
    assert likely_box(chances, 0.35).to_list() == [0.4, 0.25, 0.8, 0.75]
    chances[1, 4] = 0.34  # - 0.01 now: both together gain 0.04
    assert likely_box(chances, 0.35).to_list() == [0.4, 0.25, 1.0, 0.75]


def test_likely_box_where_nothing_is_likely_is_the_closest_cell() -> None:
    chances = np.full((2, 2), 0.1, np.float32)
    chances[1, 0] = 0.2
    assert likely_box(chances).to_list() == [0.0, 0.5, 0.5, 1.0]
