"""Temporal arithmetic: motion, faults, sampling, pooling. No decoder."""

from __future__ import annotations

from collections import deque
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from clips import pan, scene
from numpy.typing import NDArray

from snellen.image import Picture, load
from snellen.video.faults import (
    TemporalFault,
    Track,
    cadence_faults,
    departure,
    fault,
    find_faults,
    irregular_steps,
    local_median,
    moving_mean,
    runs,
    shake_strength,
    swings,
)
from snellen.video.frame import Frame, small_gray, small_size
from snellen.video.moments import Moment, Worst
from snellen.video.motion import compare, overlap, shift, stripes
from snellen.video.pooling import pool, standard_error, weights, worst_mean
from snellen.video.sampling import Sampler
from snellen.video.track import Tracker, is_cut

Frames = list[NDArray[np.uint8]]


def faults_of(frames: Frames, times: list[float] | None = None, views: bool = False) -> list[TemporalFault]:
    tracker = Tracker()
    for number, pixels in enumerate(frames):
        picture = load(pixels)
        tracker.add(Frame(times[number] if times else number / 30, small_gray(picture), partial(load, pixels)))
    return find_faults(tracker.track(), views=views)


def lit(frames: Frames, gains: list[float]) -> Frames:
    return [np.clip(frame * gain, 0, 255).astype(np.uint8) for frame, gain in zip(frames, gains, strict=True)]


# motion


@pytest.mark.parametrize(("right", "down"), [(3, -2), (-7, 0), (0, 5)])
def test_a_whole_pixel_motion_is_measured_exactly(right: int, down: int) -> None:
    gray = scene(200, 160)[:, :, 0]
    before, after = gray[30:130, 30:158], gray[30 - down : 130 - down, 30 - right : 158 - right]
    x, y, trust = shift(before, after)
    assert (x, y) == pytest.approx((right, down), abs=0.1) and trust > 0.3


def test_half_a_pixel_is_measured_as_about_half() -> None:
    wide = scene(300, 120)[:, :, 0].astype(np.float64)
    after = ((wide[:, 10:138] + wide[:, 9:137]) / 2).astype(np.uint8)
    assert shift(wide[:, 10:138].astype(np.uint8), after)[0] == pytest.approx(0.5, abs=0.15)


def test_flat_frames_have_no_motion() -> None:
    flat = np.full((50, 80), 90, np.uint8)
    assert shift(flat, flat) == (0.0, 0.0, 0.0)


def test_the_overlap_of_a_motion_shows_the_same_in_both() -> None:
    gray = scene(100, 80)[:, :, 0]
    old, new = overlap(gray[:, 5:65], gray[:, 2:62], 3, 0)
    assert old.shape == (80, 57) and (old == new).all()


def test_gain_is_the_logarithm_of_the_ratio_of_brightness() -> None:
    gray = np.full((40, 60), 100, np.uint8)
    gray[::2] = 99  # mean 99.5; brighter: 201
    brighter = np.full((40, 60), 200, np.uint8)
    assert compare(gray, brighter).gain == pytest.approx(np.log2(201 / 100.5))


def test_stripes_count_what_rows_do_and_columns_do_not() -> None:
    old = np.full((60, 60), 99.0)
    rows = 0.1 * np.sign(np.sin(2 * np.pi * np.arange(60) / 30 + 0.1))
    striped = (2.0 ** rows[:, None]) * 100 - 1 + np.zeros((1, 60))
    assert stripes(old, striped) == pytest.approx(0.1, abs=0.015)
    assert stripes(old, striped.T) == pytest.approx(stripes(old, striped))
    assert stripes(old, np.full((60, 60), 150.0)) == 0.0


def test_small_frames_are_even_and_never_enlarged() -> None:
    assert small_size(1280, 720) == (256, 144) and small_size(100, 60) == (100, 60) and small_size(33, 17) == (32, 16)


# series


def test_runs_are_first_and_last_of_true() -> None:
    assert runs(np.array([True, True, False, True])) == [(0, 1), (3, 3)]
    assert runs(np.array([False])) == []


