"""Differences of fine detail between a reference and a picture: arrays in, floats out.

Both are luma in 8-bit levels, (H, W), aligned, the reference with the tones of the picture. The picture is read as the
reference after a linear filter plus what no filter explains:

    P(f) = H(f) R(f) + N(f),   H = <P R*> / <R R*>,   N = <P P*> - |<P R*>|^2 / <R R*>

with means over tiles of TILE px under a Hann window (J. S. Bendat, A. G. Piersol, "Random Data", 1971: transfer
function and coherence). Blur is H below 1, sharpening H above 1, noise and coding are N. Powers are mean squares in
squared levels, so that their sum over frequencies is that of the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from snellen.comparison.tone_difference import BLOCK, Floats, Pixels, block_means

TILE = 32
"""Side of a tile, px."""
LEAST_FREQUENCY = 0.04
"""Frequencies below, in cycles a px, belong to tones."""
MIDDLE, HIGH = (0.1, 0.2), (0.2, 0.33)
"""Bands in which directions are told apart, cycles a px."""
_EDGES = np.array([0.04, 0.07, 0.1, 0.135, 0.17, 0.205, 0.24, 0.275, 0.31, 0.345, 0.38, 0.42, 0.46, 0.5])
_DOWN, _ACROSS = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None]
_FREQUENCY, _ANGLE = np.hypot(_DOWN, _ACROSS), np.degrees(np.arctan2(_DOWN, _ACROSS)) % 180.0
_SECTORS = tuple(range(0, 180, 30))


@dataclass(frozen=True)
class DetailDifference:
    """Change of the reference's detail in the picture.

    Attributes:
        lost: root mean square of detail that a filter took away, levels.
        gained: root mean square of detail that a filter added, levels.
        strange: root mean square of what no filter explains, levels.
        quiet: root mean square of the fine difference in the calmest 30 % of the reference's blocks, levels.
        busy: the same in the other blocks.
        transfer: H in steps of frequency from LEAST_FREQUENCY to 0.5 cycles a px.
        direction: largest difference of H between directions, in the bands MIDDLE and HIGH.
        roll_off: ratio of the frequencies at which H falls to 0.2 and to 0.9; 3.9 for a Gaussian, less for a steeper
            filter; infinite where it does not fall so far.
        roughness: strange power a frequency above 0.33 cycles a px over that below 0.2; 1 for white noise.
    """

    lost: float
    gained: float
    strange: float
    quiet: float
    busy: float
    transfer: tuple[float, ...]
    direction: float
    roll_off: float
    roughness: float


def detail_difference(reference: Floats, picture: Floats) -> DetailDifference:
    """Compare detail; both (H, W) with sides of at least TILE px."""
    own, cross, other = _spectra(reference, picture)
    detail = _FREQUENCY >= LEAST_FREQUENCY
    gain = np.clip(cross.real / np.maximum(own, 1e-9), -1.0, 4.0)
    rest = np.clip(other - np.abs(cross) ** 2 / np.maximum(own, 1e-9), 0.0, None)
    lost = float((np.clip(1.0 - gain, 0.0, None) ** 2 * own)[detail].sum())
    gained = float((np.clip(gain - 1.0, 0.0, None) ** 2 * own)[detail].sum())
    transfer = tuple(
        _gain(own, cross, (low <= _FREQUENCY) & (high > _FREQUENCY))
        for low, high in zip(_EDGES, _EDGES[1:], strict=False)
    )
    quiet, busy = _activity_split(reference, picture - reference)
    high, low = _FREQUENCY >= 0.33, detail & (_FREQUENCY < 0.2)
    return DetailDifference(
        float(np.sqrt(lost)), float(np.sqrt(gained)), float(np.sqrt(rest[detail].sum())), quiet, busy, transfer,
        max(_direction(own, cross, band) for band in (MIDDLE, HIGH)), roll_off(transfer),
        float((rest / _COUNTS)[high].mean() / max((rest / _COUNTS)[low].mean(), 1e-9)),
    )  # fmt: skip


def _tiles(values: Floats) -> Floats:
    rows, columns = values.shape[0] // TILE, values.shape[1] // TILE
    cut = values[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE).swapaxes(1, 2)
    return np.asarray(cut.reshape(-1, TILE, TILE))


_COUNTS = np.where((_ACROSS == 0) | (_ACROSS == 0.5), 1.0, 2.0) * np.ones((TILE, 1))
_HANN = np.hanning(TILE + 2)[1:-1]
_WINDOW = np.multiply.outer(_HANN, _HANN)
_WINDOW = (_WINDOW / np.sqrt((_WINDOW**2).mean())).astype(np.float32)


def _spectra(reference: Floats, picture: Floats) -> tuple[Floats, np.ndarray, Floats]:
    """Return mean <R R*>, <P R*>, <P P*> over tiles, (TILE, TILE // 2 + 1), squared levels."""
    spectra = []
    for values in (reference, picture):
        tiles = _tiles(values)
        spectra.append(np.fft.rfft2((tiles - tiles.mean(axis=(1, 2), keepdims=True)) * _WINDOW))
    first, second = spectra
    scale = _COUNTS / TILE**4
    return (
        (np.abs(first) ** 2).mean(axis=0) * scale,
        (second * first.conj()).mean(axis=0) * scale,
        (np.abs(second) ** 2).mean(axis=0) * scale,
    )


def _gain(own: Floats, cross: np.ndarray, chosen: np.ndarray) -> float:
    return float(cross.real[chosen].sum() / max(own[chosen].sum(), 1e-9))


def _direction(own: Floats, cross: np.ndarray, band: tuple[float, float]) -> float:
    inside = (band[0] <= _FREQUENCY) & (band[1] > _FREQUENCY)
    gains = [_gain(own, cross, inside & (np.abs((_ANGLE - sector + 90) % 180 - 90) < 20)) for sector in _SECTORS]
    return max(gains) - min(gains)


def roll_off(transfer: tuple[float, ...]) -> float:
    """Return the ratio of the frequencies at which a transfer function falls to 0.2 and to 0.9.

    transfer: gains in the bands between the edges of `DetailDifference.transfer`. Frequencies are interpolated between
    the middles of the bands. Infinite where it does not fall so far.
    """
    at = (_EDGES[:-1] + _EDGES[1:]) / 2
    found = []
    for level in (0.9, 0.2):
        below = np.flatnonzero(np.array(transfer) < level)
        if not len(below):
            return float("inf")
        n = int(below[0])
        if n == 0:  # as low as the lowest band
            found.append(float(at[0]))
            continue
        share = (transfer[n - 1] - level) / (transfer[n - 1] - transfer[n])
        found.append(float(at[n - 1] + share * (at[n] - at[n - 1])))
    return found[1] / found[0]


def _activity_split(reference: Floats, difference: Floats) -> tuple[float, float]:
    """Return the root mean square of the fine difference in the calmest 30 % of the reference's blocks and elsewhere.

    Fine: less a Gaussian of 2 px. Blocks of BLOCK px. Levels.
    """
    fine = block_means(_fine(difference) ** 2)
    activity = block_means(_fine(reference) ** 2)
    quiet = activity <= np.quantile(activity, 0.3)
    rest = fine[~quiet]
    return float(np.sqrt(fine[quiet].mean())), float(np.sqrt(rest.mean())) if rest.size else 0.0


def _fine(values: Floats) -> Floats:
    return np.asarray(values - ndimage.gaussian_filter(values, 2.0))


def block_grid(difference: Floats) -> float:
    """Return the excess of steps of the difference on a grid of 8 px over steps elsewhere; 0 without a grid.

    Mean absolute step between neighbours in the strongest of the 8 phases, over the median of the others, less 1; the
    smaller one of rows and columns. The difference has no edges of the scene, so even a weak grid stands out.
    """
    excess = []
    for axis in (0, 1):
        steps = np.abs(np.diff(difference, axis=axis)).mean(axis=1 - axis)
        phases = steps[: len(steps) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=0) + 0.05
        excess.append(float(phases.max() / np.median(np.delete(phases, phases.argmax())) - 1.0))
    return min(excess)


def repeated_lines(reference: Pixels, picture: Pixels) -> float:
    """Return the share of columns and of rows (the smaller one) that repeat the one before in the picture alone, 0..1.

    Enlargement by nearest neighbours repeats lines. Both (H, W, 3) uint8; a line repeats where 97 % of its pixels do.
    """
    shares = []
    for axis in (0, 1):
        ours, theirs = (
            (np.diff(pixels.astype(np.int16), axis=axis) == 0).all(axis=2).mean(axis=1 - axis)
            for pixels in (picture, reference)
        )
        shares.append(float(((ours > 0.97) & (theirs < 0.9)).mean()))
    return min(shares)


def replaced_share(reference: Floats, picture: Floats) -> float:
    """Return the share of blocks whose coarse content is another one, 0..1.

    Means of 4 x 4 px hardly change by noise, blur and coding. A block of 16 px counts where they differ by more
    than 12 levels on average and by more than 5 times the median block.
    """
    blocks = block_means(np.abs(block_means(picture - reference, 4)), 4)
    return float((blocks > max(12.0, 5.0 * float(np.median(blocks)))).mean())


def unchanged(reference: Pixels, picture: Pixels) -> tuple[float, float]:
    """Return the shares of blocks of BLOCK px in which no pixel has changed, and in which more than half have."""
    share = block_means((reference != picture).any(axis=2).astype(np.float32))
    return float((share == 0).mean()), float((share > 0.5).mean())
