from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from evaluate_fakes import rated_pictures

from snellen.cli import main
from snellen.data.sample import Sample, write_manifest
from snellen.evaluate.datasets import open_data
from snellen.evaluate.suites.scores import rated
from snellen.usage import UsageError

TEXT = '<think></think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.50, "tool": "final", "issues": []}</answer>'
DATA = {60: 1.5, 90: 1.6, 110: 2.4, 130: 2.2, 150: 3.9, 170: 3.0}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "rated.jsonl"
    write_manifest(rated_pictures(tmp_path / "pictures", DATA, side=64).samples.values(), path)
    script = {"text": TEXT, "rating": {"values": [2.0, 3.0], "probs": [0.5, 0.5]}}
    (tmp_path / "replies.jsonl").write_text(json.dumps(script) + "\n")
    return path


def evaluate(tmp_path: Path, *more: Any) -> int:
    model = f"scripted:{tmp_path / 'replies.jsonl'}"
    common = ["--data", tmp_path / "rated.jsonl", "--model", model, "--suite", "scores,calibration"]
    return main(["evaluate", *map(str, (*common, *more))])


def test_the_whole_path_through_the_real_command(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "snellen", "evaluate", "--data", f"some={manifest}", "--out", out, "--workers", 2,
               "--model", f"scripted:{tmp_path / 'replies.jsonl'}", "--suite", "scores, calibration",
               "--modes", "two rounds,one round"]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "### some: agreement with MOS" in done.stdout and "report.html" in done.stderr
    summary = json.loads((out / "summary.json").read_text())
    mode = summary["scores"]["some"]["modes"]["two rounds"]
    assert mode["n"] == 6 and mode["srcc"][0] is None, "one score for all has no correlation"
    assert mode["rmse"][0] == pytest.approx((4.12 / 6) ** 0.5) and mode["isotonic"]["n"] == 6
    run = json.loads((out / "run.json").read_text())
    assert run["workers"] == 2 and "--workers" in run["command"] and run["data"][0]["name"] == "some"


def test_resume_max_samples_and_diff(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(tmp_path, "--out", tmp_path / "a", "--max-samples", 5, "--quiet") == 0
    assert len((tmp_path / "a" / "journal.jsonl").read_text().splitlines()) == 1 + 5 * 5
    assert evaluate(tmp_path, "--out", tmp_path / "a") == 2
    assert "--resume" in capsys.readouterr().err
    assert evaluate(tmp_path, "--out", tmp_path / "a", "--resume", "--quiet") == 0
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["scores"]["rated"]["pictures"] == 6
    assert evaluate(tmp_path, "--out", tmp_path / "b", "--score-only", "--quiet") == 0
    capsys.readouterr()
    assert main(["evaluate", "diff", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "rated, score only" in capsys.readouterr().out
    assert main(["evaluate", "diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["paired"]["rated, two rounds against score only"]["mean difference"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--out", "x"], "--data and --out are needed"),
        (["--data", "gone.jsonl", "--out", "x"], "gone.jsonl: there is no such file; check the path"),
        (["--data", "nothing=.", "--out", "x"], "nothing=.: "),
        (["diff", "gone", "lost"], "gone holds no predictions"),
    ],
)
def test_wrong_usage_is_one_clear_line(
    arguments: list[str],
    problem: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *arguments]) == 2
    message = capsys.readouterr().err
    assert problem in message and message.count("\n") == 1


def test_a_wrong_table_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,mos\ngone.png,3\n")
    for given in (f"{tmp_path}/a.csv", f"mine={tmp_path}/a.csv"):
        with pytest.raises(UsageError) as caught:
            open_data(given)
        assert str(caught.value).startswith(f"{tmp_path}/a.csv: line 2: ") and str(caught.value).count("a.csv") == 1


