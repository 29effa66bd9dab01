r"""Stage 11: write synthetic pictures with known faults as files, for SFT and GRPO, which crop where they like.

    python recipes/snellen-1/11_pictures.py --views build/views --count 800 --out build/synthetic

Writes OUT/synthetic.jsonl, a manifest with the splits "train" and "val".
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.train.snellen1.synthetic import write_pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=Path, required=True, help="folder of stage 1, for its recipes")
    parser.add_argument("--count", type=int, default=800, help="pictures to train on; a quarter as many to validate")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    print(write_pictures(args.views, args.out, args.count, args.workers))


if __name__ == "__main__":
    main()
