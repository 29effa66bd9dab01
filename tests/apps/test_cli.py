from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pictures import save_noise
from PIL import Image

import snellen
from snellen.cli import main
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, Rationale, render_reply

CORNER = Region(0.5, 0.5, 1.0, 1.0)
FIRST = render_reply(
    Rationale("Soft at a glance.", "Crisp leaves.", "Blur in the corner.", "Unsure of the corner."),
    Answer(CORNER, 3.5, "crop", (Issue("noise", 1, FULL),)),
    1,
)
SECOND = render_reply(
    Rationale("Blur confirmed.", "Crisp edges.", "Strong blur.", "It was 3.50, the crop moves it down."),
    Answer(None, 2.5, "final", (Issue("blur", 4, Region(0.7, 0.7, 0.9, 0.9)), Issue("noise", 1, FULL))),
    2,
)
large = partial(save_noise, width=700, height=660)  # large enough to zoom into
COMMAND = [sys.executable, "-m", "snellen"]


@pytest.fixture
def model(tmp_path: Path) -> str:
    """--model for a scripted reply in each of two rounds."""
    path = tmp_path / "replies.jsonl"
    rating = {"values": [2.0, 2.5, 3.0], "probs": [0.25, 0.5, 0.25]}
    path.write_text("".join(json.dumps({"text": text, "rating": rating}) + "\n" for text in (FIRST, SECOND)))
    return f"scripted:{path}"


