from __future__ import annotations

import numpy as np
import pytest

from snellen.evaluate.stats.fault_drop import score_drops

PHOTOGRAPHS = ["a", "a", "a", "b"]
CLEAN = [True, True, False, False]
SCORES = [[3.9, 3.8], [4.1, 4.0], [3.6, 3.1], [3.6, 3.1]]  # of the first and the last round


def test_a_drop_is_from_the_clean_pictures_of_the_photograph_round_by_round() -> None:
    drops = score_drops(PHOTOGRAPHS, CLEAN, SCORES)
    assert drops[2].tolist() == pytest.approx([4.0 - 3.6, 3.9 - 3.1])
    assert np.isnan(drops[[0, 1, 3]]).all(), "clean pictures, and a photograph without one"


def test_an_offset_of_the_judge_changes_no_drop() -> None:
    shifted = np.array(SCORES) - 0.7
    assert score_drops(PHOTOGRAPHS, CLEAN, shifted)[2] == pytest.approx(score_drops(PHOTOGRAPHS, CLEAN, SCORES)[2])
