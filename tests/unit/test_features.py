from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from snellen.features import (
    CELLS,
    FEATURES,
    TILE_PX,
    Features,
    blockiness,
    clipped,
    colour_cast,
    colour_moments,
    colourfulness,
    cut_tiles,
    edge_steepness,
    hue_name,
    luminance,
    measure,
    noise_level,
)
from snellen.image import ImageError, load

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
INSIDE = np.s_[3:7, 3:7]


def drawing(width: int = 640, height: int = 480) -> Pixels:
    """Gray discs and bars with crisp edges on a soft slope: something to measure in every cell."""
    y, x = np.mgrid[0:height, 0:width]
    gray = 90.0 + 60.0 * x / width
    gray += 50.0 * (np.hypot(x % 80 - 40, y % 80 - 40) < 17) - 40.0 * ((x + 2 * y) % 97 < 9)
    return np.repeat(gray.clip(10, 245).astype(np.uint8)[:, :, None], 3, axis=2)


def blurred(pixels: Pixels, radius: float) -> Pixels:
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def noisy(pixels: Pixels, sigma: float) -> Pixels:
    grain = np.random.default_rng(3).normal(0, sigma, pixels.shape[:2])[:, :, None]
    pixels = np.rint(pixels + grain).clip(0, 255).astype(np.uint8)
    return pixels


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def flat(red: int, green: int, blue: int, side: int = 64) -> Pixels:
    return np.full((1, side, side, 3), (red, green, blue), np.uint8)


def value(pixels: Pixels, name: str) -> float:
    return measure(pixels).values[name].value


