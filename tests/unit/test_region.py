from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snellen.region import FULL, Region

coordinates = st.floats(0, 1)
sizes = st.integers(1, 20_000)
unhurried = settings(deadline=None)


@st.composite
def regions(draw: st.DrawFn, thinnest: float = 0.0) -> Region:
    def span() -> tuple[float, float]:
        low, high = sorted((draw(coordinates), draw(coordinates)))
        if high - low <= thinnest:
            low = min(low, 1.0 - 2 * thinnest)
            high = low + 2 * thinnest if thinnest else math.nextafter(low, 2.0) if low < 1 else 1.0
        return (low, high) if low < high else (0.0, 1.0)

    (x0, x1), (y0, y1) = span(), span()
    return Region(x0, y0, x1, y1)


@st.composite
def pixel_boxes(draw: st.DrawFn) -> tuple[tuple[int, int, int, int], int, int]:
    width, height = draw(sizes), draw(sizes)
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    return (left, top, right, bottom), width, height


@pytest.mark.parametrize(
    "box",
    [
        (0.5, 0.0, 0.5, 1.0), (0.6, 0.0, 0.5, 1.0), (0.0, 0.7, 1.0, 0.7), (-0.1, 0.0, 1.0, 1.0),
        (0.0, 0.0, 1.01, 1.0), (math.nan, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, math.nan), (0.0, 0.0, math.inf, 1.0),
    ],
)  # fmt: skip
def test_refuses_what_is_no_box(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="0 <= x0 < x1 <= 1"):
        Region(*box)


def test_measures_by_hand() -> None:
    box = Region(0.1, 0.2, 0.5, 0.8)
    assert box.width == pytest.approx(0.4) and box.height == pytest.approx(0.6)
    assert box.area == pytest.approx(0.24)
    assert box.center == pytest.approx((0.3, 0.5))
    assert box.to_list() == [0.1, 0.2, 0.5, 0.8]
    assert Region(1 / 3, 0, 2 / 3, 1).to_list() == [0.33, 0.0, 0.67, 1.0]


def test_a_grown_box_stays_inside_the_picture() -> None:
    assert Region(0.25, 0.5, 0.5, 1.0).grown(0.125, 0.25, 0.25, 0.5) == Region(0.125, 0.25, 0.75, 1.0)
    assert FULL.grown(0.1, 0.1, 0.1, 0.1) == FULL


def test_overlap_by_hand() -> None:
    left, middle = Region(0, 0, 0.5, 1), Region(0.25, 0, 0.75, 1)
    assert left.intersect(middle) == Region(0.25, 0, 0.5, 1)
    assert left.iou(middle) == pytest.approx(0.25 / 0.75)
    assert FULL.covers(left) == 1.0 and left.covers(FULL) == pytest.approx(0.5)
    assert left.covers(middle) == pytest.approx(0.5)


def test_boxes_that_only_touch_share_nothing() -> None:
    left, right = Region(0, 0, 0.5, 1), Region(0.5, 0, 1, 1)
    assert left.intersect(right) is None and left.relative_to(right) is None
    assert left.iou(right) == 0.0 and left.covers(right) == 0.0


@pytest.mark.parametrize(
    ("region", "size", "box"),
    [
        (FULL, (7, 5), (0, 0, 7, 5)),
        (Region(0.1, 0.1, 0.5, 0.5), (1000, 700), (100, 70, 500, 350)),
        (Region(0.24, 0.26, 0.74, 0.76), (2, 2), (0, 1, 1, 2)),
        (Region(0.9999, 0.0, 1.0, 0.0001), (20, 20), (19, 0, 20, 1)),
        (Region(0.42, 0.42, 0.43, 0.43), (10, 10), (4, 4, 5, 5)),
    ],
)
def test_pixels_by_hand(region: Region, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    assert region.to_pixels(*size) == box


def test_pictures_and_boxes_without_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="no pixels"):
        FULL.to_pixels(0, 5)
    with pytest.raises(ValueError, match="0 <= x0 < x1 <= 1"):
        Region.from_pixels((12, 0, 20, 5), 10, 10)


def test_from_pixels_clips_to_the_picture() -> None:
    assert Region.from_pixels((-5, 2, 30, 8), 10, 10) == Region(0, 0.2, 1, 0.8)


@unhurried
@given(pixel_boxes())
def test_pixel_boxes_survive_the_round_trip(case: tuple[tuple[int, int, int, int], int, int]) -> None:
    box, width, height = case
    assert Region.from_pixels(box, width, height).to_pixels(width, height) == box


