r"""Step 4 of the recipe: what the trained encoder says of every look, computed once, since it no longer changes.

    python runs/vectors.py --vision build/vision/vision.pt --known build/known --looks build/looks --out build/vectors

The two looks at each picture of known/examples.jsonl are rows 2 i and 2 i + 1 of the arrays: the whole, and its region.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from snellen.backends.bundled import GRID_SIDE, pool_all, pool_grid
from snellen.image import load, look
from snellen.model.vision import SUMMARY, WIDTH, Encoder, Glance
from snellen.region import FULL, Region
from snellen.train import best_device
from snellen.train.looks import LookStore
from snellen.train.vision import encode_mixed

Pair = list[tuple[np.ndarray, np.ndarray]]


class Looks(Dataset[Pair]):
    """Overview and fragments of the two looks at each example."""

    def __init__(self, examples: list[dict[str, Any]], store: LookStore) -> None:
        self.examples, self.store = examples, store

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int) -> Pair:
        row = self.examples[i]
        if row["real"]:
            picture = load(row["path"])
            views = [look(picture, region) for region in (FULL, Region(*row["region"]))]
            return [(view.overview, view.fragments) for view in views]
        stored = [self.store[2 * row["recipe"] + k] for k in (0, 1)]
        return [(one.overview, one.fragments) for one in stored]


def _pairs(batch: list[Pair]) -> Pair:
    return [one for pair in batch for one in pair]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vision", type=Path, required=True)
    parser.add_argument("--known", type=Path, required=True)
    parser.add_argument("--looks", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    state = torch.load(args.vision, weights_only=True)
    device = best_device()
    encoder, glance = Encoder().eval(), Glance().eval()
    encoder.load_state_dict(state["encoder"])
    glance.load_state_dict(state["glance"])
    encoder.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    examples = [json.loads(line) for line in (args.known / "examples.jsonl").read_text().splitlines()]
    args.out.mkdir(parents=True, exist_ok=True)
    cells = (GRID_SIDE**2, WIDTH)
    shapes: dict[str, tuple[int, ...]] = {"summary": (SUMMARY,), "overview": cells, "fragments": cells, "plain": (1,)}
    arrays = {
        name: np.lib.format.open_memmap(
            args.out / f"{name}.npy", mode="w+", dtype=np.float16, shape=(2 * len(examples), *shape)
        )
        for name, shape in shapes.items()
    }
    looks = Looks(examples, LookStore(args.looks))
    loader = DataLoader(looks, batch_size=12, num_workers=1, prefetch_factor=6, collate_fn=_pairs)
    at = 0
    for batch in loader:
        overviews, fragments = (encode_mixed(encoder, [one[k] for one in batch]) for k in (0, 1))
        for o, f in zip(overviews, fragments, strict=True):
            seen = [o.float().cpu().numpy(), f.float().cpu().numpy()]
            summary = glance.summary(torch.from_numpy(np.concatenate([pool_all(c) for c in seen]))[None])
            arrays["summary"][at], arrays["plain"][at] = summary[0].numpy(), glance.rating(summary).numpy()
            arrays["overview"][at], arrays["fragments"][at] = pool_grid(seen[0]), pool_grid(seen[1])
            at += 1
    with (args.out / "examples.jsonl").open("w") as file:
        for i, row in enumerate(examples):
            more = {"look": 2 * i, "plain": round(float(arrays["plain"][2 * i, 0]), 3)}
            file.write(json.dumps(row | more) + "\n")


if __name__ == "__main__":
    main()
