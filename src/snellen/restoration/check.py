"""The check that is independent of the judge: a change must look like the repair of the fault that was claimed.

The judge rates a picture. The check compares the picture before and after, and uses only numbers that no model of this
package is given: the whiteness of what was removed, slopes of the Fourier spectrum, its harmonics of the 8 px grid,
entropies of the tones, the grey-edge illuminant. So what fools the judge does not by itself fool the check.
The limits were chosen on photographs of Kodak's set and of CID22's validation part with made faults, for precision
rather than recall.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from snellen.restoration.tool import Change, Floats, Pixels, luma

LEAST_SIDE = 64
"""Smallest side, px, on which a spectrum is measured; a smaller region is not accepted."""
MOST_SIDE = 512
_BLOCK = 8

WHITE = 0.10
"""Largest correlation of neighbouring pixels of removed noise; removed detail has more."""
STRUCTURE = 0.5
"""Largest correlation of removed noise with the detail that is left, over blocks."""
STEEP, CUT_OFF = 4.2, 4.9
"""Exponents of the spectrum's power, 1 / f^exponent, of blurred pictures: more than STEEP between middle frequencies or
more than CUT_OFF between the highest, where a blur cuts off. Sharp photographs had at most 4.1 and 4.6."""
BLURRED = 0.6
"""Least share of a region's parts that are blurred, where a blur of all of it is to be removed: `PARTS` x `PARTS`."""
PARTS, PART_SLACK, PLAIN = 3, 0.5, 4.0
"""Parts a side; how much less an exponent a part needs; deviation of luma below which a part shows nothing."""
CONTINUES = 0.2
"""How much flatter the middle frequencies may fall than the low ones, which a blur leaves alone, after deblurring."""
SHARPENED, SOFT = 1.75, 2.55
"""Exponents between middle frequencies: less in over-sharpened pictures; more in those softened too far. Natural
pictures have about 2 (D. Field, JOSA A 1987)."""
LOW = ((0.02, 0.04), (0.05, 0.08))
"""Pair of frequency bands, in cycles a px, below those that a blur changes."""
MIDDLE, HIGHEST = ((0.05, 0.08), (0.15, 0.25)), ((0.15, 0.25), (0.35, 0.5))
"""Pairs of frequency bands, in cycles a px, between which an exponent is measured."""
BLOCKY, BLOCKS_LEFT = 3.5, 0.6
"""Height of the harmonics of the 8 px grid over the median of the spectrum of steps, in coded pictures; share of it
that may be left. Pictures that were not coded have 0.8 to 2.7."""
MID_GREY, DARK = 128, 0.8
"""Level of luma, and the share of pixels below it from which a picture counts as dark."""
ENTROPY_RISE, ENTROPY_LOSS, NARROW = 0.04, 0.1, 3.1
"""In bits: least rise of the entropy of 16 tones; most loss of that of 256; most that a picture has whose range of
tones may be stretched."""


@dataclass(frozen=True)
class Verdict:
    """Result of a check. numbers: what was measured, before and after."""

    passed: bool
    reason: str
    numbers: dict[str, float]


def check_change(before: Pixels, after: Pixels, change: Change) -> Verdict:
    """Test a change of a region, both (h, w, 3) uint8, against what its tool claims to do."""
    if before.shape != after.shape:
        raise ValueError(f"before {before.shape} and after {after.shape} differ in size")
    if min(before.shape[:2]) < LEAST_SIDE:
        return Verdict(False, f"the region has less than {LEAST_SIDE} px on a side: nothing can be measured", {})
    if np.array_equal(before, after):
        return Verdict(False, "nothing has changed", {})
    if change == "colour":
        return _colour(before, after)
    tests: dict[str, Callable[[Floats, Floats], Verdict]] = {
        "noise": _noise, "blur": _blur, "halo": _halo, "blocks": _blocks, "dark": _dark, "range": _range, "free": _free,
    }  # fmt: skip
    return tests[change](luma(before), luma(after))


def whiteness(residual: Floats) -> float:
    """Return the correlation of neighbouring pixels, mean of both directions: 0 for white noise, 1 for a smooth one."""
    centred = residual - residual.mean()
    power = float((centred**2).mean())
    if power == 0:
        return 0.0
    across = float((centred[:, 1:] * centred[:, :-1]).mean())
    down = float((centred[1:] * centred[:-1]).mean())
    return (across + down) / 2 / power


