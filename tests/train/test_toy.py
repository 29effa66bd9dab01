"""The toy recipe, reduced: generated pictures, SFT and GRPO of snellen-1's decoder, with its encoder."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from snellen.data.sample import read_manifest

FOLDER = Path(__file__).parents[2] / "recipes" / "toy"


def test_the_toy_recipe_runs_from_pictures_to_a_trained_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("toy", FOLDER / "toy.py")
    assert spec is not None and spec.loader is not None
    toy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toy)
    monkeypatch.chdir(tmp_path)
    smaller = {"steps = 80": "steps = 2", "batch = 16": "batch = 4", "warmup = 20": "warmup = 1"}
    smaller |= {"steps = 3": "steps = 1", "synthetic = 4": "synthetic = 2", "rollouts = 6": "rollouts = 2"}
    for name in ("sft.toml", "rl.toml"):
        text = (FOLDER / name).read_text()
        for old, new in smaller.items():
            text = text.replace(old, new)
        (tmp_path / name).write_text(text)
    toy.main(5, tmp_path)
    samples = read_manifest(tmp_path / "build/toy/pictures/manifest.jsonl", check_files=True)
    assert [sample.split for sample in samples] == ["train"] * 4 + ["val"]
    sft, rl = (tmp_path / "build" / "toy" / stage for stage in ("sft", "rl"))
    assert len((sft / "log.jsonl").read_text().splitlines()) == 2 and (rl / "decoder.pt").exists()
    (row,) = map(json.loads, (rl / "log.jsonl").read_text().splitlines())
    assert row["reward_format"] == 1.0 and row["gap"] < 1e-3
