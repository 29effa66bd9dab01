from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluate_fakes import backend, rated_pictures

from snellen.backend import Calibration
from snellen.evaluate import calibrate
from snellen.evaluate.predict import Options
from snellen.usage import UsageError


def test_calibrate_writes_the_card(tmp_path: Path) -> None:
    tones = {tone: min(5.0, tone / 50 + 0.1 + 0.01 * (tone % 11)) for tone in range(60, 240, 8)}
    held = list(rated_pictures(tmp_path / "pictures", tones, side=64).samples.values())
    (tmp_path / "card.json").write_text('{"name": "m", "calibration": null}')
    report = calibrate(held, tmp_path, Options(backend()), tmp_path / "out")
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["name"] == "m" and Calibration(**card["calibration"]).coverage == 0.9
    assert report["two rounds"]["pictures"] == len(tones)
    assert report["two rounds"]["q"] == card["calibration"]["q"]
    assert report["score only"]["q"] == card["score_calibration"]["q"]
    with pytest.raises(UsageError, match="too few"):
        calibrate(held[:4], tmp_path, Options(backend()), tmp_path / "few")