def test_a_model_that_cannot_be_opened(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "replies.jsonl").unlink()
    assert evaluate(tmp_path, "--out", tmp_path / "out") == 1
    assert "continue with --resume" in capsys.readouterr().err
    assert main(["evaluate", "--data", str(manifest), "--model", "nonsense", "--out", str(tmp_path / "out")]) == 2


def test_a_picture_without_a_score_is_exit_code_1(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures" / "tone090.png").write_bytes(b"no picture")
    assert evaluate(tmp_path, "--out", tmp_path / "out", "--score-only", "--quiet") == 1
    assert "1 pictures have no score" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "run.json").read_text())["failed pictures"] == 1


def test_diff_refuses_a_run_of_an_older_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "predictions.jsonl").write_text(json.dumps({"suite": "scores", "way": "two rounds"}) + "\n")
    assert main(["evaluate", "diff", str(tmp_path), str(tmp_path)]) == 2
    assert "written by another version of Snellen" in capsys.readouterr().err


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Ten files; open_data looks for them, not into them."""
    for i in range(10):
        (tmp_path / f"{i}.png").write_bytes(b"")
    return [f"{i}.png" for i in range(10)]


def test_data_is_a_manifest_with_or_without_a_name(pictures: list[str], tmp_path: Path) -> None:
    samples = [Sample(str(tmp_path / name), 3.0, split="test" if i < 2 else "train") for i, name in enumerate(pictures)]
    path = tmp_path / "a=b.jsonl"
    write_manifest(samples, path)
    assert open_data(str(path)).name == "a=b"
    named = open_data(f"Pristine={path}")
    assert named.name == "pristine" and len(named.samples) == 10
    assert list(named.test_samples) == list(rated(named)) == ["pristine/0.png", "pristine/1.png"], "the test split only"
    biq = open_data(f"biq2021={path}")
    assert biq.name == "biq2021" and len(biq.samples) == 10, "a set's name may stand before its manifest"
    (tmp_path / "3.png").unlink()
    with pytest.raises(UsageError, match=r"line 4.*3\.png"):
        open_data(str(path))


def test_a_table_of_pairs_is_known_by_its_header(pictures: list[str], tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("image,mos\n" + "".join(f"{name},3\n" for name in pictures))
    assert len(open_data(str(table)).test_samples) == 10, "without a split it is taken whole"
    table.write_text(
        "image,mos,split\n" + "".join(f"{name},3,{'test' if name == '4.png' else 'train'}\n" for name in pictures)
    )
    assert list(open_data(f"Mine={table}").test_samples) == ["mine/4.png"]
    table.write_text("first,second,preferred\n0.png,1.png,0.75\n")
    assert open_data(str(table)).pairs == (("mine/0.png", "mine/1.png", 0.75),)
    table.write_text("image,opinion\n0.png,3\n")
    with pytest.raises(UsageError, match="unknown column 'opinion'"):
        open_data(str(table))


def test_a_known_set_is_named_as_one_likes(tmp_path: Path) -> None:
    root = tmp_path / "kadid"
    (root / "images").mkdir(parents=True)
    rows = ["dist_img,ref_img,dmos,var"]
    for i in range(1, 6):
        (root / "images" / f"I{i:02d}.png").write_bytes(b"")
        (root / "images" / f"I{i:02d}_01_01.png").write_bytes(b"")
        rows.append(f"I{i:02d}_01_01.png,I{i:02d}.png,4.5,0.5")
    (root / "dmos.csv").write_text("\n".join(rows) + "\n")
    found = open_data(f"KADID-10k={root}")
    assert found.name == "kadid-10k" and len(found.samples) == 5
    assert len(found.test_samples) == 1 and next(iter(found.test_samples.values())).split == "test"


def test_help_loads_nothing_heavy() -> None:
    code = "import sys\nfrom snellen.cli import main\n"
    code += "try:\n    main(['evaluate', '--help'])\nexcept SystemExit:\n    pass\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "print('numpy' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("False\n") and "--baselines" in done.stdout