def only_inside(name: str, spoil: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Changes of a map where the middle of the drawing was spoiled, and elsewhere."""
    whole = drawing()
    spoiled = whole.copy()
    spoiled[144:336, 192:448] = spoil(whole)[144:336, 192:448]
    change = measure(spoiled).maps[name] - measure(whole).maps[name]
    outside = np.ones((CELLS, CELLS), bool)
    outside[2:8, 2:8] = False  # a cell of margin around the seam
    return change[INSIDE], change[outside]


def test_shape_and_form() -> None:
    result = measure(load(drawing()))
    assert isinstance(result, Features) and set(result.values) == set(result.maps)
    for name, feature in result.values.items():
        assert result.maps[name].shape == (CELLS, CELLS) and result.maps[name].dtype == np.float32
        low, high = feature.range
        cells = [feature.value, *result.maps[name].ravel().tolist()]
        assert min(cells) >= low and (high is None or max(cells) <= high) and feature.unit
    written = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert written["noise"]["range"] == [0.0, None] and np.shape(written["noise"]["map"]) == (CELLS, CELLS)
    assert written["contrast"]["value"] == result.values["contrast"].value


@pytest.mark.parametrize("size", [(16, 16), (16, 300), (37, 53), (333, 97), (1700, 1300), (3000, 40)])
def test_any_size_is_measured(size: tuple[int, int]) -> None:
    width, height = size
    written = measure(noisy(np.full((height, width, 3), 100, np.uint8), 4)).to_dict()
    assert "NaN" not in json.dumps(written)
    assert 3 < written["noise"]["value"] < 5


def test_only_what_is_asked_for_is_measured() -> None:
    picture = load(drawing())
    some, all_of_them = measure(picture, ("noise", "luminance")), measure(picture)
    assert list(some.values) == list(some.maps) == ["noise", "luminance"]
    assert list(all_of_them.values) == list(FEATURES)
    for name, feature in some.values.items():
        assert feature == all_of_them.values[name]
        assert np.array_equal(some.maps[name], all_of_them.maps[name])


def test_flat_pictures_have_nothing_to_measure() -> None:
    for level in (0, 128, 255):
        result = measure(np.full((100, 100), level, np.uint8)).values
        named = {"luminance": level / 255, "clipped_shadows": float(level == 0), "clipped_highlights": level // 255}
        for name, feature in result.items():
            assert feature.value == pytest.approx(named.get(name, 0.0)), name


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ImageError):
        measure(np.zeros((5, 5), np.uint8))


def test_tiles_are_native_and_start_on_the_grid() -> None:
    y, x = np.mgrid[0:2000, 0:3000]
    picture = np.stack([x % 256, y % 256, x // 256 * 16 + y // 256], axis=-1).astype(np.uint8)
    tiles = cut_tiles(picture)
    assert tiles.shape == (CELLS * CELLS, TILE_PX, TILE_PX, 3)
    first, last = tiles[0], tiles[-1]
    assert np.array_equal(first, picture[32 : 32 + TILE_PX, 80 : 80 + TILE_PX])  # 100 - 64 and 150 - 64, on the grid
    assert np.array_equal(last, picture[1832 : 1832 + TILE_PX, 2784 : 2784 + TILE_PX])
    assert cut_tiles(picture[:800, :1000]).shape == (100, 80, 100, 3)  # whole cells


def test_luminance_by_hand() -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [10, 20, 30]], np.uint8)
    assert luminance(colours).tolist() == [76, 150, 29, 255, 18]


@pytest.mark.parametrize("sigma", [1.0, 3.0, 10.0, 25.0])
def test_noise_is_measured_in_levels(sigma: float) -> None:
    gray = np.full((1, 128, 128, 3), 128, np.uint8)
    measured = noise_level(luminance(noisy(gray[0], sigma)[None]))[0]
    assert measured == pytest.approx(sigma, rel=0.1)
    assert value(noisy(drawing(), sigma), "noise") == pytest.approx(sigma, rel=0.2)


def test_noise_shows_where_it_was_added() -> None:
    inside, outside = only_inside("noise", lambda pixels: noisy(pixels, 8))
    assert inside.min() > 6 and np.abs(outside).max() < 0.2


def test_edges_and_clipped_areas_are_not_noise() -> None:
    assert value(drawing(), "noise") < 0.5
    assert np.isnan(noise_level(np.full((1, 64, 64), 255, np.uint8))).all()
    burnt = noisy(drawing(), 5)
    burnt[:240] = 255
    assert measure(burnt).values["noise"].value == pytest.approx(5, rel=0.1)


def test_steepness_by_hand() -> None:
    still = np.zeros(1)
    step = np.full((1, 64, 64), 50, np.uint8)
    step[:, :, 32:] = 150
    steepness, places = edge_steepness(step, still)
    assert steepness[0] == 1.0 and places[0] == 64 * 7  # seven runs of 8 px straddle the step
    ramp = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8), (1, 64, 64))
    assert edge_steepness(ramp, still)[0][0] == pytest.approx(1 / 7)
    assert edge_steepness(step, np.array([20.0]))[1][0] == 0  # 100 levels are less than 7 times the noise
    faint = np.where(step > 100, 69, 50).astype(np.uint8)
    assert edge_steepness(faint, still)[1][0] == 0


def test_steepness_is_blind_to_direction_and_contrast() -> None:
    luma = luminance(blurred(drawing(256, 256), 1.5))[None]
    still = np.zeros(1)
    turned, weak = luma.swapaxes(1, 2), (luma // 2 + 60).astype(np.uint8)
    assert edge_steepness(turned, still)[0] == pytest.approx(edge_steepness(luma, still)[0])
    assert edge_steepness(weak, still)[0] == pytest.approx(edge_steepness(luma, still)[0], rel=0.2)


def test_blur_lowers_sharpness_step_by_step_and_noise_does_not_raise_it() -> None:
    ladder = [value(blurred(drawing(), radius), "sharpness") for radius in (0, 0.7, 1.4, 2.8)]
    assert all(sharper > softer + 0.05 for sharper, softer in zip(ladder, ladder[1:], strict=False))
    soft = blurred(drawing(), 2)
    assert value(noisy(soft, 4), "sharpness") < value(blurred(drawing(), 0.7), "sharpness")
    assert value(noisy(np.full((300, 300, 3), 128, np.uint8), 10), "sharpness") == 0.0


def test_blur_shows_where_it_is() -> None:
    inside, outside = only_inside("sharpness", lambda pixels: blurred(pixels, 3))
    assert inside.max() < -0.1 and np.abs(outside).max() < 0.02


def test_blockiness_by_hand() -> None:
    # Blocks of 8 px, 14 levels apart, each rising by 1 per px: 14 - 7 = 7 at the grid, 1 elsewhere.
    row = 14 * (np.arange(64) // 8) + np.arange(64) % 8
    stripes = np.broadcast_to(row.astype(np.uint8), (1, 64, 64))
    assert blockiness(stripes)[0] == pytest.approx((7.25 / 1.25 - 1) / 2)  # no grid along the columns
    assert blockiness(np.full((1, 64, 64), 9, np.uint8))[0] == 0.0


def test_compression_raises_blockiness_step_by_step() -> None:
    whole = noisy(blurred(drawing(), 0.6), 2)
    ladder = [value(whole, "blockiness"), *(value(jpeg(whole, quality), "blockiness") for quality in (75, 30, 10))]
    assert ladder[0] < 0.2
    assert all(after > before + 0.1 for before, after in zip(ladder, ladder[1:], strict=False))


@pytest.mark.parametrize(("x", "y"), [(1, 0), (3, 5), (7, 7)])
def test_crops_do_not_hide_the_grid(x: int, y: int) -> None:
    compressed = jpeg(noisy(drawing(), 2), 10)
    assert value(compressed[y:, x:], "blockiness") == pytest.approx(value(compressed, "blockiness"), rel=0.15)


def test_compression_shows_where_it_is() -> None:
    inside, outside = only_inside("blockiness", lambda pixels: jpeg(pixels, 8))
    assert inside.mean() > outside.mean() + 0.5 and np.median(np.abs(outside)) < 0.1


def test_clipping_by_hand() -> None:
    tile = flat(128, 128, 128)
    tile[0, :16] = (255, 251, 253)  # a quarter
    tile[0, 16:24] = (0, 4, 2)  # an eighth
    tile[0, 24:32] = (255, 255, 0)  # yellow, not white
    shadows, highlights = clipped(tile)
    assert shadows.tolist() == [0.125] and highlights.tolist() == [0.25]


def test_exposure_and_contrast_have_places() -> None:
    picture = np.full((400, 400, 3), 102, np.uint8)
    picture[:80, :80] = 255
    picture[320:, 320:] = 0
    result = measure(picture)
    assert result.maps["clipped_highlights"][:2, :2].min() == 1 and result.maps["clipped_highlights"].sum() == 4
    assert result.maps["clipped_shadows"][8:, 8:].min() == 1 and result.maps["clipped_shadows"].sum() == 4
    assert result.values["luminance"].value == pytest.approx(0.04 * 1 + 0.92 * 0.4, abs=1e-3)
    assert result.maps["luminance"][5, 5] == pytest.approx(0.4, abs=1e-3)
    spread = np.sqrt(0.04 * 1 + 0.92 * 0.4**2 - 0.408**2)
    assert result.values["contrast"].value == pytest.approx(spread, abs=1e-3)
    assert result.maps["contrast"].max() == 0.0


def test_colourfulness_by_hand() -> None:
    tile = flat(0, 0, 0)
    tile[0, :32], tile[0, 32:] = (200, 100, 50), (100, 200, 50)
    # rg is 100 and -100, yb 100 throughout: sqrt(100^2 + 0) + 0.3 * 100
    assert colourfulness(*colour_moments(tile))[0] == pytest.approx(130.0)
    assert colourfulness(*colour_moments(flat(77, 77, 77)))[0] == pytest.approx(0.0)


def test_colourfulness_of_the_whole_pools_its_cells() -> None:
    picture = np.zeros((320, 320, 3), np.uint8)
    picture[:, :160], picture[:, 160:] = (200, 100, 50), (100, 200, 50)
    result = measure(picture)
    assert result.values["colorfulness"].value == pytest.approx(130.0, abs=0.01)
    assert result.maps["colorfulness"].max() == pytest.approx(0.3 * np.hypot(100, 100), abs=0.01)


@pytest.mark.parametrize(
    ("shift", "name"),
    [
        ((20, 0, 0), "red"), ((20, 20, 0), "yellow"), ((0, 20, 0), "green"),
        ((0, 20, 20), "cyan"), ((0, 0, 20), "blue"), ((20, 0, 20), "magenta"),
    ],
)  # fmt: skip
def test_casts_have_a_strength_and_a_name(shift: tuple[int, int, int], name: str) -> None:
    tinted = (drawing() + np.array(shift)).clip(0, 255).astype(np.uint8)
    result = measure(tinted).values
    assert result["color_cast"].value == pytest.approx(20, abs=0.5)
    assert hue_name(result["color_cast_hue"].value) == name
    assert value(drawing(), "color_cast") == pytest.approx(0, abs=0.01)


def test_colourful_things_are_not_a_cast() -> None:
    picture = drawing()
    picture[:200] = (200, 60, 40)
    result = measure(picture)
    assert result.values["color_cast"].value < 5
    assert result.maps["color_cast"][:4].min() > 100 and result.maps["color_cast"][5:].max() < 1


def test_hues_by_hand() -> None:
    strength, hue = colour_cast(np.concatenate([flat(100, 60, 60), flat(60, 60, 100), flat(80, 80, 40)]))
    assert strength == pytest.approx([40, 40, 40], abs=1e-3) and hue == pytest.approx([0, 240, 60], abs=1e-3)
    assert [hue_name(degrees) for degrees in (0, 29, 31, 180, 359.9)] == ["red", "red", "yellow", "cyan", "red"]


def test_black_and_white_show_no_cast() -> None:
    strength, hue = colour_cast(np.concatenate([flat(20, 0, 0), flat(255, 255, 235)]))
    assert strength.tolist() == [0.0, 0.0] and hue.tolist() == [0.0, 0.0]
