from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from snellen.data.distort import DISTORTIONS, distort, soft_mask
from snellen.data.distort.array import Pixels
from snellen.data.distort.codec import encoded
from snellen.data.distort.lab import lab_to_rgb, rgb_to_lab
from snellen.data.levels import KADID_NAMES, LEVELS, NEAREST_KADID, level_mos, level_severity
from snellen.region import Region
from snellen.vocabulary import KINDS

TWO_WAY = {"mean_shift", "contrast"}  # best in the middle, by KADID's design
UNCHANGED = {("gaussian_blur", 1), ("motion_blur", 1), ("saturation_lab", 1), ("mean_shift", 3)}  # as in KADID


def scene(height: int = 120, width: int = 160) -> Pixels:
    """A colored gradient with discs, stripes and a little grain: something for every distortion to spoil."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    picture = np.stack([60 + 120 * x / width, 70 + 90 * y / height, 150 - 70 * x / width], axis=-1)
    for row, column, color in ((35, 40, (200, 60, 50)), (80, 100, (60, 150, 70)), (60, 140, (70, 80, 180))):
        picture[(y - row) ** 2 + (x - column) ** 2 < 400] = color
    picture[90:110] += 45 * np.sign(np.sin(x[90:110] * 0.8))[..., None]
    picture += np.random.default_rng(7).normal(0, 3, picture.shape)
    out: Pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return out


def spoilt(name: str, level: int, pixels: Pixels, seed: int = 1, region: Region | None = None) -> Pixels:
    return distort(pixels, name, level, np.random.default_rng(seed), region)


def error(a: Pixels, b: Pixels) -> float:
    """Mean squared error, on the 0..255 scale."""
    return float(np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize("name", DISTORTIONS)
def test_every_level_keeps_shape_and_repeats_itself(name: str) -> None:
    pixels = scene()
    before = pixels.copy()
    for level in LEVELS:
        once = spoilt(name, level, pixels)
        assert once.shape == pixels.shape and once.dtype == np.uint8
        assert once.flags.writeable and not np.shares_memory(once, pixels)
        assert np.array_equal(once, spoilt(name, level, pixels))
        assert ((name, level) in UNCHANGED) == np.array_equal(once, pixels)
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("name", sorted(set(DISTORTIONS) - TWO_WAY))
def test_more_level_is_more_damage(name: str) -> None:
    pixels = scene()
    errors = [error(spoilt(name, level, pixels), pixels) for level in LEVELS]
    assert errors[4] > 1.5 * errors[0]
    assert errors[0] <= errors[2] < 1.1 * errors[4]  # color_shift levels off, in KADID's means too


@pytest.mark.parametrize("name", DISTORTIONS)
@pytest.mark.parametrize("size", [(8, 8), (8, 31), (65, 9)])
def test_small_and_narrow_pictures(name: str, size: tuple[int, int]) -> None:
    for level in LEVELS:
        assert spoilt(name, level, scene()[: size[0], : size[1]]).shape == (*size, 3)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_nothing_outside_the_region_changes(name: str) -> None:
    pixels = scene()
    region = Region(0.25, 0.25, 0.75, 0.875)
    left, top, right, bottom = region.to_pixels(160, 120)
    out = spoilt(name, 5, pixels, region=region)
    inside = np.zeros((120, 160), dtype=bool)
    inside[top:bottom, left:right] = True
    assert np.array_equal(out[~inside], pixels[~inside])
    assert not np.array_equal(out[inside], pixels[inside])


def test_region_fades_in() -> None:
    grey = np.full((100, 200, 3), 200, dtype=np.uint8)
    out = spoilt("darken", 5, grey, region=Region(0.25, 0.0, 0.75, 1.0))
    along = out[50, 50:150, 0].astype(int)
    whole = int(spoilt("darken", 5, grey)[0, 0, 0])
    assert along[0] >= 199 and along[-1] >= 199  # barely anything at the border
    assert np.all(along[20:80] == whole)  # all of it in the middle
    assert np.all(np.diff(along[:20]) <= 0) and np.abs(np.diff(along)).max() < 0.15 * (200 - whole)


def test_soft_mask_by_hand() -> None:
    # ramp 0.25 * 8 = 2 px: pixel centres at 1/4 and 3/4 of it, smoothstep t^2 (3 - 2 t) = 5/32 and 27/32
    edge = soft_mask(8, 16, 0.25)[4]
    assert edge[:3] == pytest.approx([5 / 32, 27 / 32, 1.0])
    assert np.array_equal(edge, edge[::-1])
    assert np.all(soft_mask(8, 16, 0.0) == 1)


def test_a_region_sees_its_surroundings() -> None:
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:, 32:] = 255
    region = Region(0.5, 0.0, 1.0, 1.0)
    out = distort(pixels, "gaussian_blur", 4, np.random.default_rng(0), region, feather=0.0)
    whole = spoilt("gaussian_blur", 4, pixels)
    assert np.abs(out[:, 32:].astype(int) - whole[:, 32:]).max() <= 1  # not a blur of the white half alone


def test_tiny_region_of_a_picture() -> None:
    pixels = scene()
    for name in DISTORTIONS:
        out = spoilt(name, 5, pixels, region=Region(0.99, 0.99, 1.0, 1.0))
        assert np.array_equal(out[:118], pixels[:118])


def test_level_mos_is_kadids() -> None:
    assert level_mos("gaussian_blur", 3) == (2.911, 0.428)
    assert level_mos("avif", 3) == level_mos("jpeg2000", 3)
    assert KADID_NAMES.keys().isdisjoint(NEAREST_KADID)
    assert KADID_NAMES.keys() | NEAREST_KADID.keys() == DISTORTIONS.keys()
    assert len(set(KADID_NAMES.values())) == 25


def test_severity_is_what_people_mind() -> None:
    assert level_severity("gaussian_blur", 3) == pytest.approx(6 - 2.911)
    assert level_severity("color_shift", 5) < level_severity("gaussian_blur", 5)


def test_level_mos_falls_with_the_level() -> None:
    for name in set(DISTORTIONS) - TWO_WAY:
        means = [level_mos(name, level)[0] for level in LEVELS]
        assert all(later <= earlier + 0.02 for earlier, later in pairwise(means)), name
    for name in TWO_WAY:
        assert max(LEVELS, key=lambda level: level_mos(name, level)[0]) == 3


def test_kinds() -> None:
    assert {d.kind for d in DISTORTIONS.values()} == set(KINDS)
    for d in DISTORTIONS.values():
        assert {d.kind_at(level) for level in LEVELS} <= {*KINDS, None}
    for name, level in UNCHANGED:
        assert DISTORTIONS[name].kind_at(level) is None
    assert [DISTORTIONS["mean_shift"].kind_at(level) for level in (1, 5)] == ["overexposure", "underexposure"]


def test_contrast_goes_both_ways() -> None:
    pixels = scene()
    spread = [float(spoilt("contrast", level, pixels).std()) for level in LEVELS]
    assert spread[0] > spread[1] > spread[2] > pixels.std() > spread[3] > spread[4]


def test_values_by_hand() -> None:
    grey = np.full((16, 16, 3), 128, dtype=np.uint8)
    assert spoilt("mean_shift", 1, grey)[0, 0, 0] == 166  # 128 + 0.15 * 255 = 166.25
    assert spoilt("darken", 5, grey)[0, 0, 0] == 26  # x + (4 * 0.1 - 2) x (1 - x) at 128/255, times 255
    red = np.full((8, 8, 3), (200, 100, 50), dtype=np.uint8)
    assert spoilt("saturation_hsv", 1, red)[0, 0].tolist() == [200, 160, 140]  # 200 + 0.4 (x - 200)
    codes = spoilt("quantization", 5, np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 8, 3)))
    assert np.unique(codes).size == 7
    line = np.zeros((9, 9, 3), dtype=np.uint8)
    line[4, 4] = 255
    assert spoilt("lens_blur", 1, line)[3:6, 3:6, 0].tolist() == [[0, 51, 0], [51, 51, 51], [0, 51, 0]]  # 255 / 5


def test_noise_has_kadids_variance() -> None:
    grey = np.full((200, 200, 3), 128, dtype=np.uint8)
    noise = spoilt("white_noise", 5, grey).astype(float) - 128
    assert noise.std() == pytest.approx(25.5, rel=0.02)  # 255 sqrt(0.01)
    struck = spoilt("impulse_noise", 5, grey) != 128
    assert struck.mean() == pytest.approx(0.03, rel=0.1)


def test_damage_of_place_keeps_its_share_at_every_size() -> None:
    grey = np.full((384, 512, 3), 128, dtype=np.uint8)
    small, large = grey[::4, ::4], np.tile(grey, (2, 2, 1))
    for picture in (small, large):
        share = np.mean([(spoilt("color_block", 5, picture, seed) != 128).any(-1).mean() for seed in range(8)])
        assert share == pytest.approx(10 * 32 * 32 / (384 * 512), rel=0.25)


def test_lab_of_known_colors() -> None:
    pixels = np.array([[[255, 255, 255], [255, 0, 0], [0, 0, 255]]], dtype=np.uint8)
    lab = rgb_to_lab(pixels)[0]
    assert lab[0] == pytest.approx([100, 0, 0], abs=0.05)
    assert lab[1] == pytest.approx([53.24, 80.09, 67.20], abs=0.1)  # sRGB red and blue under D65
    assert lab[2] == pytest.approx([32.30, 79.19, -107.86], abs=0.1)
    anything = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert np.abs(lab_to_rgb(rgb_to_lab(anything)).astype(int) - anything).max() <= 1


def test_errors_name_the_remedy() -> None:
    pixels, rng = scene(), np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"unknown distortion 'fog'; use one of .*haze"):
        distort(pixels, "fog", 1, rng)
    with pytest.raises(ValueError, match="level 0 does not exist; use 1"):
        distort(pixels, "haze", 0, rng)
    with pytest.raises(ValueError, match="level 6 does not exist"):
        level_mos("haze", 6)
    with pytest.raises(ValueError, match=r"at least 8 x 8, not \(4, 160, 3\)"):
        distort(pixels[:4], "haze", 1, rng)
    with pytest.raises(ValueError, match=r"give 0 to 0\.5"):
        distort(pixels, "haze", 1, rng, Region(0, 0, 0.5, 0.5), feather=0.7)


@pytest.mark.filterwarnings("ignore:Unknown feature")
def test_a_missing_codec_is_named() -> None:
    with pytest.raises(RuntimeError, match="no FLIF codec; install"):
        encoded(scene(), "FLIF", "flif")
