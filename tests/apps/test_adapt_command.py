"""`snellen adapt` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snellen.backend import Calibration
from snellen.backends import open_backend
from snellen.cli import main
from snellen.data.fault_labels import FaultLabel, labels_at
from snellen.data.sample import Sample
from snellen.evaluate.adapt import Pictures, from_choices, from_ratings, minded_by_half, starred
from snellen.evaluate.datasets import DataSet
from snellen.region import FULL
from snellen.reply import Issue
from snellen.sidecar import Decision, plan, write
from snellen.snellen1.photo_faults import PHOTO_KINDS
from snellen.usage import UsageError


def save_gray(path: Path, level: int, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(level, 25, (48, 64, 1))
    Image.fromarray(np.repeat(noise.clip(0, 255).astype(np.uint8), 3, axis=2)).save(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures, from dark to bright, and the table of an owner who likes bright ones."""
    folder = tmp_path_factory.mktemp("pictures")
    levels = np.linspace(30, 225, 60)
    for i, level in enumerate(levels):
        save_gray(folder / f"{i:02d}.png", int(level), i)
    rows = [f"{i:02d}.png,{1 + 4 * i / 59:.3f}" for i in range(60)]
    (folder / "bright.csv").write_text("image,mos\n" + "\n".join(rows))
    return folder


def test_a_taste_becomes_a_folder_that_model_opens(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["adapt", str(pictures / "bright.csv"), "--out", str(tmp_path / "own"), "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "60 rated pictures, nested cross-validation" in printed and "written:" in printed
    card = json.loads((tmp_path / "own" / "card.json").read_text())
    assert card["calibration"]["coverage"] == 0.9 and card["version"].endswith(" adapted")
    code = main(
        ["assess", str(pictures / "05.png"), str(pictures / "55.png"), "--model", str(tmp_path / "own"), "--json"]
    )
    dark, bright = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert code == 0 and bright["score"] > dark["score"] + 1.5, "as its owner rates them"
    assert open_backend(tmp_path / "own").version == card["version"]
    assert main(["adapt", str(pictures / "bright.csv"), "--out", str(tmp_path / "own")]) == 2
    assert "holds a model already" in capsys.readouterr().err


def test_stars_in_sidecars_are_ratings(pictures: Path, tmp_path: Path) -> None:
    for i in range(3):
        save_gray(tmp_path / f"{i}.png", 100, i)
    decisions = {tmp_path / "0.png": Decision(stars=4), tmp_path / "1.png": Decision("reject")}
    write(plan(decisions, "full"))
    assert [(Path(one.path).name, one.mos) for one in starred(tmp_path)] == [("0.png", 4.0)]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("image,mos\n00.png,3\n", "1 ratings; adapting needs 50 or more"),
        ("first,second,preferred\n00.png,01.png,1\n", "1 choices; adapting needs 100 or more"),
        ("image,score\n00.png,3\n", "score"),
    ],
)
def test_too_few_and_unreadable_ratings_are_refused(
    pictures: Path, capsys: pytest.CaptureFixture[str], table: str, problem: str
) -> None:
    assert main(["adapt", str(pictures / "gone"), "--out", str(pictures / "none")]) == 2
    assert "gone is not there; check the path" in capsys.readouterr().err
    (pictures / "few.csv").write_text(table)
    assert main(["adapt", str(pictures / "few.csv"), "--out", str(pictures / "none")]) == 2
    assert problem in capsys.readouterr().err and not (pictures / "none").exists()


def test_labels_of_another_form_are_refused(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pictures / "labels.jsonl").write_text("{}\n")
    options = ["--labels", str(pictures / "labels.jsonl"), "--out", str(pictures / "none")]
    assert main(["adapt", str(pictures / "bright.csv"), *options]) == 2
    assert "line 1: not a fault label" in capsys.readouterr().err


def test_ratings_that_teach_nothing_give_no_adaptation() -> None:
    rng = np.random.default_rng(0)
    rating, ones = rng.uniform(2, 4, 80), np.full(80, 0.3)
    paths = [f"/{i}.png" for i in range(80)]
    seen = Pictures(paths, rating, ones, rating, ones, rng.normal(size=(80, 4)), np.zeros((80, 9)), np.arange(80))
    noisy = {
        path: Sample(path, mos=float(r + e)) for path, r, e in zip(paths, rating, rng.normal(0, 0.3, 80), strict=True)
    }
    adaptation, changed, lines = from_ratings(seen, DataSet("own", noisy))
    assert adaptation is None and not changed and "gain" in lines[3]


def test_a_kind_is_minded_that_half_of_the_raters_mind() -> None:
    def label(rater: int, *faults: tuple[str, int]) -> FaultLabel:
        return FaultLabel("a.png", rater, "train", 3.0, tuple(Issue(k, s, FULL) for k, s in faults), frozenset(), "")

    raters = [label(0, ("blur", 3), ("noise", 1)), label(1, ("blur", 2)), label(2, ("noise", 4)), label(3)]
    minded = dict(zip(PHOTO_KINDS, minded_by_half(raters), strict=True))
    assert minded["blur"] and not minded["noise"], "noise of severity 1 is not minded, so one of four minds it"
    assert labels_at("/study/a.png", {"a.png": raters}) == raters == labels_at("/s/a.png", {"/s/a.png": raters})
    assert labels_at("/study/b.png", {"a.png": raters}) == []


def test_choices_that_all_touch_one_picture_cannot_be_cross_validated() -> None:
    rng = np.random.default_rng(0)
    ones, paths = np.full(60, 0.3), [f"/{i}.png" for i in range(60)]
    seen = Pictures(paths, rng.uniform(2, 4, 60), ones, ones, ones, rng.normal(size=(60, 4)), ones, np.arange(60))
    pairs = tuple((paths[0], path, 1.0) for path in paths[1:])
    with pytest.raises(UsageError, match="compare more pictures with each other"):
        from_choices(seen, DataSet("own", {path: Sample(path) for path in paths}, pairs))


def test_intervals_of_own_ratings_hold_their_share() -> None:
    rng = np.random.default_rng(1)
    rating, std = rng.uniform(1.5, 4.5, 300), np.full(300, 0.3)
    mos = np.clip(0.5 * rating + 1.5 + rng.normal(0, 0.2, 300), 1, 5)
    paths = [f"/{i}.png" for i in range(300)]
    seen = Pictures(paths, rating, std, rating, std, rng.normal(size=(300, 4)), np.zeros((300, 9)), np.arange(300))
    rated = DataSet("own", {path: Sample(path, mos=float(one)) for path, one in zip(paths, mos, strict=True)})
    adaptation, changed, lines = from_ratings(seen, rated)
    assert adaptation is not None and set(changed) == {"calibration", "score_calibration"}
    calibration = Calibration(**changed["calibration"])
    ends = [calibration.interval(float(one), 0.3) for one in adaptation(rating, seen.components)]
    inside = [low <= one <= high for one, (low, high) in zip(mos, ends, strict=True)]
    assert 0.85 <= np.mean(inside) <= 0.95
    assert "90 % interval" in lines[-1]
