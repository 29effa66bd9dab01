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


def test_an_interval_for_two_sets_holds_on_both(tmp_path: Path) -> None:
    tones = {tone: min(5.0, tone / 50 + 0.1 + 0.01 * (tone % 11)) for tone in range(100, 200, 8)}
    held = list(rated_pictures(tmp_path / "held", tones, side=64).samples.values())
    harsher = {tone: mos - 0.6 for tone, mos in tones.items()}
    second = list(rated_pictures(tmp_path / "second", harsher, side=64).samples.values())
    fitted = {}
    for moved in (0.0, 0.3):
        (tmp_path / "card.json").write_text('{"name": "m", "calibration": null}')
        left_out = {Path(sample.path).name: moved for sample in second}
        out = tmp_path / f"out{moved}"
        calibrate(held, tmp_path, Options(backend()), out, level=0.8, second=second, left_out=left_out)
        card = json.loads((tmp_path / "card.json").read_text())
        fitted[moved] = Calibration(**card["calibration"])
        assert Calibration(**card["score_calibration"]).below is not None
    std = 0.4 * 0.5**0.5  # of the scripted ratings: 0.4 below and above with a probability of a quarter each
    low = fitted[0.0].interval(3.0, std)[0]
    assert low < 3.0 - 0.4, "opinions of the second set lie about 0.6 below the scores"
    assert fitted[0.3].interval(3.0, std)[0] == pytest.approx(low - 0.3, abs=1e-3), "scores as if left out"
    assert fitted[0.3].above == fitted[0.0].above, "the first set's"
