r"""Step 9 of the recipe: second rounds after first rounds that the model wrote itself.

    python runs/second.py --sft build/sft-a --vectors build/vectors --rationales build/rationales.jsonl \
        --out build/rationales-b.jsonl

A teacher's first round is true; the model's own is not always. Taught on the teacher's only, it believes every word
that it wrote, and the second look cannot help (docs/log). So the model of step 8 writes the first rounds,
half of them greedily and half drawn, and the writer continues each from the truth. First rounds are taught as before.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rationales import about, known_of, quick_round, round_of
from snellen.backends.taught import read_phrases
from tokenizers import Tokenizer

from snellen.backend import Sampling
from snellen.data.known import second_round
from snellen.image import Picture, View
from snellen.protocol import DEFAULT_QUESTION, SnellenProtocol
from snellen.region import FULL, Region
from snellen.reply import Answer, ReplyError, parse_reply, to_grid
from snellen.snellen1.decoder import Decoder
from snellen.snellen1.perception import Seen
from snellen.train.sft import SeenLooks
from snellen.train.snellen1.policy import Policy

BATCH = 128


@dataclass(frozen=True)
class StoredLooks:
    """Stands in for the encoder: a picture's name is the row of its look vectors."""

    seen: SeenLooks

    def ensure(self, views: Iterable[View]) -> None:
        """Everything is there already."""

    def take(self, views: Sequence[View]) -> Seen:
        """See `snellen.train.snellen1.feature_cache.LookCache.take`."""
        return self.seen.take(torch.tensor([int(view.picture.name) for view in views]))


def first_replies(policy: Policy, rows: Sequence[dict[str, Any]], temperature: float) -> list[str]:
    """What the model says of the first look at each picture."""
    nothing = np.zeros((1, 1, 3), np.uint8)
    views = [View(FULL, Picture(nothing, str(row["look"]), ())) for row in rows]
    asked = [SnellenProtocol().conversation(DEFAULT_QUESTION, [view], []) for view in views]
    return [reply.text for reply in policy.reply(asked, Sampling(temperature=temperature))]


def continued(row: dict[str, Any], reply: str) -> list[dict[str, Any]]:
    """The lines for one picture after its own first reply; none where it asks for no crop or cannot be read.

    The stored second look is shown, so that is the region which the first reply is made to ask for.
    """
    try:
        parsed = parse_reply(reply, 1)
    except ReplyError:
        return []
    if parsed.answer.region is None or parsed.rationale is None:
        return []
    region = to_grid(Region(*row["region"]))
    said = replace(parsed.answer, region=region)
    first = round_of(row, 1, (parsed.rationale, said), said.rating, "nothing")
    lines = [about(row) | {"rounds": [first, quick_round(row, 2)]}]
    if "measured" in row:
        known = known_of(row)
        last: tuple[Any, Answer] = second_round(known, said)
        lines.append(about(row) | {"rounds": [first, round_of(row, 2, last, known.label)]})
    return lines


def firsts_only(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The teacher's conversations up to the first reply."""
    for line in lines:
        if line["rounds"][0]["teaches"] != "nothing":
            yield line | {"rounds": line["rounds"][:1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sft", type=Path, required=True)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--rationales", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="only so many pictures, drawn at random")
    args = parser.parse_args()
    torch.set_num_threads(2)
    looks: Any = StoredLooks(SeenLooks.open(args.vectors))
    tokenizer = Tokenizer.from_file(str(args.sft / "tokenizer.json"))
    policy = Policy(Decoder.open(args.sft), tokenizer, looks, read_phrases(args.sft))
    policy.draws.manual_seed(0)
    rows = [json.loads(line) for line in (args.vectors / "examples.jsonl").read_text().splitlines()]
    order = np.random.default_rng(0).permutation(len(rows))[: args.limit]
    counts = {"pictures": 0, "continued": 0}
    with args.out.open("w") as out, args.rationales.open() as given:
        out.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in firsts_only(map(json.loads, given)))
        for begin in range(0, len(order), BATCH):
            batch = [rows[i] for i in order[begin : begin + BATCH]]
            drawn = begin // BATCH % 2 == 1
            for row, reply in zip(batch, first_replies(policy, batch, float(drawn)), strict=True):
                lines = continued(row, reply)
                counts["pictures"] += 1
                counts["continued"] += bool(lines)
                out.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    print(counts)


if __name__ == "__main__":
    main()
