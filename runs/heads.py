"""Step 4 of the recipe: teach the fault heads further, with the encoder as it is. See runs/README.md for the order.

python runs/heads.py --vision build/vision/vision.pt --store build/looks --out build/heads
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from snellen.model.vision import Encoder, Glance
from snellen.train import best_device
from snellen.train.heads import HeadOptions, store_cells, train_heads
from snellen.train.looks import LookStore
from snellen.train.loop import fitting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vision", type=Path, required=True, help="vision.pt with the encoder")
    parser.add_argument("--start", type=Path, help="vision.pt whose fault heads to begin from")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=HeadOptions.steps)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(2)
    state = torch.load(args.vision, weights_only=True)
    encoder, glance = Encoder().eval(), Glance()
    encoder.load_state_dict(state["encoder"])
    encoder.to(device=best_device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    if args.start is not None:
        glance.load_state_dict(fitting(torch.load(args.start, weights_only=True)["glance"], glance))
    glance.load_state_dict(fitting(state["glance"], glance))
    store = LookStore(args.store)
    args.out.mkdir(parents=True, exist_ok=True)
    cells = store_cells(encoder, store, args.out / "cells.npy")
    train_heads(HeadOptions(steps=args.steps, seed=args.seed), glance, store, cells, args.out / "log.jsonl")
    glance.cpu()
    torch.save({"encoder": state["encoder"], "glance": glance.state_dict()}, args.out / "vision.pt")


if __name__ == "__main__":
    main()
