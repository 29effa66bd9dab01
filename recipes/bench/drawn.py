"""Measure how often pictures are noted as no photographs: drawings, screenshots, scans; and photographs, wrongly.

python recipes/bench/drawn.py FOLDER... [--jpeg 75] [--least 200] [--damaged 24]

Prints one row for each folder: the share that `snellen.domain` notes, as the pictures are, recompressed, and damaged:
by a distortion of level 2 to 5 in seven of ten cases, else brightened 1.3 to 3 times or taken to a step of an extreme
ladder.
"""

from __future__ import annotations

import argparse
import io
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from snellen.data.distort import DISTORTIONS, distort
from snellen.data.extremes import LADDERS, extreme
from snellen.domain import looks_drawn
from snellen.evaluate.report.tables import percent
from snellen.evaluate.stats.bootstrap import share
from snellen.image import ImageError, Picture, load


def recompressed(picture: Picture, quality: int) -> Picture:
    """Return the picture as a JPEG of this quality."""
    held = io.BytesIO()
    Image.fromarray(picture.pixels).save(held, "JPEG", quality=quality)
    return load(held.getvalue())


def damaged(picture: Picture, rng: np.random.Generator) -> Picture:
    """Return the picture with damage drawn at random."""
    pixels: npt.NDArray[np.uint8]
    drawn = rng.random()
    if drawn < 0.7:
        pixels = distort(picture.pixels, str(rng.choice(list(DISTORTIONS))), int(rng.integers(2, 6)), rng)
    elif drawn < 0.85:
        pixels = np.clip(picture.pixels * rng.choice([1.3, 1.6, 2.0, 3.0]), 0, 255).astype(np.uint8)
    else:
        ladder = str(rng.choice(list(LADDERS)))
        pixels = extreme(picture.pixels, ladder, int(rng.integers(len(LADDERS[ladder]))))
    return load(pixels)


def main() -> None:
    """Load, note and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of one kind of picture each")
    parser.add_argument("--jpeg", type=int, default=75, help="quality to recompress with (75)")
    parser.add_argument("--least", type=int, default=200, help="leave out pictures with a side shorter than this (200)")
    parser.add_argument("--damaged", type=int, default=0, help="damage each picture in so many ways (none)")
    args = parser.parse_args()
    print(f"| folder | pictures | noted | as JPEG {args.jpeg} | damaged |\n| --- | --- | --- | --- | --- |")
    for folder in args.folders:
        noted: list[tuple[bool, bool]] = []
        spoilt: list[bool] = []
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            try:
                picture = load(file)
            except ImageError:
                continue
            if min(picture.width, picture.height) >= args.least:
                shown = (picture, recompressed(picture, args.jpeg))
                noted.append((looks_drawn(shown[0].view().fragments), looks_drawn(shown[1].view().fragments)))
                rng = np.random.default_rng(zlib.crc32(file.name.encode()))
                spoilt += [looks_drawn(damaged(picture, rng).view().fragments) for _ in range(args.damaged)]
        cells = [percent(share(each)) for each in ([one for one, _ in noted], [two for _, two in noted], spoilt)]
        print(f"| {folder.name} | {len(noted)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
