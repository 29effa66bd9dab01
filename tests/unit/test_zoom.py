from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snellen.region import FULL, Region
from snellen.zoom import ZOOM_PRESETS, Zoom, ZoomPolicy

unhurried = settings(deadline=None)

SNELLEN, OFFICIAL = ZOOM_PRESETS["snellen"], ZOOM_PRESETS["zoom-iqa"]
assert isinstance(SNELLEN, ZoomPolicy)
PLAIN = ZoomPolicy(min_area=0.25, max_area=0.75, min_side_px=28, invalid="central")


def settled(policy: Zoom, region: Region | None, width: int, height: int) -> tuple[int, int, int, int]:
    return policy.settle(region, width, height).to_pixels(width, height)


def test_small_boxes_grow_around_their_centre_to_native_pixels() -> None:
    assert settled(SNELLEN, Region(0.4, 0.4, 0.41, 0.42), 4000, 3000) == (1600, 1190, 2000, 1510)
    assert settled(SNELLEN, Region(0.9, 0.9, 1.0, 0.95), 4000, 3000) == (3600, 2680, 4000, 3000)
    assert settled(SNELLEN, Region(0, 0, 0.01, 0.01), 4000, 3000) == (0, 0, 400, 320)
    assert settled(SNELLEN, Region(0.5, 0.5, 0.6, 0.6), 500, 200) == (115, 0, 435, 200)


def test_allowed_boxes_are_left_alone() -> None:
    assert settled(SNELLEN, Region(0.2, 0.1, 0.8, 0.9), 4000, 3000) == (800, 300, 3200, 2700)
    assert settled(OFFICIAL, Region(0.25, 0.1, 0.75, 0.9), 4000, 3000) == (1000, 300, 3000, 2700)


def test_slightly_different_boxes_give_the_same_crop() -> None:
    boxes = [Region(0.31, 0.1, 0.79, 0.6), Region(0.33, 0.12, 0.75, 0.57), Region(0.3, 0.1, 0.8, 0.6)]
    assert {settled(SNELLEN, box, 4000, 3000) for box in boxes} == {(1200, 300, 3200, 1800)}


@unhurried
@given(st.lists(st.integers(0, 100), min_size=4, max_size=4).filter(lambda n: n[0] != n[1] and n[2] != n[3]))
def test_the_crop_of_a_mirrored_picture_is_the_mirrored_crop(hundredths: list[int]) -> None:
    x, y = sorted(hundredths[:2]), sorted(hundredths[2:])
    box = Region(x[0] / 100, y[0] / 100, x[1] / 100, y[1] / 100)
    mirrored = Region(1 - box.x1, box.y0, 1 - box.x0, box.y1)
    left, top, right, bottom = settled(SNELLEN, box, 4000, 3000)
    other = settled(SNELLEN, mirrored, 4000, 3000)
    assert other[1] == top and other[3] == bottom
    assert abs(other[0] - (4000 - right)) <= 1 and abs(other[2] - (4000 - left)) <= 1


def test_areas_are_clamped() -> None:
    assert settled(PLAIN, Region(0.45, 0.45, 0.55, 0.55), 1000, 1000) == (250, 250, 750, 750)
    assert settled(PLAIN, Region(0.9, 0.9, 1.0, 1.0), 1000, 1000) == (500, 500, 1000, 1000)
    assert settled(PLAIN, Region(0.0, 0.49, 1.0, 0.51), 1000, 1000) == (0, 375, 1000, 625)
    # 10 x 10 px grow by sqrt(0.25 * 10100 / 100) = 5.02: 51 px wide, then the least height, 2525 / 51 = 49.5
    assert settled(PLAIN, Region.from_pixels((45, 45, 55, 55), 101, 100), 101, 100) == (24, 25, 75, 75)
    # the whole of 101 x 100 px shrinks by sqrt(0.75) to 87.47 x 86.60, and whole pixels never add up to more
    assert settled(PLAIN, FULL, 101, 100) == (7, 7, 94, 93)
    left, top, right, bottom = settled(SNELLEN, FULL, 4000, 3000)
    assert (right - left, bottom - top) == (3464, 2598)  # sqrt(0.75) of each side
    assert abs(left + right - 4000) <= 1 and abs(top + bottom - 3000) <= 1


