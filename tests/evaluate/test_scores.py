from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from snellen.data.sample import Sample
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.modes import ONE, TWO
from snellen.evaluate.report.tables import Figure, Table
from snellen.evaluate.rows import Round, Row
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.suites import scores
from snellen.region import FULL, Region


def made(key: str, mode: str, score: float | None, rating: float | None = None, crop: bool = False) -> Row:
    """A row as `predict` gives it; `rating` is the written one."""
    said = Round(FULL, rating, score, 0.3, 1.0, (), (), 40, "", "stop", None if score else "bad_json: x", None)
    rounds = () if mode not in (TWO, ONE) else (said, replace(said, region=Region(0, 0, 0.5, 0.5)))[: 1 + crop]
    interval = None if score is None or not rounds else (score - 0.5, score + 0.5)
    error = None if score is not None else "unparsable_reply"
    return Row("scores", key, "", mode, "m 1", score, interval, None, 9, 9, rounds, error, None if score else "no JSON")


@pytest.fixture
def data() -> DataSet:
    mos = [1.2, 1.9, 2.2, 2.4, 3.0, 3.3, 3.4, 4.1, 4.2, 4.8]
    parts = ["a", "b"] * 5
    samples = {f"d/{i}": Sample(f"{i}.png", m, 0.4, 16, "test", f"g{i}", subset=parts[i]) for i, m in enumerate(mos)}
    samples["d/train"] = Sample("train.png", 3.0, split="train", group="g3")
    samples["d/unrated"] = Sample("unrated.png", split="test")
    return DataSet("d", samples)


SAID = [1.5, 1.7, 2.6, 2.5, 2.9, 3.6, 3.2, 3.9, 4.4, None]


@pytest.fixture
def rows(data: DataSet) -> list[Row]:
    keys = [f"d/{i}" for i in range(10)]
    rng = np.random.default_rng(0)
    found = [made(key, TWO, said, said and round(said, 1), crop=True) for key, said in zip(keys, SAID, strict=True)]
    found += [made(key, ONE, float(rng.uniform(1, 5))) for key in keys]
    return found + [made(key, "brisque", -30.0 - i) for i, key in enumerate(keys)]


def test_jobs_are_the_rated_pictures_of_the_test_split(data: DataSet) -> None:
    todo = scores.jobs([data], (TWO, "piqe"), Path("unused"))
    assert [job.key for job in todo] == [f"d/{i}" for i in range(10)]
    assert todo[0].modes == (TWO, "piqe") and todo[3].source == "3.png"
    untested = DataSet("e", {"e/a": Sample("a.png", 2.0), "e/b": Sample("b.png")})
    assert [job.key for job in scores.jobs([untested], (TWO,), Path("unused"))] == ["e/a"], "no test split: all rated"


def test_a_baseline_that_was_given_fewer_pictures_counts_those_only(data: DataSet, rows: list[Row]) -> None:
    fewer = [row for row in rows if row.mode != "brisque" or int(row.key[-1]) % 2]
    found = scores.summarise(fewer, [data])["d"]
    assert (found["modes"]["brisque"]["n"], found["modes"]["brisque"]["missing"]) == (5, 0)
    mos = [data.samples[f"d/{i}"].mos for i in (1, 3, 5, 7, 9)]
    assert found["modes"]["brisque"]["srcc"][0] == pytest.approx(stats.spearmanr([-1, -3, -5, -7, -9], mos)[0])
    assert math.isnan(found["main minus"]["brisque"][0]), "four pictures have both scores: too few"
    table = next(
        part for part in scores.show(scores.summarise(fewer, [data]), fewer, [data]) if isinstance(part, Table)
    )
    assert [line[1] for line in table.rows] == ["9 of 10", "10", "5 of 10"]


def test_the_worst_misses_come_first(data: DataSet, rows: list[Row]) -> None:
    worst = scores.worst_misses([row for row in rows if row.mode == TWO], data.samples)
    assert [row.key for row in worst][0] == "d/2", "0.4 off"
    assert {row.key for row in worst[1:3]} == {"d/0", "d/5"}, "0.3 off"
    assert len(worst) == 9, "one has no score"


