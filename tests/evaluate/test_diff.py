from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snellen.data.sample import Sample
from snellen.data.synthesize import Recipe
from snellen.evaluate import DataSet, diff_runs
from snellen.evaluate.diff import leaves, tables
from snellen.evaluate.files import write_json, write_predictions
from snellen.evaluate.modes import ONE, TWO
from snellen.evaluate.rows import Round, Row
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.suites.local_faults import variant_of
from snellen.region import Region
from snellen.reply import Issue
from snellen.usage import UsageError

KEYS = [f"d/{i}" for i in range(60)]
MOS = np.round(np.random.default_rng(0).uniform(1, 5, 60), 2)


def run(folder: Path, scores: dict[str, np.ndarray], mos: np.ndarray = MOS, extra: object = 1.0) -> Path:
    """What a run leaves behind, with scores by mode."""
    folder.mkdir()
    data = DataSet("d", {key: Sample(key, float(m), split="test") for key, m in zip(KEYS, mos, strict=True)})
    rows = [
        Row("scores", key, "", mode, "m 1", None if np.isnan(s) else float(s), error="x" if np.isnan(s) else None)
        for mode, those in scores.items()
        for key, s in zip(KEYS, those, strict=True)
    ]
    write_predictions(rows, [data], folder)
    write_json({"calibration": {"d": {"coverage": [0.9, 0.8, extra], "n": 60}}, "same": 1}, folder / "summary.json")
    return folder


def noisy(sigma: float, seed: int) -> np.ndarray:
    return MOS + sigma * np.random.default_rng(seed).normal(size=60)


def test_differences_are_paired_and_have_the_sign_of_first_minus_second(tmp_path: Path) -> None:
    good, bad = noisy(0.3, 1), noisy(2.0, 2)
    bad[7] = np.nan
    found = diff_runs(run(tmp_path / "a", {TWO: good}), run(tmp_path / "b", {TWO: bad}))
    row = found["paired"]["d, two rounds"]
    there = ~np.isnan(bad)
    assert row["n"] == 59 and row["in one run only"] == 1
    assert row["srcc"]["first"] == metrics.srcc(good[there], MOS[there])
    value, low, high = row["srcc"]["difference"]
    assert value == row["srcc"]["first"] - row["srcc"]["second"] and 0 < low < value < high
    assert row["rmse"]["difference"][2] < 0, "less error"
    assert row["mean difference"] == pytest.approx(float(np.mean(good[there] - bad[there])))
    srcc = tables(found)[0].rows[0]
    assert srcc[:3] == ["d, two rounds", "59", "SRCC"] and srcc[-1] == "yes"


def test_a_run_against_itself_is_no_difference(tmp_path: Path) -> None:
    first = run(tmp_path / "a", {TWO: noisy(0.5, 1)})
    found = diff_runs(first, first)
    assert found["paired"]["d, two rounds"]["krcc"]["difference"] == (0.0, 0.0, 0.0)
    assert [line[-1] for line in tables(found)[0].rows] == ["no"] * 4 and len(tables(found)) == 1


def test_main_modes_are_compared_where_they_differ(tmp_path: Path) -> None:
    first = run(tmp_path / "a", {TWO: noisy(0.3, 1), "brisque": noisy(1, 3)})
    second = run(tmp_path / "b", {ONE: noisy(0.4, 2), "brisque": noisy(1, 3)})
    paired = diff_runs(first, second)["paired"]
    assert list(paired) == ["d, brisque", "d, two rounds against one round"]
    assert "rmse" not in paired["d, brisque"] and "rmse" in paired["d, two rounds against one round"]


