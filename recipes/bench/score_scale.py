"""Write the numbers of `snellen explain`: percentiles of sets, and what thresholds of the score keep and drop.

    python recipes/bench/score_scale.py --held-out build/calibrate/journal.jsonl --manifest build/biq2021.jsonl \\
        --tested build/biq/journal.jsonl --set "Debian wallpapers=build/debian.csv" --out src/snellen/apps/explain.json

Scores come from journals of `snellen evaluate` (two rounds) and from tables of `snellen score`. Thresholds are those of
the verdict words; what they do is counted on the pictures held out of training, and again on the tested ones.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.data.sample import read_manifest
from snellen.table import read_table
from snellen.vocabulary import LIKED, VERDICTS

POOR = VERDICTS[1][0]
"""MOS below which people call a picture poor or bad."""
NEAR = 0.15
"""Scores this near to one count for the opinions on it, MOS points."""
FEWEST = 20
"""Pictures below which no opinions are stated."""
THRESHOLDS = (2.2, 2.6, 3.0, 3.4, 3.8)

Values = npt.NDArray[np.float64]


def read_scores(path: Path) -> tuple[dict[str, float], str]:
    """Return {file name: score} of a journal or a table, and name and version of the model."""
    if path.suffix == ".jsonl" and path.name.startswith("journal"):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
        rows = [row for row in rows if row["mode"] == "two rounds" and row["score"] is not None]
        return {row["key"].partition("/")[2]: row["score"] for row in rows}, rows[0]["model"]
    table = [row for row in read_table(path) if row.score is not None]
    return {row.path: float(row.score or 0) for row in table}, table[0].model


def kept_and_dropped(scores: Values, mos: Values) -> list[dict[str, float]]:
    """Return, for each threshold, precision and recall of keeping from it on, and of dropping below it.

    Keeping is right where the MOS is `LIKED` or more, dropping where it is below `POOR`. scores, mos: (N,), 1..5.
    """
    rows = []
    for threshold in THRESHOLDS:
        kept, liked, poor = scores >= threshold, mos >= LIKED, mos < POOR
        rows.append(
            {
                "threshold": threshold,
                "kept": float(np.mean(kept)),
                "keep precision": float(np.mean(liked[kept])),
                "keep recall": float(np.mean(kept[liked])),
                "drop precision": float(np.mean(poor[~kept])),
                "drop recall": float(np.mean(~kept[poor])),
            }
        )
    return [{name: round(value, 3) for name, value in row.items()} for row in rows]


def opinions(scores: Values, mos: Values) -> list[list[float]]:
    """Return [score, pictures, mean MOS, its 10th and 90th percentile] of the pictures near each score, 1.0 to 5.0."""
    rows = []
    for score in np.round(np.arange(1.0, 5.01, 0.1), 1):
        near = mos[np.abs(scores - score) <= NEAR]
        if len(near) >= FEWEST:
            low, high = np.percentile(near, (10, 90))
            rows.append([float(score), len(near), *(round(float(value), 2) for value in (near.mean(), low, high))])
    return rows


def rated(scores: dict[str, float], mos: dict[str, float]) -> tuple[Values, Values]:
    """Return scores and MOS of the pictures that have both, (N,) each."""
    names = [name for name in scores if name in mos]
    return np.array([scores[name] for name in names]), np.array([mos[name] for name in names])


def main() -> None:
    """Read the scores and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", type=Path, required=True, metavar="FILE", help="scores of pictures held out")
    parser.add_argument("--tested", type=Path, required=True, metavar="FILE", help="scores of the test split")
    parser.add_argument("--manifest", type=Path, required=True, help="MOS of both")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=FILE", help="scores of another set")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    mos = {Path(sample.path).name: sample.mos for sample in read_manifest(args.manifest) if sample.mos is not None}
    held_out, model = read_scores(args.held_out)
    sets = {"BIQ2021, test split": read_scores(args.tested), "BIQ2021, held out of training": (held_out, model)}
    for text in args.set:
        name, _, path = text.rpartition("=")
        sets[name] = read_scores(Path(path))
    tested = sets["BIQ2021, test split"][0]
    found: dict[str, Any] = {
        "model": model,
        "mode": "two rounds",
        "sets": {
            name: {
                "pictures": len(scores),
                "percentiles": [round(float(p), 2) for p in np.percentile(list(scores.values()), range(101))],
            }
            for name, (scores, _) in sets.items()
        },
        "held out": kept_and_dropped(*rated(held_out, mos)),
        "tested": kept_and_dropped(*rated(tested, mos)),
        "opinions": opinions(*rated(held_out, mos)),
    }
    print({name: other for name, (_, other) in sets.items()})
    args.out.write_text(json.dumps(found).replace('"held out": ', '\n"held out": ').replace("}, ", "},\n") + "\n")


if __name__ == "__main__":
    main()
