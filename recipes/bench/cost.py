"""Processor time of snellen-1 for each picture, with one thread: python recipes/bench/cost.py FOLDER [--pictures 20]"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from snellen.assessor import Assessor
from snellen.backends import open_backend
from snellen.folder import find_pictures
from snellen.rows import score_rows


def main() -> None:
    """Print seconds of processor time a picture: score only, two rounds, and what the features cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=20, metavar="N")
    args = parser.parse_args()
    names = [str(args.folder / name) for name in find_pictures(args.folder).pictures[: args.pictures]]
    backend = open_backend("snellen-1", threads=1)
    for label, score_only, features in (
        ("score only", True, False),
        ("score only, with features", True, True),
        ("two rounds", False, False),
    ):
        assessor = Assessor(backend, score_only=score_only)
        list(score_rows(assessor, names[:2], features))  # opens what is opened at first use
        began = time.process_time()
        rows = list(score_rows(assessor, names, features))
        seconds = (time.process_time() - began) / len(rows)
        size = sum((row.width or 0) * (row.height or 0) for row in rows) / len(rows) / 1e6
        print(f"{label}: {seconds:.3f} s a picture of {size:.2f} MP, {len(rows)} pictures", flush=True)


if __name__ == "__main__":
    main()
