"""Nothing is written below the home folder, and no host is called: onnxruntime would do both when it is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PHOTO = Path(__file__).parents[2] / "examples" / "cat_compressed.jpg"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def run(home: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the home folder without any variable that says something about caches or telemetry."""
    known = {"HOME", "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"}
    environment = {name: value for name, value in os.environ.items() if name not in known}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**environment, "HOME": str(home), **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def written(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_nothing_is_written_below_an_empty_home(home: Path, tmp_path: Path) -> None:
    done = run(home, "-m", "snellen", "assess", PHOTO, "--quiet")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.endswith(f"{PHOTO}\n")
    assert written(home) == []
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in "ab":
        os.link(PHOTO, photos / f"{name}.jpg")
    options = ("--score-only", "--workers", 2, "--batch-size", 1, "--quiet")
    done = run(home, "-m", "snellen", "score", photos, "--out", tmp_path / "scores.csv", *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert written(home) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, which nobody can write to")
def test_a_read_only_home_is_no_warning() -> None:
    done = run(Path("/proc"), "-m", "snellen", "assess", PHOTO, "--quiet")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.endswith(f"{PHOTO}\n")


OPEN = "from snellen.backends.onnx import Snellen1Backend; Snellen1Backend()"


def test_snellen_goes_before_onnxruntime(home: Path) -> None:
    done = run(home, "-c", f"import snellen, onnxruntime; {OPEN}", ORT_DISABLE_TELEMETRY="")
    assert (done.returncode, done.stderr) == (0, "") and written(home) == []


def test_onnxruntime_imported_before_is_one_note(home: Path) -> None:
    import onnxruntime

    done = run(home, "-c", f"import onnxruntime, snellen; {OPEN}; {OPEN}")
    assert done.returncode == 0
    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 29):
        assert done.stderr == "" and written(home) == []
        return
    assert done.stderr.count("onnxruntime was imported before snellen") == 1
    assert "import snellen first, or set ORT_DISABLE_TELEMETRY=1" in done.stderr
    done = run(home, "-c", f"import onnxruntime, snellen; {OPEN}", ORT_DISABLE_TELEMETRY="1")
    assert (done.returncode, done.stderr) == (0, ""), "it is off: there is nothing to say"
