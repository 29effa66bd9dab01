"""Part of step 1: measure how much each synthetic fault changes its region; invisible ones are not learned from.

python runs/visible.py --looks build/looks
"""

from __future__ import annotations

import argparse
from functools import lru_cache
from multiprocessing import Pool
from pathlib import Path

from snellen.data.synthesize import Recipe, read_recipes, visible_change
from snellen.image import Picture, load


@lru_cache(maxsize=1)
def source(path: str) -> Picture:
    return load(path)


def change(recipe: Recipe) -> float:
    return visible_change(recipe, source(recipe.source))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--looks", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with Pool(args.workers) as pool:
        changes = pool.map(change, list(read_recipes(args.looks / "recipes.jsonl")), chunksize=25)
    (args.looks / "change.txt").write_text("".join(f"{value:.3f}\n" for value in changes))


if __name__ == "__main__":
    main()
