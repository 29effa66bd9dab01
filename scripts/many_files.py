"""Score a folder of very many pictures with a scripted model: time and memory of Snellen itself; then `--resume`.

usage: many_files.py [COUNT] [WORKERS]   (default: 50000 2)
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

REPLY = '<think></think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.50, "tool": "final", "issues": []}</answer>'
MOST_LINKS = 1000


def make(folder: Path, count: int) -> None:
    """Write `count` pictures of 32 x 32 px into subfolders of a thousand: links to one file in each."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for number in range(count):
        place = folder / f"{number // MOST_LINKS:03}"
        first = place / "000.png"
        if number % MOST_LINKS == 0:
            place.mkdir(parents=True)
            Image.fromarray(pixels).save(first)
        else:
            os.link(first, place / f"{number % MOST_LINKS:03}.png")


def run(folder: Path, workers: int, *options: str) -> bool:
    """Score the folder; print time, peak memory of the largest process and rows; return whether all is well."""
    out = folder / "scores.csv"
    command = [sys.executable, "-m", "snellen", "score", str(folder / "photos"), "--out", str(out)]
    command += ["--model", f"scripted:{folder / 'replies.jsonl'}", "--workers", str(workers), *options]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    rows = len(out.read_text().splitlines()) - 1 if out.exists() else 0
    what = " ".join(options) or "first run"
    print(f"{what}: exit {done.returncode}, {rows} rows, {seconds:.0f} s, peak {peak:.0f} MB in one process")
    print(done.stderr.replace(str(folder), "FOLDER").strip(), flush=True)
    return done.returncode == 0


def main(arguments: list[str]) -> int:
    """Make the folder and run twice; return the exit code."""
    count, workers = (int(text) for text in (*arguments, *("50000", "2")[len(arguments) :]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "replies.jsonl").write_text(json.dumps({"text": REPLY}) + "\n")
        make(folder / "photos", count)
        well = run(folder, workers) and run(folder, workers, "--resume")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
