"""Step 3 of the recipe: teach the encoder. See runs/README.md for the order.

python runs/vision.py --manifest build/biq2021.jsonl --store build/looks --out build/vision
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch

from snellen.data.sample import read_manifest
from snellen.train.looks import LookStore, Mixture, batches, real_look, training_pictures
from snellen.train.vision import Look, VisionOptions, train_vision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--store", type=Path, help="folder of synthetic looks; without it only real pictures are used")
    parser.add_argument("--start", type=Path, help="vision.pt to begin from instead of ImageNet weights")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=VisionOptions.steps)
    parser.add_argument("--encoder-rate", type=float, default=VisionOptions.encoder_rate)
    parser.add_argument("--head-rate", type=float, default=VisionOptions.head_rate)
    parser.add_argument("--synthetic", type=int, default=5, help="looks of the store in each batch")
    parser.add_argument("--validate-every", type=int, default=VisionOptions.validate_every)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(2)
    train, held = training_pictures(read_manifest(args.manifest))
    store = LookStore(args.store) if args.store else None
    validation = [real_look(sample) for sample in held]
    if store is not None:
        validation += [store[i] for i in store.held_out]
    options = VisionOptions(
        steps=args.steps,
        encoder_rate=args.encoder_rate,
        head_rate=args.head_rate,
        seed=args.seed,
        validate_every=args.validate_every,
    )
    real = options.batch - (args.synthetic if store is not None else 0)

    def mixture(skip: int) -> Iterator[list[Look]]:
        return batches(Mixture(train, store, real, options.batch - real, crops=0.3, seed=args.seed, skip=skip))

    train_vision(options, mixture, validation, args.out, args.start)


if __name__ == "__main__":
    main()