def test_assess_prints_the_whole_story_in_80_columns(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = large(tmp_path / "park.png")
    assert main(["assess", name, "--model", model]) == 0
    said, problems = capsys.readouterr()
    assert problems == ""
    assert max(map(len, said.splitlines())) <= 80
    told = " ".join(said.split())
    assert "700 x 660 px" in told and re.search(r"2\.50 poor\b", told)
    assert told.index("blur severity 4 lower right [0.70, 0.70, 0.90, 0.90]") < told.index("noise severity 1")
    first, second = told.split("Round 1")[1].split("Round 2")
    assert "the whole picture" in first and "Unsure of the corner." in first
    assert "zooms in: lower right [0.50, 0.50, 1.00, 1.00]" in first
    assert "lower right" in second and "rating 2.50 ± 0.35 (+0.00)" in second and "It was 3.50" in second
    assert re.search(r"scripted [0-9a-f]{12}", told), "the model's name and version"


def test_assess_json_is_one_object_per_line_and_nothing_else(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [large(tmp_path / f"{n}.png") for n in "ab"]
    assert main(["assess", names[0], "missing.png", names[1], "--model", model, "--json"]) == 1
    said, problems = capsys.readouterr()
    first, broken, second = map(json.loads, said.splitlines())
    assert [first["name"], second["name"]] == names
    assert first["score"] == 2.5 and first["label"] == "poor" and first["error"] is None
    assert [step["zoom"] for step in first["steps"]] == [[0.5, 0.5, 1.0, 1.0], None]
    assert first["issues"][0] == {"kind": "blur", "severity": 4, "region": [0.7, 0.7, 0.9, 0.9], "place": "lower right"}
    assert broken["score"] is None and broken["error"]["code"] == "missing" and broken.keys() == first.keys()
    assert problems == "snellen: missing.png: no such file; check the path\n"


def test_every_bad_picture_gets_one_line_and_the_others_are_assessed(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = io.BytesIO()
    Image.new("RGB", (640, 480), "teal").save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:700])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("no picture\n")
    (tmp_path / "folder.jpg").mkdir()
    save_noise(tmp_path / "dot.png", 1, 1)
    good = large(tmp_path / "good.png")
    bad = {"cut.jpg": "truncated", "empty.png": "empty", "text.jpg": "unreadable", "folder.jpg": "directory"}
    bad |= {"dot.png": "too_small", "gone.jpg": "missing"}
    names = [str(tmp_path / name) for name in bad]
    assert main(["assess", *names[:3], good, *names[3:], "--model", model, "--json"]) == 1
    said, problems = capsys.readouterr()
    answers = {answer["name"]: answer for answer in map(json.loads, said.splitlines())}
    assert {Path(name).name: answers[name]["error"]["code"] for name in names} == bad
    assert answers[good]["score"] == 2.5
    lines = problems.splitlines()
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        assert line.startswith(f"snellen: {name}: ") and "; " in line, "the file, the problem and a remedy"


def test_a_picture_over_the_limit_is_refused(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = large(tmp_path / "large.png")
    assert main(["assess", name, "--model", model, "--max-megapixels", "0.1"]) == 1
    assert "over the limit of 0.1" in capsys.readouterr().err


def test_an_unreadable_reply_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "replies.jsonl"
    script.write_text(json.dumps("I like it. <script>") + "\n")
    name = large(tmp_path / "park.png")
    assert main(["assess", name, "--model", f"scripted:{script}", "--json"]) == 1
    said, problems = capsys.readouterr()
    answer = json.loads(said)
    assert answer["score"] is None and answer["error"]["code"] == "unparsable_reply"
    assert answer["steps"][0]["reply"] == "I like it. <script>"
    assert len(problems.splitlines()) == 1 and name in problems


def test_quiet_and_score_only_are_a_line_per_picture(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [large(tmp_path / name) for name in ("a.png", "b" * 90 + ".png")]
    assert main(["assess", *names, "--model", model, "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["2.50", "-", "poor", name] for name in names]
    script = tmp_path / "ratings.jsonl"
    script.write_text(json.dumps("3.25") + "\n")
    assert main(["assess", names[0], "--model", f"scripted:{script}", "--score-only", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["score"] == 3.25 and len(answer["steps"]) == 1 and answer["steps"][0]["rationale"] is None


def test_max_rounds_1_does_not_zoom(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assess", large(tmp_path / "a.png"), "--model", model, "--max-rounds", "1"]) == 0
    said = capsys.readouterr().out
    assert "Round 1" in said and "Round 2" not in said and "max_rounds is 1" in said


def test_notes_say_what_was_done_to_the_picture(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (400, 400), (10, 20, 30, 90)).save(clear)
    assert main(["assess", str(clear), "--model", model]) == 0
    assert "note: alpha composited on white" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["assess"],
        ["assess", "a.png", "--no-such-flag"],
        ["assess", "a.png", "--max-rounds", "0"],
        ["assess", "a.png", "--batch-size", "many"],
        ["assess", "a.png", "--max-megapixels", "nan"],
        ["assess", "a.png", "--protocol", "nonsense"],
        ["assess", "a.png", "--model", "nonsense"],
        ["assess", "a.png", "--report", "no/such/folder/report.html"],
        ["score", "."],
        ["score", ".", "--out", "scores.txt"],
        ["score", "no-such-folder", "--out", "scores.csv"],
        ["score", ".", "--out", "scores.csv", "--workers", "0"],
        ["features"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str],
    model: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments and arguments[0] != "features" and "--model" not in arguments:
        arguments = [*arguments, "--model", model]
    try:
        code: object = main(arguments)
    except SystemExit as stop:
        code = stop.code
    said, problems = capsys.readouterr()
    assert code == 2 and said == "" and problems and "Traceback" not in problems


def test_a_model_that_cannot_be_opened_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assess", large(tmp_path / "a.png"), "--model", "scripted:gone.jsonl"]) == 1
    problems = capsys.readouterr().err
    assert "gone.jsonl" in problems and len(problems.splitlines()) == 1


def test_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = large(tmp_path / "a.png")
    assert main(["features", name, "gone.png", "--json"]) == 1
    said, problems = capsys.readouterr()
    measured, broken = map(json.loads, said.splitlines())
    assert measured["name"] == name and measured["error"] is None
    wanted = {"sharpness", "noise", "blockiness", "clipped_shadows", "clipped_highlights", "contrast", "colorfulness"}
    assert wanted | {"color_cast"} <= measured["features"].keys()
    for feature in measured["features"].values():
        assert feature["unit"] and len(feature["range"]) == 2 and np.shape(feature["map"]) == (10, 10)
    assert broken["features"] is None and broken["error"]["code"] == "missing"
    assert problems == "snellen: gone.png: no such file; check the path\n"
    assert main(["features", name]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert all(word.replace("_", " ") in said for word in wanted)


def test_data_build_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for number, colour in enumerate(("tan", "navy", "olive")):
        path = tmp_path / f"{colour}.png"
        Image.new("RGB", (320, 240), colour).save(path)
        rows.append({"path": str(path), "mos": 2.0 + number, "split": "train", "group": colour})
    manifest, out, page = tmp_path / "manifest.jsonl", tmp_path / "rationales.jsonl", tmp_path / "page.html"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["data", "build", str(manifest), "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {Path(line["path"]).stem for line in lines} == {"tan", "navy", "olive"}
    assert main(["data", "show", "2", str(out), "--out", str(page)]) == 0
    assert page.read_text().count("<article>") == 2
    said, problems = capsys.readouterr()
    assert said == "" and problems.splitlines() == [f"{out}: {len(lines)} conversations", f"page: {page.as_uri()}"]

    (tmp_path / "navy.png").write_bytes(b"")
    assert main(["data", "build", str(manifest), "--out", str(out)]) == 1
    assert "navy.png: the file is empty" in capsys.readouterr().err
    manifest.write_text("no manifest\n")
    assert main(["data", "build", str(manifest), "--out", str(out)]) == 2
    assert main(["data", "build", str(tmp_path / "gone.jsonl"), "--out", str(out)]) == 2
    assert main(["data", "show", "1", str(manifest), "--out", str(page)]) == 2
    problems = capsys.readouterr().err
    assert len(problems.splitlines()) == 3 and "gone.jsonl" in problems and "Traceback" not in problems


def test_the_real_command(tmp_path: Path, model: str) -> None:
    """In its own process: the name as bytes that are no text, the report, the exit code."""
    odd = os.fsdecode(b"caf\xe9.png")
    large(tmp_path / odd)
    done = subprocess.run(
        [*COMMAND, "assess", odd, "gone.png", "--model", model, "--report", "out.html"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert r"caf\udce9.png" in done.stdout and "2.50" in done.stdout
    complaint, where = done.stderr.splitlines()
    assert complaint == "snellen: gone.png: no such file; check the path"
    assert where == f"report: {(tmp_path / 'out.html').as_uri()}"
    assert "<h1>Snellen report" in (tmp_path / "out.html").read_text()
    version = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"snellen {snellen.__version__}\n"


def test_a_reader_who_leaves_early_is_no_crash(tmp_path: Path, model: str) -> None:
    name = save_noise(tmp_path / "a.png", 64, 64)
    command = [*COMMAND, "assess", *[name] * 40, "--model", model, "--json", "--batch-size", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        assert json.loads(process.stdout.readline())["score"] == 2.5
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_a_terminal_gets_a_progress_bar_for_more_than_one_picture(tmp_path: Path, model: str) -> None:
    names = [save_noise(tmp_path / f"{n}.png", 64, 64) for n in "abc"]

    def shown(*arguments: str) -> tuple[str, str]:
        """What standard output and a terminal on standard error get."""
        terminal, end = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color"}
        command = [*COMMAND, "assess", "--model", model, "--json", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, env=environment, text=True) as process:
            os.close(end)
            assert process.stdout
            said = process.stdout.read()
            seen = b""
            while True:
                try:
                    some = os.read(terminal, 4096)
                except OSError:  # Linux: the other end is closed
                    break
                if not some:
                    break
                seen += some
        os.close(terminal)
        return said, seen.decode()

    said, seen = shown(*names)
    assert "3/3" in seen and len([json.loads(line) for line in said.splitlines()]) == 3
    assert shown(names[0])[1] == ""
    assert shown(*names, "--quiet")[1] == ""
