"""Local faults: pictures with faults of known kind, level and region. Shared by `grounding`, `faithfulness` and diff.

The clean photographs of a run of 4 megapixels and more give the local-fault set (`snellen.data.testsets`); pictures of
other sets whose manifest lists faults are used as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from snellen.data.photographs import Photograph
from snellen.data.sample import Fault
from snellen.data.synthesize import Recipe, read_recipes, write_recipes
from snellen.data.testsets import LOCAL_MEGAPIXELS, local_faults
from snellen.evaluate.datasets import DataSet, pristine
from snellen.evaluate.modes import TWO
from snellen.evaluate.perturb import realised
from snellen.evaluate.predict import Job
from snellen.evaluate.rows import Row
from snellen.evaluate.stats.fault_drop import score_drops
from snellen.region import Region
from snellen.usage import UsageError

SUITE_NAME = "grounding"
"""Suite that the jobs belong to."""
PER_PHOTOGRAPH = {"strong": 25, "mild": 5, "clean": 5}
TOTAL = {"strong": 500, "mild": 100, "clean": 100}
"""Pictures of each sort: strong faults of level 3-5, mild ones of level 1-2, none. With many photographs each gives
only its share of the total."""


@dataclass(frozen=True)
class Truth:
    """Known faults of a picture, none for a clean one, and its synthetic MOS where it has one."""

    faults: tuple[Fault, ...]
    mos: float | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of all its faults."""
        return frozenset(fault.kind for fault in self.faults)

    @property
    def main(self) -> Fault | None:
        """Its most severe fault."""
        return max(self.faults, key=lambda fault: fault.level, default=None)


def jobs(sets: Sequence[DataSet], modes: Sequence[str], folder: Path) -> list[Job]:
    """Return the local-fault set and all pictures with faults in a manifest; none where the main mode has no text.

    The recipes are kept in FOLDER/grounding-recipes.jsonl: drawing them takes minutes for 20 large photographs.
    """
    if modes[0] != TWO:
        return []
    found = [
        Job(SUITE_NAME, key, partial(realised, recipe), recipe.source, tuple(modes), variant_of(recipe))
        for key, recipe in _recipes(sets, folder)
    ]
    return found + [
        Job(SUITE_NAME, key, sample.path, sample.path, tuple(modes))
        for each in sets
        for key, sample in each.test_samples.items()
        if sample.faults
    ]


def _recipes(sets: Sequence[DataSet], folder: Path) -> list[tuple[str, Recipe]]:
    """Return the recipes of the local-fault set, each with the key of its photograph; drawn once for a folder."""
    keys = {sample.path: key for key, sample in pristine(sets).items()}
    listed = folder / f"{SUITE_NAME}-recipes.jsonl"
    if not listed.exists():
        large = [p for p in map(_photograph, keys) if p.width * p.height >= 1e6 * LOCAL_MEGAPIXELS]
        if not large:
            return []
        counts = {name: min(each, math.ceil(TOTAL[name] / len(large))) for name, each in PER_PHOTOGRAPH.items()}
        write_recipes(local_faults(large, **counts), listed)
    recipes = list(read_recipes(listed))
    unknown = sorted({recipe.source for recipe in recipes} - keys.keys())
    if unknown:
        raise UsageError(f"{listed} was drawn from other photographs ({unknown[0]}); delete it, or use the same")
    return [(keys[recipe.source], recipe) for recipe in recipes]


def _photograph(path: str) -> Photograph:
    with Image.open(path) as picture:
        return Photograph(path, *picture.size)


def variant_of(recipe: Recipe) -> str:
    """Return a recipe as JSON, so that the predictions hold it; `recipe_of` is the inverse."""
    region, frame = ([box.x0, box.y0, box.x1, box.y1] for box in (recipe.region, recipe.frame))
    what = {"distortion": recipe.distortion, "level": recipe.level, "region": region, "frame": frame}
    return json.dumps(what | {"base": recipe.base, "seed": recipe.seed})


def recipe_of(variant: str, source: str) -> Recipe:
    """Return the recipe that `variant_of` wrote, for its photograph."""
    what = json.loads(variant)
    boxes = {name: Region(*what[name]) for name in ("region", "frame")}
    return Recipe(source=source, **what | boxes)


def truth(row: Row, sets: Sequence[DataSet]) -> Truth:
    """Return the known faults of a row's picture."""
    sample = next(each.samples[row.key] for each in sets if row.key in each.samples)
    if not row.variant:
        return Truth(sample.faults, sample.mos)
    recipe = recipe_of(row.variant, sample.path)
    if recipe.distortion is None:
        return Truth((), recipe.mos)
    kind = recipe.kind
    if kind is None:
        raise ValueError(f"{row.key}: level {recipe.level} of {recipe.distortion} has no kind of issue")
    return Truth((Fault(recipe.distortion, kind, recipe.level, recipe.region),), recipe.mos)


def drops_by_round(known: Sequence[tuple[str, str, Sequence[float | None]]]) -> list[tuple[float, float, float] | None]:
    """Return (expected, first round, last round) score drops, MOS, of pictures of the local-fault set.

    known: (key of the photograph, variant, scores of its rounds) of each picture. None for clean pictures, others than
    local faults, faults with one round only, a round without a score, and photographs without a clean picture.
    """
    recipes = [recipe_of(variant, key) if variant else None for key, variant, _ in known]
    used = [
        i
        for i, (recipe, (_, _, scores)) in enumerate(zip(recipes, known, strict=True))
        if recipe is not None
        and scores
        and None not in (scores[0], scores[-1])
        and (recipe.kind is None or len(scores) > 1)
    ]
    expected = [one.base - one.mos for i in used if (one := recipes[i]) is not None]
    table = np.array([[known[i][2][0], known[i][2][-1]] for i in used], float).reshape(-1, 2)
    drops = score_drops([known[i][0] for i in used], np.array(expected) == 0.0, table)
    found: list[tuple[float, float, float] | None] = [None] * len(known)
    for i, wanted, (first, last) in zip(used, expected, drops.tolist(), strict=True):
        found[i] = None if math.isnan(first) else (wanted, first, last)
    return found
