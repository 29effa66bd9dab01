"""Measured features of a picture: one global value and a low-resolution map each.

The picture is divided into CELLS x CELLS cells and one native tile is measured in the middle of each: the whole cell
if its sides are at most TILE_PX (pictures of up to about 2 megapixels), otherwise TILE_PX x TILE_PX px of it. Large
pictures are thus sampled, not resampled, which preserves noise and compression. In small pictures tiles overlap.

The measures are plain functions of tiles: (N, h, w) luminance or (N, h, w, 3) pixels in, (N,) out.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snellen.image import Picture, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

CELLS = 10
"""Cells per side of a map."""
TILE_PX = 128
"""Largest side of a measured tile, in native px."""

_SMALLEST_TILE = 32
_BLOCK = 8  # of JPEG, and of the noise estimate
_WINDOW = 8
_EDGE_LEVELS = 20
_DARK, _BRIGHT = 4, 251
_QUARTILE_BIAS = 0.882
_FEWEST_EDGES = 0.005
_HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")
_BANDWIDTH, _SHIFTS = 12.0, 20
_SQRT3_2 = math.sqrt(0.75)


FEATURES = (
    "sharpness", "noise", "blockiness", "clipped_shadows", "clipped_highlights", "luminance", "contrast",
    "colorfulness", "color_cast", "color_cast_hue",
)  # fmt: skip
"""Names of the features, in order."""


@dataclass(frozen=True)
class Feature:
    """One measured value.

    Attributes:
        value: the measurement.
        unit: its unit, in words.
        range: smallest and largest possible value; None for no upper bound.
    """

    value: float
    unit: str
    range: tuple[float, float | None]


@dataclass(frozen=True, eq=False)
class Features:
    """All features of one picture.

    Attributes:
        values: one Feature per name.
        maps: the same names -> (CELLS, CELLS) float32, row 0 at the top, in the unit of the value.
    """

    values: dict[str, Feature]
    maps: dict[str, NDArray[np.float32]]

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return a JSON-able dict: name -> value, unit, range, map (a list of rows)."""
        return {
            name: {
                "value": feature.value,
                "unit": feature.unit,
                "range": list(feature.range),
                "map": [[round(float(v), 4) for v in row] for row in self.maps[name]],
            }
            for name, feature in self.values.items()
        }


def measure(picture: Picture | NDArray[Any], only: Collection[str] = FEATURES) -> Features:
    """Measure a picture, or an array as ``snellen.image.load`` takes it. Deterministic.

    ``only``: names of the features that are returned. The colour cast takes half of the time or more.

    Global values: ``noise`` is the median and ``blockiness`` the mean over the cells; the others are measured on all
    tiles together. In the maps, cells without an edge take the global ``sharpness``, and cells that are clipped
    throughout, where noise is not measurable, the global ``noise``.

    Raises:
        ImageError: the array is not a picture.
    """
    pixels = (picture if isinstance(picture, Picture) else load(picture)).pixels
    tiles = cut_tiles(pixels)
    luma = luminance(tiles)
    dark, bright = clipped(tiles)
    mean, cov = colour_moments(tiles)
    pooled_mean, pooled_cov = mean.mean(axis=0), cov.mean(axis=0) + np.cov(mean.T, bias=True)
    noise = noise_level(luma)
    noise_value = float(np.nanmedian(noise)) if not np.isnan(noise).all() else 0.0
    noise = np.where(np.isnan(noise), noise_value, noise)
    # At least the global noise: a tile of pure noise with a low estimate would seem full of edges.
    steepness, edges = edge_steepness(luma, np.maximum(noise, noise_value))
    sharpness_value = float(steepness @ edges / edges.sum()) if edges.any() else 0.0
    blocks = blockiness(luma)
    light = luma.mean(axis=(1, 2)) / 255.0
    contrast = luma.std(axis=(1, 2)) / 255.0

    def share(cells: Floats) -> float:
        return float(cells.mean())

    table: dict[str, tuple[float, Floats, str, tuple[float, float | None]]] = {
        "sharpness": (
            sharpness_value, np.where(edges > 0, steepness, sharpness_value),
            "share of an edge's height within one pixel", (0.0, 1.0),
        ),
        "noise": (noise_value, noise, "standard deviation of luminance in 8-bit levels", (0.0, None)),
        "blockiness": (share(blocks), blocks, "excess of steps on the 8x8 grid over steps elsewhere", (0.0, None)),
        "clipped_shadows": (share(dark), dark, "share of pixels", (0.0, 1.0)),
        "clipped_highlights": (share(bright), bright, "share of pixels", (0.0, 1.0)),
        "luminance": (share(light), light, "share of white, gamma-coded", (0.0, 1.0)),
        "contrast": (float(luma.std()) / 255.0, contrast, "standard deviation as a share of white", (0.0, 0.5)),
        "colorfulness": (
            float(colourfulness(pooled_mean, pooled_cov)), colourfulness(mean, cov),
            "Hasler-Suesstrunk M3 in 8-bit levels", (0.0, None),
        ),
    }  # fmt: skip
    if not {"color_cast", "color_cast_hue"}.isdisjoint(only):
        cast, hue = colour_cast(tiles)
        cast_value, hue_value = colour_cast(tiles.reshape(1, -1, *tiles.shape[2:]))
        turn = "degrees: 0 red, 60 yellow, 120 green, 240 blue"
        table["color_cast"] = (float(cast_value[0]), cast, "shift of gray in 8-bit levels", (0.0, 255.0))
        table["color_cast_hue"] = (float(hue_value[0]), hue, turn, (0.0, 360.0))
    table = {name: row for name, row in table.items() if name in only}
    return Features(
        {name: Feature(value, unit, limits) for name, (value, _, unit, limits) in table.items()},
        {name: cells.reshape(CELLS, CELLS).astype(np.float32) for name, (_, cells, _, _) in table.items()},
    )


