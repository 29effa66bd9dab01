r"""Step 4 of the recipe: what the trained encoder says of every look, computed once, since it no longer changes.

    python runs/cells.py --vision build/vision/vision.pt --known build/known --looks build/looks build/looks-more \
        --out build/cells

Writes an array (looks, 2, SAID, GRID, GRID) for each store of looks, NAME.npy, and one for the two looks, the whole and
its region, at each real picture of known/examples.jsonl, real.npy. In 16 bits throughout: half the time, and what
is lost is less than dropout hides.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from snellen.image import GRID, load
from snellen.region import FULL, Region
from snellen.snellen1.encoder import SAID
from snellen.snellen1.perception import Vision
from snellen.train import best_device
from snellen.train.snellen1.views import LookStore

Pixels = list[tuple[np.ndarray, np.ndarray]]


class RealLooks(Dataset[Pixels]):
    """Overview and fragments of the two looks at each picture."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Pixels:
        picture = load(self.rows[i]["path"])
        views = [picture.view(region) for region in (FULL, Region(*self.rows[i]["region"]))]
        return [(view.overview, view.fragments) for view in views]


class StoredLooks(Dataset[Pixels]):
    """The same from a store, one look at a time."""

    def __init__(self, store: LookStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, i: int) -> Pixels:
        return [self.store.pixels(i)]


def flat(batch: list[Pixels]) -> Pixels:
    return [one for pixels in batch for one in pixels]


@torch.no_grad()
def write_cells(vision: Vision, looks: Dataset[Pixels], count: int, file: Path) -> None:
    """One pass over `looks`, which are `count` in all."""
    device = best_device()
    vision.to(device)
    part = file.with_suffix(".part")
    rows = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=(count, 2, SAID, GRID, GRID))
    at = 0
    for batch in DataLoader(looks, batch_size=16, num_workers=1, prefetch_factor=4, collate_fn=flat):
        overviews, fragments = zip(*batch, strict=True)
        with torch.autocast(device.type, torch.bfloat16):
            cells = vision.cells(overviews, fragments)
        rows[at : at + len(batch)] = cells.float().cpu().numpy()
        at += len(batch)
    rows.flush()
    part.replace(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vision", type=Path, required=True)
    parser.add_argument("--known", type=Path, required=True)
    parser.add_argument("--looks", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    vision = Vision.open(args.vision, whole=False)
    args.out.mkdir(parents=True, exist_ok=True)
    examples = [json.loads(line) for line in (args.known / "examples.jsonl").read_text().splitlines()]
    real = [row for row in examples if row["real"]]
    if not (args.out / "real.npy").exists():
        write_cells(vision, RealLooks(real), 2 * len(real), args.out / "real.npy")
    for folder in args.looks:
        store = LookStore(folder)
        if not (args.out / f"{folder.name}.npy").exists():
            write_cells(vision, StoredLooks(store), len(store), args.out / f"{folder.name}.npy")


if __name__ == "__main__":
    main()
