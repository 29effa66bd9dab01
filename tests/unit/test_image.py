from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from snellen.image import GRID, TILE, ImageError, Picture, load, resample
from snellen.region import FULL, Region

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


def test_values_a_hair_outside_are_clipped() -> None:
    array = np.full((20, 20), 0.5)
    array[0, 0], array[0, 1] = 1.0000001, -1e-9
    assert load(array).pixels[0, :3, 0].tolist() == [255, 0, 128]
    assert load(np.full((20, 20), 1.0, np.float16)).pixels.min() == 255
    array[0, 0] = 1.1
    with pytest.raises(ImageError, match="float64 go from -1e-09 to 1.1"):
        load(array)


def test_byte_order_of_arrays_does_not_matter() -> None:
    deep = (scene().astype(np.uint16) * 257).astype(">u2")
    assert np.array_equal(load(deep).pixels, scene())


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (np.zeros((20, 20), ">i2"), "an array of int16"), (np.full((20, 20), 200, np.float16), "float16 go from"),
        (np.zeros((20, 20), np.int64), "an array of int64"),
    ],
)  # fmt: skip
def test_the_type_of_an_array_is_named(array: np.ndarray[Any, Any], named: str) -> None:
    with pytest.raises(ImageError, match=named):
        load(array)


def test_open_files_are_read_from_their_start(tmp_path: Path) -> None:
    memory = io.BytesIO()
    Image.fromarray(scene()).save(memory, "PNG")  # leaves it at its end
    assert np.array_equal(load(memory).pixels, scene()) and load(memory).name == "file"
    (tmp_path / "a.png").write_bytes(memory.getvalue())
    with (tmp_path / "a.png").open("rb") as file:
        picture = load(file)
        assert not file.closed
    assert picture.name == str(tmp_path / "a.png") and np.array_equal(picture.pixels, scene())
    with (tmp_path / "a.png").open(encoding="latin-1") as text, pytest.raises(TypeError, match='mode "rb"'):
        load(text)  # type: ignore[arg-type]


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
