from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import save_noise
from PIL import Image

from snellen.apps.folder import score_folder
from snellen.backend import BackendError
from snellen.cli import main
from snellen.folder import Found, find_pictures
from snellen.output import OutputError
from snellen.table import ScoreRow, read_table, write_table
from snellen.usage import UsageError

ISSUES = '[{"kind": "blur", "severity": 4, "bbox_2d": [0.50, 0.50, 0.75, 0.75]}]'
ANSWER = f'{{"bbox_2d": [0.00, 0.00, 0.00, 0.00], "rating": 2.50, "tool": "final", "issues": {ISSUES}}}'
REPLY = f"<think></think><answer>{ANSWER}</answer>"


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Model that gives the same reply to every picture."""
    script = tmp_path / "replies.jsonl"
    script.write_text(json.dumps({"text": REPLY, "rating": {"values": [2.0, 3.0], "probs": [0.5, 0.5]}}) + "\n")
    return f"scripted:{script}"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five pictures, one of them empty, and files that are none."""
    folder = tmp_path / "photos"
    for name in ("a.jpg", "b/c.PNG", "b/d/e.webp", "z.gif"):
        save_noise(folder / name)
    (folder / "b" / "empty.tif").touch()
    (folder / "notes.txt").write_text("no picture")
    save_noise(folder / ".hidden" / "f.png")
    save_noise(folder / "._a.jpg")
    return folder


NAMES = ["a.jpg", "b/c.PNG", "b/d/e.webp", "b/empty.tif", "z.gif"]


def test_every_picture_gets_a_row(photos: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    seen: list[tuple[int, int, str | None]] = []

    def watch(done: int, total: int, row: ScoreRow | None) -> None:
        seen.append((done, total, row.path if row else None))

    rows = score_folder(photos, out, model, watch=watch)
    assert [row.path for row in rows] == NAMES and read_table(out) == rows
    assert seen == [(0, 5, None), *((done, 5, name) for done, name in enumerate(NAMES, start=1))]
    good = rows[0]
    assert (good.score, good.label, good.std, good.rounds) == (2.5, "poor", 0.5, 1)
    assert (good.width, good.height, good.error) == (64, 40, None)
    assert good.issues == [{"kind": "blur", "severity": 4, "region": [0.5, 0.5, 0.75, 0.75]}]
    bad = rows[3]
    assert bad.error == "empty" and str(bad.problem).startswith("the file is empty; ") and bad.score is None
    assert all((row.protocol, row.max_rounds, row.score_only) == ("snellen", 2, False) for row in rows)
    assert rows[0].model.startswith("scripted ")
    assert not (tmp_path / "scores.csv.partial").exists()


def test_workers_write_the_same_table(photos: Path, model: str, tmp_path: Path) -> None:
    alone = score_folder(photos, tmp_path / "alone.jsonl", model)
    together = score_folder(photos, tmp_path / "together.jsonl", model, workers=2, batch_size=2)
    assert together == alone
    assert (tmp_path / "together.jsonl").read_text() == (tmp_path / "alone.jsonl").read_text()


def test_a_folder_without_pictures_is_an_empty_table(model: str, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for workers in (1, 2):
        out = tmp_path / "scores.csv"
        assert score_folder(tmp_path / "none", out, model, workers=workers, overwrite=True) == []
    assert read_table(tmp_path / "scores.csv") == []


def test_a_folder_that_cannot_be_listed_is_a_row(model: str) -> None:
    script = Path(model.removeprefix("scripted:")).read_text()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o777)
        (place / "replies.jsonl").write_text(script)
        save_noise(place / "photos" / "a.png")
        closed = place / "photos" / "closed"
        save_noise(closed / "b.png")
        closed.chmod(0)
        root = os.geteuid() == 0
        if root:  # whom permissions do not bind
            os.seteuid(65534)
        try:
            rows = score_folder(place / "photos", place / "scores.csv", f"scripted:{place}/replies.jsonl")
        finally:
            if root:
                os.seteuid(0)
            closed.chmod(0o755)
    assert [(row.path, row.error) for row in rows] == [("a.png", None), ("closed", "permission")]
    assert rows[1].problem == "the folder cannot be listed (Permission denied)"


def as_left(rows: list[ScoreRow], out: Path, torn: str = "") -> Path:
    """The journal of a run that was killed after these rows, in the middle of another."""
    journal = out.with_name(out.name + ".partial")
    journal.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows) + torn)
    return journal


