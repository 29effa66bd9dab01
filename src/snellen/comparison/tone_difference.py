"""Differences of tones and colours between a reference and a picture: arrays in, floats out.

Pixels are (H, W, 3) uint8 sRGB, aligned. Luma and chroma are those of JPEG (ITU-R BT.601, full range), in 8-bit levels.
Fits use means of blocks of BLOCK px, so that noise, blur and coding hardly move them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

BLOCK = 8
"""Side of a block, px."""
_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
_CLIPPED = (8.0, 247.0)
_LEAST_SPREAD = 2.0


@dataclass(frozen=True)
class ToneDifference:
    """Fit of the picture's tones to those of the reference.

    Attributes:
        gain, offset: of the line P = gain R + offset through block means that are not clipped; offset in levels.
        shift: mean difference of luma, levels; positive: the picture is brighter.
        size: root mean square difference of block means that `curve` explains, levels.
        curve: coefficients of the cubic P(R / 255), highest power first.
    """

    gain: float
    offset: float
    shift: float
    size: float
    curve: tuple[float, ...]

    @property
    def fixed_tone(self) -> float:
        """Tone that the line keeps, offset / (1 - gain), levels: where light and dark draw together for a gain below 1.

        Infinite where the gain is 1: every tone moves.
        """
        if abs(1.0 - self.gain) < 0.02:
            return np.inf if self.offset > 0 else -np.inf
        return self.offset / (1.0 - self.gain)


@dataclass(frozen=True)
class ColourDifference:
    """Fit of the picture's chroma to that of the reference.

    Attributes:
        gain: least squares gain of chroma, P = gain R + offset: below 1 paler, above 1 stronger.
        cast: length of the offset of Cb and Cr, levels.
        rest: root mean square difference of chroma that gain and offset leave, levels.
        size: root mean square difference of chroma, levels.
    """

    gain: float
    cast: float
    rest: float
    size: float


def luma_chroma(pixels: Pixels) -> Floats:
    """Return Y, Cb, Cr: (H, W, 3) float32; Y 0..255, Cb and Cr -127.5..127.5."""
    return np.asarray(pixels @ _YCC.T)


def block_means(values: Floats, side: int = BLOCK) -> Floats:
    """Return the means of whole blocks: (H, W) -> (H // side, W // side)."""
    rows, columns = values.shape[0] // side, values.shape[1] // side
    whole = values[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(whole.mean(axis=(1, 3)))


def tone_difference(reference: Floats, picture: Floats) -> ToneDifference:
    """Fit the tones of block means of luma, both (h, w), by a line and by a cubic.

    The line is fitted where the picture is not clipped. A reference of nearly one tone has gain 1 and no cubic: its
    tones can be shifted only.
    """
    x, y = reference.ravel().astype(np.float64), picture.ravel().astype(np.float64)
    open_tones = (y > _CLIPPED[0]) & (y < _CLIPPED[1])
    if open_tones.mean() < 0.1:
        open_tones[:] = True
    u, v = x[open_tones], y[open_tones]
    gain = 1.0 if u.std() < _LEAST_SPREAD else float(((u - u.mean()) * (v - v.mean())).mean() / u.var())
    degree = 3 if x.std() > 10 else 1 if x.std() > _LEAST_SPREAD else 0
    curve = np.polyfit(x / 255.0, y, degree) if degree else np.array([1.0 * 255.0, y.mean() - x.mean()])
    size = float(np.sqrt(((np.polyval(curve, x / 255.0) - x) ** 2).mean()))
    return ToneDifference(gain, float(v.mean() - gain * u.mean()), float((y - x).mean()), size, tuple(curve.tolist()))


def toned(luma: Floats, difference: ToneDifference) -> Floats:
    """Return luma of the reference, (H, W), with the tones of the picture."""
    return np.asarray(np.polyval(difference.curve, luma / 255.0), np.float32)


def colour_difference(reference: Floats, picture: Floats) -> ColourDifference:
    """Fit the chroma of block means, both (n, 2) Cb and Cr: P = gain R + offset, one gain for both.

    A reference without colour (root mean square chroma below 2 levels) has gain 1: its colours can be shifted only.
    """
    x, y = reference.astype(np.float64), picture.astype(np.float64)
    strength = float(np.sqrt((x**2).sum(axis=1).mean()))
    gain = float((x * y).sum() / (x**2).sum()) if strength > _LEAST_SPREAD else 1.0
    offset = y.mean(axis=0) - gain * x.mean(axis=0)
    rest = y - gain * x - offset
    return ColourDifference(
        gain, float(np.hypot(*offset)), float(np.sqrt((rest**2).sum(axis=1).mean())),
        float(np.sqrt(((y - x) ** 2).sum(axis=1).mean())),
    )  # fmt: skip


def grey_share(difference: Floats) -> float:
    """Return the share of a difference, (H, W, 3) of R, G, B, that is equal in all channels, 0..1; 1 without any.

    Mean square of (R + G + B) / sqrt(3) over that of the vector: 1 where all channels change alike, 1/3 where one
    channel changes alone or each by itself.
    """
    total = float((difference.astype(np.float64) ** 2).sum())
    return 1.0 if total == 0 else float((difference.astype(np.float64).sum(axis=2) ** 2).sum() / 3.0 / total)


def tone_steps(reference: Floats, difference: Floats) -> tuple[float, float]:
    """Return the difference that is a fine function of the reference's tone: root mean square, levels, and its share.

    A picture with too few tones differs from the reference by a sawtooth of the tone. The mean difference at each of
    256 tones is taken, less what a Gaussian of 6 levels keeps of it (a tone curve) and less the part that is
    expected by chance. Both arguments (H, W), levels.
    """
    tone = np.rint(np.clip(reference, 0, 255)).astype(np.intp).ravel()
    values = difference.ravel().astype(np.float64)
    count = np.bincount(tone, minlength=256).astype(np.float64)
    mean = np.bincount(tone, values, 256) / np.maximum(count, 1)
    reach = np.arange(-24, 25)
    kernel = np.exp(-0.5 * (reach / 6.0) ** 2)
    weight = np.convolve(count, kernel, "same")
    coarse = np.convolve(count * mean, kernel, "same") / np.maximum(weight, 1e-9)
    fine = np.where(count > 0, mean - coarse, 0.0)
    total = float(((values - coarse[tone]) ** 2).mean())
    explained = float((count * fine**2).sum() / values.size) - total * float((count > 0).sum()) / values.size
    return float(np.sqrt(max(0.0, explained))), max(0.0, explained) / max(total, 1e-9)


def palette(pixels: Pixels) -> tuple[int, int]:
    """Return the number of different colours and the most different values of a channel."""
    values = pixels.astype(np.uint32)
    codes = values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]
    return len(np.unique(codes)), max(len(np.unique(pixels[..., channel])) for channel in range(3))
