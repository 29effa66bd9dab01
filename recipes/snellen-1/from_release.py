r"""Load the torch weights of a released model, to begin any stage from them instead of from stage 2.

    python recipes/snellen-1/from_release.py --model src/snellen/snellen1/weights --out build/released

Writes OUT/perception.pt and OUT/rating_head.pt. Exported again they are the same graphs to the last bit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.train.snellen1.release import read_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model folder with a card.json")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    read_model(args.model, args.out)


if __name__ == "__main__":
    main()
