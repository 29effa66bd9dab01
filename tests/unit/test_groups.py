"""Near-duplicates, bursts, and the best of a group with its reason."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from snellen.apps.browse.groups import Proposal, Scored, better, group_pictures, propose
from snellen.apps.browse.thumbnail import SIDE, gray_levels, make_thumbnail
from snellen.reading import ImageError

NAN = float("nan")


def waves(phase: float) -> npt.NDArray[np.float32]:
    """Gray levels of 16 x 16 waves; those of phases 0 and 0.2 correlate with cos 0.2 = 0.98, 0 and 1.6 with -0.03."""
    x, y = np.meshgrid(np.arange(16), np.arange(16))
    levels = np.cos(2 * np.pi * (x + 2 * y) / 16 + phase).ravel().astype(np.float32)
    out: npt.NDArray[np.float32] = (levels / np.linalg.norm(levels)).astype(np.float32)
    return out


def groups(taken: list[float], hashes: list[int], phases: list[float]) -> list[int]:
    gray = np.stack([waves(phase) for phase in phases])
    return [int(one) for one in group_pictures(np.array(taken), np.array(hashes, np.uint64), gray)]


def test_near_duplicates_agree_in_hash_and_gray_levels_whenever_they_were_taken() -> None:
    ten, eleven = (1 << 10) - 1, (1 << 11) - 1
    assert groups([NAN] * 3, [0, ten, eleven << 40], [0, 0.2, 0]) == [0, 0, 2]
    assert groups([NAN] * 2, [0, ten], [0, 1.6]) == [0, 1], "as hashes of two plain skies do"


def test_pictures_of_a_burst_follow_within_seconds_and_agree_roughly() -> None:
    twenty, other = (1 << 20) - 1, ((1 << 21) - 1) << 40
    assert groups([0, 3, 6.1], [0, twenty, twenty], [0, 0.6, 1.2]) == [0, 0, 2], "3 s belong, 3.1 s do not"
    assert groups([0, 1], [0, other], [0, 0]) == [0, 1], "21 bits are too many"
    assert groups([0, 1], [0, twenty], [0, 1.6]) == [0, 1], "another scene in the same second"
    assert groups([5, 0, 2.5], [0, 0xFF << 30, 0xFFF], [0.6, -0.6, 0]) == [0, 0, 0], "by time, not by name"


def test_the_probability_of_being_better_is_that_of_normal_errors() -> None:
    # half intervals of 1.645 are standard deviations of 1: a difference of sqrt 2 is one deviation
    assert better(Scored(4.0, 1.6448536, {}), Scored(4.0 - 2**0.5, 1.6448536, {})) == pytest.approx(0.8413447)
    assert better(Scored(3.0, None, {}), Scored(2.0, None, {})) == 1.0
    assert better(Scored(2.0, 0.5, {}), Scored(2.0, 0.5, {})) == 0.5


def test_the_highest_score_wins_where_the_judge_is_sure() -> None:
    found = propose([Scored(2.0, 0.4, {}), None, Scored(4.0, 0.4, {"blur": 2})])
    assert found == Proposal(2, "the highest score, 4.00, better than the others with a probability of 0.99 or more")


def test_among_ties_the_least_severe_faults_decide_and_the_tie_is_stated() -> None:
    found = propose([Scored(3.6, 0.6, {"motion blur": 3}), Scored(3.5, 0.6, {"blur": 1}), Scored(1.0, 0.6, {})])
    assert found is not None
    assert found.best == 1
    assert found.why == "2 scores tie, 3.50 to 3.60; this one has the least faults: blur 1, the next motion blur 3"


def test_a_tie_that_nothing_breaks_is_called_one() -> None:
    found = propose([Scored(3.5, 0.6, {}), Scored(3.6, 0.6, {})])
    assert found == Proposal(1, "2 scores tie, 3.50 to 3.60, and their faults are as severe; this one has the "
                                      "higher score")  # fmt: skip


def test_a_group_without_scores_has_no_best() -> None:
    assert propose([None, None]) is None


def test_a_tie_of_pictures_whose_faults_were_not_looked_for_says_so() -> None:
    found = propose([Scored(3.5, 0.6, None), Scored(3.6, 0.6, None)])
    assert found == Proposal(1, "2 scores tie, 3.50 to 3.60; this one has the highest, and faults were not looked for")


def photo(path: Path, taken: str | None = None, part: str | None = None, turn: int = 1) -> Path:
    image = Image.fromarray(np.tile(np.arange(0, 240, dtype=np.uint8)[:, None, None], (4, 640, 3)))
    exif = Image.Exif()
    exif[0x0112] = turn
    if taken:
        exif[0x8769] = {0x9003: taken} | ({0x9291: part} if part else {})
    image.save(path, exif=exif)
    return path


def test_a_thumbnail_is_upright_small_and_knows_the_capture_time(tmp_path: Path) -> None:
    made = make_thumbnail(photo(tmp_path / "a.jpg", "2024:05:06 07:08:09", "25", turn=6))
    with Image.open(io.BytesIO(made.jpeg)) as image:
        assert image.size == (SIDE, 213)  # 960 x 640 stored, turned by 90 degrees: 960 high becomes wide
    assert made.taken == 1714979289.25  # 2024-05-06T07:08:09.25Z
    assert float(made.gray @ made.gray) == pytest.approx(1.0)


def test_no_time_or_a_broken_one_is_none_and_no_picture_is_an_error(tmp_path: Path) -> None:
    assert make_thumbnail(photo(tmp_path / "a.png")).taken is None
    assert make_thumbnail(photo(tmp_path / "b.jpg", "0000:00:00 00:00:00")).taken is None
    (tmp_path / "c.jpg").write_text("text")
    with pytest.raises(ImageError, match="c.jpg"):
        make_thumbnail(tmp_path / "c.jpg")


def test_a_picture_of_one_tone_is_like_none() -> None:
    assert not gray_levels(Image.new("RGB", (64, 64), "gray")).any()