def structure(residual: Floats, after: Floats) -> float:
    """Return the correlation, over blocks of 8 x 8 px, of the deviation of what was removed with that of what is left;
    0 where either is constant."""
    removed, left = _deviations(residual), _deviations(after)
    if removed.std() < 1e-9 or left.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(removed, left)[0, 1])


def _deviations(values: Floats) -> Floats:
    rows, columns = (side // _BLOCK for side in values.shape)
    blocks = values[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    return np.asarray(blocks.std(axis=(1, 3)).ravel())


def spectrum_exponent(light: Floats, bands: tuple[tuple[float, float], tuple[float, float]] = MIDDLE) -> float:
    """Return x where the power spectrum falls as 1 / f^x from the first band of frequencies to the second.

    Measured on the middle, at most MOST_SIDE px a side, under a Hann window.
    """
    height, width = (min(side, MOST_SIDE) for side in light.shape)
    top, left = (light.shape[0] - height) // 2, (light.shape[1] - width) // 2
    cut = light[top : top + height, left : left + width]
    window = np.multiply.outer(np.hanning(height), np.hanning(width))
    power = np.abs(np.fft.rfft2((cut - cut.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    low, high = (power[(frequency >= start) & (frequency < end)].mean() for start, end in bands)
    return float(np.log((low + 1e-9) / (high + 1e-9)) / np.log(sum(bands[1]) / sum(bands[0])))


def grid_harmonics(light: Floats) -> float:
    """Return the mean amplitude of the periods 8, 4 and 8/3 px in the profile of steps, over the spectrum's median;
    mean of both directions."""
    heights = []
    for axis in (0, 1):
        profile = np.abs(np.diff(light, axis=axis)).mean(axis=1 - axis)
        count = len(profile) // _BLOCK * _BLOCK
        profile = profile[:count] - ndimage.uniform_filter1d(profile[:count], 25)
        amplitude = np.abs(np.fft.rfft(profile))
        peaks = amplitude[[count // 8, count // 4, 3 * count // 8]]
        heights.append(float(peaks.mean() / (np.median(amplitude) + 1e-9)))
    return sum(heights) / 2


def entropy(light: Floats, tones: int) -> float:
    """Return the entropy of the histogram of luma in `tones` equal bins, in bits."""
    shares = np.histogram(light, tones, (0, 256))[0] / light.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def edge_cast(pixels: Pixels) -> float:
    """Return the angle between grey and the mean absolute derivative of each channel, degrees: 0 without a cast.

    Grey edge: J. van de Weijer, T. Gevers, A. Gijsenij, IEEE TIP 2007.
    """
    smooth = ndimage.gaussian_filter(pixels.astype(np.float64), (1, 1, 0))
    means = np.abs(np.diff(smooth, axis=0)).mean(axis=(0, 1)) + np.abs(np.diff(smooth, axis=1)).mean(axis=(0, 1))
    length = float(np.linalg.norm(means))
    return 0.0 if length == 0 else float(np.degrees(np.arccos(min(1.0, means.sum() / np.sqrt(3) / length))))


def _noise(before: Floats, after: Floats) -> Verdict:
    residual = before - after
    white, structured = whiteness(residual), structure(residual, after)
    numbers = {"correlation of neighbours": white, "correlation with detail": structured}
    if white > WHITE:
        return Verdict(False, "what was removed is not white: it holds detail", numbers)
    if structured > STRUCTURE:
        return Verdict(False, "what was removed follows the picture's detail", numbers)
    return Verdict(True, "what was removed is white noise", numbers)


def _blur(before: Floats, after: Floats) -> Verdict:
    middle, highest, low = (spectrum_exponent(before, bands) for bands in (MIDDLE, HIGHEST, LOW))
    last = spectrum_exponent(after)
    numbers = {
        "spectrum exponent before": middle, "spectrum exponent after": last,
        "exponent of low frequencies before": low, "exponent of highest frequencies before": highest,
    }  # fmt: skip
    if middle < STEEP and highest < CUT_OFF:
        return Verdict(False, "the spectrum is not that of a blurred picture", numbers)
    numbers["blurred share"] = share = _blurred_share(before)
    if share < BLURRED:
        return Verdict(False, "much of the region is not blurred", numbers)
    if last < low - CONTINUES:
        return Verdict(False, "the spectrum is that of an over-sharpened picture", numbers)
    return Verdict(True, "the spectrum cut off and comes nearer to a natural one", numbers)


def _blurred_share(light: Floats) -> float:
    """Return the share of parts with a blurred spectrum among those that show something; 1 where parts are too small
    to be measured."""
    height, width = (side // PARTS for side in light.shape)
    if min(height, width) < LEAST_SIDE:
        return 1.0
    blurred = []
    for row in range(PARTS):
        for column in range(PARTS):
            part = light[row * height : (row + 1) * height, column * width : (column + 1) * width]
            if part.std() >= PLAIN:
                steep = spectrum_exponent(part) > STEEP - PART_SLACK
                blurred.append(steep or spectrum_exponent(part, HIGHEST) > CUT_OFF - PART_SLACK)
    return float(np.mean(blurred)) if blurred else 1.0


def _halo(before: Floats, after: Floats) -> Verdict:
    first, last = spectrum_exponent(before), spectrum_exponent(after)
    numbers = {"spectrum exponent before": first, "spectrum exponent after": last}
    if first > SHARPENED:
        return Verdict(False, "the spectrum is not that of an over-sharpened picture", numbers)
    if last > SOFT:
        return Verdict(False, "the spectrum is that of a blurred picture", numbers)
    return Verdict(True, "the spectrum was too flat and is nearer to a natural one", numbers)


def _blocks(before: Floats, after: Floats) -> Verdict:
    first, last = grid_harmonics(before), grid_harmonics(after)
    numbers = {"grid harmonics before": first, "grid harmonics after": last}
    if first < BLOCKY:
        return Verdict(False, "there is no 8 px grid to remove", numbers)
    if last > BLOCKS_LEFT * first:
        return Verdict(False, "the 8 px grid is still there", numbers)
    return Verdict(True, "the 8 px grid is gone", numbers)


def _tone(before: Floats, after: Floats) -> Verdict:
    coarse, fine = ((entropy(before, tones), entropy(after, tones)) for tones in (16, 256))
    numbers = {"entropy of 16 tones before": coarse[0], "entropy of 16 tones after": coarse[1]}
    if coarse[1] < coarse[0] + ENTROPY_RISE:
        return Verdict(False, "the tones are not spread more evenly", numbers)
    if fine[1] < fine[0] - ENTROPY_LOSS:
        return Verdict(False, "tones were lost", numbers)
    return Verdict(True, "the tones are spread more evenly and few are lost", numbers)


def _dark(before: Floats, after: Floats) -> Verdict:
    share = float((before < MID_GREY).mean())
    if share < DARK:
        return Verdict(False, "the picture is not dark", {"share below mid-grey": share})
    return _tone(before, after)


def _range(before: Floats, after: Floats) -> Verdict:
    first = entropy(before, 16)
    if first > NARROW:
        return Verdict(False, "the range of tones is not narrow", {"entropy of 16 tones before": first})
    return _tone(before, after)


def _colour(before: Pixels, after: Pixels) -> Verdict:
    first, last = edge_cast(before), edge_cast(after)
    numbers = {"angle of edges to grey before": first, "angle of edges to grey after": last}
    if first < 3 or last > 0.7 * first:
        return Verdict(False, "the colours of edges show no cast that this removes", numbers)
    return Verdict(True, "the colours of edges come nearer to grey", numbers)


def _free(before: Floats, after: Floats) -> Verdict:
    """A restorer that may change anything: the spectrum comes no further from natural, no tones and no light lost."""
    first, last = spectrum_exponent(before), spectrum_exponent(after)
    away = [max(0.0, SHARPENED - exponent, exponent - SOFT) for exponent in (first, last)]
    numbers = {"spectrum exponent before": first, "spectrum exponent after": last}
    if away[1] > away[0] + 0.1:
        return Verdict(False, "the spectrum is less natural than before", numbers)
    if entropy(after, 16) < entropy(before, 16) - 0.3:
        return Verdict(False, "tones were lost", numbers)
    return Verdict(True, "spectrum and tones are no less natural than before", numbers)
