"""Steps 8 and 9 of the recipe: teach the decoder to look, explain and rate.

python runs/sft.py --vectors build/vectors --rationales build/rationales.jsonl --out build/sft
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from snellen.train.config import SftConfig, run_sft
from snellen.train.sft import SftOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--rationales", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="decoder.pt to go on from (with the tokenizer.json beside it)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=SftOptions.steps)
    parser.add_argument("--rate", type=float, default=SftOptions.rate)
    parser.add_argument("--bf16", action="store_true", help="the decoder's products in 16 bits")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(2)
    warmup = max(1, args.steps // 12)
    options = SftOptions(steps=args.steps, rate=args.rate, warmup=warmup, bf16=args.bf16, seed=args.seed)
    run_sft(SftConfig(args.vectors, args.rationales, args.out, args.start, options))


if __name__ == "__main__":
    main()
