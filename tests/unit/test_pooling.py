"""Regridding keeps means and places."""

from __future__ import annotations

import numpy as np
import pytest

from snellen.snellen1.pooling import regrid


def test_regrid_keeps_means_and_places() -> None:
    cells = np.zeros((1, 7, 10), np.float32)
    cells[0, 0, 0] = 70.0  # 70 cells, so the mean is 1
    pooled = regrid(cells, 5, 5)
    assert pooled.mean() == pytest.approx(1.0, rel=1e-5)
    assert pooled[0, 0, 0] == pytest.approx(25.0, rel=1e-5) and np.count_nonzero(pooled) == 1


def test_regrid_to_a_finer_grid_repeats() -> None:
    cells = np.array([[[1.0, 3.0]]], np.float32)
    assert regrid(cells, 1, 4).tolist() == [[[1.0, 1.0, 3.0, 3.0]]]
    assert regrid(cells, 2, 1).tolist() == [[[2.0], [2.0]]]
