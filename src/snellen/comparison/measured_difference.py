"""All measurements of the difference between a region of a reference and of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from snellen.comparison.detail_difference import (
    TILE,
    DetailDifference,
    block_grid,
    detail_difference,
    repeated_lines,
    replaced_share,
    unchanged,
)
from snellen.comparison.tone_difference import (
    ColourDifference,
    Floats,
    Pixels,
    ToneDifference,
    block_means,
    colour_difference,
    grey_share,
    luma_chroma,
    palette,
    tone_difference,
    tone_steps,
    toned,
)


@dataclass(frozen=True)
class MeasuredDifference:
    """Measurements; see the functions that make them.

    Attributes:
        tone, colour, detail: see their classes.
        grid: `block_grid` of the luma that the tones leave.
        repeated: `repeated_lines`.
        steps, steps_share: `tone_steps` of slightly smoothed luma: size in levels, share of the difference.
        colours, values: `palette` of the picture as shares of the reference's.
        palette: different colours of the picture.
        grey: `grey_share` of the fine difference.
        replaced: `replaced_share`.
        same, changed: `unchanged`.
        chroma_detail: root mean square of fine chroma, picture over reference, over the gain of chroma; 1 where colours
            keep their edges; 1 without colour.
    """

    tone: ToneDifference
    colour: ColourDifference
    detail: DetailDifference
    grid: float
    repeated: float
    steps: float
    steps_share: float
    colours: float
    values: float
    palette: int
    grey: float
    replaced: float
    same: float
    changed: float
    chroma_detail: float


def measure_difference(reference: Pixels, picture: Pixels) -> MeasuredDifference:
    """Measure a region, both (h, w, 3) uint8, sides of at least TILE px.

    Raises:
        ValueError: they differ in size, or are smaller.
    """
    if reference.shape != picture.shape or min(reference.shape[:2]) < TILE:
        raise ValueError(f"{reference.shape} and {picture.shape} are not two regions of one size, at least {TILE} px")
    ours, theirs = luma_chroma(picture), luma_chroma(reference)
    tone = tone_difference(block_means(theirs[..., 0]), block_means(ours[..., 0]))
    chroma = [np.stack([block_means(pixels[..., n]).ravel() for n in (1, 2)], axis=1) for pixels in (theirs, ours)]
    colour = colour_difference(chroma[0], chroma[1])
    luma = ours[..., 0]
    expected = toned(theirs[..., 0], tone)
    steps, share = tone_steps(
        ndimage.gaussian_filter(theirs[..., 0], 2.0), ndimage.gaussian_filter(luma - expected, 2.0)
    )
    colours, values = palette(picture)
    all_colours, all_values = palette(reference)
    difference = picture.astype(np.float32) - reference
    fine = difference - ndimage.gaussian_filter(difference, (2.0, 2.0, 0.0))
    same, changed = unchanged(reference, picture)
    return MeasuredDifference(
        tone, colour, detail_difference(expected, luma), block_grid(luma - expected),
        repeated_lines(reference, picture), steps, share, colours / all_colours, values / all_values, colours,
        grey_share(fine), replaced_share(expected, luma), same, changed,
        _chroma_detail(theirs[..., 1:], ours[..., 1:], colour.gain),
    )  # fmt: skip


def _chroma_detail(reference: Floats, picture: Floats, gain: float) -> float:
    fine = [
        float(np.sqrt(((one - ndimage.gaussian_filter(one, (3.0, 3.0, 0.0))) ** 2).mean()))
        for one in (reference, picture)
    ]
    return 1.0 if fine[0] < 0.5 or abs(gain) < 0.1 else fine[1] / fine[0] / abs(gain)
