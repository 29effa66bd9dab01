"""Steps 6 and 8 of the recipe: teach the decoder to look, explain and rate.

python runs/sft.py --vectors build/vectors --rationales build/rationales.jsonl --out build/sft
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer

from snellen.model.decoder import DecoderShape
from snellen.model.tokenizer import train_tokenizer
from snellen.region import Region
from snellen.train.batch import Round, Row, encode_rounds
from snellen.train.sft import LookVectors, SftOptions, train_sft


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--rationales", type=Path, nargs="+", required=True)
    parser.add_argument("--start", type=Path, help="decoder.pt to go on from (with the tokenizer.json beside it)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=SftOptions.steps)
    parser.add_argument("--rate", type=float, default=SftOptions.rate)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(2)
    lines = [json.loads(line) for file in args.rationales for line in file.read_text().splitlines()]
    if args.start:
        tokenizer = Tokenizer.from_file(str(args.start.parent / "tokenizer.json"))
    elif (args.out / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_file(str(args.out / "tokenizer.json"))
    else:
        tokenizer = train_tokenizer(one["reply"] for line in lines for one in line["rounds"])
    rows: dict[bool, list[Row]] = {True: [], False: []}
    for line in lines:
        rounds = [Round(**one | {"region": Region(*one["region"])}) for one in line["rounds"]]
        rows[line["held_out"]].append(encode_rounds(tokenizer, rounds))
    tokens = sum(len(row.ids) for row in rows[False]) / len(rows[False])
    print(f"{len(rows[False])} conversations of {tokens:.0f} tokens, {len(rows[True])} held out")
    shape = DecoderShape(tokenizer.get_vocab_size())
    options = SftOptions(steps=args.steps, rate=args.rate, warmup=max(1, args.steps // 12), seed=args.seed)
    vectors = LookVectors.open(args.vectors)
    train_sft(options, shape, tokenizer, rows[False], rows[True], vectors, args.out, args.start)


if __name__ == "__main__":
    main()
