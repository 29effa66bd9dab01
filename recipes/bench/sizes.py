"""Measure the spread of the score of one photograph over sizes.

python recipes/bench/sizes.py ROOT

ROOT holds the photographs of src/snellen/data/labels/large_photographs.csv, see `zoom_policies.py`. Each is reduced to
SIZES and scored by snellen-1, score only. Prints the spread over the sizes, the mean score of each size, and how sizes
agree.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from zoom_policies import found_files

from snellen.assessor import Assessor
from snellen.backends.onnx import Snellen1Backend
from snellen.evaluate.stats.bootstrap import mean_interval
from snellen.evaluate.stats.correlation import srcc
from snellen.image import Picture, load, resample
from snellen.region import FULL

SIZES = {"512 px": 0.0, "1 MP": 1e6, "2 MP": 2e6, "12 MP": 12e6}
"""Pixels of each size; the first has a long side of 512 px. A smaller photograph is taken as it is for the last one."""


def at_size(picture: Picture, pixels: float) -> Picture:
    """Return the picture reduced to about so many pixels, never enlarged; to a long side of 512 px for 0."""
    long_side = max(picture.width, picture.height)
    side = 512.0 if pixels == 0 else long_side * min(1.0, float(np.sqrt(pixels / (picture.width * picture.height))))
    return Picture(resample(picture, FULL, round(side)), picture.name)


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder with the photographs")
    args = parser.parse_args()
    assessor = Assessor(Snellen1Backend(), score_only=True)
    rows = []
    for file in found_files(args.root).values():
        picture = load(file)
        found = assessor.assess([at_size(picture, pixels) for pixels in SIZES.values()])
        rows.append([np.nan if one.score is None else one.score for one in found])
    scores = np.array(rows)
    print(f"{len(scores)} photographs; score of each at {', '.join(SIZES)}")
    for what, values in (("standard deviation over the sizes", scores.std(axis=1)), ("range", np.ptp(scores, axis=1))):
        mean = mean_interval(list(values))
        print(f"{what}: mean {mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}], 95th percentile "
              f"{np.quantile(values, 0.95):.3f}")  # fmt: skip
    print("standard deviation over the photographs:", f"{scores.std(axis=0).mean():.3f}")
    print("mean score:", ", ".join(f"{name} {mean:.3f}" for name, mean in zip(SIZES, scores.mean(axis=0), strict=True)))
    for (first, a), (second, b) in pairwise(zip(SIZES, scores.T, strict=True)):
        print(f"SRCC of {first} and {second}: {srcc(a, b):.3f}")


if __name__ == "__main__":
    main()
