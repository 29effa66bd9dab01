r"""Stage 2: train encoder, score head and fault head together.

    python recipes/snellen-1/02_encoder.py --manifest build/biq2021.jsonl --views build/views --out build/encoder-1

A second run with --start and --teacher goes on from the first one, with more synthetic views and softer labels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from snellen.train.snellen1.encoder import EncoderOptions, run_encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True, help="rated pictures")
    parser.add_argument("--views", type=Path, required=True, help="folder of stage 1")
    parser.add_argument("--start", type=Path, help="perception.pt to begin from instead of ImageNet's weights")
    parser.add_argument("--teacher", type=Path, help="perception.pt whose ratings are half of the target")
    parser.add_argument("--steps", type=int, default=EncoderOptions.steps)
    parser.add_argument("--synthetic", type=int, default=EncoderOptions.synthetic, help="synthetic views in a batch")
    parser.add_argument("--encoder-rate", type=float, default=EncoderOptions.encoder_rate, help="peak learning rate")
    parser.add_argument("--head-rate", type=float, default=EncoderOptions.head_rate, help="peak learning rate")
    parser.add_argument("--frozen", type=int, default=EncoderOptions.frozen, help="leading blocks that are not trained")
    parser.add_argument("--seed", type=int, default=EncoderOptions.seed)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    options = EncoderOptions(
        steps=args.steps,
        synthetic=args.synthetic,
        encoder_rate=args.encoder_rate,
        head_rate=args.head_rate,
        frozen=args.frozen,
        seed=args.seed,
    )
    run_encoder(options, args.manifest, args.views, args.out, args.start, args.teacher)


if __name__ == "__main__":
    main()
