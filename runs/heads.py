r"""Step 5 of the recipe: teach the fault heads, with the encoder as it is. See runs/README.md for the order.

    python runs/heads.py --vision build/vision/vision.pt --looks build/looks build/looks-own --cells build/cells \
        --out build/heads
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from snellen.snellen1.perception import Vision
from snellen.train.snellen1.fault_head import HeadOptions, StoredCells, train_heads
from snellen.train.snellen1.views import LookStore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vision", type=Path, required=True, help="vision.pt with encoder and plain head")
    parser.add_argument("--looks", type=Path, nargs="+", required=True)
    parser.add_argument("--cells", type=Path, required=True, help="folder that runs/cells.py left")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=HeadOptions.steps)
    parser.add_argument("--rate", type=float, default=HeadOptions.rate)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(args.seed)
    vision = Vision.open(args.vision, whole=False)
    cells = [np.load(args.cells / f"{folder.name}.npy", mmap_mode="r") for folder in args.looks]
    stored = StoredCells([LookStore(folder) for folder in args.looks], cells)
    options = HeadOptions(steps=args.steps, rate=args.rate, seed=args.seed)
    train_heads(options, vision.faults, stored, args.out)
    vision.save(args.out / "vision.pt")


if __name__ == "__main__":
    main()
