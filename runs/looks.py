"""Step 1 of the recipe: make the synthetic pictures and store what the model sees of them.

    python runs/looks.py --photographs build/photographs.jsonl --manifest build/biq2021.jsonl --out build/looks

For every recipe two looks are stored: the whole picture, and the crop that a good second look would ask for; or with
--vision the one that its fault heads ask for, which is larger, lies beside the fault now and then, and is what they see
when they are used. Killed and started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import lru_cache
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch

from snellen.data.sample import read_manifest
from snellen.data.synthesize import PRISTINE_MOS, Recipe, plan, read_recipes, realise, write_recipes
from snellen.image import Picture, View, load
from snellen.region import FULL, Region
from snellen.snellen1.perception import Vision
from snellen.train.snellen1.example import Look
from snellen.train.snellen1.views import store_looks, stored, training_pictures
from snellen.zoom import ZOOM_PRESETS

HIGH_MOS = 4.2
"""Real training pictures rated at least this count as clean sources."""
ZOOM = ZOOM_PRESETS["snellen"]


@lru_cache(maxsize=1)
def source(path: str) -> Picture:
    return load(path)


def crop_for(recipe: Recipe, width: int, height: int) -> Region:
    """Where a good second look goes: around the fault, loosely; anywhere when the fault is everywhere or nowhere."""
    rng = np.random.default_rng(recipe.seed + 1)
    r = recipe.region
    if r == FULL or rng.random() < 0.1:  # now and then the wrong place, so that the model has seen a crop show nothing
        side = float(rng.uniform(0.35, 0.6))
        x, y = rng.uniform(0, 1 - side, 2)
        wanted = Region(float(x), float(y), float(x) + side, float(y) + side)
    else:
        grow = rng.uniform(0.02, 0.25, 4) * [r.width, r.height, r.width, r.height]
        wanted = Region(
            max(0.0, r.x0 - grow[0]), max(0.0, r.y0 - grow[1]), min(1.0, r.x1 + grow[2]), min(1.0, r.y1 + grow[3])
        )
    return ZOOM.settle(wanted, width, height)


@lru_cache(maxsize=1)
def judge(path: Path) -> Vision:
    torch.set_num_threads(1)  # every worker is one
    return Vision.open(path, whole=False)


@torch.no_grad()
def asked(vision: Vision, whole: View) -> Region:
    """The crop that the fault heads ask for after a look at the whole picture."""
    faults = vision.faults(vision.cells([whole.overview], [whole.fragments]))
    return ZOOM.settle(Region(*faults.box[0].tolist()), whole.picture.width, whole.picture.height)


def looks_of(job: tuple[int, Recipe, Path | None]) -> list[tuple[Look, dict[str, object]]]:
    number, recipe, vision = job
    picture = realise(recipe, source(recipe.source))
    whole = picture.view(FULL)
    crop = asked(judge(vision), whole) if vision else crop_for(recipe, picture.width, picture.height)
    rows = []
    for part, view in ((FULL, whole), (crop, picture.view(crop))):
        seen = recipe.region.relative_to(part) if recipe.kind else None
        fault = (recipe.kind, recipe.severity, seen) if recipe.kind and seen else None
        more: dict[str, object] = {
            "recipe": number,
            "clean": recipe.distortion is None,
            "region": part.to_list(),
            "size": [picture.width, picture.height],
        }
        rows.append((Look(view.overview, view.fragments, recipe.mos, False, fault), more))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="JSON lines: path, width, height, split, mos")
    parser.add_argument(
        "--manifest", type=Path, required=True, help="BIQ2021: its best training pictures are sources too"
    )
    parser.add_argument("--large", type=int, default=1400, help="pictures made from sources of a megapixel and more")
    parser.add_argument("--small", type=int, default=2600, help="pictures made from smaller sources")
    parser.add_argument("--vision", type=Path, help="vision.pt whose fault heads ask for the crops")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.photographs.read_text().splitlines()]
    train = [row for row in rows if row["split"] == "train"]
    clean = [(r["path"], r["width"], r["height"], r.get("mos", PRISTINE_MOS - 0.1)) for r in train]
    large = [source for source in clean if source[1] * source[2] >= 1e6]
    small = [source for source in clean if source[1] * source[2] < 1e6]
    rated, _ = training_pictures(read_manifest(args.manifest))
    small += [(s.path, 512, 512, s.mos) for s in rated if s.mos is not None and s.mos >= HIGH_MOS]
    # a judge that sees faults nine times in ten believes that there always is one
    if args.vision is None:
        recipes = plan(large, args.large, args.seed, local=0.45, clean=0.4, develop=0.6)
    else:  # for its crops, more that have a fault in a part
        recipes = plan(large, args.large, args.seed, local=0.55, clean=0.38, whole_frame=0.6, develop=0.6)
    recipes += plan(small, args.small, args.seed + 1, local=0.5, clean=0.3, whole_frame=0.9, develop=0.5)
    recipes.sort(key=lambda recipe: recipe.source)  # each source is then read once
    args.out.mkdir(parents=True, exist_ok=True)
    planned = args.out / "recipes.jsonl"
    # a killed run goes on after the last picture both looks of which are there
    done = stored(args.out) // 2 if planned.exists() and list(read_recipes(planned)) == recipes else 0
    write_recipes(recipes, planned)

    jobs = ((number, recipe, args.vision) for number, recipe in enumerate(recipes) if number >= done)

    def looks() -> Iterator[tuple[Look, dict[str, object]]]:
        with Pool(args.workers) as pool:
            for pair in pool.imap(looks_of, jobs, chunksize=10):
                yield from pair

    store_looks(looks(), 2 * len(recipes), args.out, 2 * done)


if __name__ == "__main__":
    main()
