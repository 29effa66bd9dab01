from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluate_rows import pristine_set, row

from snellen.data.extremes import LADDERS, extreme
from snellen.evaluate.report.tables import Table
from snellen.evaluate.rows import Row
from snellen.evaluate.suites.extremes import SUITE, jobs, largest_rise, summarise


def test_the_largest_rise_is_from_the_lowest_score_of_a_milder_step() -> None:
    assert largest_rise(np.array([4.0, 3.0, 2.0, 2.05, 1.0])) == pytest.approx(0.05)
    assert largest_rise(np.array([4.0, 2.0, 2.2, 2.5])) == pytest.approx(0.5)  # in two steps of 0.2 and 0.3
    assert largest_rise(np.array([4.0, 3.0, 1.0])) == 0.0


def rows_of(key: str, blur: list[float]) -> list[Row]:
    """A photograph whose score falls along every ladder but, perhaps, blur; clean it has 4.5."""
    rows = [row("extremes", key, 4.5, variant="clean")]
    for ladder, steps in LADDERS.items():
        scores = blur if ladder == "blur" else [4.0 - 0.4 * step for step in range(len(steps))]
        rows += [row("extremes", key, score, variant=f"{ladder} {step}") for step, score in enumerate(scores)]
    return rows


def test_a_score_that_rises_again_fails_its_ladder_only() -> None:
    falls, rises = [4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0], [4.0, 3.5, 3.0, 2.5, 2.0, 2.6, 3.2]
    found = summarise([*rows_of("a", falls), *rows_of("b", rises)], [])["two rounds"]
    assert found["photographs"] == 2 and found["all ladders"][0] == 0.5
    assert found["ladders"]["blur"]["never rises"][0] == 0.5
    assert found["ladders"]["blur"]["largest rise"] == pytest.approx(1.2)
    assert found["ladders"]["blur"]["means"] == pytest.approx([4.5, 4.0, 3.5, 3.0, 2.5, 2.0, 2.05, 2.1])
    assert found["ladders"]["noise"]["never rises"][0] == 1.0 and found["ladders"]["noise"]["largest rise"] == 0.0


def test_a_missing_score_passes_nothing() -> None:
    rows = [one for one in rows_of("a", [4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0]) if one.variant != "noise 2"]
    found = summarise(rows, [])["two rounds"]
    assert found["all ladders"][0] == 0.0 and found["ladders"]["blur"]["never rises"][0] == 1.0


def test_jobs_make_every_step_and_the_table_names_them(tmp_path: Path) -> None:
    sets = [pristine_set(tmp_path / "clean", 1)]
    made = jobs(sets, ("two rounds", "brisque"), tmp_path)
    assert len(made) == 1 + sum(map(len, LADDERS.values())) and {one.modes for one in made} == {("two rounds",)}
    rows = rows_of("a", [4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0])
    (table,) = SUITE.show(summarise(rows, sets), rows, sets)
    assert isinstance(table, Table)
    assert [line[1] for line in table.rows] == list(LADDERS) and "1, 2, 4, 8, 16, 32, 64" in table.note


def test_the_last_steps_leave_almost_nothing() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 96, 3), np.uint8)
    assert extreme(pixels, "blur", 6).std() < 0.1 * pixels.std()
    assert extreme(pixels, "darkness", 6).max() == 13  # 5 % of 255, rounded
    gray = np.full((64, 96, 3), 128, np.uint8)
    noise = extreme(gray, "noise", 0).astype(float) - 128.0
    assert noise.std() == pytest.approx(5.0, rel=0.05) and abs(noise.mean()) < 0.2
    assert np.array_equal(extreme(gray, "noise", 3, seed=1), extreme(gray, "noise", 3, seed=1))
    assert not np.array_equal(extreme(pixels, "compression", 7), extreme(pixels, "compression", 0))
