"""Kinds of difference: from the measurements of a region to faults with a severity.

A tree of comparisons, no fitted mixture. Its limits were chosen on half of the photographs of
`recipes/bench/reference.py`, which reports on the other half.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snellen.comparison.difference import changed_regions, difference_map
from snellen.comparison.measured_difference import MeasuredDifference, measure_difference
from snellen.comparison.tone_difference import Floats, Pixels
from snellen.region import Region
from snellen.reply import Issue

LIMITS: dict[str, tuple[float, float, float, float, float]] = {
    "blur": (1.5, 2.5, 4.0, 7.0, 11.0),
    "motion blur": (1.5, 2.5, 4.0, 7.0, 11.0),
    "noise": (1.2, 4.0, 7.0, 11.0, 16.0),
    "compression": (2.3, 3.2, 4.6, 6.5, 10.0),
    "pixelation": (1.5, 2.5, 4.0, 7.0, 11.0),
    "banding": (0.5, 1.0, 2.0, 4.0, 7.0),
    "oversharpening": (1.5, 6.0, 12.0, 20.0, 30.0),
    "overexposure": (4.0, 12.0, 25.0, 45.0, 70.0),
    "underexposure": (4.0, 12.0, 25.0, 45.0, 70.0),
    "low contrast": (4.0, 12.0, 25.0, 45.0, 70.0),
    "color cast": (1.2, 4.0, 10.0, 20.0, 40.0),
    "saturation": (4.0, 10.0, 20.0, 35.0, 50.0),
    "corruption": (1.0, 2.5, 5.0, 9.0, 15.0),
}
"""Least size of a fault for the severities 1 to 5, levels (root mean square). Below the first there is no issue."""
LEAST_SIDE = 64
"""A region is measured with surroundings where a side is shorter, px."""
TRIM = 0.15
"""Share of the side of a local region that is not measured at each end."""
CALM = 0.42
"""Share of a filter's loss that is strange, below which the loss is a blur and not a coding."""


@dataclass(frozen=True)
class Finding:
    """A kind of fault in a region. size: what `LIMITS` compares, levels. evidence: the measurements that decided."""

    kind: str
    size: float
    evidence: str

    @property
    def severity(self) -> int:
        """Severity 1 to 5; 0 where the size is below the first limit."""
        return int(sum(self.size >= limit for limit in LIMITS[self.kind]))


def diagnose(measured: MeasuredDifference) -> tuple[Finding, ...]:
    """Return the faults of a region, the most severe first: at most one of detail, one of colours and one of tones.

    What a stronger cause explains is not listed again: a changed saturation moves tones, a displaced channel is no
    blur, a strong blur or coarse tones move the tone curve.
    """
    colour = _colour(measured)
    if colour is not None and colour.kind == "color cast" and _displaced_channel(measured):
        return (colour,) if colour.severity else ()
    detail = _detail(measured, colour)
    tone = None if colour is not None and measured.tone.size < 2 * measured.colour.size else _tone(measured)
    if detail is not None and detail.kind == "corruption":
        tone = colour = None
    found = [one for one in (tone, colour, detail) if one is not None and one.severity]
    return tuple(sorted(found, key=lambda one: (-one.severity, -one.size / LIMITS[one.kind][0])))


def _tone(measured: MeasuredDifference) -> Finding | None:
    tone, detail = measured.tone, measured.detail
    fine = math.sqrt(detail.lost**2 + detail.gained**2 + detail.strange**2)
    if tone.size < 0.6 * fine or (_coarse_tones(measured) and tone.size < 15):
        return None
    moved = f"{abs(tone.shift):.0f} levels {'brighter' if tone.shift > 0 else 'darker'} on average"
    evidence = f"{moved}, contrast {tone.gain:.2f} times the reference's"
    inside = 40 <= tone.fixed_tone <= 240
    if inside and tone.gain < 0.95:
        return Finding("low contrast", tone.size, evidence)
    if inside and tone.gain > 1.05 and abs(tone.shift) < 0.8 * tone.size:
        return None  # more contrast is no fault of the vocabulary
    return Finding("overexposure" if tone.shift > 0 else "underexposure", tone.size, evidence)


def _colour(measured: MeasuredDifference) -> Finding | None:
    colour, detail, tone = measured.colour, measured.detail, measured.tone
    fine = math.hypot(detail.lost, detail.strange)
    if measured.chroma_detail < 0.7 and colour.rest > 1.05 * fine:
        return Finding("color cast", colour.rest, f"colors bleed over edges, by {colour.rest:.1f} levels")
    pale = colour.gain < 0.75 * min(1.0, tone.gain) and tone.size < 2 * colour.size
    strong = colour.gain > 1.3 * max(1.0, tone.gain)
    if (pale or strong) and colour.size > 0.6 * fine:
        return Finding("saturation", colour.size, f"colors {colour.gain:.2f} times as strong as the reference's")
    if _displaced_channel(measured):
        return Finding("color cast", math.hypot(colour.rest, fine), "one color channel is displaced: colored fringes")
    if colour.cast > 3 and colour.cast > colour.rest and colour.cast > 0.15 * tone.size:
        return Finding("color cast", colour.cast, f"all colors shifted by {colour.cast:.1f} levels")
    return None


def _displaced_channel(measured: MeasuredDifference) -> bool:
    detail = measured.detail
    alone = 0.323 < measured.grey < 0.343 and 0.85 < measured.colour.gain < 1.15 and measured.chroma_detail > 1.1
    stays = measured.tone.size < 0.6 * math.hypot(detail.lost, detail.strange)
    return alone and stays and detail.lost > max(0.5, 0.25 * detail.strange) and detail.roughness < 0.8


