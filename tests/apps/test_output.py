"""Output that cannot be written: one line, exit code 1, and what was done is kept."""

from __future__ import annotations

import functools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pictures import save_noise

from snellen.apps.folder import score_folder
from snellen.table import read_table
from snellen.usage import UsageError

COMMAND = [sys.executable, "-m", "snellen"]
REPLY = '<think></think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.50, "tool": "final", "issues": []}</answer>'
full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Model that gives the same reply to every picture."""
    (tmp_path / "replies.jsonl").write_text(json.dumps({"text": REPLY}) + "\n")
    return f"scripted:{tmp_path}/replies.jsonl"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve pictures."""
    folder = tmp_path / "photos"
    for number in range(12):
        save_noise(folder / f"{number:02}.png", seed=number)
    return folder


def shell(line: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which SNELLEN is the command."""
    snellen = " ".join(COMMAND)
    line = line.replace("SNELLEN", snellen)
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_full_disk_ends_the_run_and_resume_gives_the_same_bytes(
    photos: Path, model: str, tmp_path: Path, suffix: str
) -> None:
    """The limit of a file's size stands for the full disk: writing fails in the same way, in the middle of a line."""
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"scores{suffix}"
    score_folder(photos, whole, model)
    command = [*COMMAND, "score", str(photos), "--out", str(out), "--model", model, "--batch-size", "2"]
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    journal = tmp_path / f"scores{suffix}.partial"
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        f"snellen: {journal} cannot be written (File too large); free some space, or write to another place; rows that "
        "were written are kept, continue with --resume\n"
    )
    kept = journal.read_bytes()
    assert len(kept) == 1500 and kept.count(b"\n") >= 3 and not out.exists()
    assert sorted(path.name for path in tmp_path.glob("scores*")) == [journal.name], "neither lock nor unfinished table"
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == whole.read_bytes() and not journal.exists()


def test_a_stop_while_a_table_becomes_a_journal_loses_no_row(photos: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    score_folder(photos, out, model)
    before = out.read_bytes()
    save_noise(photos / "new.png")
    command = [*COMMAND, "score", str(photos), "--out", str(out), "--model", model, "--resume"]
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 1 and f"{out}.partial cannot be written (File too large)" in done.stderr
    assert out.read_bytes() == before and [path.name for path in tmp_path.glob("scores*")] == [out.name]
    new: list[str] = []
    rows = score_folder(
        photos, out, model, resume=True, watch=lambda done, total, row: new.append(row.path) if row else None
    )
    assert len(rows) == 13 and new == ["new.png"]


def test_a_table_that_does_not_fit_leaves_the_journal(photos: Path, model: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    out = tmp_path / "scores.parquet"
    out.write_text("as it was\n")
    command = [*COMMAND, "score", str(photos), "--out", str(out), "--model", model, "--overwrite"]
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (7000, resource.RLIM_INFINITY))
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"{out} cannot be written (" in done.stderr and "--resume" in done.stderr
    assert out.read_text() == "as it was\n"
    journal = tmp_path / "scores.parquet.partial"
    assert journal.read_text().count("\n") == 12 and sorted(tmp_path.glob("scores*")) == [out, journal]


@full_device
@pytest.mark.parametrize("options", ["", "--json", "--quiet"])
def test_standard_output_on_a_full_disk(photos: Path, model: str, options: str) -> None:
    done = shell(f"SNELLEN assess {photos}/0*.png --model {model} {options} >/dev/full")
    assert (done.returncode, done.stderr) == (1, "snellen: standard output: No space left on device\n")


def test_a_report_on_a_full_disk(photos: Path, model: str, tmp_path: Path) -> None:
    done = shell(f"ulimit -f 4; SNELLEN assess {photos}/00.png --model {model} --quiet --report {tmp_path}/report.html")
    assert done.returncode == 1 and done.stdout.endswith("00.png\n")
    problem = f"{tmp_path}/report.html cannot be written (File too large)"
    assert done.stderr == f"snellen: {problem}; free some space, or write to another place\n"
    assert not list(tmp_path.glob("report*"))


def test_too_few_descriptors_are_not_blamed_on_the_output(photos: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    done = shell(f"ulimit -n 16; SNELLEN score {photos} --out {out} --model {model} --workers 4 --batch-size 1")
    assert (done.returncode, done.stderr) == (1, "snellen: the system: Too many open files\n")
    assert len(score_folder(photos, out, model, resume=True)) == 12


def test_a_table_is_continued_through_a_link(photos: Path, model: str, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "mine.csv").symlink_to("shared/scores.csv")
    rows = score_folder(photos, tmp_path / "mine.csv", model)
    assert read_table(tmp_path / "shared" / "scores.csv") == rows and (tmp_path / "mine.csv").is_symlink()
    save_noise(photos / "new.png")
    (tmp_path / "shared" / "scores.csv.lock").write_text(f"{os.getpid()} {socket.gethostname()}\n")
    with pytest.raises(UsageError, match=r"shared/scores\.csv\.lock: another run"):
        score_folder(photos, tmp_path / "mine.csv", model, resume=True)
    (tmp_path / "shared" / "scores.csv.lock").unlink()
    assert len(score_folder(photos, tmp_path / "mine.csv", model, resume=True)) == 13
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["scores.csv"]


def test_an_empty_name_is_not_the_current_folder(photos: Path, model: str, tmp_path: Path) -> None:
    done = shell(f'cd {photos}; SNELLEN score "$UNSET" --out {tmp_path}/scores.csv --model {model}')
    assert done.returncode == 2 and "argument FOLDER: the path is empty" in done.stderr
    done = shell(f'cd {photos}; SNELLEN check "$UNSET" --min-score 1 --model {model}')
    assert done.returncode == 1 and "the path is empty" in done.stdout


def test_closed_streams(photos: Path, model: str, tmp_path: Path) -> None:
    """No file of ours takes the place of a closed stream; only what was to be written there fails."""
    line = f"SNELLEN assess --model {model} --quiet {photos}/00.png"
    done = shell(f"{line} >&-")
    assert (done.returncode, done.stderr) == (1, "snellen: standard output: Bad file descriptor\n")
    done = shell(f"{line} {photos}/gone.png 2>&- <&-")
    assert done.returncode == 1 and done.stdout.startswith("2.50 ") and len(done.stdout.splitlines()) == 1
    done = shell(f"SNELLEN score {photos} --out {tmp_path}/scores.csv --model {model} --workers 2 <&- >&- 2>&-")
    assert done.returncode == 0 and len((tmp_path / "scores.csv").read_text().splitlines()) == 13


@full_device
def test_standard_error_on_a_full_disk(photos: Path, model: str) -> None:
    done = shell(f"SNELLEN assess {photos}/gone.png {photos}/00.png --model {model} --quiet 2>/dev/full")
    assert done.returncode == 1 and done.stdout.endswith("00.png\n")


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_keeps_every_row_of_a_batch_that_is_done(
    photos: Path, model: str, tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "scores.csv"

    def watch(done: int, total: int, row: object) -> None:
        if row is not None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        score_folder(photos, out, model, batch_size=4, workers=workers, watch=watch)
    kept = (tmp_path / "scores.csv.partial").read_text().count("\n")
    assert kept in ((4,) if workers == 1 else (4, 8, 12))
    whole = tmp_path / "whole.csv"
    score_folder(photos, whole, model)
    score_folder(photos, out, model, resume=True)
    assert out.read_bytes() == whole.read_bytes()