def test_swings_go_from_turning_point_to_turning_point() -> None:
    assert swings(np.array([0.0, 1.0, 0.0, 1.0]), 0.5) == [(0, 1), (1, 2), (2, 3)]
    assert swings(np.array([0.0, 0.3, 0.2, 1.0, 0.9]), 0.5) == [(0, 3)]
    assert swings(np.array([0.0, 0.1, 0.0, 0.1]), 0.5) == []


def test_a_level_stretch_is_no_part_of_the_swing_that_follows() -> None:
    values = np.array([1.0, 1.0, 1.0, 0.6, 0.0, 0.0, 0.05])
    assert departure(values, 0, 4) == 2
    assert departure(values, 4, 0) == 4 and departure(values, 6, 0) == 4


def test_a_moving_mean_reaches_evenly_to_both_sides() -> None:
    values = np.array([0.0, 3.0, 6.0, 0.0, 0.0])
    assert moving_mean(values, np.arange(5.0), 1.0) == pytest.approx([0, 3, 3, 2, 0])


def test_a_local_median_leaves_out_the_frame_itself_and_what_is_not_usable() -> None:
    values, time = np.array([1.0, 50.0, 3.0, 5.0]), np.arange(4.0)
    usable = np.array([True, True, True, False])
    assert local_median(values, time, usable, 1.0) == pytest.approx([50, 2, 50, 3])
    assert np.isnan(local_median(values, time, np.zeros(4, bool))).all()


def test_shake_is_the_root_mean_square_around_the_smooth_path() -> None:
    moves = np.tile([0.01, -0.01], 60)  # 0.01, 0, 0.01, ...; of 15 positions around one, 8 are the other: 0.01 * 8 / 15
    strength = shake_strength(moves, np.zeros(120), np.arange(120) / 30)
    assert strength[60] == pytest.approx(0.01 * 8 / 15)
    assert shake_strength(np.full(120, 0.01), np.zeros(120), np.arange(120) / 30)[60] == pytest.approx(0.0, abs=1e-9)


def test_severity_follows_the_limits() -> None:
    assert [fault("freeze", 0, 1, value).severity for value in (0.4, 0.7, 1.5, 3.0, 9.0)] == [1, 2, 3, 4, 5]


def test_a_cut_cannot_be_aligned_where_the_steps_before_could() -> None:
    assert is_cut(40.0, deque([2.0, 3.0])) and not is_cut(40.0, deque([20.0, 30.0])) and not is_cut(5.0, deque([0.1]))


# faults of frames


def test_a_steady_pan_has_no_fault() -> None:
    assert faults_of(pan(60)) == []
    assert faults_of(pan(60, step=0))[0].kind == "freeze", "nothing moves"


def test_a_freeze_and_a_black_part_have_their_spans() -> None:
    frames = pan(90)
    for i in range(31, 51):
        frames[i] = frames[30]
    (freeze,) = faults_of(frames)
    assert freeze.kind == "freeze" and (freeze.start, freeze.end) == pytest.approx((1.0, 51 / 30))
    frames = pan(90)
    frames[30:45] = [np.full_like(frames[0], 3)] * 15
    (black,) = faults_of(frames)
    assert black.kind == "black" and (black.start, black.end) == pytest.approx((1.0, 1.5))


def test_a_repeated_frame_and_a_dropped_frame_are_told_apart() -> None:
    frames = pan(60)
    (repeated,) = faults_of([*frames[:30], frames[29], *frames[30:]])
    assert (repeated.kind, repeated.value) == ("repeated frames", 1.0)
    assert (repeated.start, repeated.end) == pytest.approx((29 / 30, 1.0))
    (dropped,) = faults_of([*frames[:30], *frames[31:]])
    assert dropped.kind == "dropped frames" and dropped.value == pytest.approx(2.0, abs=0.2)
    (filled,) = faults_of([*frames[:30], frames[29], *frames[31:]])
    assert filled.kind == "dropped frames"
    assert filled.start == pytest.approx(29 / 30) and filled.end == pytest.approx(31 / 30)


