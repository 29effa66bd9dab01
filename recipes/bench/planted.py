"""Is the judge fooled by candidates that were smoothed or sharpened too much, and does the check refuse them?

    python recipes/bench/planted.py FOLDER --out planted.jsonl

Each made fault of `restoration.py`, all over a photograph. Planted: a Gaussian of 2.5 px that claims to remove noise,
and unsharp masking at 4 times that claims to remove blur. Printed: how often the judge scores each above the faulty
picture by more than its repeatability, how often the check lets it pass, how often the loop keeps it, and its PSNR.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from restoration import FAULTS, faulty, gain

from snellen import Assessor, Picture, load
from snellen.region import FULL
from snellen.restoration import blur
from snellen.restoration.loop import LEAST_GAIN, restore
from snellen.restoration.tool import Apply, Change, Tool, repair
from snellen.vocabulary import KINDS

PLANTED: dict[str, tuple[Apply, Change, dict[str, float]]] = {
    "too smooth": (blur.soften, "noise", {"radius": 2.5}),
    "too sharp": (blur.unsharp, "blur", {"radius": 1.5, "amount": 4.0}),
}


def main() -> None:
    """Plant candidates on each picture, print a row each and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("planted.jsonl"))
    parser.add_argument("--side", type=int)
    args = parser.parse_args()
    assessor = Assessor()
    rows = []
    paths = sorted(args.folder.glob("*.png"))
    for number, fault in enumerate(FAULTS):
        path = paths[number * len(paths) // len(FAULTS)]
        original = load(path).pixels[: args.side, : args.side]
        pixels, _ = faulty(original, fault, FULL)
        (before,) = assessor.assess([Picture(pixels, path.name)])
        assert before.score is not None
        for planted, (apply, change, setting) in PLANTED.items():
            tool = Tool(planted, KINDS, apply, change, (setting,))
            after = repair(pixels, FULL, tool, setting)
            (judged,) = assessor.assess([Picture(after, path.name)])
            assert judged.score is not None
            result = restore(Picture(pixels, path.name), assessor, [tool], 1)
            rows.append({
                "picture": path.name, "fault": fault[0], "planted": planted, "judge": judged.score - before.score,
                "psnr": gain(pixels, after, original), "kept": len(result.accepted), "tried": len(result.attempts),
                "reasons": [attempt.reason for attempt in result.attempts],
            })  # fmt: skip
    args.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for planted in PLANTED:
        group = [row for row in rows if row["planted"] == planted]
        preferred = sum(row["judge"] >= LEAST_GAIN for row in group)
        checked = sum(any(not r.startswith("check: ") for r in row["reasons"]) for row in group)
        print(
            f"{planted}: judge prefers {preferred} of {len(group)}, check lets pass {checked}, "
            f"kept {sum(row['kept'] > 0 for row in group)}, PSNR {np.mean([row['psnr'] for row in group]):+.2f} dB"
        )


if __name__ == "__main__":
    main()
