r"""Step 5 of the recipe, too: teach the glimpse. See runs/README.md for the order.

    python runs/glimpse.py --vision build/heads/vision.pt --known build/known --looks build/looks --out build/glimpse

Writes vision.pt with the taught glimpse, and what it rates every look, real.npy and NAME.npy for each store of looks,
in the order of runs/cells.py: of what it learned from, by the head that did not.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cells import Pixels, RealLooks, StoredLooks, flat
from torch.utils.data import DataLoader, Dataset

from snellen.data.synthesize import read_recipes
from snellen.evaluate.stats import correlation as metrics
from snellen.snellen1.encoder import encode_mixed, load_imagenet
from snellen.snellen1.imagenet_rater import Glimpse
from snellen.snellen1.imagenet_view import imagenet_view
from snellen.snellen1.perception import Vision
from snellen.train import best_device
from snellen.train.snellen1.imagenet_rater import GlimpseOptions, Glimpses, fold_of, ratings, train_glimpse
from snellen.train.snellen1.views import LookStore


@torch.no_grad()
def numbers(taught: Glimpse, looks: Dataset[Pixels]) -> torch.Tensor:
    """One pass over `looks`."""
    device = best_device()
    taught.to(device).eval()
    rows: list[torch.Tensor] = []
    for batch in DataLoader(looks, batch_size=16, num_workers=1, prefetch_factor=4, collate_fn=flat):
        small = [imagenet_view(overview) for overview, _ in batch]
        with torch.autocast(device.type, torch.bfloat16):
            rows += [row.float().cpu() for row in encode_mixed(taught.numbers, device, small)]
    return torch.stack(rows)


def of_real(taught: Glimpse, rows: list[dict[str, Any]]) -> Glimpses:
    """The two looks at each real picture."""
    twice = [row for row in rows for _ in range(2)]
    return Glimpses(
        numbers(taught, RealLooks(rows)),
        torch.tensor([row["mos"] for row in twice]),
        torch.tensor([fold_of(row["group"] or row["path"]) for row in twice]),
        torch.ones(len(twice), dtype=torch.bool),
        torch.tensor([not row["held_out"] for row in twice]),
    )


def of_store(taught: Glimpse, folder: Path) -> Glimpses:
    """All looks of a store."""
    store = LookStore(folder)
    sources = [recipe.source for recipe in read_recipes(folder / "recipes.jsonl")]
    trained = set(store.trained)
    return Glimpses(
        numbers(taught, StoredLooks(store)),
        torch.tensor([row["mos"] for row in store.rows]),
        torch.tensor([fold_of(sources[row["recipe"]]) for row in store.rows]),
        torch.zeros(len(store), dtype=torch.bool),
        torch.tensor([i in trained for i in range(len(store))]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vision", type=Path, required=True)
    parser.add_argument("--known", type=Path, required=True)
    parser.add_argument("--looks", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=GlimpseOptions.steps)
    args = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    vision = Vision.open(args.vision, whole=False)
    vision.glimpse = Glimpse().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    load_imagenet(vision.glimpse, vision.glimpse.last)
    examples = [json.loads(line) for line in (args.known / "examples.jsonl").read_text().splitlines()]
    args.out.mkdir(parents=True, exist_ok=True)
    parts = [of_real(vision.glimpse, [row for row in examples if row["real"]])]
    parts += [of_store(vision.glimpse, folder) for folder in args.looks]
    looks = Glimpses(**{one.name: torch.cat([getattr(part, one.name) for part in parts]) for one in fields(Glimpses)})
    train_glimpse(GlimpseOptions(steps=args.steps), vision.glimpse, looks, args.out / "log.jsonl")
    vision.save(args.out / "vision.pt")
    said = ratings(vision.glimpse, looks)
    whole = torch.arange(len(said)) % 2 == 0
    for name, which in (
        ("real, held out", looks.real & ~looks.trained),
        ("real, by the head that did not learn from it", looks.real & looks.trained),
        ("synthetic, the same", ~looks.real & looks.trained),
    ):
        for part, of in (("whole", whole), ("crop", ~whole)):
            both = said[which & of].numpy(), looks.mos[which & of].numpy()
            print(f"{name}, {part}: SRCC {metrics.srcc(*both):.4f}, PLCC {metrics.plcc(*both):.4f}")
    at = 0
    for store, rated in zip(("real", *(folder.name for folder in args.looks)), parts, strict=True):
        np.save(args.out / f"{store}.npy", said[at : at + len(rated.mos)].numpy())
        at += len(rated.mos)


if __name__ == "__main__":
    main()