def test_a_gap_in_time_without_a_jump_of_the_picture_is_no_fault() -> None:
    frames = pan(40)
    gap = [i / 30 + (1.0 if i >= 20 else 0.0) for i in range(40)]
    assert faults_of(frames, gap) == []
    missing = [i / 30 for i in range(44) if not 20 <= i < 24]
    (dropped,) = faults_of([frame for i, frame in enumerate(pan(44)) if not 20 <= i < 24], missing)
    assert dropped.kind == "dropped frames" and dropped.value == pytest.approx(5.0, abs=0.3)


def test_many_irregular_steps_within_a_second_are_judder() -> None:
    frames = pan(90)
    pulled = [frame for i, frame in enumerate(frames) for frame in ([frame, frame] if i % 4 == 3 else [frame])]
    (judder,) = faults_of(pulled[:90])
    assert judder.kind == "judder" and judder.start < 0.3 and judder.end > 2.6


def test_shake_turns_round_and_a_pan_does_not() -> None:
    wide, rng = scene(400, 200), np.random.default_rng(1)
    offsets = rng.integers(-4, 5, size=(60, 2))
    frames = [wide[40 + y : 136 + y, 40 + x + 2 * i : 168 + x + 2 * i] for i, (x, y) in enumerate(offsets)]
    (found,) = faults_of([np.ascontiguousarray(frame) for frame in frames])
    assert found.kind == "shake" and found.start < 0.3 and found.end > 1.6


def test_fast_swings_of_brightness_are_flicker_and_slow_ones_pumping() -> None:
    frames = [np.clip(frame * 0.6 + 30, 0, 255).astype(np.uint8) for frame in pan(120)]
    (flicker,) = faults_of(lit(frames, [1.1 if 30 <= i < 60 and i % 2 else 1.0 for i in range(120)]))
    assert flicker.kind == "flicker" and (flicker.start, flicker.end) == pytest.approx((1.0, 2.0), abs=0.1)
    assert flicker.value == pytest.approx(10.0, abs=1.0)
    slow = [1.0 + 0.15 * np.sin(2 * np.pi * i / 30) for i in range(120)]
    (pumping,) = faults_of(lit(frames, slow))
    assert pumping.kind == "exposure pumping" and pumping.end - pumping.start > 3.0
    late = [1.0] * 60 + [1.0 - 0.15 * np.sin(2 * np.pi * i / 20) for i in range(60)]
    (pumping,) = faults_of(lit(frames, late))
    assert pumping.start == pytest.approx(2.0, abs=0.2), "not from the start of the level part"
    assert faults_of(lit(frames, list(np.linspace(0.5, 1.0, 120)))) == [], "a fade is no fault"


def test_stripes_that_roll_are_banding() -> None:
    frames = [np.clip(frame * 0.6 + 30, 0, 255).astype(np.uint8) for frame in pan(60)]
    rows = np.arange(96)[:, None, None]
    rolled = [frame * (1 + 0.1 * np.sin(2 * np.pi * (rows / 48 + i / 7))) for i, frame in enumerate(frames)]
    found = faults_of([np.clip(frame, 0, 255).astype(np.uint8) for frame in rolled])
    assert [one.kind for one in found] == ["banding"] and found[0].start < 0.3 and found[0].end > 1.6


