"""The check that is independent of the judge: a change must look like the repair of the fault that was claimed.

The judge rates a picture. The check compares the picture before and after, and uses only numbers that no model of this
package is given: the whiteness of what was removed, slopes of the Fourier spectrum, also by direction, its harmonics of
the 8 px grid, the share of emptied blocks, entropies of the tones, the grey-edge illuminant. So an error of the
judge is not by itself an error of the check.
The limits were chosen on photographs of Kodak's set and of CID22's validation part with made faults, for precision
rather than recall.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from snellen.restoration.tool import Change, Floats, Pixels, luma, middle

LEAST_SIDE = 64
"""Smallest side, px, on which a spectrum is measured; a smaller region is not accepted."""
_BLOCK = 8
_FINEST = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])

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
"""Largest excess, after deblurring, of the fall of low frequencies over that of middle ones. A blur leaves low ones
alone."""
SHARPENED, SOFT = 1.75, 2.55
"""Exponents between middle frequencies: less in over-sharpened pictures; more in those softened too far. Natural
pictures have about 2 (D. Field, JOSA A 1987)."""
LOW = ((0.02, 0.04), (0.05, 0.08))
"""Pair of frequency bands, in cycles a px, below those that a blur changes."""
MIDDLE, HIGHEST = ((0.05, 0.08), (0.15, 0.25)), ((0.15, 0.25), (0.35, 0.5))
"""Pairs of frequency bands, in cycles a px, between which an exponent is measured."""
DIRECTIONS, WEDGE = 12, 15.0
"""Directions in which the fall from coarse to fine detail is measured; half the angle around each, degrees."""
COARSE, FINE = (0.03, 0.1), (0.2, 0.33)
"""Frequency bands of that fall, in cycles a px."""
DIRECTED, OVERSHOT = 2.2, 0.5
"""Excess of the fall of detail along a motion over that across it, in natural logarithms of power: at least, before;
and its largest deficit, after. Of 22 photographs one had more before, of those moved by 4 px 91 %."""
BLOCKY, BLOCKS_LEFT = 3.5, 0.6
"""Height of the harmonics of the 8 px grid over the median of the spectrum of steps, in coded pictures; share of it
that may be left. Pictures that were not coded have 0.8 to 2.7."""
EMPTY, EMPTIED, EMPTY_BESIDE, DETAIL_LEFT = 0.1, 0.15, 8.0, 0.35
"""Deviation of fine detail, levels, below which a block of 4 px is empty; share of empty blocks from which a picture
was coded, if the tenth with most detail has so many times that of the quarter with least; share of the former that must
be left. WebP smooths its grid away, but leaves nothing in many blocks: of 17 pictures at quality 2 82 % have such
blocks, of 17 that were not coded none."""
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
        "noise": _noise, "blur": _blur, "motion": _motion, "halo": _halo, "blocks": _blocks, "coding": _coding,
        "dark": _dark, "range": _range, "free": _free,
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

    Measured on the `middle`, under a Hann window.
    """
    cut = middle(light)
    height, width = cut.shape
    window = np.multiply.outer(np.hanning(height), np.hanning(width))
    power = np.abs(np.fft.rfft2((cut - cut.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    low, high = (power[(frequency >= start) & (frequency < end)].mean() for start, end in bands)
    return float(np.log((low + 1e-9) / (high + 1e-9)) / np.log(sum(bands[1]) / sum(bands[0])))


def directed_falls(light: Floats) -> Floats:
    """Return how far detail falls from COARSE to FINE in each of DIRECTIONS directions, in logarithms of power: (12,).

    Direction n is that of waves whose crests stand across n 15 degrees, counted from the right upwards.
    """
    cut = middle(light)
    window = np.multiply.outer(np.hanning(cut.shape[0]), np.hanning(cut.shape[1]))
    power = np.abs(np.fft.fft2((cut - cut.mean()) * window)) ** 2
    down, right = np.fft.fftfreq(cut.shape[0])[:, None], np.fft.fftfreq(cut.shape[1])[None]
    frequency, angle = np.hypot(down, right), np.degrees(np.arctan2(-down, right))
    falls = []
    for n in range(DIRECTIONS):
        near = np.abs((angle - 180 * n / DIRECTIONS + 90) % 180 - 90) <= WEDGE
        coarse, fine = (power[near & (frequency >= low) & (frequency < high)].mean() for low, high in (COARSE, FINE))
        falls.append(np.log((coarse + 1e-9) / (fine + 1e-9)))
    return np.array(falls)


def directed_excess(light: Floats) -> Floats:
    """Return how much further detail falls along each direction than across it: `directed_falls` less those at 90
    degrees, (12,)."""
    falls = directed_falls(light)
    return falls - np.roll(falls, DIRECTIONS // 2)


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
    numbers["fall along less across"] = excess = float(directed_excess(before).max())
    if excess >= DIRECTED:
        return Verdict(False, "detail is missing in one direction: across, this would sharpen too far", numbers)
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


def _motion(before: Floats, after: Floats) -> Verdict:
    """A picture that was moved has lost detail along one direction; its repair gives it back, not more than across."""
    excess, left = directed_excess(before), directed_excess(after)
    along = int(np.argmax(excess))
    numbers = {"fall along less across before": float(excess[along]), "after": float(left[along])}
    if excess[along] < DIRECTED:
        return Verdict(False, "detail is missing in no single direction", numbers)
    if left[along] >= excess[along]:
        return Verdict(False, "detail is still missing along the motion", numbers)
    if left[along] < -OVERSHOT:
        return Verdict(False, "there is more detail along the motion than across: sharpened too far", numbers)
    return Verdict(True, "detail comes back along the motion", numbers)


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


def _coding(before: Floats, after: Floats) -> Verdict:
    """A picture with an 8 px grid, or one that was coded without: blocks were emptied beside others full of detail."""
    if grid_harmonics(before) >= BLOCKY:
        return _blocks(before, after)
    first, last = fine_detail(before), fine_detail(after)
    quarter, top = np.percentile(first, (25, 90))
    share, left = float((first < EMPTY).mean()), float(np.percentile(last, 90) / max(top, EMPTY))
    numbers = {"empty blocks before": share, "detail left": left}
    if share < EMPTIED or top < EMPTY_BESIDE * max(quarter, EMPTY / 5):
        return Verdict(False, "there is neither an 8 px grid nor are blocks emptied", numbers)
    if left < DETAIL_LEFT:
        return Verdict(False, "detail was lost", numbers)
    return Verdict(True, "blocks were emptied by a coding, and detail is kept", numbers)


def fine_detail(light: Floats) -> Floats:
    """Return the root mean square of a difference of Laplacians, levels, in each block of 4 x 4 px that is not clipped;
    a single 0 where all are."""
    response = ndimage.convolve(light, _FINEST) / 6
    rows, columns = (side // 4 * 4 for side in light.shape)

    def blocks(values: Floats) -> Floats:
        return np.asarray(values[:rows, :columns].reshape(rows // 4, 4, columns // 4, 4))

    clipped = blocks(np.where((light <= 2) | (light >= 253), 1.0, 0.0)).any(axis=(1, 3))
    found = np.sqrt((blocks(response) ** 2).mean(axis=(1, 3)))[~clipped]
    return found if found.size else np.zeros(1)


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
