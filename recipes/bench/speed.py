"""Measure time and memory of the bundled model, through the command line where a user would use that.

    python recipes/bench/speed.py --manifest build/biq2021.jsonl --photographs build/photographs.jsonl --out build/speed

Median times, warm, on all cores: a full assessment of a 12 MP JPEG, the same score only, score only beside PyPI's
BRISQUE on pictures of 512 px (extra "baselines"); cold `snellen assess`; peak memory on 24 MP; size of the wheel and of
an installation (`--no-size` leaves these two out; they need pip and an index). Nothing else should be running. Writes
OUT/speed.json.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from snellen.assessor import Assessor
from snellen.backends.onnx import Snellen1Backend
from snellen.data.sample import read_manifest
from snellen.evaluate import baselines
from snellen.evaluate.measurements import Numbers, write_measurements
from snellen.image import load
from snellen.train.snellen1.sources import read_photographs

ROOT = Path(__file__).parents[2]


def full_assessment(twelve: str, repeats: int) -> Numbers:
    """Return median seconds of `repeats` assessments of the 12 MP picture, after one to warm up."""
    backend = Snellen1Backend()
    full, short = Assessor(backend), Assessor(backend, score_only=True)
    return {
        "full assessment, 12 MP JPEG, warm, s": timed(partial(full.assess, [twelve]), repeats),
        "rounds in it": len(full.assess([twelve])[0].steps),
        "score only, 12 MP JPEG, warm, s": timed(partial(short.assess, [twelve]), repeats),
    }


def beside_brisque(paths: Sequence[str]) -> Numbers:
    """Return median seconds from file to score, ours and BRISQUE in turn, so that both see the same load."""
    short, brisque = Assessor(Snellen1Backend(), score_only=True), baselines.open_baseline("brisque")
    ours, theirs = [], []
    for path in (paths[0], *paths):  # the first warms up
        ours.append(seconds(partial(short.assess, [path])))
        theirs.append(seconds(lambda path=path: brisque.score(load(path))))  # type: ignore[misc]
    mine, other = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return {"score only, 512 px, s": mine, "brisque, 512 px, s": other, "score only / brisque": mine / other}


def commands(twelve: str, twenty_four: str, small: str) -> Numbers:
    """Return wall seconds of a cold start, median of three, and peak memory."""
    assess = [sys.executable, "-m", "snellen", "assess"]
    return {
        "cold snellen assess, 12 MP, s": statistics.median(command([*assess, twelve])[0] for _ in range(3)),
        "cold snellen assess, 512 px, s": statistics.median(command([*assess, small])[0] for _ in range(3)),
        "peak memory of snellen assess, 24 MP, MB": command([*assess, twenty_four])[1],
    }


def sizes(folder: Path) -> Numbers:
    """Return MB of the wheel, and of everything that its installation puts into an empty folder."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command([*pip, "wheel", str(ROOT), "--no-deps", "--wheel-dir", str(folder)])
    (wheel,) = folder.glob("snellen-*.whl")
    command([*pip, "install", "--target", str(folder / "installed"), str(wheel)])
    files = [path for path in (folder / "installed").rglob("*") if path.is_file()]
    return {
        "wheel, MB": wheel.stat().st_size / 1e6,
        "installed with dependencies, MB": sum(path.stat().st_size for path in files) / 1e6,
    }


def save_resized(source: str, size: tuple[int, int], path: Path) -> str:
    """Save a JPEG of a size, px."""
    picture = Image.fromarray(load(source).pixels)
    picture.resize(size, Image.Resampling.LANCZOS).save(path, quality=92)
    return str(path)


def timed(call: Callable[[], object], repeats: int) -> float:
    """Return the median seconds of `repeats` calls after one to warm up."""
    call()
    return statistics.median(seconds(call) for _ in range(repeats))


def seconds(call: Callable[[], object]) -> float:
    """Return the wall-clock seconds of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def command(words: Sequence[str]) -> tuple[float, float]:
    """Return wall seconds and peak resident MB of a command; SystemExit if it fails."""
    began = time.perf_counter()
    child = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    error = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(words)} failed ({child.returncode}): {error.decode(errors='replace')[-500:]}")
    return time.perf_counter() - began, megabytes(usage)


def megabytes(usage: resource.struct_rusage) -> float:
    """Return the peak resident size; Linux counts in KiB, macOS in bytes."""
    return usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True, help="BIQ2021, from 00_sources.py")
    parser.add_argument("--photographs", type=Path, required=True, help="photographs.jsonl, from 00_sources.py")
    parser.add_argument("--pictures", type=int, default=30, help="beside BRISQUE (30)")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--no-size", dest="size", action="store_false")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tests = [one.photograph for one in read_photographs(args.photographs) if one.split == "test"]
    largest = max(tests, key=lambda photograph: photograph.megapixels).path
    tested = [os.path.abspath(sample.path) for sample in read_manifest(args.manifest) if sample.split == "test"]
    small = tested[:: max(1, len(tested) // args.pictures)][: args.pictures]
    found: dict[str, float | int | str | None] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        twelve = save_resized(largest, (4000, 3000), folder / "12mp.jpg")
        twenty_four = save_resized(largest, (6000, 4000), folder / "24mp.jpg")
        found |= full_assessment(twelve, args.repeats)
        found |= beside_brisque(small)
        found |= commands(twelve, twenty_four, small[0])
        if args.size:
            found |= sizes(folder)
    write_measurements("speed", args.out, "Time and memory", found, "snellen-1", Snellen1Backend().version)


if __name__ == "__main__":
    main()