@unhurried
@given(regions(), sizes, sizes)
def test_pixels_are_inside_and_at_least_one(region: Region, width: int, height: int) -> None:
    left, top, right, bottom = region.to_pixels(width, height)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    assert all(isinstance(edge, int) for edge in (left, top, right, bottom))


@unhurried
@given(regions(), sizes, sizes)
def test_pixels_are_the_nearest(region: Region, width: int, height: int) -> None:
    left, _, right, _ = region.to_pixels(width, height)
    if right - left > 1:
        assert abs(left - region.x0 * width) <= 0.5 + 1e-9 and abs(right - region.x1 * width) <= 0.5 + 1e-9


@unhurried
@given(regions(), regions())
def test_iou_is_symmetric_and_bounded(one: Region, other: Region) -> None:
    assert one.iou(other) == pytest.approx(other.iou(one))
    assert 0.0 <= one.iou(other) <= 1.0
    assert one.iou(one) == 1.0


@unhurried
@given(regions(), regions())
def test_coverage_is_bounded_and_full_for_the_intersection(one: Region, other: Region) -> None:
    assert 0.0 <= one.covers(other) <= 1.0
    common = one.intersect(other)
    assert common == other.intersect(one)
    if common is None:
        assert one.covers(other) == 0.0
    else:
        assert one.covers(common) == 1.0 and other.covers(common) == 1.0


@unhurried
@given(regions(thinnest=1e-3), regions(thinnest=1e-3))
def test_within_and_relative_to_are_inverse(inner: Region, outer: Region) -> None:
    placed = inner.within(outer)
    assert outer.covers(placed) == 1.0
    back = placed.relative_to(outer)
    assert back is not None
    for edge in ("x0", "y0", "x1", "y1"):
        assert getattr(back, edge) == pytest.approx(getattr(inner, edge), abs=1e-9)


@unhurried
@given(regions(thinnest=1e-3))
def test_the_whole_changes_nothing(region: Region) -> None:
    assert region.within(FULL) == region == region.relative_to(FULL)
    assert FULL.within(region) == region and region.relative_to(region) == FULL


def test_within_by_hand() -> None:
    assert Region(0.5, 0.0, 1.0, 0.5).within(Region(0.2, 0.4, 0.6, 0.8)).to_list() == [0.4, 0.4, 0.6, 0.6]
    clipped = Region(0.0, 0.0, 0.5, 0.5).relative_to(Region(0.25, 0.25, 0.75, 0.75))
    assert clipped == Region(0, 0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("center", "place"),
    [
        ((0.1, 0.1), "upper left"), ((0.5, 0.1), "top centre"), ((0.9, 0.1), "upper right"),
        ((0.1, 0.5), "left side"), ((0.5, 0.5), "centre"), ((0.9, 0.5), "right side"),
        ((0.1, 0.9), "lower left"), ((0.5, 0.9), "bottom centre"), ((0.9, 0.9), "lower right"),
    ],
)  # fmt: skip
def test_places(center: tuple[float, float], place: str) -> None:
    x, y = center
    assert Region(x - 0.1, y - 0.1, x + 0.1, y + 0.1).place == place


def test_large_boxes_are_the_whole_picture() -> None:
    assert FULL.place == Region(0.0, 0.0, 0.6, 1.0).place == "whole picture"
    assert Region(0.0, 0.0, 0.59, 1.0).place == "left side"


@pytest.mark.parametrize(
    ("box", "places"),
    [
        ((0.7, 0.4, 0.9, 0.6), {"right side"}),
        ((0.7, 0.4, 0.98, 0.8), {"right side", "lower right"}),  # its middle lies 0.07 above the lower third
        ((0.0, 0.0, 1.0, 0.55), {"whole picture", "centre", "top centre"}),  # nearly 0.6 of the picture
        ((0.0, 0.0, 1.0, 1.0), {"whole picture"}),
    ],
)
def test_acceptable_places_include_those_of_nearby_boxes(box: tuple[float, ...], places: set[str]) -> None:
    assert Region(*box).places == places


@unhurried
@given(regions(thinnest=1e-3))
def test_the_place_is_among_the_acceptable_places(region: Region) -> None:
    assert region.place in region.places


def test_a_pixel_box_is_clipped_at_every_edge() -> None:
    assert Region.from_pixels((-5, -6, 120, 70), 100, 50) == FULL


def test_the_thinnest_regions_at_the_edges_have_a_place() -> None:
    """Their centre rounds to 1.0."""
    last = 1.0 - 2.0**-53
    assert Region(last, 0.4, 1.0, 0.5).place == "right side"
    assert Region(0.4, last, 0.5, 1.0).place == "bottom centre"
