r"""Step 6 of the recipe: what the heads make of what the encoder says: all that the decoder is told of every look.

    python runs/vectors.py --glimpse build/glimpse --known build/known --looks build/looks --cells build/cells \
        --out build/vectors

The two looks at each picture of known/examples.jsonl are rows 2 i and 2 i + 1: the whole, and its region.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from snellen.snellen1.perception import SIZES, Vision
from snellen.train.snellen1.views import LookStore

BATCH = 64


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glimpse", type=Path, required=True, help="folder that runs/glimpse.py left")
    parser.add_argument("--known", type=Path, required=True)
    parser.add_argument("--looks", type=Path, nargs="+", required=True, help="what known/examples.jsonl was made from")
    parser.add_argument("--cells", type=Path, required=True, help="folder that runs/cells.py left")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    vision = Vision.open(args.glimpse / "vision.pt")
    examples = [json.loads(line) for line in (args.known / "examples.jsonl").read_text().splitlines()]
    regions = {folder.name: [row["region"] for row in LookStore(folder).rows] for folder in args.looks}
    cells_of = {name: np.load(args.cells / f"{name}.npy", mmap_mode="r") for name in ("real", *regions)}
    rated_of = {name: np.load(args.glimpse / f"{name}.npy") for name in ("real", *regions)}
    args.out.mkdir(parents=True, exist_ok=True)
    shape = (2 * len(examples), sum(SIZES))
    rows = np.lib.format.open_memmap(args.out / "seen.npy", mode="w+", dtype=np.float16, shape=shape)
    looks: list[tuple[np.ndarray, list[float], float]] = []
    at = photographs = 0
    for row in examples:
        if row["real"]:
            name, pair = "real", 2 * photographs
            shown = [[0.0, 0.0, 1.0, 1.0], row["region"]]
            photographs += 1
        else:
            name, pair = row["store"], 2 * row["recipe"]
            shown = regions[name][pair : pair + 2]
        looks += [(cells_of[name][pair + i], shown[i], rated_of[name][pair + i]) for i in range(2)]
        if len(looks) >= BATCH or row is examples[-1]:
            cells, places, rated = zip(*looks, strict=True)
            said = torch.from_numpy(np.stack(cells).astype(np.float32))
            seen = vision.judge(said, torch.tensor(places), torch.tensor(rated, dtype=torch.float32))
            rows[at : at + len(looks)] = seen.packed().numpy()
            at, looks = at + len(looks), []
    rating = SIZES[0] + SIZES[1] + SIZES[2]
    with (args.out / "examples.jsonl").open("w") as file:
        for i, row in enumerate(examples):
            more = {"look": 2 * i, "plain": round(float(rows[2 * i, rating]), 3)}
            file.write(json.dumps(row | more) + "\n")


if __name__ == "__main__":
    main()
