"""Assess hundreds of pictures with snellen-1 in one process: memory and descriptors stay as they are after the first.

Each assessment reads a file of its own (five formats in turn, the photograph shifted each time), in one round or two.
usage: long_run.py [COUNT]   (default: 600)
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from snellen.assessor import Assessor

ROOT = Path(__file__).resolve().parents[1]
FORMATS: dict[str, dict[str, int]] = {
    "jpg": {}, "png": {"compress_level": 1}, "webp": {"method": 0}, "avif": {"speed": 10}, "tif": {},
}  # fmt: skip
"""Suffixes, and options that write such a file quickly: only reading is under test."""
EVERY = 50
"""Assessments between two measurements."""
MOST_GROWTH = 40.0
"""MB of resident memory, from the second measurement to the last. Keeping the copy of each picture would add 1,000."""


def usage() -> tuple[float, int, int]:
    """Return resident memory in MB, open descriptors and threads of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    descriptors, threads = (len(os.listdir(f"/proc/self/{name}")) for name in ("fd", "task"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, descriptors, threads


def main(arguments: list[str]) -> int:
    """Assess, print a line every 50 pictures, return the exit code."""
    count = int(arguments[0]) if arguments else 600
    photo = np.asarray(Image.open(ROOT / "examples" / "fig_local_compression.jpg").convert("RGB"))
    assessor = Assessor()
    measured: list[tuple[float, int, int]] = []
    rounds = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, count + 1):
            suffix = list(FORMATS)[number % len(FORMATS)]
            path = Path(folder) / f"{number}.{suffix}"
            Image.fromarray(np.roll(photo, 8 * number, axis=1)).save(path, **FORMATS[suffix])
            (one,) = assessor.assess([path])
            path.unlink()
            if one.score is None:
                print(one.name, one.error)
                return 1
            rounds += len(one.steps)
            if number % EVERY == 0:
                measured.append(usage())
                memory, descriptors, threads = measured[-1]
                print(f"{number:4} assessed: {memory:.0f} MB, {descriptors} descriptors, {threads} threads", flush=True)
    growth = measured[-1][0] - measured[1][0]
    same = len({(descriptors, threads) for _, descriptors, threads in measured[1:]}) == 1
    print(f"{rounds} rounds; memory grew by {growth:.1f} MB from assessment {2 * EVERY} on (at most {MOST_GROWTH:.0f})")
    print("descriptors and threads stayed the same" if same else "descriptors or threads changed")
    return 0 if growth < MOST_GROWTH and same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
