from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from snellen.backend import Calibration
from snellen.data.sample import Sample
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.modes import TWO
from snellen.evaluate.report.tables import Figure, Table
from snellen.evaluate.rows import QUANTILES, Round, Row
from snellen.evaluate.suites import calibration
from snellen.region import FULL

COUNT = 1000


def gauss(claimed: float, seed: int = 0) -> tuple[list[Row], DataSet]:
    """Scores off by a gaussian of each picture's own std, which the model claims `claimed` times."""
    rng = np.random.default_rng(seed)
    std = rng.uniform(0.05, 0.3, COUNT)
    score = rng.uniform(2.2, 3.8, COUNT)
    mos = score + std * rng.normal(size=COUNT)
    rows, samples = [], {}
    for i in range(COUNT):
        said = claimed * std[i]
        quantiles = tuple(score[i] + said * stats.norm.ppf(QUANTILES))
        look = Round(FULL, score[i], score[i], said, 1.0, quantiles, (), 40, "", "stop", None, None)
        ends = Calibration(1.645, 0.0).interval(score[i], said)
        rows.append(Row("scores", f"g/{i}", "", TWO, "m 1", score[i], ends, None, 9, 9, (look,)))
        samples[f"g/{i}"] = Sample(f"{i}.png", float(mos[i]), split="test")
    return rows, DataSet("g", samples)


def test_a_model_that_knows_itself_is_found_calibrated() -> None:
    rows, data = gauss(1.0)
    found = calibration.summarise(rows, [data])["g"][TWO]
    assert found["interval"]["coverage"][0] == pytest.approx(0.9, abs=0.02)
    assert found["quantiles"]["ece"] < 0.02
    assert all(inside[0] == pytest.approx(0.9, abs=0.05) for *_, inside in found["interval"]["by width"])
    assert found["SRCC of std and error"][1] > 0.3
    risk = found["risk"]
    assert risk["area, best possible"] < risk["area"] < 0.85 * risk["area, no information"]
    assert risk["mean error"] == sorted(risk["mean error"]) and risk["coverage"][-1] == 1.0
    assert found["interval"]["mean error by width"] == sorted(found["interval"]["mean error by width"])


def test_a_model_that_is_too_sure_is_found_out() -> None:
    rows, data = gauss(0.5)
    found = calibration.summarise(rows, [data])["g"][TWO]
    assert found["interval"]["coverage"][0] < 0.65 and found["quantiles"]["ece"] > 0.08
    observed = found["quantiles"]["observed"]
    assert observed[0] > 0.15 and observed[-1] < 0.85


def test_modes_without_a_distribution_are_left_out() -> None:
    rows, data = gauss(1.0)
    plain = [Row("scores", row.key, "", "plain head", "m 1", row.score) for row in rows]
    assert calibration.summarise(plain, [data]) == {}
    assert calibration.summarise(rows[:3], [data]) == {}, "too few"


def test_tables_and_plots_are_shown() -> None:
    rows, data = gauss(1.0)
    shown = calibration.show(calibration.summarise(rows, [data]), rows, [data])
    tables = [part for part in shown if isinstance(part, Table)]
    assert all(len(line) == len(table.head) for table in tables for line in table.rows)
    assert len(tables[1].rows) == 10
    assert [part.title for part in shown if isinstance(part, Figure)] == [
        "g: calibration of the rating distribution",
        "g: risk and coverage, two rounds",
    ]
