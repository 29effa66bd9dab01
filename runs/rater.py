r"""Step 10 of the recipe: teach what points at the rating, anew and by itself, with the decoder as it is.

    python runs/rater.py --sft build/sft-own --vectors build/vectors --rationales build/rationales-own.jsonl \
        --out build/sft
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from snellen.train.snellen1.batch import encode_rounds, rounds_of
from tokenizers import Tokenizer

from snellen.evaluate.stats import correlation as metrics
from snellen.reply import RATING_PREFIX
from snellen.snellen1.decoder import Decoder
from snellen.snellen1.rating_head import RatingPointer
from snellen.train.sft import SeenLooks
from snellen.train.snellen1.rating_head import GRID, Places, places, train_rater


@torch.no_grad()
def agreement(rater: RatingPointer, held: Places) -> dict[str, float]:
    """SRCC of the expected ratings with the targets on held-out pictures, and the plain head's, by what was read."""
    expected = rater(held.hidden, held.told).softmax(dim=1) @ GRID
    found = {}
    for real in (True, False):
        for late in (False, True):
            which = (held.real == real) & (held.late == late)
            name = f"{'real' if real else 'synthetic'}, {'later' if late else 'first'} round"
            target = held.target[which].numpy()
            found[name] = round(metrics.srcc(expected[which].numpy(), target), 4)
            found[f"{name}, plain head"] = round(metrics.srcc(held.told[which, -1].numpy(), target), 4)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sft", type=Path, required=True)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--rationales", type=Path, required=True)
    parser.add_argument("--real-weight", type=float, default=8.0, help="of a human rating; a synthetic one weighs 1")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    model = Decoder.open(args.sft, rater=False)
    tokenizer, seen = Tokenizer.from_file(str(args.sft / "tokenizer.json")), SeenLooks.open(args.vectors)
    lines = [json.loads(line) for line in args.rationales.read_text(encoding="utf8").splitlines()]
    parts = []
    for out in (False, True):
        # the score is read before any word, so where no word follows
        chosen = [x for x in lines if x["held_out"] == out and x["rounds"][-1]["reply"].startswith(RATING_PREFIX)]
        rows = [encode_rounds(tokenizer, rounds_of(line)) for line in chosen]
        parts.append(places(model, rows, [line["real"] for line in chosen], tokenizer, seen))
    train_rater(model.rater, parts[0], args.real_weight, args.steps)
    print(agreement(model.rater, parts[1]))
    args.out.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), args.out / "decoder.pt")
    for name in ("options.json", "tokenizer.json", "phrases.txt"):
        shutil.copy(args.sft / name, args.out / name)


if __name__ == "__main__":
    main()
