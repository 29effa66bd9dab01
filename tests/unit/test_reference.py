"""Comparison with a reference: measurements worked by hand, alignment, kinds of difference, result, words and page."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from pictures import noise_picture

from snellen.assessor import Assessor
from snellen.backends.scripted import ScriptedBackend
from snellen.comparison.align import AlignmentError, align, moved, shift_between
from snellen.comparison.contrast import against_reference
from snellen.comparison.detail_difference import (
    block_grid,
    detail_difference,
    repeated_lines,
    replaced_share,
    roll_off,
    unchanged,
)
from snellen.comparison.diagnosis import LIMITS, Finding, measure_regions, name_differences
from snellen.comparison.difference import changed_regions, difference_map
from snellen.comparison.displacement import find_warp, tile_displacement
from snellen.comparison.generated import REFERENCE_STD, Generated
from snellen.comparison.measures import MEASURES, measure_all
from snellen.comparison.reference import ReferenceComparison, compare_with_reference, draw_map
from snellen.comparison.reference_page import reference_page
from snellen.comparison.tone_difference import (
    block_means,
    colour_difference,
    grey_share,
    palette,
    tone_difference,
    tone_steps,
    toned,
)
from snellen.data.distort import distort
from snellen.image import Picture
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, render_reply
from snellen.vocabulary import KINDS


def scene(height: int = 192, width: int = 256, seed: int = 0) -> np.ndarray:
    """A picture with flat parts, edges and texture of all sizes, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    values = np.zeros((height, width, 3))
    for side in (2, 4, 8, 16, 32, 64):
        size = (height // side + 1, width // side + 1)
        luma, chroma = rng.normal(0, 4 * side**0.5, (*size, 1)), rng.normal(0, 0.1 * side, (*size, 3))
        layer = np.kron(luma + chroma, np.ones((side, side, 1)))[:height, :width]
        values += np.roll(layer, tuple(rng.integers(0, 64, 2)), (0, 1))  # no common grid
    values[:, : width // 3] *= 0.3  # a calmer part
    return np.clip(values + 128, 20, 235).astype(np.uint8)


SCENE = scene()


# tones and colours


def test_block_means_of_whole_blocks() -> None:
    values = np.arange(16.0).reshape(4, 4)
    assert block_means(values, 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_a_line_of_tones_is_found_with_the_tone_that_it_keeps() -> None:
    reference = np.linspace(20, 220, 64).reshape(8, 8)
    found = tone_difference(reference, 0.5 * reference + 60)
    # P = 0.5 R + 60 keeps 60 / (1 - 0.5) = 120, which is the mean: no shift; the size is half the deviation
    assert found.gain == pytest.approx(0.5) and found.offset == pytest.approx(60)
    assert found.fixed_tone == pytest.approx(120) and found.shift == pytest.approx(0.0, abs=1e-9)
    assert found.size == pytest.approx(0.5 * reference.std())
    assert toned(np.array([[100.0]]), found) == pytest.approx(110.0, abs=1e-3)


def test_one_tone_can_only_be_shifted() -> None:
    found = tone_difference(np.full((4, 4), 100.0), np.full((4, 4), 130.0))
    assert (found.gain, found.shift) == (1.0, 30.0) and found.size == pytest.approx(30.0)
    assert found.fixed_tone == np.inf


def test_gain_and_cast_of_colours() -> None:
    reference = np.array([[10.0, 0.0], [-10.0, 0.0], [0.0, 20.0], [0.0, -20.0]])
    found = colour_difference(reference, 2 * reference + np.array([3.0, 4.0]))
    # the offset (3, 4) is 5 levels long
    assert found.gain == pytest.approx(2.0) and found.cast == pytest.approx(5.0)
    assert found.rest == pytest.approx(0.0, abs=1e-9)


def test_the_grey_share_of_one_channel_is_a_third() -> None:
    assert grey_share(np.array([[[3.0, 3.0, 3.0]]])) == pytest.approx(1.0)
    assert grey_share(np.array([[[0.0, 5.0, 0.0]]])) == pytest.approx(1 / 3)
    assert grey_share(np.zeros((2, 2, 3))) == 1.0


def test_tone_steps_are_a_sawtooth_of_the_tone() -> None:
    reference = np.tile(np.arange(256.0), (64, 1))
    steps, share = tone_steps(reference, np.round(reference / 10) * 10 - reference)
    # the remainders 0 +-1 +-2 +-3 +-4 -5 (once) of 10 tones: mean square (0 + 2 (1 + 4 + 9 + 16) + 25) / 10 = 8.5
    assert steps == pytest.approx(np.sqrt(8.5), abs=0.25) and share > 0.9
    assert tone_steps(reference, 0.2 * reference)[0] < 0.3, "a tone curve has no steps"


def test_the_palette_counts_colours_and_values() -> None:
    assert palette(np.array([[[1, 2, 3], [1, 2, 3], [9, 2, 4]]], np.uint8)) == (2, 2)


# detail


def test_halved_detail_is_lost_and_doubled_detail_gained() -> None:
    texture = np.random.default_rng(0).normal(0, 10, (128, 128)).astype(np.float32)
    half, double = detail_difference(texture, 0.5 * texture), detail_difference(texture, 2 * texture)
    # white texture of 10 levels: nearly all of it above LEAST_FREQUENCY, half of it lost
    assert half.lost == pytest.approx(5.0, rel=0.05) and half.gained == 0.0
    assert double.gained == pytest.approx(10.0, rel=0.05) and double.lost == 0.0
    assert half.strange < 0.01 and set(np.round(half.transfer, 3)) == {0.5}


def test_added_noise_is_strange_everywhere_and_white() -> None:
    rng = np.random.default_rng(0)
    texture = rng.normal(0, 20, (256, 256)).astype(np.float32)
    found = detail_difference(texture, texture + rng.normal(0, 6, texture.shape).astype(np.float32))
    assert found.strange == pytest.approx(6.0, rel=0.06) and found.lost < 1.0
    assert found.roughness == pytest.approx(1.0, abs=0.1) and found.quiet == pytest.approx(found.busy, rel=0.1)


def test_the_roll_off_of_a_gaussian_and_of_a_sharp_filter() -> None:
    from snellen.comparison.detail_difference import _EDGES

    middle = (_EDGES[:-1] + _EDGES[1:]) / 2
    # exp(-k f^2) is 0.9 and 0.2 where k f^2 = 0.105 and 1.609: a ratio of sqrt(15.3) = 3.91
    assert roll_off(tuple(np.exp(-np.log(5) * (middle / 0.35) ** 2))) == pytest.approx(3.91, abs=0.15)
    assert roll_off(tuple(1.0 if f < 0.25 else 0.0 for f in middle)) < 1.2
    assert roll_off((1.0,) * 13) == float("inf")


def test_a_grid_of_8_px_is_found_in_the_difference() -> None:
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.normal(0, 5, (16, 16)), np.ones((8, 8)))
    noise = rng.normal(0, 1, blocks.shape)
    assert block_grid(blocks + noise) > 1.0 > 0.3 > block_grid(noise)


def test_repeated_lines_of_an_enlargement() -> None:
    reference = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    enlarged = np.repeat(np.repeat(reference[::2, ::2], 2, axis=0), 2, axis=1)
    assert repeated_lines(reference, enlarged) == pytest.approx(16 / 31)
    assert repeated_lines(reference, reference) == 0.0


def test_replaced_and_unchanged_blocks() -> None:
    reference = np.zeros((64, 64), np.float32)
    picture = reference.copy()
    picture[:16, :16] = 100  # one of 16 blocks of 16 px; four of 64 of 8 px
    assert replaced_share(reference, picture) == pytest.approx(1 / 16)
    pixels = [np.repeat(values.astype(np.uint8)[..., None], 3, axis=2) for values in (reference, picture)]
    assert list(unchanged(*pixels)) == pytest.approx([60 / 64, 4 / 64])


# regions


def test_equal_pictures_differ_nowhere() -> None:
    regions, differences = measure_regions(SCENE, SCENE)
    assert regions == [] and differences.max() == 0.0


def test_black_and_white_differ_by_100_units() -> None:
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert difference_map(black, white) == pytest.approx(np.full((2, 2), 100.0), abs=0.01)


def test_changed_cells_make_a_box_and_scattered_ones_the_whole_picture() -> None:
    differences, same = np.zeros((160, 320)), np.ones((160, 320), bool)
    differences[32:64, 160:240], same[32:64, 160:240] = 10.0, False
    assert changed_regions(differences, same) == (Region(0.5, 0.2, 0.75, 0.4),)
    assert changed_regions(differences, np.zeros_like(same)) == (FULL,), "everything else has changed a little as well"
    assert changed_regions(differences / 10, same) == (), "too little to be seen"


# kinds

CASES = [
    ("gaussian_blur", 4, "blur"), ("motion_blur", 4, "motion blur"), ("white_noise", 3, "noise"),
    ("jpeg", 4, "compression"), ("pixelate", 4, "pixelation"), ("quantization", 5, "banding"),
    ("sharpen", 3, "oversharpening"), ("brighten", 3, "overexposure"), ("darken", 4, "underexposure"),
    ("haze", 3, "low contrast"), ("color_diffusion", 3, "color cast"), ("saturation_hsv", 3, "saturation"),
    ("color_block", 3, "corruption"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "level", "kind"), CASES)
def test_every_kind_of_the_vocabulary_is_told(name: str, level: int, kind: str) -> None:
    picture = distort(SCENE, name, level, np.random.default_rng(0))
    found = name_differences(measure_regions(SCENE, picture)[0])
    assert found and found[0].issue.kind == kind, found


def test_the_cases_and_the_limits_hold_every_kind() -> None:
    assert {kind for _, _, kind in CASES} == set(KINDS) == set(LIMITS)
    assert all(list(limits) == sorted(limits) for limits in LIMITS.values())


def test_the_severity_counts_limits() -> None:
    assert [Finding("noise", size, "").severity for size in (1.1, 1.2, 7.5, 99.0)] == [0, 1, 3, 5]


def test_a_fault_in_a_box_has_that_box() -> None:
    box = Region(0.4, 0.3, 0.9, 0.9)
    picture = distort(SCENE, "white_noise", 5, np.random.default_rng(0), box)
    (found,) = name_differences(measure_regions(SCENE, picture)[0])
    assert found.issue.kind == "noise" and found.issue.region.iou(box) > 0.6


# alignment


def picture(pixels: np.ndarray, name: str = "picture") -> Picture:
    return Picture(np.ascontiguousarray(pixels), name)


def test_a_turned_picture_is_turned_back() -> None:
    aligned = align(picture(SCENE), picture(np.rot90(SCENE)))
    assert (
        np.array_equal(aligned.reference, aligned.picture)
        and aligned.notes[0] == "the picture was turned back by 90 degrees to the right"
    )


def test_a_mirrored_picture_is_mirrored_back() -> None:
    aligned = align(picture(SCENE), picture(SCENE[:, ::-1]))
    assert np.array_equal(aligned.reference, aligned.picture) and aligned.notes == ("the picture was mirrored back",)


def test_the_larger_of_two_sizes_is_reduced() -> None:
    small = SCENE.reshape(96, 2, 128, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
    aligned = align(picture(SCENE), picture(small))
    assert aligned.picture is small or np.array_equal(aligned.picture, small)
    assert aligned.notes == ("the reference was reduced from 256x192 to 128x96 px",)


def test_a_crop_is_found_in_the_reference() -> None:
    aligned = align(picture(SCENE), picture(SCENE[17:, 30:-9]))
    assert np.array_equal(aligned.reference, SCENE[17:, 30:-9]) and np.array_equal(aligned.picture, aligned.reference)


def test_a_shift_by_whole_pixels_keeps_every_pixel() -> None:
    aligned = align(picture(SCENE[:-4, :-7]), picture(SCENE[4:, 7:]))
    assert np.array_equal(aligned.reference, aligned.picture) and aligned.picture.shape == (184, 242, 3)
    assert aligned.notes == ("the reference was moved by -7.00 px to the right and -4.00 px down",)


def test_a_shift_by_parts_of_a_pixel_moves_the_reference_only() -> None:
    smooth = distort(SCENE, "gaussian_blur", 4, np.random.default_rng(0))
    shifted = moved(smooth, 0.4, -0.3)
    assert shift_between(smooth, shifted) == pytest.approx((0.4, -0.3), abs=0.051)
    aligned = align(picture(smooth), picture(shifted))
    assert np.array_equal(aligned.picture, shifted)
    assert np.abs(aligned.reference.astype(float) - shifted).mean() < 0.5


@pytest.mark.parametrize(
    ("other", "problem"),
    [(scene(seed=1), "does not show"), (SCENE[:, :100], "crop both|does not show"), (SCENE[:40, :40], "64 px")],
)
def test_what_cannot_be_aligned_is_refused_with_the_remedy(other: np.ndarray, problem: str) -> None:
    if other.shape == (192, 100, 3):
        other = scene(192, 100, seed=3)
    with pytest.raises(AlignmentError, match=problem) as caught:
        align(picture(SCENE), picture(other))
    assert caught.value.remedy


def test_flat_pictures_are_aligned_as_they_are_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aligned = align(picture(np.full((96, 96, 3), 100, np.uint8)), picture(np.full((96, 96, 3), 130, np.uint8)))
    assert aligned.notes == () and aligned.picture.shape == (96, 96, 3)


def test_pictures_of_two_sizes_are_not_compared_by_their_flat_corners() -> None:
    # the detail of both meets where 55 rows are left, too few to compare; the upper left corners are equal
    first, second = np.full((100, 400, 3), 120, np.uint8), np.full((100, 300, 3), 120, np.uint8)
    first[55:95, 200:290] = second[10:50, 200:290] = SCENE[:40, 100:190]
    with pytest.raises(AlignmentError, match="300x100 px"):
        align(picture(first), picture(second))


def test_a_displaced_tile_and_a_warped_picture() -> None:
    luma = SCENE.astype(np.float32).mean(axis=2)
    assert tile_displacement(luma[:64, 100:164], luma[3:67, 104:168]) == pytest.approx(5.0)
    assert tile_displacement(luma[:64, 100:164], 0.5 * luma[:64, 100:164]) == 0.0
    rows, columns = np.mgrid[:192, :256]
    turned = luma[np.clip(rows + (columns - 128) // 24, 0, 191), np.clip(columns - (rows - 96) // 24, 0, 255)]
    warp = find_warp(luma, turned)
    assert warp is not None and 2 <= warp.largest <= 8 and find_warp(luma, luma) is None


# measures, result, page


def test_equal_pictures_have_the_best_value_of_every_measure() -> None:
    pytest.importorskip("flip_evaluator")
    big = scene(256, 256)
    worse = distort(big, "jpeg", 4, np.random.default_rng(0))
    same, other = measure_all(big, big), measure_all(big, worse)
    for measure in MEASURES:
        assert same[measure.name] == pytest.approx(measure.same, abs=1e-6)
        one, two = same[measure.name], other[measure.name]
        assert one is not None and two is not None and (two < one) == measure.higher


def test_a_measure_has_a_smallest_side_and_a_largest_picture() -> None:
    (measure,) = [one for one in MEASURES if one.name == "SSIMULACRA 2"]
    assert measure.fits(256, 256) and not measure.fits(4000, 255)
    assert measure.fits(2000, 4000) and not measure.fits(2001, 4000), "8 megapixels at most: 0.47 GB each"


def test_the_psnr_of_a_shift_by_one_level() -> None:
    pytest.importorskip("skimage")
    grey = np.full((64, 64, 3), 100, np.uint8)
    found = measure_all(grey, grey + np.uint8(1))
    assert found["PSNR"] == pytest.approx(20 * np.log10(255))  # 48.13 dB
    assert found["SSIMULACRA 2"] is None, "64 px are too few for its six scales"


def rated(kind: str | None = None) -> Assessor:
    issues = (Issue(kind, 2, FULL),) if kind else ()
    return Assessor(ScriptedBackend(lambda turns: render_reply(None, Answer(None, 3.0, "final", issues), 1)))


def test_the_result_holds_measures_differences_and_the_judge() -> None:
    noisy = picture(distort(SCENE, "white_noise", 4, np.random.default_rng(0)), "noisy")
    result = compare_with_reference(
        rated("noise"), picture(SCENE, "original"), [noisy, picture(scene(seed=9), "other")]
    )
    first, second = json.loads(json.dumps(result.to_dict()))["pictures"]
    assert first["differences"][0]["kind"] == "noise" and first["judge"]["issues"][0]["kind"] == "noise"
    assert (
        first["measures"]["PSNR"]["value"] < 30
        and not first["identical"]
        and "noise" in first["text"].replace("grain", "noise")
    )
    assert "does not show" in second["problem"] and second["measures"] is None
    page = reference_page(result)
    assert page.count('class="layer photo"') == 3 and "does not show" in page and "SSIMULACRA 2" in page


def test_the_same_picture_has_no_difference_and_says_so() -> None:
    (one,) = compare_with_reference(rated(), picture(SCENE), [picture(SCENE, "copy")]).pictures
    row = one.to_dict()
    assert row["identical"] and row["differences"] == [] and row["measures"]["PSNR"]["value"] is None
    assert "Nothing" in row["text"]


def test_words_name_fault_and_place() -> None:
    text = against_reference([Issue("banding", 4, Region(0, 0, 0.3, 0.3))], seed=1)
    assert "strong banding" in text and "reference" in text
    assert text == against_reference([Issue("banding", 4, Region(0, 0, 0.3, 0.3))], seed=1)


def test_a_pseudo_reference_widens_the_interval() -> None:
    from snellen.comparison.preference import NORMAL_95
    from snellen.restoration.loop import restore

    source = noise_picture(seed=1)
    made = Generated(restore(source, rated()), (3.0, 3.5), (0.3, 0.4))
    half = NORMAL_95 * np.sqrt(0.3**2 + 0.4**2 + REFERENCE_STD**2)
    assert made.interval == pytest.approx((0.5 - half, 0.5 + half)) and not made.repaired


def test_without_a_repair_there_is_no_pseudo_reference_and_it_is_said() -> None:
    from snellen.comparison.reference import compare_with_generated

    result = compare_with_generated(rated(), [picture(SCENE)])
    row = result.to_dict()["pictures"][0]
    assert result.to_dict()["reference_is"] == "generated" and row["measures"] is None
    assert "no pseudo-reference" in row["problem"] and row["pseudo_reference"]["repaired"] is False
    assert "no true reference" in reference_page(result)


def test_the_map_is_black_where_equal_and_white_at_the_top() -> None:
    assert draw_map(np.array([[0.0, 20.0, 50.0]])).tolist() == [[[0, 0, 0], [255, 255, 255], [255, 255, 255]]]


def test_nothing_is_shown_of_no_pictures() -> None:
    assert "<article" not in reference_page(ReferenceComparison(None, ()))


def test_each_compared_picture_is_counted_also_one_that_does_not_fit() -> None:
    seen: list[int] = []
    sources = [picture(SCENE, "copy"), picture(scene(seed=9), "other")]
    compare_with_reference(rated(), picture(SCENE), sources, lambda: seen.append(1))
    assert len(seen) == 2
