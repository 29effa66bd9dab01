"""Measure how often pictures are noted as no photographs: drawings, screenshots, scans; and photographs, wrongly.

python recipes/bench/drawn.py FOLDER... [--jpeg 75] [--least 200]

Prints one row for each folder: the share that `snellen.domain` notes, as the pictures are and recompressed.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image

from snellen.domain import looks_drawn
from snellen.evaluate.report.tables import percent
from snellen.evaluate.stats.bootstrap import share
from snellen.image import ImageError, Picture, load


def recompressed(picture: Picture, quality: int) -> Picture:
    """Return the picture as a JPEG of this quality."""
    held = io.BytesIO()
    Image.fromarray(picture.pixels).save(held, "JPEG", quality=quality)
    return load(held.getvalue())


def main() -> None:
    """Load, note and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of one kind of picture each")
    parser.add_argument("--jpeg", type=int, default=75, help="quality to recompress with (75)")
    parser.add_argument("--least", type=int, default=200, help="leave out pictures with a side shorter than this (200)")
    args = parser.parse_args()
    print(f"| folder | pictures | noted | as JPEG {args.jpeg} |\n| --- | --- | --- | --- |")
    for folder in args.folders:
        noted: list[tuple[bool, bool]] = []
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            try:
                picture = load(file)
            except ImageError:
                continue
            if min(picture.width, picture.height) >= args.least:
                shown = (picture, recompressed(picture, args.jpeg))
                noted.append((looks_drawn(shown[0].view().fragments), looks_drawn(shown[1].view().fragments)))
        cells = [percent(share([pair[i] for pair in noted])) for i in (0, 1)] if noted else ["-", "-"]
        print(f"| {folder.name} | {len(noted)} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main()