def _coarse_tones(measured: MeasuredDifference) -> bool:
    few = measured.palette <= 256 and measured.colours < 0.3
    return (
        few or measured.values < 0.2 or (measured.steps >= 0.5 and measured.steps_share >= 0.3 and measured.grid < 0.3)
    )


def _detail(measured: MeasuredDifference, colours: Finding | None) -> Finding | None:
    detail, colour = measured.detail, measured.colour
    fine = math.hypot(detail.lost, detail.strange)
    scattered = measured.same > 0.6 or (measured.same > 0.3 and measured.replaced > 0.2 * (1.0 - measured.same))
    if scattered and measured.changed > 0.25 * (1.0 - measured.same):
        evidence = f"{1 - measured.same:.0%} of the blocks are replaced, the others are the same"
        return Finding("corruption", max(fine, colour.size), evidence)
    if _coarse_tones(measured) and (colours is None or colours.kind != "saturation"):
        size = max(measured.steps, 0.4 * fine if measured.palette <= 256 or measured.values < 0.2 else 0.0)
        return Finding("banding", size, f"{measured.palette} colors, tone steps of {measured.steps:.1f} levels")
    if measured.repeated >= 0.05 and measured.grid < 0.5:
        return Finding("pixelation", fine, f"{measured.repeated:.0%} of the lines repeat the one before")
    if detail.gained > max(0.7 * detail.lost, 0.5 * detail.strange) and max(detail.transfer) > 1.25:
        return Finding(
            "oversharpening",
            detail.gained,
            f"detail up to {max(detail.transfer):.1f} times as strong as the reference's",
        )
    white = 0.7 < detail.roughness < 1.5
    everywhere = detail.quiet > 0.6 * detail.busy and detail.lost < 0.4 * detail.strange
    if white and (detail.lost < 0.1 * detail.strange or everywhere):
        return Finding("noise", detail.strange, f"noise of {detail.strange:.1f} levels")
    if detail.strange < CALM * detail.lost:
        return _filtered(measured)
    if detail.roughness > 0.75 and detail.lost > 0.25 * detail.strange and measured.chroma_detail > 0.8:
        return Finding("corruption", fine, f"pixels are displaced at random, {detail.strange:.1f} levels")
    if colour.size > 1.5 * fine or (measured.grey < 0.4 and detail.lost < 0.25 * detail.strange):
        return None  # fine luma that comes with a change of colours
    grid = f", a grid of 8 px {measured.grid:.1f} times stronger" if measured.grid > 0.2 else ""
    return Finding("compression", detail.strange, f"detail is wrong by {detail.strange:.1f} levels{grid}")


def _filtered(measured: MeasuredDifference) -> Finding:
    detail = measured.detail
    if detail.direction > 0.35:
        return Finding(
            "motion blur", detail.lost, f"{detail.lost:.1f} levels of detail lost, most of it in one direction"
        )
    if detail.transfer[0] > 0.9 and detail.roll_off < 2.55:
        evidence = f"enlarged: {detail.lost:.1f} levels of the finest detail are missing"
        return Finding("pixelation", detail.lost, evidence)
    return Finding("blur", detail.lost, f"{detail.lost:.1f} levels of detail lost")


@dataclass(frozen=True)
class Difference:
    """A fault that the picture has and the reference has not.

    Attributes:
        issue: kind, severity and region.
        evidence: the measurements that decided, in words.
        size: what the severity follows from, levels; see `LIMITS`.
    """

    issue: Issue
    evidence: str
    size: float


def measure_regions(reference: Pixels, picture: Pixels) -> tuple[list[tuple[Region, MeasuredDifference]], Floats]:
    """Return the measurements of every region in which an aligned picture differs visibly, and the difference map.

    Both (H, W, 3) uint8 of one size, at least LEAST_SIDE px a side. The map is `difference.difference_map`.
    """
    differences = difference_map(reference, picture)
    found = []
    for region in changed_regions(differences, (reference == picture).all(axis=2)):
        top, bottom, left, right = _cut(region, picture.shape)
        found.append((region, measure_difference(reference[top:bottom, left:right], picture[top:bottom, left:right])))
    return found, differences


def name_differences(regions: Sequence[tuple[Region, MeasuredDifference]]) -> tuple[Difference, ...]:
    """Return the faults of measured regions, the most severe first."""
    found = [
        Difference(Issue(one.kind, one.severity, region), one.evidence, float(one.size))
        for region, measured in regions
        for one in diagnose(measured)
    ]
    return most_severe_first(found)


def most_severe_first(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """Return differences by severity, of equal ones that of the largest region first."""
    return tuple(sorted(found, key=lambda one: (-one.issue.severity, -one.issue.region.area)))


def _cut(region: Region, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return top, bottom, left, right of the pixels that are measured: the inner part of a local region, whose border
    may be a transition, and at least LEAST_SIDE px a side."""
    left, top, right, bottom = region.to_pixels(shape[1], shape[0])
    spans = []
    for low, high, size in ((top, bottom, shape[0]), (left, right, shape[1])):
        trim = 0 if high - low == size else int(TRIM * (high - low))
        length = min(size, max(LEAST_SIDE, high - low - 2 * trim))
        start = int(np.clip((low + high - length) // 2, 0, size - length))
        spans += [start, start + length]
    return spans[0], spans[1], spans[2], spans[3]