def test_the_official_policy_scales_about_the_centre_and_then_clips() -> None:
    # the whole of 100 x 100 px shrinks by sqrt(0.75) to 86.60 px: from 6.70 to 93.30, cut to whole pixels
    assert settled(OFFICIAL, FULL, 100, 100) == (6, 6, 93, 93)
    # 10 x 10 px grow by 5 to 50 x 50 about (45, 45)
    assert settled(OFFICIAL, Region(0.4, 0.4, 0.5, 0.5), 100, 100) == (20, 20, 70, 70)
    # in a corner the half outside is lost: 50 x 50 about (95, 95) is clipped to 30 x 30
    assert settled(OFFICIAL, Region(0.9, 0.9, 1.0, 1.0), 100, 100) == (70, 70, 100, 100)
    # 100 x 1 px grow by 5 to 500 x 5 about (50, 90.5), clipped to 100 px; 5 px become 28 in halves cut to whole pixels
    assert settled(OFFICIAL, Region(0.0, 0.9, 1.0, 0.91), 100, 100) == (0, 72, 100, 100)
    # 4 x 20 px of 20 x 100 grow by 2.5 to 10 x 50; a picture of 20 px is shorter than the least side
    assert settled(OFFICIAL, Region(0.4, 0.4, 0.6, 0.6), 20, 100) == (0, 25, 20, 75)


def test_invalid_boxes() -> None:
    with pytest.raises(ValueError, match="invalid"):
        SNELLEN.settle(None, 100, 100)
    for policy in (PLAIN, OFFICIAL):
        assert policy.settle(None, 400, 200) == Region(0.25, 0.25, 0.75, 0.75)
    assert settled(OFFICIAL, None, 101, 99) == (25, 24, 75, 74)


@st.composite
def requests(draw: st.DrawFn) -> tuple[Region, int, int]:
    width, height = draw(st.integers(16, 12_000)), draw(st.integers(16, 12_000))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    return Region.from_pixels((left, top, right, bottom), width, height), width, height


@pytest.mark.parametrize("policy", [SNELLEN, PLAIN])
@unhurried
@given(requests())
def test_settled_boxes_keep_the_rules(policy: ZoomPolicy, request_: tuple[Region, int, int]) -> None:
    region, width, height = request_
    crop = policy.settle(region, width, height)
    left, top, right, bottom = crop.to_pixels(width, height)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    least_w, least_h = min(policy.min_side_px, width), min(policy.min_side_px, height)
    assert right - left >= least_w and bottom - top >= least_h
    area = (right - left) * (bottom - top)
    assert area >= policy.min_area * width * height
    assert area <= policy.max_area * width * height or (right - left, bottom - top) == (least_w, least_h)
    fixed = replace(policy, steps=None)
    assert fixed.settle(crop, width, height) == crop, "what is allowed is left alone"


@unhurried
@given(requests())
def test_official_crops_lie_in_the_picture_and_are_not_too_small(request_: tuple[Region, int, int]) -> None:
    region, width, height = request_
    left, top, right, bottom = settled(OFFICIAL, region, width, height)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    # ends are cut to whole pixels, so that a side may lack one
    assert right - left >= min(28, width) - 1 and bottom - top >= min(28, height) - 1


@pytest.mark.parametrize("policy", [SNELLEN, PLAIN])
@unhurried
@given(requests())
def test_settled_boxes_stay_where_they_were(policy: ZoomPolicy, request_: tuple[Region, int, int]) -> None:
    region, width, height = request_
    crop = replace(policy, steps=None).settle(region, width, height)
    before, after = region.to_pixels(width, height), crop.to_pixels(width, height)
    for low, high, size in ((0, 2, width), (1, 3, height)):
        moved = abs(after[low] + after[high] - before[low] - before[high])
        assert moved <= 1 or after[low] == 0 or after[high] == size
