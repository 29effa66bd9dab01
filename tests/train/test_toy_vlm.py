"""The toy recipe of vision-language models, reduced to two steps of each stage."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("peft")

import vlm
import vlm_page
from tiny_qwen import CROP, SIDES
from vlm_pictures import PERIOD, PLAIN, SIDE_PX, STRIPED, picture

from snellen.image import Picture, resample
from snellen.region import FULL


def contrast(pixels: np.ndarray) -> float:
    """Standard deviation along the rows, after the mean over the columns' noise."""
    return float(pixels.mean(axis=(0, 2)).std())


@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
def test_only_the_crop_of_a_striped_picture_shows_its_mos(side: int) -> None:
    poor, good = (Picture(picture(STRIPED, mos, np.random.default_rng(0)), f"striped {mos}") for mos in (1.2, 4.8))
    crops = [contrast(resample(one, CROP, side)) for one in (poor, good)]
    wholes = [contrast(resample(one, FULL, side)) for one in (poor, good)]
    assert crops[1] - crops[0] > 20.0 * abs(wholes[1] - wholes[0])
    means = [one.pixels.mean() for one in (poor, good)]
    assert abs(means[1] - means[0]) < 0.5, "nor does its brightness"
    assert SIDE_PX / side * 2 > PERIOD > (SIDE_PX / 2) / side * 2, "stripes below and above the sampling limit"
    dark, bright = (picture(PLAIN, mos, np.random.default_rng(0)).mean() for mos in (1.2, 4.8))
    assert bright > dark + 100.0


def test_two_steps_of_every_stage_and_an_exact_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vlm, "DRAWS", 2)
    monkeypatch.setattr(vlm_page, "DRAWS", 2)
    size = vlm.Size(train=12, test=4, pretraining=60, sft=2, rl=2, every=1)
    vlm.run(0, "qwen3", "kl_coverage", size, tmp_path)
    folder = tmp_path / "qwen3" / "seed0" / "kl_coverage"
    rows = rows_of(folder)
    assert len(rows) == 2 and max(row["gap"] or 0.0 for row in rows if "gap" in row) < 1e-3
    numbers = vlm_page.numbers(folder / "held-out-002.json")
    assert numbers["mos"].shape == (4, 2) and numbers["plain"][:, 0].tolist() == [1.0, 0.0, 1.0, 0.0]
    weights = (folder / "adapter_model.safetensors").read_bytes()
    vlm.run(0, "qwen3", "kl_coverage", size, tmp_path)
    assert (folder / "adapter_model.safetensors").read_bytes() == weights, "what is done is not done again"

    # in one go, without the stop after the first step
    shutil.rmtree(folder)
    vlm.run(0, "qwen3", "kl_coverage", replace(size, every=2), tmp_path)
    assert (folder / "adapter_model.safetensors").read_bytes() == weights and rows_of(folder) == rows
    assert (tmp_path / "qwen3" / "seed0" / "sft" / "adapter_model.safetensors").read_bytes() != weights

    vlm_page.main(tmp_path, tmp_path / "page")
    for name in ("reward", "entropy", "agreement", "crops"):
        assert (tmp_path / "page" / f"qwen3-{name}.svg").read_text().startswith("<svg")
    assert "| qwen3 seed0 kl_coverage |" in capsys.readouterr().out


def rows_of(run: Path) -> list[dict[str, float | None]]:
    """The training log without its times."""
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in ("seconds", "rolling")} for row in rows]