def test_agreement_is_that_of_scipy_over_the_pictures_with_a_score(data: DataSet, rows: list[Row]) -> None:
    row = scores.summarise(rows, [data])["d"]["modes"][TWO]
    said, mos = np.array(SAID[:9], float), np.array([data.samples[f"d/{i}"].mos for i in range(9)], float)
    assert (row["n"], row["missing"]) == (9, 1)
    assert row["srcc"][0] == pytest.approx(stats.spearmanr(said, mos)[0])
    assert row["plcc"][0] == pytest.approx(stats.pearsonr(said, mos)[0])
    assert row["krcc"][0] == pytest.approx(stats.kendalltau(said, mos)[0])
    assert row["srcc"][1] <= row["srcc"][0] <= row["srcc"][2]
    fitted = metrics.logistic(said, metrics.fit_logistic(said, mos))
    assert row["plcc, logistic"][0] == pytest.approx(metrics.plcc(fitted, mos))
    assert row["plcc, logistic"][0] >= row["plcc"][0] - 1e-6
    # 36 pairs, of which 2/3 (2.6 > 2.5) and 5/6 (3.6 > 3.2) are in the wrong order
    assert row["pairs"][0] == pytest.approx(34 / 36)
    # MOS intervals are 1.96 * 0.4 / 4 = 0.196 wide to each side: none of the wrong pairs is apart
    assert row["pairs, disjoint MOS intervals"][0] == 1.0
    assert row["outlier ratio"][0] == 0.0


def test_modes_are_compared_in_pairs(data: DataSet, rows: list[Row]) -> None:
    summary = scores.summarise(rows, [data])["d"]
    one = summary["modes"][ONE]
    value, low, high = summary["main minus"][ONE]
    assert low <= value <= high and TWO not in summary["main minus"]
    assert one["n"] == 10 and value != pytest.approx(summary["modes"][TWO]["srcc"][0] - one["srcc"][0]), "same nine"
    baseline = summary["modes"]["brisque"]
    assert "rmse" not in baseline and "outlier ratio" not in baseline and baseline["srcc"][0] == pytest.approx(-1.0)


def test_parts_leave_scenes_of_the_training_split_out(data: DataSet, rows: list[Row]) -> None:
    parts = scores.summarise(rows, [data])["d"]["parts"]
    assert {name: row["n"] + row["missing"] for name, row in parts.items()} == {
        "no scene of the training split": 9,
        "a": 5,
        "b": 5,
    }


def test_replies_and_failures_are_counted(data: DataSet, rows: list[Row]) -> None:
    summary = scores.summarise(rows, [data])["d"]
    two = summary["replies"][TWO]
    assert (two["replies"], two["unparsable"], two["rounds"], two["tokens"]) == (20, 2, 2.0, 80.0)
    assert (two["repaired"], two["written ratings"]) == (0, 0)
    assert two["crop rate"][0] == 1.0 and summary["replies"][ONE]["crop rate"][0] == 0.0
    assert summary["failures"] == {TWO: {"unparsable_reply": {"pictures": 1, "first": "d/9: no JSON"}}}


def test_the_isotonic_fit_is_of_the_written_rating(data: DataSet, rows: list[Row]) -> None:
    modes = scores.summarise(rows, [data])["d"]["modes"]
    written = [round(said, 1) for said in SAID[:9] if said is not None]
    plcc, srcc = metrics.isotonic_fit(written, np.array([data.samples[f"d/{i}"].mos for i in range(9)], float))
    assert modes[TWO]["isotonic"] == {"n": 9, "plcc": plcc, "srcc": srcc}
    assert "isotonic" not in modes["brisque"], "a baseline writes no rating"


def test_few_or_constant_scores_give_no_number(data: DataSet) -> None:
    few = scores.summarise([made(f"d/{i}", TWO, 3.0) for i in range(3)], [data])["d"]["modes"][TWO]
    assert few["n"] == 3 and all(map(math.isnan, few["srcc"]))
    flat = scores.summarise([made(f"d/{i}", TWO, 3.0) for i in range(9)], [data])["d"]["modes"][TWO]
    assert math.isnan(flat["srcc"][0]) and flat["rmse"][0] > 0 and flat["pairs"][0] == 0.5


def test_fitted_values_have_a_table_of_their_own(data: DataSet, rows: list[Row]) -> None:
    summary = scores.summarise(rows, [data])
    shown = scores.show(summary, rows, [data])
    tables = {part.title: part for part in shown if isinstance(part, Table)}
    agreement = tables["d: agreement with MOS"]
    assert all(len(line) == len(agreement.head) for line in agreement.rows)
    assert agreement.rows[0][1] == "9 of 10" and not any("logistic" in cell for cell in agreement.head)
    fits = tables["d: after a fit to the test labels"]
    assert [row[0] for row in fits.rows] == [TWO, ONE, "brisque"] and fits.rows[2][3:] == ["-", "-"]
    assert "1 unparsable_reply, first d/9: no JSON" in tables["d: replies and failures"].rows[0]
    figures = [part for part in shown if isinstance(part, Figure)]
    assert "9 points" in figures[0].svg and 'class="fit"' in figures[0].svg
