"""The stages of snellen-1 in miniature, one after the other, from pictures to a model folder that opens."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snellen import Assessor
from snellen.backends.onnx import Snellen1Backend
from snellen.data.photographs import Photograph
from snellen.data.sample import Sample, read_manifest, write_manifest
from snellen.data.synthesize import Recipe, read_recipes
from snellen.image import GRID
from snellen.region import FULL, Region
from snellen.snellen1.encoder import CELL_FEATURES
from snellen.snellen1.perception import Perception
from snellen.train.config import RlConfig, read_config
from snellen.train.snellen1.cells import most_detailed, read_rated, run_cells
from snellen.train.snellen1.encoder import EncoderOptions, run_encoder
from snellen.train.snellen1.fault_head import FaultHeadOptions, run_fault_head
from snellen.train.snellen1.photo_rating import PhotoRatingOptions, run_photo_rating
from snellen.train.snellen1.rating_head import RatingHeadOptions, run_rating_head
from snellen.train.snellen1.release import read_model, write_model
from snellen.train.snellen1.sources import Source, write_photographs
from snellen.train.snellen1.synthetic import ViewsOptions, crop_around, make_views, write_pictures
from snellen.train.snellen1.views import ViewStore

RECIPE = Path(__file__).parents[2] / "recipes" / "snellen-1"
SCRIPTS = sorted([*RECIPE.glob("*.py"), *(RECIPE.parent / "bench").glob("*.py")])
OF_OTHER_EXTRAS = ("av", "skimage")
"""Modules of video, restore and reference, which scripts under recipes/bench use."""


def save_photograph(file: Path, width: int, height: int, seed: int) -> str:
    """A smooth random picture with grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(60, 200, (8, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    Image.fromarray(np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)).save(file, quality=92)
    return str(file)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """biq2021.jsonl with nine rated pictures, and photographs.jsonl with one large and one test photograph."""
    folder = tmp_path_factory.mktemp("data")
    rated = [
        Sample(save_photograph(folder / f"{i}.jpg", 96, 96, i), 2.0 + i % 4, split="train" if i else "test")
        for i in range(9)
    ]
    write_manifest(rated, folder / "biq2021.jsonl")
    large = Photograph(save_photograph(folder / "large.jpg", 1200, 900, 20), 1200, 900)
    write_photographs([Source(large, "train", 4.5), Source(large, "test")], folder / "photographs.jsonl")
    return folder


@pytest.fixture(scope="module")
def built(data: Path) -> Path:
    """All stages, each for a step or two."""
    torch.set_num_threads(1)
    manifest, out = data / "biq2021.jsonl", data / "build"
    make_views(ViewsOptions(5, 3, held_out=2, workers=1), data / "photographs.jsonl", manifest, out / "views")
    encoder = EncoderOptions(steps=1, batch=6, synthetic=2, warmup=1, scaling_batches=1, held_out=2)
    run_encoder(encoder, manifest, out / "views", out / "encoder")
    run_cells(out / "encoder" / "perception.pt", manifest, [out / "views"], out / "cells", held_out=2)
    views = [out / "views"]
    fault_head = FaultHeadOptions(steps=1, batch=2, warmup=1)
    run_fault_head(fault_head, out / "encoder" / "perception.pt", views, out / "cells", out / "fault-head")
    second = [replace(sample, split="train") for sample in read_manifest(manifest)[:4]]
    clean, rating = [str(data / "large.jpg")], PhotoRatingOptions(components=4)
    start = out / "fault-head" / "perception.pt"
    run_photo_rating(rating, start, out / "cells", second, clean, views, out / "rater")
    head = RatingHeadOptions(steps=2, batch=8, warmup=1)
    run_rating_head(head, out / "rater" / "perception.pt", out / "cells", out / "rater", views, out / "head")
    trained = (out / "rater" / "perception.pt", out / "head" / "rating_head.pt", out / "rater" / "photo_rating.npz")
    write_model(*trained, "0.0.1", out / "model")
    return out


def test_the_stages_lead_to_a_model_that_assesses(built: Path, data: Path) -> None:
    backend = Snellen1Backend(built / "model")
    assert (backend.version, backend.calibration) == ("0.0.1", None)
    (assessment,) = Assessor(backend).assess([str(data / "3.jpg")])
    assert assessment.score is not None and 1.0 <= assessment.score <= 5.0


def test_both_views_of_every_picture_are_stored(built: Path) -> None:
    store = ViewStore(built / "views")
    assert len(store) == 16
    assert all(view.region == FULL for view in store.views[::2])
    assert any(view.region != FULL for view in store.views[1::2]), "crops of large pictures"
    assert {view.recipe for view in store.views} == set(range(8))
    assert np.load(built / "cells" / "views.npy").shape == (16, 2, CELL_FEATURES, GRID, GRID)
    assert np.load(built / "rater" / "views.npy").shape == (16,)


def test_no_stage_sees_a_test_picture(built: Path, data: Path) -> None:
    rated = read_rated(built / "cells" / "rated.jsonl")
    assert len(rated) == 8 and str(data / "0.jpg") not in {picture.path for picture in rated}
    assert sum(picture.held_out for picture in rated) == 2
    assert np.load(built / "cells" / "rated.npy").shape[0] == 16
    held_out = {picture.path for picture in rated if picture.held_out}
    assert not held_out & {recipe.source for recipe in read_recipes(built / "views" / "recipes.jsonl")}


def test_a_second_run_of_the_views_changes_nothing(built: Path, data: Path) -> None:
    before = {file.name: file.read_bytes() for file in (built / "views").iterdir()}
    options = ViewsOptions(5, 3, held_out=2, workers=1)
    make_views(options, data / "photographs.jsonl", data / "biq2021.jsonl", built / "views")
    assert before == {file.name: file.read_bytes() for file in (built / "views").iterdir()}


def test_the_fault_head_can_choose_the_crops(built: Path, data: Path) -> None:
    options = ViewsOptions(1, 0, perception=built / "encoder" / "perception.pt", held_out=2, workers=1)
    make_views(options, data / "photographs.jsonl", data / "biq2021.jsonl", built / "detected")
    assert len(ViewStore(built / "detected")) == 2


def test_a_model_folder_gives_back_its_weights(built: Path) -> None:
    read_model(built / "model", built / "released")
    trained, released = (Perception.open(built / name / "perception.pt").state_dict() for name in ("rater", "released"))
    for name, value in trained.items():
        if not name.startswith(("fault_head.severity.", "score_head.alone.", "fault_head.scale.num")):
            torch.testing.assert_close(released[name], value, msg=name)


def test_synthetic_pictures_are_written_with_the_faults_that_can_be_seen(built: Path) -> None:
    manifest = write_pictures(built / "views", built / "synthetic", 4, workers=1)
    samples = read_manifest(manifest, check_files=True)
    assert samples and all(fault.kind for sample in samples for fault in sample.faults)
    assert {sample.split for sample in samples} <= {"train", "val"}
    changed = manifest.stat().st_mtime_ns
    assert write_pictures(built / "views", built / "synthetic", 4, workers=1) == manifest
    assert manifest.stat().st_mtime_ns == changed, "nothing is made twice"


def test_crops_lie_around_local_faults_in_nine_of_ten() -> None:
    corner = Region(0.0, 0.0, 0.2, 0.2)
    recipes = [Recipe("a.jpg", FULL, 4.5, "jpeg", 4, corner, seed) for seed in range(100)]
    covered = [crop_around(recipe, 3000, 2000).covers(corner) for recipe in recipes]
    assert 85 <= sum(share > 0.99 for share in covered) <= 98


def test_the_most_detailed_part_of_a_picture_is_found() -> None:
    overview = np.full((100, 200, 3), 128, np.uint8)
    overview[60:90, 120:180:2] = 0
    found = most_detailed(overview, 0.5)
    assert found.covers(Region(0.6, 0.6, 0.9, 0.9)) == pytest.approx(1.0, abs=0.02)
    assert (found.width, found.height) == pytest.approx((0.5, 0.5), abs=0.01)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_each_script_explains_itself(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if script.parent == RECIPE:
        assert script.read_text(encoding="utf-8").count("\n") <= 60, "arguments and one call"
    monkeypatch.syspath_prepend(script.parent)
    monkeypatch.setattr(sys, "argv", [script.name, "--help"])
    if "main()" in script.read_text(encoding="utf-8"):
        with pytest.raises((SystemExit, ModuleNotFoundError)) as ended:
            runpy.run_path(str(script), run_name="__main__")
        if isinstance(ended.value, ModuleNotFoundError) and ended.value.name in OF_OTHER_EXTRAS:
            pytest.skip(f"{ended.value.name} is not installed: it is of an extra that training does not need")
        assert isinstance(ended.value, SystemExit), ended.value
        assert ended.value.code == 0 and "usage: " in capsys.readouterr().out


def test_the_recipe_runs_every_stage_in_order_and_once(tmp_path: Path) -> None:
    for name in ("python", "snellen"):  # programs that only say what they were asked
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho RAN {name} "$@"\n')
        program.chmod(0o755)
    command = ["sh", str(RECIPE / "recipe.sh"), "DATA", str(tmp_path / "build"), "10"]
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=path, capture_output=True, text=True, check=True)
    ran = [line for line in done.stdout.splitlines() if line.startswith("RAN")]
    numbered = [script.name for script in SCRIPTS if script.name[0].isdigit()]
    first = {name: next(i for i, line in enumerate(ran) if name in line) for name in numbered}
    assert list(first.values()) == sorted(first.values()), "in the order of their numbers"
    stages = [line.split()[2:4] for line in ran if line.startswith("RAN snellen")]
    assert stages == [["train", "sft"], ["train", "rl"]]
    config = read_config(tmp_path / "build" / "rl.toml", RlConfig)
    assert (config.options.steps, config.start) == (12, tmp_path / "build" / "sft")
    again = subprocess.run(command, env=path, capture_output=True, text=True, check=True)
    assert again.stdout == "", "stages that ended are skipped"
