"""`speed`: seconds and megabytes, through the real command where that is what a user runs."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evaluate_pictures import Options, brisque_score, open_model
from evaluate_tables import number, publish, table
from PIL import Image

from snellen.assess import Assessor
from snellen.image import load


def speed(
    large: str, small: Sequence[str], options: Options, *, brisque: bool, repeats: int = 9, size: bool, root: Path
) -> dict[str, Any]:
    """Times and sizes.

    large: a photograph that 12 and 24 MP JPEGs are made from. small: files of about 512 px. root: the checkout.
    """
    data: dict[str, Any] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as folder:
        twelve = save_resized(large, (4000, 3000), Path(folder) / "12mp.jpg")
        twenty_four = save_resized(large, (6000, 4000), Path(folder) / "24mp.jpg")
        backend = open_model(options.model, options.threads)
        full, short = Assessor(backend), Assessor(backend, score_only=True)
        data["full assessment, 12 MP JPEG, warm, s"] = timed(lambda: full.assess([twelve]), repeats)
        data["rounds in it"] = len(full.assess([twelve])[0].steps)
        data["score only, 12 MP JPEG, warm, s"] = timed(lambda: short.assess([twelve]), repeats)
        ours, theirs = side_by_side(short, small, brisque)
        data["score only, 512 px, s"] = ours
        if theirs is not None:
            data["brisque, 512 px, s"] = theirs
            data["score only / brisque"] = ours / theirs
        assess = [sys.executable, "-m", "snellen", "assess", "--model", options.model]
        runs = [command([*assess, twelve], root) for _ in range(3)]
        data["cold snellen assess, 12 MP, s"] = statistics.median(seconds for seconds, _ in runs)
        runs = [command([*assess, small[0]], root) for _ in range(3)]
        data["cold snellen assess, 512 px, s"] = statistics.median(seconds for seconds, _ in runs)
        data["peak memory of snellen assess, 24 MP, MB"] = command([*assess, twenty_four], root)[1]
        if size:
            data |= sizes(root, Path(folder))
    shown = [[name, number(v, 3) if isinstance(v, float) else v] for name, v in data.items()]
    publish("speed", options.out, [("Time and memory", table(["what", "value"], shown))], data)
    return data


def save_resized(source: str, size: tuple[int, int], path: Path) -> str:
    picture = Image.fromarray(load(source).pixels)
    picture.resize(size, Image.Resampling.LANCZOS).save(path, quality=92)
    return str(path)


def timed(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of `repeats` calls after one that warms up."""
    call()
    return statistics.median(_seconds(call) for _ in range(repeats))


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def side_by_side(short: Assessor, paths: Sequence[str], brisque: bool) -> tuple[float, float | None]:
    """Median seconds for each picture, file to score, ours and BRISQUE in turn, so that both meet the same machine."""
    ours, theirs = [], []
    for path in paths[:1]:
        short.assess([path])
        if brisque:
            brisque_score(load(path))
    for path in paths:
        ours.append(_seconds(lambda path=path: short.assess([path])))  # type: ignore[misc]
        if brisque:
            theirs.append(_seconds(lambda path=path: brisque_score(load(path))))  # type: ignore[misc]
    return statistics.median(ours), statistics.median(theirs) if brisque else None


def command(words: Sequence[str], root: Path) -> tuple[float, float]:
    """Wall seconds and peak resident MB of a command, which must succeed."""
    began = time.perf_counter()
    child = subprocess.Popen(words, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    error = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(words)} failed ({child.returncode}): {error.decode(errors='replace')[-500:]}")
    return time.perf_counter() - began, megabytes(usage)


def megabytes(usage: resource.struct_rusage) -> float:
    """Peak resident size; Linux counts in KiB, macOS in bytes."""
    return usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def sizes(root: Path, folder: Path) -> dict[str, float]:
    """MB of the wheel, and of all that installing it puts into an empty folder (packages come from the index)."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command([*pip, "wheel", str(root), "--no-deps", "--wheel-dir", str(folder)], root)
    (wheel,) = folder.glob("snellen-*.whl")
    command([*pip, "install", "--target", str(folder / "installed"), str(wheel)], root)
    files = [path for path in (folder / "installed").rglob("*") if path.is_file()]
    return {
        "wheel, MB": wheel.stat().st_size / 1e6,
        "installed with dependencies, MB": sum(path.stat().st_size for path in files) / 1e6,
    }