def test_a_killed_run_goes_on_where_it_stopped(photos: Path, model: str, tmp_path: Path) -> None:
    whole = score_folder(photos, tmp_path / "whole.csv", model)
    out = tmp_path / "scores.csv"
    marked = [replace(whole[4], score=4.44), replace(whole[3], problem="as it was")]
    journal = as_left(marked, out, '{"path": "b/c.P')
    rows = score_folder(photos, out, model, resume=True)
    assert rows == [*whole[:3], marked[1], marked[0]], "what was scored, or had an error, is not looked at again"
    assert read_table(out) == rows and not journal.exists()


def test_a_complete_table_takes_what_is_new(photos: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    before = score_folder(photos, out, model)
    save_noise(photos / "new.png")
    save_noise(photos / "a.jpg")
    done: list[str] = []
    rows = score_folder(
        photos, out, model, resume=True, watch=lambda _, __, row: done.append(row.path) if row else None
    )
    assert done == ["new.png"] and len(rows) == 6
    assert [row for row in rows if row.path != "new.png"] == before


def test_errors_are_tried_again_on_request(photos: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    before = score_folder(photos, out, model)
    save_noise(photos / "b" / "empty.tif")
    assert score_folder(photos, out, model, resume=True) == before
    seen: list[tuple[int, int, str | None]] = []

    def watch(done: int, total: int, row: ScoreRow | None) -> None:
        seen.append((done, total, row.path if row else None))

    rows = score_folder(photos, out, model, resume=True, retry_errors=True, watch=watch)
    assert seen == [(4, 5, None), (5, 5, "b/empty.tif")]
    assert [row.path for row in rows] == NAMES and [row.score for row in rows] == [2.5] * 5
    assert read_table(out) == rows


def test_a_folder_that_can_be_listed_again_loses_its_error(photos: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    closed = Found(NAMES[:1], {"b": "the folder cannot be listed (Permission denied)"}, [])
    before = score_folder(photos, out, model, found=closed)
    assert [(row.path, row.error) for row in before] == [("a.jpg", None), ("b", "permission")]
    rows = score_folder(photos, out, model, resume=True, retry_errors=True)
    assert [row.path for row in rows] == NAMES


def test_errors_of_an_earlier_run_are_shown_again(
    photos: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", str(photos), "--out", str(tmp_path / "scores.csv"), "--model", model]
    assert main(command) == 1
    first = capsys.readouterr().err
    assert "empty.tif: the file is empty" in first and ": 5 pictures, 1 without a score" in first
    for options in (["--resume"], ["--resume", "--retry-errors"]):
        assert main(command + options) == 1
        assert capsys.readouterr().err == first, "each error once, whether tried again or not"
    assert main([*command, "--retry-errors"]) == 2
    assert "add --resume" in capsys.readouterr().err


def test_a_table_is_replaced_only_on_request(photos: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("by hand\n")
    with pytest.raises(UsageError, match=r"scores\.csv exists; .*--overwrite.*--resume"):
        score_folder(photos, out, model)
    assert out.read_text() == "by hand\n"
    assert [path.name for path in tmp_path.glob("scores*")] == ["scores.csv"]
    rows = score_folder(photos, out, model, overwrite=True)
    assert read_table(out) == rows and len(rows) == 5


def test_two_runs_do_not_write_one_table(photos: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    problems: list[str] = []

    def watch(done: int, total: int, row: ScoreRow | None) -> None:
        if done == 2:
            with pytest.raises(UsageError) as refused:
                score_folder(photos, out, model, resume=True)
            problems.append(str(refused.value))

    rows = score_folder(photos, out, model, watch=watch)
    assert len(problems) == 1 and f"{out}.lock: another run writes scores.csv (process {os.getpid()} on " in problems[0]
    assert "delete the lock" in problems[0]
    assert len(rows) == 5 and not Path(f"{out}.lock").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be another user")
def test_two_users_write_into_one_folder(model: str) -> None:
    """Each has tables of its own; the other's are neither replaced nor continued, and nothing is lost."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o1777)  # as /tmp: who owns a file may replace it
        (place / "replies.jsonl").write_text(Path(model.removeprefix("scripted:")).read_text())
        shared = f"scripted:{place}/replies.jsonl"
        save_noise(place / "photos" / "a.png")
        score_folder(place / "photos", place / "first.csv", shared)
        first = (place / "first.csv").read_bytes()
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        (place / "third.csv.lock").write_text(f"{ended.pid} {socket.gethostname()}\n")
        os.seteuid(65534)
        try:
            rows = score_folder(place / "photos", place / "second.csv", shared)
            with pytest.raises(OutputError, match=r"first\.csv cannot be written \(Operation not permitted\); "):
                score_folder(place / "photos", place / "first.csv", shared, overwrite=True)
            with pytest.raises(UsageError, match=r"third\.csv\.lock: another run writes third\.csv .*delete the lock"):
                score_folder(place / "photos", place / "third.csv", shared)
        finally:
            os.seteuid(0)
        assert read_table(place / "second.csv") == rows and (place / "second.csv").stat().st_uid == 65534
        assert (place / "first.csv").read_bytes() == first
        assert sorted(path.name for path in place.glob("*.csv*")) == [
            "first.csv", "first.csv.partial", "second.csv", "third.csv.lock"
        ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_names_that_are_no_text_do_not_double(model: str, tmp_path: Path, suffix: str) -> None:
    folder, out = tmp_path / "photos", tmp_path / f"scores{suffix}"
    names = ["caf\udce9.png", "caf\\udce9.png", "a\\b.png"]
    for name in names:
        save_noise(folder / "x.png")
        os.rename(folder / "x.png", folder / name)
    rows = score_folder(folder, out, model)
    assert sorted(row.path for row in rows) == sorted(names)
    assert score_folder(folder, out, model, resume=True) == rows


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_probabilities_of_faults_and_notes_come_back_from_every_table(tmp_path: Path, suffix: str) -> None:
    known = ScoreRow("a.png", 3.0, model="m", protocol="snellen", fault_probabilities={"noise": 0.25, "blur": 0.1})
    rows = [known, replace(known, path="b.png", fault_probabilities=None, notes="first of 3 frames; caf\udce9")]
    write_table(rows, tmp_path / f"t{suffix}")
    assert read_table(tmp_path / f"t{suffix}") == rows


def test_resume_without_anything_to_continue_starts(photos: Path, model: str, tmp_path: Path) -> None:
    assert len(score_folder(photos, tmp_path / "scores.csv", model, resume=True)) == 5


def test_work_is_neither_overwritten_nor_mixed(photos: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    rows = score_folder(photos, tmp_path / "whole.csv", model)
    journal = as_left(rows[:1], out)
    left = journal.read_text()
    with pytest.raises(UsageError, match=r"scores\.csv\.partial .*--resume"):
        score_folder(photos, out, model)
    with pytest.raises(UsageError, match="max_rounds 2, now it is 1"):
        score_folder(photos, out, model, max_rounds=1, resume=True)
    assert journal.read_text() == left and not out.exists()
    journal.write_text("damaged\n")
    with pytest.raises(UsageError, match="damaged"):
        score_folder(photos, out, model, resume=True)


def test_what_is_scored_when_the_model_fails_is_kept(photos: Path, model: str, tmp_path: Path) -> None:
    script = Path(model.removeprefix("scripted:"))
    crop = REPLY.replace('"final"', '"crop"').replace("[0.00, 0.00, 0.00, 0.00]", "[0.10, 0.10, 0.50, 0.50]")
    big = photos / "b" / "big.png"
    Image.new("RGB", (900, 900), "tan").save(big)  # large enough to zoom into, for which there is no reply
    script.write_text(json.dumps(crop) + "\n")
    out = tmp_path / "scores.csv"
    with pytest.raises(BackendError, match="round 2"):
        score_folder(photos, out, model, batch_size=1)
    kept = [json.loads(line)["path"] for line in (tmp_path / "scores.csv.partial").read_text().splitlines()]
    assert kept == ["a.jpg"]
    with pytest.raises(BackendError):
        score_folder(big.parent / "d", tmp_path / "other.csv", "scripted:gone.jsonl")
    assert not (tmp_path / "other.csv.partial").exists()


def test_pictures_are_found_by_name_and_by_content(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert find_pictures(photos) == Found(NAMES, {}, ["notes.txt"])
    save_noise(photos / "scan.png")
    (photos / "scan.png").rename(photos / "scan")
    (photos / "IMG_1.HIF").touch()
    os.mkfifo(photos / "pipe")
    (photos / "circle").symlink_to("circle")
    (photos / "b" / "loop").symlink_to("..")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")  # the path of a socket is short
    found = find_pictures(photos)
    assert found.pictures == sorted([*NAMES, "scan", "IMG_1.HIF"])
    assert found.skipped == ["circle", "notes.txt", "pipe", "socket"]


def test_a_thousand_folders_in_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    depth = sys.getrecursionlimit() + 20
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    save_noise(Path("photo.png"))
    try:
        assert find_pictures(tmp_path) == Found(["d/" * depth + "photo.png"], {}, [])
    finally:  # pytest's way to remove it calls itself too
        os.remove("photo.png")
        for _ in range(depth):
            os.chdir("..")
            os.rmdir("d")


def test_pipes_and_sockets_with_the_name_of_a_picture_are_errors(
    photos: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    os.mkfifo("pipe.png")
    Path("loop.png").symlink_to("loop.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
    rows = {row.path: row.error for row in score_folder(photos, tmp_path / "scores.csv", model)}
    assert (rows["pipe.png"], rows["socket.png"], rows["loop.png"]) == ("unreadable", "unreadable", "missing")
    assert rows["a.jpg"] is None


def test_skipped_files_are_in_the_summary(
    photos: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        (photos / f"{number}.mov").write_bytes(b"\0\0\0\x14ftypqt  ")
    main(["score", str(photos), "--out", str(tmp_path / "a.csv"), "--model", model])
    summary = capsys.readouterr().err.splitlines()[-1]
    assert "5 pictures, 1 without a score" in summary
    assert summary.endswith("skipped 7 that are not pictures: 0.mov, 1.mov, 2.mov, 3.mov, 4.mov and 2 more")


def test_a_folder_without_pictures_fails(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "notes.txt").write_text("no picture")
    assert main(["score", str(folder), "--out", str(tmp_path / "a.csv"), "--model", model]) == 1
    assert f"{folder}: no pictures in this folder" in capsys.readouterr().err


def test_damaged_pictures_get_a_score_where_allowed(model: str, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(Path(__file__).parents[1] / "data" / "cut60_eoi.jpg", folder)
    refused = score_folder(folder, tmp_path / "a.csv", model)
    assert (refused[0].error, refused[0].score) == ("damaged", None)
    allowed = score_folder(folder, tmp_path / "b.csv", model, allow_damaged=True)
    assert (allowed[0].error, allowed[0].score) == (None, 2.5)
    assert [issue["kind"] for issue in allowed[0].issues or ()] == ["corruption", "blur"]


def run(*arguments: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "snellen", "score", *map(str, arguments)]
    # a test runner in the background of a shell ignores interrupts, and its children would inherit that
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listening)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopping_it_loses_and_repeats_nothing(model: str, tmp_path: Path, workers: int, how: signal.Signals) -> None:
    folder, out = tmp_path / "many", tmp_path / "scores.csv"
    journal = tmp_path / "scores.csv.partial"
    names = [f"{n:03}.png" for n in range(24)]
    pixels = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    save_noise(folder / names[0])
    Image.fromarray(pixels).save(folder / names[0])
    for name in names[1:]:
        os.link(folder / names[0], folder / name)
    arguments = (folder, "--out", out, "--model", model, "--batch-size", 2, "--workers", workers)
    process = run(*arguments)
    while process.poll() is None and (not journal.exists() or journal.read_text().count("\n") < 4):
        time.sleep(0.01)
    process.send_signal(how)
    said, problems = process.communicate()
    if how == signal.SIGKILL:
        assert process.returncode == -how, "it was stopped before it was done"
    else:
        assert (process.returncode, problems) == (130, "snellen: interrupted\n")
    done = [json.loads(line)["path"] for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]
    assert 4 <= len(done) < len(names) and len(set(done)) == len(done)
    process = run(*arguments, "--resume")
    said, problems = process.communicate()
    assert process.returncode == 0 and said == "" and problems == f"{out}: 24 pictures, 0 without a score\n"
    assert [row.path for row in read_table(out)] == names
    assert all(row.score == 2.5 for row in read_table(out))
    whole = tmp_path / "whole.csv"
    score_folder(folder, whole, model)
    assert out.read_bytes() == whole.read_bytes()


def test_the_command(photos: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scores.csv"
    assert main(["score", str(photos), "--out", str(out), "--model", model]) == 1
    said, problems = capsys.readouterr()
    complaint, summary = problems.splitlines()
    assert said == "" and complaint.startswith(f"snellen: {photos / 'b' / 'empty.tif'}: the file is empty; ")
    assert summary == f"{out}: 5 pictures, 1 without a score; skipped 1 that are not pictures: notes.txt"
    (photos / "b" / "empty.tif").unlink()
    assert main(["score", str(photos), "--out", str(out), "--model", model, "--quiet", "--overwrite"]) == 0
    assert capsys.readouterr() == ("", "") and len(read_table(out)) == 4