def cut_tiles(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut one native tile from the middle of each cell: (H, W, 3) -> (CELLS * CELLS, h, w, 3), row by row.

    Tiles start at multiples of 8 px, so that the compression grid of an uncropped picture has the same phase in all.
    """
    (tops, h), (lefts, w) = (_starts(side) for side in pixels.shape[:2])
    return np.stack([pixels[top : top + h, left : left + w] for top in tops for left in lefts])


def _starts(side: int) -> tuple[list[int], int]:
    tile = min(side, max(_SMALLEST_TILE, min(TILE_PX, side // CELLS)))
    middles = [(cell + 0.5) * side / CELLS for cell in range(CELLS)]
    return [int(min(max(0, middle - tile / 2), side - tile)) // _BLOCK * _BLOCK for middle in middles], tile


def luminance(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Gamma-coded luminance, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), to the nearest: (..., 3) -> (...) uint8."""
    red, green, blue = (tiles[..., channel].astype(np.uint32) for channel in range(3))
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(np.uint8)


def noise_level(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Standard deviation of the noise in each tile, in 8-bit levels: (N, h, w) -> (N,), >= 0; NaN where all is clipped.

    Immerkaer's operator (Fast noise variance estimation, CVIU 1996): the picture is convolved with
    [1 -2 1; -2 4 -2; 1 -2 1], which cancels straight edges and slopes, and sigma = sqrt(pi / 2) * mean|response| / 6.
    Estimated per 8x8 block; a tile takes the lower quartile of its blocks, so that texture counts only where it fills
    three quarters of a tile. For white noise this quartile is 0.882 of the mean, so it is divided by 0.882. Blocks with
    clipped pixels are excluded, because clipping hides noise.
    """
    signed = luma.astype(np.int16)
    across = signed[:, :, :-2] - 2 * signed[:, :, 1:-1] + signed[:, :, 2:]
    response = np.abs(across[:, :-2] - 2 * across[:, 1:-1] + across[:, 2:])
    sigma = _block_sums(response) * (math.sqrt(math.pi / 2) / (6 * _BLOCK * _BLOCK))
    inner = luma[:, 1:-1, 1:-1]
    sigma[_block_sums((inner <= _DARK) | (inner >= _BRIGHT)) > 0] = np.nan
    usable = ~np.isnan(sigma).all(axis=1)
    level = np.full(len(luma), np.nan)
    level[usable] = np.nanpercentile(sigma[usable], 25, axis=1) / _QUARTILE_BIAS
    return level


def _block_sums(values: NDArray[Any]) -> NDArray[np.float64]:
    """Sum over whole 8x8 blocks: (N, h, w) -> (N, blocks)."""
    n, rows, columns = values.shape[0], values.shape[1] // _BLOCK, values.shape[2] // _BLOCK
    whole = values[:, : rows * _BLOCK, : columns * _BLOCK]
    strips = whole.reshape(n, rows, _BLOCK, columns * _BLOCK).sum(axis=2, dtype=np.int32)
    sums: NDArray[np.float64] = strips.reshape(n, rows * columns, _BLOCK).sum(axis=2).astype(np.float64)
    return sums


def edge_steepness(luma: NDArray[np.uint8], noise: Floats) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Steepness of the edges of each tile: (N, h, w), noise (N,) -> steepness (N,) in 0..1, number of edge runs (N,).

    In every run of 8 px along rows and columns that spans at least 20 levels, and 7 times the noise: the largest step
    between neighbours over the span. 1 is a step edge, about 0.4 / s an edge blurred with a Gaussian of s px, 1/7 an
    even ramp. Mean over all such runs; 0 where they are under 0.5 % of all. (Our definition; the inverse of edge width
    as in Marziliano et al., A no-reference perceptual blur metric, ICIP 2002, but without tracing edges.)
    """
    total, places, runs = np.zeros(len(luma)), np.zeros(len(luma), np.int64), 0
    threshold = np.clip(np.maximum(_EDGE_LEVELS, np.ceil(7 * noise)), 0, 255).astype(np.uint8)[:, None, None]
    for lines in (luma, luma.swapaxes(1, 2)):
        low, high = _running(lines, np.minimum), _running(lines, np.maximum)
        span = high - low
        before, after = lines[:, :, :-1], lines[:, :, 1:]
        step = np.maximum(before, after) - np.minimum(before, after)
        step = _running(np.maximum(step[:, :, :-3], step[:, :, 3:]), np.maximum, 4)
        edge = span >= threshold
        ratio = np.divide(step, span, out=np.zeros(span.shape, np.float32), where=edge)
        total += ratio.sum(axis=(1, 2))
        places += edge.sum(axis=(1, 2))
        runs += edge[0].size
    places[places < _FEWEST_EDGES * runs] = 0  # so few can be noise
    return np.where(places > 0, total / np.maximum(places, 1), 0.0), places


def _running(values: NDArray[np.uint8], pick: np.ufunc, window: int = _WINDOW) -> NDArray[np.uint8]:
    """Running minimum or maximum along the last axis; ``window`` is a power of two."""
    width = 1
    while width < window:
        values = pick(values[..., :-width], values[..., width:])
        width *= 2
    return values


def blockiness(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Visibility of an 8x8 compression grid in each tile: (N, h, w) -> (N,), >= 0, 0 without a grid.

    Mean absolute step between neighbours across the grid's lines over the mean of the other steps, minus 1; averaged
    over rows and columns. The grid's phase is searched, since crops shift it, once for all tiles. (The 8-px period of
    absolute differences is Wang, Bovik and Evans, Blind measurement of blocking artifacts, ICIP 2000; they read it
    from the power spectrum.) Upscaling after compression stretches the grid and hides it.
    """
    excess = np.zeros(len(luma))
    for lines in (luma, luma.swapaxes(1, 2)):
        before, after = lines[:, :, :-1], lines[:, :, 1:]
        step = (np.maximum(before, after) - np.minimum(before, after)).mean(axis=1)
        # A quarter of a level on both sides avoids 0 / 0 in flat tiles.
        by_phase = np.stack([step[:, phase::_BLOCK].mean(axis=1) for phase in range(_BLOCK)], axis=1) + 0.25
        others = (by_phase.sum(axis=1, keepdims=True) - by_phase) / (_BLOCK - 1)
        ratio = by_phase / others
        excess += ratio[:, int(np.argmax(ratio.mean(axis=0)))] - 1.0
    return np.maximum(excess / 2, 0.0)


def clipped(tiles: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of pixels with all of R, G, B at most 4 (shadows) and at least 251 (highlights): two (N,) in 0..1."""
    red, green, blue = (tiles[..., channel] for channel in range(3))
    brightest = np.maximum(np.maximum(red, green), blue)
    darkest = np.minimum(np.minimum(red, green), blue)
    return (brightest <= _DARK).mean(axis=(1, 2)), (darkest >= _BRIGHT).mean(axis=(1, 2))


def colour_moments(tiles: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means (N, 3) and covariances (N, 3, 3) of R, G, B in each tile, in 8-bit levels."""
    values = tiles.reshape(len(tiles), -1, 3).astype(np.float32)
    mean = values.mean(axis=1, dtype=np.float64)
    values -= mean[:, None, :].astype(np.float32)
    return mean, (values.swapaxes(1, 2) @ values / values.shape[1]).astype(np.float64)


def colourfulness(mean: Floats, cov: Floats) -> NDArray[np.float64]:
    """Colourfulness from moments of R, G, B: (..., 3), (..., 3, 3) -> (...), 0 gray, 33 average, 109 extreme.

    M3 of Hasler and Suesstrunk, Measuring colourfulness in natural images (SPIE 5007, 2003): with rg = R - G and
    yb = (R + G) / 2 - B, sqrt(var rg + var yb) + 0.3 sqrt(mean rg ^ 2 + mean yb ^ 2).
    """
    axes = np.array([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])  # rg and yb as weights of R, G, B
    variance = np.einsum("ai,...ij,aj->...", axes, cov, axes)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)) + 0.3 * np.linalg.norm(mean @ axes.T, axis=-1))


def colour_cast(tiles: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Colour cast of each tile: (N, h, w, 3) -> strength (N,) in 8-bit levels, hue (N,) in degrees, 0..360 as in HSV.

    In the hue plane, x = R - (G + B) / 2 and y = sqrt(3) / 2 (G - B), gray lies at the origin, and a cast shifts it.
    Strength and hue are the polar coordinates of the colour mode nearest to gray, found by mean shift from the origin
    (Comaniciu and Meer, PAMI 2002; Gaussian kernel, bandwidth 12 levels). Colourful objects thus count little beside
    neutral ones: a gray scene with one channel raised by d has strength d. A scene of a single colour, such as a blue
    sky, is indistinguishable from a cast. Near-black and near-white pixels, which carry no colour, are excluded; 0
    where there are no others. (Our definition; gray-world methods take the mean.)
    """
    every = max(1, min(tiles.shape[1:3]) // 32)
    sample = tiles[:, ::every, ::every]
    light = luminance(sample).reshape(len(tiles), -1)
    shows = ((light >= 32) & (light <= 245)).astype(np.float32)
    red, green, blue = (sample[..., channel].reshape(len(tiles), -1).astype(np.float32) for channel in range(3))
    x, y = red - 0.5 * (green + blue), np.float32(_SQRT3_2) * (green - blue)
    at_x, at_y = np.zeros((2, len(tiles), 1), np.float32)
    for _ in range(_SHIFTS):
        far = ((x - at_x) ** 2 + (y - at_y) ** 2) / np.float32(2 * _BANDWIDTH**2)
        # Relative to the nearest pixel; otherwise all weights underflow where every colour is far away.
        nearest = np.where(shows > 0, far, np.inf).min(axis=1, keepdims=True)
        weight = np.exp(np.minimum(nearest - far, 0.0)) * shows
        total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
        at_x, at_y = ((weight * axis).sum(axis=1, keepdims=True) / total for axis in (x, y))
    strength, hue = np.hypot(at_x, at_y)[:, 0], np.degrees(np.arctan2(at_y, at_x))[:, 0] % 360.0
    return strength.astype(np.float64), hue.astype(np.float64)


def hue_name(degrees: float) -> str:
    """Return the name nearest to a hue of 0..360 degrees: red, yellow, green, cyan, blue or magenta."""
    return _HUES[int(degrees / 60.0 + 0.5) % 6]
