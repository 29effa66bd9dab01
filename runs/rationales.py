"""Step 4 of the recipe: write the conversations to learn from (GR-IQA), one JSON object per line, for people to read.

python runs/rationales.py --vectors build/vectors --looks build/looks --out build/rationales.jsonl
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from snellen.answer import RATING_PREFIX, Answer, render_reply
from snellen.data.features import Feature, Features
from snellen.data.rationale import Known, quick, write
from snellen.data.sample import Fault
from snellen.data.synthesize import Recipe, read_recipes
from snellen.region import FULL, Region

VARIANTS = {True: 1, False: 3}
"""Wordings per picture, by whether it is real: known faults teach grounding, real pictures mostly the rating."""


def known_of(row: dict[str, Any], recipes: list[Recipe]) -> Known:
    """What the index knows about one picture, as the writer wants it."""
    measured = Features(
        {name: Feature(one["value"], one["unit"], tuple(one["range"])) for name, one in row["measured"].items()},
        {name: np.array(one["map"], np.float32) for name, one in row["measured"].items()},
    )
    faults: tuple[Fault, ...] = ()
    if row["fault"]:
        kind, level, box = row["fault"]
        faults = (Fault(str(recipes[row["recipe"]].distortion), kind, level, Region(*box)),)
    width, height = row["size"]
    return Known(
        row["mos"], row["first"], measured, width, height, row["first_std"], faults, row["real"], Region(*row["region"])
    )


def conversations(row: dict[str, Any], recipes: list[Recipe]) -> list[dict[str, Any]]:
    """The lines for one picture: full conversations and one quick answer."""
    known = known_of(row, recipes)
    about = {key: row[key] for key in ("path", "recipe", "held_out", "real", "mos", "first") if key in row}
    lines = []
    for variant in range(VARIANTS[row["real"]]):
        rng = np.random.default_rng([row["look"], variant])
        rounds = []
        for number, (rationale, answer) in enumerate(write(known, rng), 1):
            region = FULL.to_list() if number == 1 else row["region"]
            target = known.first_rating if answer.tool == "crop" else known.label
            reply = render_reply(rationale, answer, number)
            rounds.append(
                {
                    "look": row["look"] + number - 1,
                    "region": region,
                    "rating": target,
                    "issues": len(answer.issues),
                    "reply": reply,
                }
            )
        lines.append(about | {"rounds": rounds})
    answer = quick(known)
    reply = render_reply(None, answer, 1)
    if not reply.startswith(RATING_PREFIX):
        raise ValueError(f"a quick reply does not begin as it is forced to: {reply}")
    one = {
        "look": row["look"],
        "region": FULL.to_list(),
        "rating": known.label,
        "issues": len(answer.issues),
        "reply": reply,
    }
    lines.append(about | {"rounds": [one]})
    # the same before the words of the second round: this is where its score is read
    if len(rounds) == 2:
        final = render_reply(None, Answer(None, known.label, "final", known.issues), 2)
        later = rounds[1] | {"reply": final, "issues": len(known.issues)}
        lines.append(about | {"rounds": [rounds[0], later]})
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--looks", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    recipes = list(read_recipes(args.looks / "recipes.jsonl"))
    with (args.vectors / "examples.jsonl").open() as rows, args.out.open("w") as out:
        for row in rows:
            for line in conversations(json.loads(row), recipes):
                out.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
