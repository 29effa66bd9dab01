"""Is the judge fooled by candidates that were smoothed or sharpened too much, and does the check refuse them?

    python recipes/bench/planted.py FOLDER --out planted.jsonl

Each made fault of `restoration.py`, all over a photograph. Planted: a Gaussian of 2.5 px that claims to remove noise,
and unsharp masking at 4 times that claims to remove blur. Printed: how often the judge scores each above the faulty
picture by more than its repeatability, names a new kind of issue, and how often the check lets it pass; its PSNR.
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
from snellen.restoration.check import check_change
from snellen.restoration.loop import LEAST_GAIN
from snellen.restoration.tool import Apply, Change, Tool, repair
from snellen.vocabulary import KINDS, merged

PLANTED: dict[str, tuple[Apply, Change, dict[str, float]]] = {
    "too smooth": (blur.soften, "noise", {"radius": 2.5}),
    "too sharp": (blur.unsharp, "blur", {"radius": 1.5, "amount": 4.0}),
}


def main() -> None:
    """Plant candidates on each picture, print a row each and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("planted.jsonl"))
    parser.add_argument("--side", type=int, help="only the upper left corner of each picture, px a side")
    parser.add_argument("--every", type=int, default=1, help="every n-th fault only")
    args = parser.parse_args()
    assessor = Assessor()
    rows = []
    paths = sorted(args.folder.glob("*.png"))
    for number, fault in list(enumerate(FAULTS))[:: args.every]:
        path = paths[number * len(paths) // len(FAULTS)]
        original = load(path).pixels[: args.side, : args.side]
        pixels, _ = faulty(original, fault, FULL)
        (before,) = assessor.assess([Picture(pixels, path.name)])
        assert before.score is not None
        for planted, (apply, change, setting) in PLANTED.items():
            after = repair(pixels, FULL, Tool(planted, KINDS, apply, change, (setting,)), setting)
            (judged,) = assessor.assess([Picture(after, path.name)])
            assert judged.score is not None
            kinds = {merged(issue.kind) for issue in before.issues}
            rows.append({
                "picture": path.name, "fault": fault[0], "planted": planted, "judge": judged.score - before.score,
                "psnr": gain(pixels, after, original), "check": check_change(pixels, after, change).passed,
                "new": [issue.kind for issue in judged.issues if merged(issue.kind) not in kinds],
            })  # fmt: skip
    args.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for planted in PLANTED:
        group = [row for row in rows if row["planted"] == planted]
        preferred = sum(row["judge"] >= LEAST_GAIN for row in group)
        print(
            f"{planted}: the judge's score rises on {preferred} of {len(group)}, it names a new issue on "
            f"{sum(bool(row['new']) for row in group)}, the check passes {sum(row['check'] for row in group)}, both "
            f"{sum(row['check'] and row['judge'] >= LEAST_GAIN for row in group)}, "
            f"PSNR {np.mean([row['psnr'] for row in group]):+.2f} dB"
        )


if __name__ == "__main__":
    main()