def test_numbers_of_the_summaries_are_put_side_by_side(tmp_path: Path) -> None:
    first = run(tmp_path / "a", {TWO: noisy(0.3, 1)})
    second = run(tmp_path / "b", {TWO: noisy(0.3, 1)}, extra=0.95)
    write_json({"calibration": {"d": {"coverage": [0.8, 0.7, 0.9], "n": 60}}, "other": 2}, second / "summary.json")
    found = diff_runs(first, second)
    assert found["summaries"] == {"calibration / d / coverage": (0.9, 0.8), "calibration / d / n": (60.0, 60.0)}
    assert tables(found)[1].rows == [["calibration / d / coverage", "0.9000", "0.8000", "0.1000"]]
    assert dict(leaves({"a": [1, 2], "b": None, "c": True, "d": [1.0, 0.5, 2.0]})) == {"d": 1.0}


def grounded(folder: Path, found: list[tuple[bool, bool, bool]]) -> Path:
    """What a run of the grounding suite leaves behind: of each pair of pictures, one clean, one with noise in a corner,
    whether the crop holds the noise, whether it is named, and whether a fault is claimed of the clean one."""
    folder.mkdir()
    corner, rest, whole = Region(0.0, 0.0, 0.3, 0.3), Region(0.5, 0.5, 1.0, 1.0), Region(0.0, 0.0, 1.0, 1.0)
    rows = []
    for i, (held, named, alarm) in enumerate(found):
        for distortion, crop, said in (("white_noise", corner if held else rest, named), (None, rest, alarm)):
            recipe = Recipe(f"p/{i}", whole, 4.0, distortion, 4, corner, 7)
            issues = (Issue("noise", 4, corner),) if said else ()
            rounds = tuple(
                Round(region, rating, rating, 0.1, 1.0, (), issues, 9, "", "stop", None, None)
                for region, rating in ((whole, recipe.base - 1.0), (crop, recipe.mos - 0.5))
            )
            rows.append(Row("grounding", f"p/{i}", variant_of(recipe), TWO, "m 1", recipe.mos, rounds=rounds))
    write_predictions(rows, [], folder)
    write_json({"pictures": len(rows)}, folder / "summary.json")
    return folder


def test_claims_and_crops_are_compared_picture_by_picture(tmp_path: Path) -> None:
    good = grounded(tmp_path / "a", [(True, i % 4 != 0, False) for i in range(40)])
    bad = grounded(tmp_path / "b", [(i % 2 == 0, i % 4 == 1, i % 4 == 0) for i in range(40)])
    found = diff_runs(good, bad)
    shares = found["rates"]
    assert {name: (row["n"], row["first"], row["second"]) for name, row in shares.items()} == {
        "local faults, level 3-5: crop covers half": (40, 1.0, 0.5),
        "local faults, level 3-5: right kind": (40, 0.75, 0.25),
        "clean pictures: false alarm": (40, 0.0, 0.25),
        "local faults: score drop closer in the last round": (40, 1.0, 1.0),  # the first round has no drop at all
    }
    value, low, high = shares["local faults, level 3-5: crop covers half"]["difference"]
    assert value == 0.5 and 0.3 < low < 0.5 < high < 0.7
    assert shares["local faults: score drop closer in the last round"]["difference"] == (0.0, 0.0, 0.0)
    assert found["paired"]["local faults, two rounds"]["n"] == 80
    rows = next(table for table in tables(found) if table.title.startswith("Issues")).rows
    assert rows[0][:4] == ["clean pictures: false alarm", "40", "0.0 %", "25.0 %"] and rows[0][-1] == "yes"


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    first = run(tmp_path / "a", {TWO: noisy(0.3, 1)})
    with pytest.raises(UsageError, match="another MOS"):
        diff_runs(first, run(tmp_path / "b", {TWO: noisy(0.3, 1)}, mos=np.roll(MOS, 1)))
    with pytest.raises(UsageError, match="no picture in common"):
        diff_runs(first, run(tmp_path / "c", {TWO: np.full(60, np.nan)}))
    with pytest.raises(UsageError, match="holds no predictions"):
        diff_runs(first, tmp_path)
    (tmp_path / "a" / "summary.json").unlink()
    with pytest.raises(UsageError, match=r"summary\.json cannot be read"):
        diff_runs(first, first)
