"""A sign in pixels that a picture is no photograph: a drawing, a screenshot, a diagram or a scanned page.

What is drawn has hard edges with a side of exactly one colour, few colours, and parts of two tones. A photograph has
noise and a soft lens. Three measures of native pixels, and a logistic regression on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from snellen.image import GRID, TILE

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]

NOT_A_PHOTOGRAPH = (
    "flat parts and few colours, as in a drawing, a screenshot or a scan: snellen-1 is made for photographs; its score "
    "means little here"
)
LIMIT = 0.0
"""A picture whose `drawn` is above this is noted."""
DARK = 64
"""A picture of which 99 % of the pixels are below this luminance, of 255, is too dark to tell."""

_WEIGHTS = (1.53, 9.16, -2.86)
_OFFSET = 8.37
"""Fitted on 336 drawn pictures, as they are and as JPEG of quality 75, 829 photographs, of which 1 % pass LIMIT, and 90
of these damaged in 24 ways each, of which 5 % do."""
_STEP = 40
"""Luminance levels, of 255, within two pixels from which on an edge is hard."""
_FLAT = 1
"""Levels by which the two pixels of an edge's flat side differ at most."""
_FEW = 256
"""Most colours of a grey picture."""
_TONES, _CONTRAST = 0.8, 50
"""Least share of a tile's variance between its two tones, and least levels between them."""


class Measures(NamedTuple):
    """Measures of a picture's tiles.

    flat_sides: of the hard edges, the share that has a flat side, 0..1. two_tones: share of tiles that have two tones,
    0..1. colours: log10 of the number of distinct colours; of a picture of at most 256, like a grey one, of the
    distinct pairs of neighbouring luminances, where those are more. bright: luminance that 1 % of the pixels exceed.
    """

    flat_sides: float
    two_tones: float
    colours: float
    bright: float


def looks_drawn(fragments: NDArray[np.uint8]) -> bool:
    """Return whether a picture looks drawn, by the fragments of its whole view, see `snellen.image.View`."""
    found = measures(fragments)
    return found.bright >= DARK and drawn(found) > LIMIT


def drawn(found: Measures) -> float:
    """Return the log-odds that a picture is drawn, by logistic regression on the first three measures."""
    numbers = (float(np.log10(found.flat_sides + 0.002)), found.two_tones, found.colours)
    return sum(weight * number for weight, number in zip(_WEIGHTS, numbers, strict=True)) + _OFFSET


def measures(fragments: NDArray[np.uint8]) -> Measures:
    """Return the measures of fragments, (GRID * TILE, GRID * TILE, 3)."""
    tiles = fragments.reshape(GRID, TILE, GRID, TILE, 3).swapaxes(1, 2).reshape(GRID * GRID, TILE, TILE, 3)
    luma = tiles @ np.array([0.299, 0.587, 0.114], np.float32)
    (hard, flat), (others, others_flat) = _hard_edges(luma), _hard_edges(luma.swapaxes(1, 2))
    red, green, blue = np.moveaxis(tiles.astype(np.int32), 3, 0)
    colours = _distinct(red << 16 | green << 8 | blue)
    if colours <= _FEW:
        levels = np.rint(luma).astype(np.int32)
        colours = max(colours, _distinct(levels[:, :, 1:] << 8 | levels[:, :, :-1]))
    return Measures(
        flat_sides=(flat + others_flat + 1) / (hard + others + 20),  # a picture without edges counts as soft
        two_tones=float(_has_two_tones(luma.reshape(len(luma), -1)).mean()),
        colours=float(np.log10(colours)),
        bright=float(np.quantile(luma, 0.99)),
    )


def _distinct(numbers: NDArray[np.int32]) -> int:
    """Number of distinct numbers."""
    return 1 + int(np.count_nonzero(np.diff(np.sort(numbers, axis=None))))


def _hard_edges(luma: Numbers) -> tuple[int, int]:
    """Number of hard edges along the rows of tiles (N, h, w), and of those with a flat side."""
    step = np.abs(np.diff(luma, axis=2))
    hard = np.abs(luma[:, :, 3:-1] - luma[:, :, 1:-3]) >= _STEP
    flat = (step[:, :, :-3] <= _FLAT) | (step[:, :, 3:] <= _FLAT)
    return int(hard.sum()), int((hard & flat).sum())


def _has_two_tones(luma: Numbers) -> NDArray[np.bool_]:
    """Return the mask, (N,), of the tiles (N, P) that have two tones. They are split where the variance between both
    parts is largest (Otsu, 1979)."""
    ordered = np.sort(luma, axis=1)
    count = np.arange(1, luma.shape[1])
    total = np.cumsum(ordered, axis=1, dtype=np.float64)
    low = total[:, :-1] / count
    high = (total[:, -1:] - total[:, :-1]) / count[::-1]
    share = count / luma.shape[1]
    between = share * (1 - share) * (high - low) ** 2
    best = between.argmax(axis=1)
    rows = np.arange(len(luma))
    separated = between[rows, best] >= _TONES * np.maximum(luma.var(axis=1), 1e-6)
    two: NDArray[np.bool_] = separated & ((high - low)[rows, best] >= _CONTRAST)
    return two