def test_a_cut_is_neither_flicker_nor_a_dropped_frame() -> None:
    other = [np.clip(255 - frame[::-1].astype(int) // 2, 0, 255).astype(np.uint8) for frame in pan(30)]
    assert faults_of([*pan(30), *other, *pan(30)]) == []


def test_a_part_that_pops_is_looked_for_in_rendered_views_only() -> None:
    frames = pan(40)
    for i, frame in enumerate(frames[20:]):  # a part of the scene appears, and moves with it
        frame[10:40, 60 - 2 * i : 90 - 2 * i] = 255 - frame[10:40, 60 - 2 * i : 90 - 2 * i] // 2
    assert faults_of(frames) == []
    (pop,) = faults_of(frames, views=True)
    assert pop.kind == "popping" and pop.end == pytest.approx(20 / 30)


def test_two_frames_have_no_faults_and_no_step_is_irregular_without_events() -> None:
    assert faults_of(pan(2)) == []
    assert cadence_faults(empty(5), irregular_steps(empty(5), np.zeros(5, bool))) == []


def empty(count: int) -> Track:
    zeros = {name: np.zeros(count) for name in Track.__dataclass_fields__}
    return Track(**(zeros | {"time": np.arange(count) / 30}))


# scores


def test_each_sample_stands_for_the_time_up_to_halfway_to_its_neighbours() -> None:
    assert weights([0.0, 2.0, 4.0], 8.0) == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert weights([0.0], 0.0) == pytest.approx([1.0])


def test_the_pooled_interval_averages_the_halves_and_adds_the_sampling_error() -> None:
    same = pool([0.5, 1.5], [3.0, 3.0], [(2.5, 3.6), (2.7, 3.4)], 2.0)
    assert (same.score, same.low, same.high) == pytest.approx((3.0, 2.6, 3.5))
    apart = pool([0.5, 1.5], [2.0, 4.0], [(1.5, 2.5), (3.5, 4.5)], 2.0)
    # weighted variance 1, effective number 2: standard error sqrt(2) / sqrt(2) = 1; hypot(0.5, 1.645) = 1.719
    assert (apart.score, apart.low, apart.high) == pytest.approx((3.0, 1.281, 4.719), abs=1e-3)
    assert pool([0.0], [3.0], [None], 1.0).low is None
    with pytest.raises(ValueError, match="no scores"):
        pool([], [], [], 1.0)


def test_the_worst_tenth_takes_part_of_a_sample_where_needed() -> None:
    share = np.array([0.05, 0.45, 0.5])
    assert worst_mean(np.array([1.0, 4.0, 3.0]), share, 0.1) == pytest.approx((0.05 * 1 + 0.05 * 3) / 0.1)
    assert standard_error(np.array([3.0]), np.array([1.0])) == 0.0


def test_frames_are_chosen_evenly_and_at_cuts() -> None:
    sampler = Sampler(10.0, frames=5)
    chosen = [i / 10 for i in range(100) if sampler.wants(i / 10, cut=i == 31)]
    assert chosen == [0.0, 2.0, 3.1, 5.1, 7.1, 9.1]


def test_a_time_budget_spreads_what_is_left_over_the_rest() -> None:
    sampler = Sampler(10.0, frames=100, budget=5.0)
    assert sampler.wants(0.0, True)
    sampler.spent(1.0)  # 4 s left for 10 s of video at 1 s each: one every 2.5 s
    assert sampler.interval == pytest.approx(2.5)
    assert not sampler.wants(2.4, False) and sampler.wants(2.5, False)
    sampler.spent(4.0)
    assert not sampler.wants(9.9, True), "nothing is left"


def test_the_worst_moments_lie_apart() -> None:
    picture = Picture(np.zeros((16, 16, 3), np.uint8), "x")
    worst = Worst(2, apart=1.0)
    for time, score in [(0.0, 3.0), (0.5, 2.0), (1.4, 2.5), (3.0, 4.0), (5.0, 1.0), (9.0, 4.5)]:
        worst.add(Moment(time, score, picture))
    assert [(one.time, one.score) for one in worst.moments()] == [(5.0, 1.0), (0.5, 2.0)]


def test_views_are_ordered_by_their_numbers(tmp_path: Path) -> None:
    assert sorted(["view10.png", "view2.png"]) == ["view10.png", "view2.png"]
    pytest.importorskip("av")
    from snellen.video.views import natural

    assert sorted(["view10.png", "view2.png", "a.png"], key=natural) == ["a.png", "view2.png", "view10.png"]
