"""What conversations like those that snellen-1 was taught say, three words at a time: phrases.txt, anew.

python runs/phrases.py --known build/known --looks build/looks --out build/restored

For weights that were taught before phrases had findings (see `snellen.backends.pieces`), and whose conversations are
gone: step 8 writes the same from the conversations themselves. A model's own first rounds, to which step 9 writes
second ones, are stood for by first rounds with other ratings and issues.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rationales import conversations, known_of, round_of

from snellen.answer import KINDS, Answer, Issue
from snellen.backends.bundled import write_phrases
from snellen.data.rationale import second, write
from snellen.data.synthesize import Recipe, read_recipes
from snellen.train.command import taught_phrases

TWICE = 2
"""Second rounds for each picture."""


def lines(known: Path, recipes: list[Recipe]) -> Iterator[dict[str, Any]]:
    """The conversations for all pictures that are written about."""
    with (known / "examples.jsonl").open(encoding="utf8") as rows:
        for number, row in enumerate(map(json.loads, rows)):
            if "measured" in row:
                row["look"] = number
                yield from conversations(row, recipes, row["region"])
                yield from second_rounds(row, recipes, np.random.default_rng([number, TWICE]))


def second_rounds(row: dict[str, Any], recipes: list[Recipe], rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Second rounds after first ones that are wrong in one way or another."""
    about = known_of(row, recipes)
    for _ in range(TWICE):
        rounds = write(about, rng)
        if len(rounds) == 2:
            said = mistaken(rounds[0][1], rng)
            first = round_of(row, 1, rounds[0], said.rating, "nothing")
            yield {"rounds": [first, round_of(row, 2, second(about, said, rng), about.label)]}


def mistaken(answer: Answer, rng: np.random.Generator) -> Answer:
    """As a model might have said it: another rating; no issue, one of another kind, or the same but for severity."""
    way, issues = int(rng.integers(4)), answer.issues
    if way == 0:
        issues = ()
    elif way == 1 and answer.region is not None:
        issues = (Issue(KINDS[int(rng.integers(len(KINDS)))], int(rng.integers(1, 6)), answer.region),)
    else:
        issues = tuple(replace(one, severity=int(np.clip(one.severity + rng.integers(-1, 2), 1, 5))) for one in issues)
    return replace(answer, rating=float(np.clip(answer.rating + rng.normal(0.0, 0.35), 1.0, 5.0)), issues=issues)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--known", type=Path, required=True)
    parser.add_argument("--looks", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    phrases = taught_phrases(lines(args.known, list(read_recipes(args.looks / "recipes.jsonl"))))
    write_phrases(phrases, args.out)
    print(f"{args.out / 'phrases.txt'}: {len(phrases)} phrases")


if __name__ == "__main__":
    main()
