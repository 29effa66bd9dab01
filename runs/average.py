r"""Step 3 of the recipe, its end: the mean of the weights of encoders that were trained one after the other.

    python runs/average.py --vision build/restored/vision.pt build/vision-w/vision.pt --out build/soup

What learned longer knows more of faults and less of ratings; their mean keeps both (model soups, Wortsman et al. 2022,
arXiv 2203.05482). Means of encoders that did not begin from each other are worthless.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vision", type=Path, nargs="+", required=True, help="vision.pt of each")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    several = [torch.load(file, weights_only=True, map_location="cpu") for file in args.vision]
    mean = {
        part: {
            name: torch.stack([one[part][name] for one in several]).mean(dim=0) if value.is_floating_point() else value
            for name, value in weights.items()
        }
        for part, weights in several[-1].items()
    }
    args.out.mkdir(parents=True, exist_ok=True)
    torch.save(mean, args.out / "vision.pt")


if __name__ == "__main__":
    main()
