"""Motion blur and codings without a grid: how the check sees them, and the tool against motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from snellen.data.distort import distort
from snellen.region import FULL
from snellen.restoration import check, motion
from snellen.restoration.tool import Job, Pixels, luma, repair, to_pixels
from snellen.restoration.toolbox import TOOLS

MOUNTAINS = Path(__file__).parents[2] / "examples" / "mountains.jpg"


def error(one: Pixels, other: Pixels) -> float:
    return float(((one.astype(float) - other) ** 2).mean())


@pytest.mark.parametrize(("axis", "angle"), [(1, 0.0), (0, np.pi / 2)])
def test_the_line_of_a_motion_has_its_angle_and_length(axis: int, angle: float) -> None:
    sharp = np.random.default_rng(0).normal(128, 30, (128, 128))
    assert motion.motion_line(ndimage.uniform_filter1d(sharp, 7, axis=axis)) == pytest.approx((angle, 7.0), abs=0.5)


def test_detail_falls_along_a_motion_and_the_check_wants_it_back_there() -> None:
    texture = np.random.default_rng(0).integers(60, 196, (256, 256, 1), np.uint8)
    sharp = np.repeat(ndimage.gaussian_filter(texture, (1.0, 1.0, 0)), 3, axis=2)
    moved = ndimage.uniform_filter1d(sharp, 5, axis=1)
    excess = check.directed_excess(luma(moved))
    # a mean of 5 px keeps about sinc^2(5 f) of the power: 0.9 to 0.4 of it up to 0.1 cycles a px, at most 0.05 from 0.2
    assert 2.5 < excess[0] == -excess[6] < 3.5
    (tool,) = [tool for tool in TOOLS if tool.name == "wiener-line"]
    still = repair(moved, FULL, tool, tool.settings[0])
    assert error(still, sharp) < error(moved, sharp) / 2
    assert check.check_change(moved, still, "motion").passed
    assert not check.check_change(sharp, repair(sharp, FULL, tool, tool.settings[0]), "motion").passed
    assert "one direction" in check.check_change(moved, still, "blur").reason, "a deconvolution to all sides is refused"


def test_a_moved_part_is_deconvolved_by_a_shorter_line_than_a_whole_picture() -> None:
    moved = ndimage.uniform_filter1d(np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8), 9, axis=1)
    part = motion.still(Job(moved, np.full((96, 96), 0.5)), times=1.0, balance=0.01)
    assert np.array_equal(part, motion.still(Job(moved, np.ones((96, 96))), times=0.6, balance=0.01))


def test_emptied_blocks_beside_full_ones_look_coded() -> None:
    light = np.full((64, 64), 100.0)
    assert check.fine_detail(light).max() == 0.0 and check.fine_detail(np.zeros((64, 64))).tolist() == [0.0]
    light[:, ::2] += 6  # columns of 100 and 106: the kernel's rows add up to 0, so columns alone leave nothing
    assert check.fine_detail(light).max() == 0.0
    board = 100 + 6.0 * (np.indices((64, 64)).sum(axis=0) % 2)
    # a board of 0 and 6: weights of +8 on one colour and -8 on the other make 6 x 8 / 6; at the border it is mirrored
    assert np.median(check.fine_detail(board)) == pytest.approx(8.0)


def test_the_coding_of_webp_is_seen_without_a_grid() -> None:
    mountains = Image.open(MOUNTAINS).convert("RGB").resize((480, 360), Image.Resampling.LANCZOS)
    sharp = np.asarray(mountains)
    coded = distort(sharp, "webp", 4, np.random.default_rng(0))
    gentle, smeared = (to_pixels(ndimage.gaussian_filter(coded.astype(float), (s, s, 0))) for s in (0.5, 3.0))
    assert check.grid_harmonics(luma(coded)) < check.BLOCKY
    assert check.check_change(coded, gentle, "coding").passed
    assert check.check_change(coded, smeared, "coding").reason == "detail was lost"
    refused = check.check_change(sharp, gentle, "coding")
    assert not refused.passed and "emptied" in refused.reason
