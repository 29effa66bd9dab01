"""How varied the writer's wording is: different sentences, and pairs of words (distinct-2), over some conversations.

python runs/variety.py --rationales build/rationales.jsonl --count 10000

The conversations with words are drawn at random without replacement. A rating among the words counts as one word,
whatever it is; to name another place, kind or severity is to say something else.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from result import Rows, table

from snellen.evaluate.stats.diversity import distinct_2
from snellen.reply import RATING_PREFIX, parse_reply

RATING, BETWEEN = re.compile(r"\b\d\.\d\d\b"), re.compile(r"(?<=[.!?])\s+")


def sections(line: dict[str, Any]) -> Iterator[str]:
    """What a conversation says, section by section."""
    for number, one in enumerate(line["rounds"], 1):
        rationale = parse_reply(one["reply"], number).rationale
        if rationale is not None:
            yield from (RATING.sub("RATING", text) for text in vars(rationale).values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rationales", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10_000)
    args = parser.parse_args()
    lines = [json.loads(line) for line in args.rationales.read_text(encoding="utf-8").splitlines()]
    spoken = [line for line in lines if not line["rounds"][-1]["reply"].startswith(RATING_PREFIX)]
    drawn = np.random.default_rng(0).permutation(len(spoken))[: args.count]
    texts = [list(sections(spoken[i])) for i in drawn]
    said = [text for those in texts for text in those]
    sentences = Counter(sentence for text in said for sentence in BETWEEN.split(text))
    (most, times), *_ = sentences.most_common(1)
    rows: Rows = {
        "conversations": len(texts),
        "different ones": len(set(map(tuple, texts))),
        "sections": len(said),
        "sentences": sum(sentences.values()),
        "different ones among the sentences": len(sentences),
        "distinct-2 of the sections": distinct_2(said),
        "the most frequent sentence": f"{most} ({times} times)",
    }
    print(table("Variety of the wording", rows).markdown())


if __name__ == "__main__":
    main()
