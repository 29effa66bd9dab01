from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluate_fakes import backend, rated_pictures
from scipy import stats

from snellen.backend import Calibration
from snellen.data.sample import Sample
from snellen.evaluate.modes import PLAIN, TWO
from snellen.evaluate.predict import DataSet, Options
from snellen.evaluate.report.tables import Figure, Table
from snellen.evaluate.rows import QUANTILES, Round, Row
from snellen.evaluate.suites import calibration
from snellen.region import FULL
from snellen.usage import UsageError

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
    assert found["error against std, SRCC"][1] > 0.3
    risk = found["risk"]
    assert risk["area, best possible"] < risk["area"] < 0.85 * risk["area, knowing nothing"]
    assert risk["mean error"] == sorted(risk["mean error"]) and risk["coverage"][-1] == 1.0
    assert found["interval"]["mean error by width"] == sorted(found["interval"]["mean error by width"])


def test_a_model_that_is_too_sure_is_found_out() -> None:
    rows, data = gauss(0.5)
    found = calibration.summarise(rows, [data])["g"][TWO]
    assert found["interval"]["coverage"][0] < 0.65 and found["quantiles"]["ece"] > 0.08
    observed = found["quantiles"]["observed"]
    assert observed[0] > 0.15 and observed[-1] < 0.85


def test_ways_without_a_distribution_are_left_out() -> None:
    rows, data = gauss(1.0)
    plain = [Row("scores", row.key, "", PLAIN, "m 1", row.score) for row in rows]
    assert calibration.summarise(plain, [data]) == {}
    assert calibration.summarise(rows[:3], [data]) == {}, "too few"


def test_tables_and_plots_are_shown() -> None:
    rows, data = gauss(1.0)
    shown = calibration.show(calibration.summarise(rows, [data]), rows, [data])
    tables = [part for part in shown if isinstance(part, Table)]
    assert all(len(line) == len(table.head) for table in tables for line in table.rows)
    assert len(tables[1].rows) == 10
    assert [part.title for part in shown if isinstance(part, Figure)] == [
        "g: rating distribution",
        "g: the unsure ones set aside, two rounds",
    ]


def test_the_fit_worked_by_hand() -> None:
    # nine pictures of one std: |error| / std is 1..9, and the 0.9 quantile of nine is the ninth
    score, std = np.full(9, 3.0), np.full(9, 0.1)
    fitted = calibration.fit_calibration(score, std, 3.0 + 0.1 * np.arange(1, 10), 0.9)
    assert fitted.q * fitted.floor == pytest.approx(0.9) and fitted.coverage == 0.9


def test_calibrate_writes_the_card(tmp_path: Path) -> None:
    tones = {tone: min(5.0, tone / 50 + 0.1 + 0.01 * (tone % 11)) for tone in range(60, 240, 8)}
    held = list(rated_pictures(tmp_path / "pictures", tones, side=64).samples.values())
    (tmp_path / "card.json").write_text('{"name": "m", "calibration": null}')
    report = calibration.calibrate(held, tmp_path, Options(backend()), tmp_path / "out")
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["name"] == "m" and Calibration(**card["calibration"]).coverage == 0.9
    assert report["pictures"] == len(tones) and report["q"] == card["calibration"]["q"]
    with pytest.raises(UsageError, match="too few"):
        calibration.calibrate(held[:4], tmp_path, Options(backend()), tmp_path / "few")
