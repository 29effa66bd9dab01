r"""Stage 4: compute the cell features of all views once, since the encoder no longer changes.

    python recipes/snellen-1/04_cells.py --perception build/encoder/perception.pt --manifest build/biq2021.jsonl \
        --views build/views build/views-detected --out build/cells
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from snellen.train.snellen1.cells import run_cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perception", type=Path, required=True, help="perception.pt of stage 3")
    parser.add_argument("--manifest", type=Path, required=True, help="rated pictures")
    parser.add_argument("--views", type=Path, nargs="+", required=True, help="folders of stage 1")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run_cells(args.perception, args.manifest, args.views, args.out)


if __name__ == "__main__":
    main()
