"""Numbers of a whole view or picture that the heads for photographs read. numpy only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snellen.features import Features

Floats = npt.NDArray[np.float64]


def fault_features(
    imagenet: npt.NDArray[np.float32],
    overview: npt.NDArray[np.float32],
    fragments: npt.NDArray[np.float32],
    measured: Features,
    pixels: npt.NDArray[np.uint8],
) -> tuple[Floats, ...]:
    """The blocks of features that the photo fault head reads, to be concatenated.

    imagenet (FEATURES,): of the overview of the whole picture. overview, fragments (C, h, w): cell features. measured:
    of the picture. pixels (H, W, 3): the picture's.
    """
    cells = pooled_cells(np.stack([overview, fragments]))
    return imagenet.astype(np.float64), cells, measured_numbers(measured), colour_numbers(pixels)


def rating_features(imagenet: npt.NDArray[np.float32], fragments: npt.NDArray[np.float32]) -> tuple[Floats, ...]:
    """The blocks of features that the photo rating head reads of one view, to be concatenated.

    imagenet (FEATURES,): of the overview. fragments (C, h, w): cell features of the fragments.
    """
    return imagenet.astype(np.float64), pooled_cells(fragments[None])


def pooled_cells(cells: npt.NDArray[np.float32]) -> Floats:
    """Mean, standard deviation, maximum and minimum of cell features over the grid: (P, C, h, w) -> (4 P C,)."""
    over = (2, 3)
    parts = [cells.mean(axis=over), cells.std(axis=over, ddof=1), cells.max(axis=over), cells.min(axis=over)]
    return np.concatenate(parts, axis=1).ravel().astype(np.float64)


def measured_numbers(measured: Features) -> Floats:
    """Values of `snellen.features`, and five statistics of each of its maps."""
    maps = [[m.min(), m.max(), m.std(), np.quantile(m, 0.1), np.quantile(m, 0.9)] for m in measured.maps.values()]
    return np.array([*(one.value for one in measured.values.values()), *np.ravel(maps)], np.float64)


def colour_numbers(pixels: npt.NDArray[np.uint8]) -> Floats:
    """22 statistics of luminance and colour of pixels (H, W, 3), on every fourth: quantiles, clipped shares, means,
    spreads."""
    rgb = pixels[::4, ::4].astype(np.float64)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    flat = rgb.reshape(-1, 3)
    spread = flat.max(axis=1) - flat.min(axis=1)
    shares = [(luma < 8).mean(), (luma < 20).mean(), (luma > 247).mean(), (luma > 235).mean()]
    quantiles = np.quantile(luma, [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99])
    rest = [spread.mean(), np.quantile(spread, 0.9), luma.std()]
    return np.array([*quantiles, *shares, *flat.mean(axis=0), *flat.std(axis=0), *rest], np.float64)
