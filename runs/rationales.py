"""Step 7 of the recipe: write the conversations to learn from (GR-IQA), one JSON object per line, for people to read.

python runs/rationales.py --vectors build/vectors --out build/rationales.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snellen.data.known import Known, conversation, score_only_answer
from snellen.data.sample import Fault
from snellen.features import Feature, Features
from snellen.region import FULL, LOCAL_AREA, Region
from snellen.reply import RATING_PREFIX, Answer, Rationale, render_reply
from snellen.zoom import ZOOM_PRESETS

WIDER = 0.3
"""Of a box's sides, on each side of it: what is darker or flatter than the rest shows beside the rest, and of clean
pictures the most suspicious part alone looks faulty twice as often as with its surroundings (docs/log)."""
CLOSER = 0.1
"""The same where a fault is known: of such pictures more than that is not needed (docs/log)."""
VARIANTS = {True: 1, False: 2}
"""Wordings per picture, by whether it is real: known faults teach grounding, real pictures mostly the rating."""


def known_of(row: dict[str, Any]) -> Known:
    """What the index knows about one picture, as the writer wants it."""
    measured = Features(
        {name: Feature(one["value"], one["unit"], tuple(one["range"])) for name, one in row["measured"].items()},
        {name: np.array(one["map"], np.float32) for name, one in row["measured"].items()},
    )
    faults: tuple[Fault, ...] = ()
    if row["fault"]:
        distortion, kind, level, box = row["fault"]
        faults = (Fault(distortion, kind, level, Region(*box)),)
    return Known(row["mos"], row["first"], measured, row["first_std"], faults, row["real"], Region(*row["region"]))


def round_of(
    row: dict[str, Any], number: int, said: tuple[Rationale | None, Answer], target: float, teaches: str = "reply"
) -> dict[str, Any]:
    """One round as `snellen.train.snellen1.batch.Round` reads it. target: the unrounded rating."""
    rationale, answer = said
    reply = render_reply(rationale, answer, number)
    if rationale is None and not reply.startswith(RATING_PREFIX):
        raise ValueError(f"a quick reply does not begin as it is forced to: {reply}")
    return {
        "look": row["look"] + number - 1,
        "region": FULL.to_list() if number == 1 else row["region"],
        "rating": target,
        "issues": len(answer.issues),
        "reply": reply,
        "teaches": teaches,
    }


def about(row: dict[str, Any]) -> dict[str, Any]:
    """What a line says beside its rounds."""
    return {key: row[key] for key in ("path", "store", "recipe", "held_out", "real", "mos", "first") if key in row}


def quick_round(row: dict[str, Any], number: int) -> dict[str, Any]:
    """The rating before any word, which is where the score is read; with the issues where they are known."""
    if "measured" not in row:
        return round_of(row, number, (None, Answer(None, row["mos"], "final")), row["mos"], "rating")
    known = known_of(row)
    answer = score_only_answer(known) if number == 1 else Answer(None, known.label, "final", known.issues)
    return round_of(row, number, (None, answer), known.label)


def asked_of(known: Known, box: Sequence[float], width: int, height: int) -> Region:
    """What a first look asks for: the box that the fault heads named with WIDER of its sides around it, or CLOSER where
    a fault is known; a known fault of which that would miss half is asked for as it is known.

    The heads' box, though a known one is better: it is what the model is told, and so what it can ask for. Taught on
    boxes drawn loosely around the fault, it learned to trust what it is told by half.
    """
    x0, y0, x1, y1 = (float(side) for side in box)
    margin = CLOSER if known.faults else WIDER
    dx, dy = margin * (x1 - x0), margin * (y1 - y0)
    wanted = Region(max(0.0, x0 - dx), max(0.0, y0 - dy), min(1.0, x1 + dx), min(1.0, y1 + dy))
    if any(wanted.covers(fault.region) < 0.5 for fault in known.faults if fault.region.area < LOCAL_AREA):
        wanted = known.faults[0].region
    return ZOOM_PRESETS["snellen"].settle(wanted, width, height)


def conversations(row: dict[str, Any], box: Sequence[float]) -> list[dict[str, Any]]:
    """The lines for one picture: full conversations and the quick answers. box: where the heads see the worst fault.

    A first round that asks for a crop is taught by itself, on what it should ask for; the second one is taught on
    the region that was looked at when the looks were stored.
    """
    lines = [about(row) | {"rounds": [quick_round(row, 1)]}]
    if "measured" not in row:
        return lines
    known = known_of(row)
    asking = replace(known, crop=asked_of(known, box, *row["size"]))
    for variant in range(VARIANTS[row["real"]]):
        said = conversation(known, np.random.default_rng([row["look"], variant]))
        targets = [known.first_rating if answer.tool == "crop" else known.label for _, answer in said]
        rounds = [round_of(row, i, one, target) for i, (one, target) in enumerate(zip(said, targets, strict=True), 1)]
        if len(rounds) == 2:
            first = conversation(asking, np.random.default_rng([row["look"], variant, 1]))[0]
            lines.append(about(row) | {"rounds": [round_of(row, 1, first, known.first_rating)]})
            rounds[0] |= {"teaches": "nothing"}
        lines.append(about(row) | {"rounds": rounds})
    if len(rounds) == 2:
        lines.append(about(row) | {"rounds": [rounds[0] | {"teaches": "nothing"}, quick_round(row, 2)]})
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    seen = np.load(args.vectors / "seen.npy", mmap_mode="r")
    with (args.vectors / "examples.jsonl").open() as rows, args.out.open("w") as out:
        for row, look in zip(rows, seen[::2], strict=True):
            for line in conversations(json.loads(row), look[-4:]):
                out.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
