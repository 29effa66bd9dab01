from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snellen.image import GRID, TILE, ImageError, Picture, load, resample
from snellen.region import FULL, Region
from snellen.zoom import ZOOM_PRESETS, ZoomPolicy

unhurried = settings(deadline=None)


def scene(width: int = 96, height: int = 64) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Smooth, different in every corner and channel."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([20 + 200 * x // width, 20 + 200 * y // height, 255 * (x + y) // (width + height)], -1).astype(
        np.uint8
    )


def numbered(width: int, height: int) -> Picture:
    """Every pixel tells its place: red and green are x and y modulo 256, blue counts the wraps of both."""
    y, x = np.mgrid[0:height, 0:width]
    return load(np.stack([x % 256, y % 256, 16 * (x // 256) + y // 256], axis=-1).astype(np.uint8))


def test_arrays() -> None:
    assert np.array_equal(load(scene()).pixels, scene()) and load(scene()).name == "array"
    gray = scene()[:, :, 0]
    for array in (gray, gray[:, :, None]):
        assert np.array_equal(load(array).pixels, np.dstack([gray] * 3))
    assert np.array_equal(load(scene()[::-1, ::2]).pixels, scene()[::-1, ::2])
    deep = load(scene().astype(np.uint16) * 257)
    assert np.array_equal(deep.pixels, scene()) and deep.notes == ("16 bit scaled to 8",)
    unit = load(scene() / 255.0)
    assert np.array_equal(unit.pixels, scene()) and unit.notes == ("float 0..1 scaled to 8 bit",)
    clear = np.dstack([scene(), np.zeros(scene().shape[:2], np.uint8)])
    assert load(clear).pixels.min() == 255


def test_later_changes_to_an_array_do_not_reach_the_picture() -> None:
    array = scene()
    picture = load(array)
    array[:] = 0
    assert np.array_equal(picture.pixels, scene())


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((20, 20, 2), np.uint8), np.zeros((3, 20, 20), np.uint8), np.zeros(400, np.uint8),
        np.zeros((20, 20, 3), np.int64), np.zeros((20, 20), bool), np.full((20, 20), 1.5), np.full((20, 20), np.nan),
        np.full((20, 20), -0.1), np.zeros((20, 20), complex), np.zeros((0, 0, 5)),
    ],
)  # fmt: skip
def test_arrays_that_are_no_pictures(array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ImageError, match="^mine: ") as caught:
        load(array, name="mine")
    assert caught.value.code == "bad_array"


def test_other_objects_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="not int"):
        load(5)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------- looks


@pytest.mark.parametrize(
    ("size", "overview"),
    [
        ((6000, 4000), (320, 224)),  # 213
        ((1920, 1080), (320, 192)),  # 180
        ((400, 400), (320, 320)),
        ((500, 750), (224, 320)),
        ((320, 320), (320, 320)),
        ((321, 215), (320, 192)),  # 214 would round to 224, more than there is
        ((300, 200), (288, 192)),  # never up
        ((4000, 100), (320, 64)),
        ((40, 20), (64, 64)),  # the smallest there is
    ],
)
def test_overview_sizes(size: tuple[int, int], overview: tuple[int, int]) -> None:
    width, height = size
    view = load(np.zeros((height, width), np.uint8)).view()
    assert view.overview.shape == (overview[1], overview[0], 3) and view.overview.dtype == np.uint8
    assert view.fragments.shape == (GRID * TILE, GRID * TILE, 3) and view.fragments.dtype == np.uint8
    assert view.scale == min(1.0, max(overview) / max(size))
    assert view.region == FULL


def test_overview_shows_the_region_without_aliasing() -> None:
    pixels = np.zeros((1280, 1280), np.uint8)
    pixels[::2] = 200  # stripes too fine for an overview: must come out gray
    pixels[640:, 640:] = 50
    picture = load(pixels)
    fine = picture.view(Region(0, 0, 1, 0.5)).overview
    assert fine.shape == (160, 320, 3) and (abs(fine.astype(int) - 100) <= 2).all()
    assert (picture.view(Region(0.5, 0.5, 1, 1)).overview == 50).all()


def test_overview_at_native_size_is_a_copy() -> None:
    picture = numbered(700, 700)
    view = picture.view(Region.from_pixels((100, 200, 420, 520), 700, 700))
    assert np.array_equal(view.overview, picture.pixels[200:520, 100:420])
    assert np.array_equal(view.fragments, picture.pixels[200:520, 100:420])  # tiles touch: the same pixels
    assert view.scale == 1.0
    view.overview[:] = 0
    assert picture.pixels.any()


@pytest.mark.parametrize("box", [(0, 0, 1300, 900), (13, 57, 1013, 557), (100, 100, 430, 425)])
def test_fragments_are_native_tiles_from_cell_centres(box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    picture = numbered(1300, 900)
    fragments = picture.view(Region.from_pixels(box, 1300, 900)).fragments
    for row in (0, 4, 9):
        for column in (0, 4, 9):
            tile = fragments[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
            x = left + round((column + 0.5) * (right - left) / GRID + 1e-9) - TILE // 2
            y = top + round((row + 0.5) * (bottom - top) / GRID + 1e-9) - TILE // 2
            assert np.array_equal(tile, picture.pixels[y : y + TILE, x : x + TILE])


@pytest.mark.parametrize(("width", "height"), [(16, 16), (20, 500), (31, 33), (100, 64)])
def test_fragments_of_small_regions_stay_inside(width: int, height: int) -> None:
    picture = numbered(width, height)
    fragments = picture.view().fragments.reshape(-1, 3)
    known = {tuple(colour) for colour in picture.pixels.reshape(-1, 3).tolist()}
    assert {tuple(colour) for colour in fragments.tolist()} <= known
    for index, size in ((0, width), (1, height)):
        along = picture.view().fragments[..., index].max(axis=index).reshape(GRID, TILE).astype(int)
        assert (np.diff(along, axis=1) >= 0).all()  # within a tile, pixels keep their order
        if size < TILE:  # each tile holds the whole side and repeats its edges
            assert all(set(tile) == set(range(size)) for tile in along.tolist())
        elif size < 256:
            assert (np.diff(along, axis=1) == 1).all() and set(along.ravel().tolist()) == set(range(size))


def test_looks_repeat() -> None:
    picture = load(np.random.default_rng(1).integers(0, 256, (777, 1234, 3), dtype=np.uint8))
    region = Region(0.1, 0.3, 0.62, 0.91)
    one, two = picture.view(region), load(picture.pixels).view(region)
    assert np.array_equal(one.overview, two.overview) and np.array_equal(one.fragments, two.fragments)


def test_resample_keeps_the_aspect_and_never_enlarges() -> None:
    picture = load(scene(600, 300))
    assert resample(picture, FULL, 200).shape == (100, 200, 3)
    assert np.array_equal(resample(picture, Region(0, 0, 0.5, 1), 5000), picture.pixels[:, :300])


# ----------------------------------------------------------------------------------------------------------- zoom

SNELLEN, OFFICIAL = ZOOM_PRESETS["snellen"], ZOOM_PRESETS["zoom-iqa"]


def settled(policy: ZoomPolicy, region: Region | None, width: int, height: int) -> tuple[int, int, int, int]:
    return policy.settle(region, width, height).to_pixels(width, height)


def test_small_boxes_grow_around_their_centre_to_native_pixels() -> None:
    assert settled(SNELLEN, Region(0.4, 0.4, 0.41, 0.42), 4000, 3000) == (1600, 1190, 2000, 1510)
    assert settled(SNELLEN, Region(0.9, 0.9, 1.0, 0.95), 4000, 3000) == (3600, 2680, 4000, 3000)
    assert settled(SNELLEN, Region(0, 0, 0.01, 0.01), 4000, 3000) == (0, 0, 400, 320)
    assert settled(SNELLEN, Region(0.5, 0.5, 0.6, 0.6), 500, 200) == (115, 0, 435, 200)


def test_allowed_boxes_are_left_alone() -> None:
    assert settled(SNELLEN, Region(0.2, 0.1, 0.8, 0.9), 4000, 3000) == (800, 300, 3200, 2700)
    assert settled(OFFICIAL, Region(0.25, 0.1, 0.75, 0.9), 4000, 3000) == (1000, 300, 3000, 2700)


def test_boxes_a_hair_apart_become_the_same_crop() -> None:
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
    assert settled(OFFICIAL, Region(0.45, 0.45, 0.55, 0.55), 1000, 1000) == (250, 250, 750, 750)
    assert settled(OFFICIAL, Region(0.9, 0.9, 1.0, 1.0), 1000, 1000) == (500, 500, 1000, 1000)
    assert settled(OFFICIAL, Region(0.0, 0.49, 1.0, 0.51), 1000, 1000) == (0, 375, 1000, 625)
    left, top, right, bottom = settled(SNELLEN, FULL, 4000, 3000)
    assert (right - left, bottom - top) == (3464, 2598)  # sqrt(0.75) of each side
    assert abs(left + right - 4000) <= 1 and abs(top + bottom - 3000) <= 1


def test_invalid_boxes() -> None:
    with pytest.raises(ValueError, match="invalid"):
        SNELLEN.settle(None, 100, 100)
    assert OFFICIAL.settle(None, 400, 200) == Region(0.25, 0.25, 0.75, 0.75)


@st.composite
def requests(draw: st.DrawFn) -> tuple[Region, int, int]:
    width, height = draw(st.integers(16, 12_000)), draw(st.integers(16, 12_000))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    return Region.from_pixels((left, top, right, bottom), width, height), width, height


@pytest.mark.parametrize("name", ZOOM_PRESETS)
@unhurried
@given(requests())
def test_settled_boxes_keep_the_rules(name: str, request_: tuple[Region, int, int]) -> None:
    region, width, height = request_
    policy = ZOOM_PRESETS[name]
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


@pytest.mark.parametrize("name", ZOOM_PRESETS)
@unhurried
@given(requests())
def test_settled_boxes_stay_where_they_were(name: str, request_: tuple[Region, int, int]) -> None:
    region, width, height = request_
    crop = replace(ZOOM_PRESETS[name], steps=None).settle(region, width, height)
    before, after = region.to_pixels(width, height), crop.to_pixels(width, height)
    for low, high, size in ((0, 2, width), (1, 3, height)):
        moved = abs(after[low] + after[high] - before[low] - before[high])
        assert moved <= 1 or after[low] == 0 or after[high] == size
