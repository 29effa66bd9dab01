"""Synthetic pictures with known faults: the views of them to train perception on, and pictures as files for SFT and RL.

Two views of each picture are stored: the whole, and the crop of a second round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from snellen.data.sample import Fault, Sample, read_manifest, write_manifest
from snellen.data.synthesize import (
    PRISTINE_MOS,
    VISIBLE,
    Recipe,
    plan,
    read_recipes,
    realise,
    visible_change,
    write_recipes,
)
from snellen.image import Picture, View, load
from snellen.output import replacing
from snellen.region import FULL, Region
from snellen.snellen1.perception import Perception
from snellen.train.snellen1.example import Pixels, ViewFault
from snellen.train.snellen1.sources import Source, read_photographs
from snellen.train.snellen1.views import (
    HELD_OUT,
    HELD_OUT_RECIPE,
    StoredView,
    store_views,
    stored_count,
    training_pictures,
)
from snellen.zoom import ZOOM_PRESETS

HIGH_MOS = 4.2
"""Rated training pictures of this MOS and more serve as clean sources too."""
UNRELATED = 0.1
"""Share of crops of locally faulty pictures that lie anywhere, so that crops without a fault are trained on."""
MOST_MEGAPIXELS = 4.0
"""Largest picture that is written as a file; larger ones take longer to read than to learn from."""
ZOOM = ZOOM_PRESETS["snellen"]

PlanSource = tuple[str, int, int, float]
"""Path, width, height, MOS of a clean picture, as `snellen.data.synthesize.plan` takes it."""


@dataclass(frozen=True)
class ViewsOptions:
    """large, small: pictures to make from sources of a megapixel and more, and of less. perception: perception.pt whose
    fault head chooses the crops; None for crops around the known fault. held_out: rated pictures kept for validation,
    which are no sources. workers: processes."""

    large: int = 10_000
    small: int = 4_000
    perception: Path | None = None
    held_out: int = HELD_OUT
    seed: int = 0
    workers: int = 2


def make_views(options: ViewsOptions, photographs: Path, manifest: Path, out: Path) -> None:
    """Store the views of newly made synthetic pictures in `out` (a `ViewStore`), and how visible their faults are.

    photographs: see `read_photographs`. manifest: rated pictures, the best of which are sources too. A killed run is
    continued after the last picture both views of which are stored.
    """
    recipes = plan_recipes(options, list(read_photographs(photographs)), read_manifest(manifest))
    planned = out / "recipes.jsonl"
    done = stored_count(out) // 2 if planned.exists() and list(read_recipes(planned)) == recipes else 0
    write_recipes(recipes, planned)
    with Pool(options.workers) as pool:
        jobs = [(number, recipe, options.perception) for number, recipe in enumerate(recipes) if number >= done]
        pairs = pool.imap(views_of, jobs, chunksize=10)
        store_views((view for pair in pairs for view in pair), 2 * len(recipes), out, 2 * done)
        changes = pool.map(_change, recipes, chunksize=25)
    (out / "change.txt").write_text("".join(f"{value:.3f}\n" for value in changes))


def plan_recipes(options: ViewsOptions, sources: Sequence[Source], rated: Sequence[Sample]) -> list[Recipe]:
    """Return the recipes of all pictures to make, sorted by source so that each source is read once."""
    train = [one for one in sources if one.split == "train"]
    clean = [
        (one.photograph.path, one.photograph.width, one.photograph.height, one.mos or PRISTINE_MOS - 0.1)
        for one in train
    ]
    large: list[PlanSource] = [one for one in clean if one[1] * one[2] >= 1e6]
    small: list[PlanSource] = [one for one in clean if one[1] * one[2] < 1e6]
    pictures, _ = training_pictures(rated, options.held_out)
    small += [(one.path, 512, 512, one.mos) for one in pictures if one.mos is not None and one.mos >= HIGH_MOS]
    # many clean pictures: a fault head trained on faults nine times in ten detects one everywhere
    if options.perception is None:
        recipes = plan(large, options.large, options.seed, local=0.45, clean=0.4, develop=0.6)
    else:  # chosen crops matter for local faults
        recipes = plan(large, options.large, options.seed, local=0.55, clean=0.38, whole_frame=0.6, develop=0.6)
    if options.small:
        recipes += plan(small, options.small, options.seed + 1, local=0.5, clean=0.3, whole_frame=0.9, develop=0.5)
    return sorted(recipes, key=lambda recipe: recipe.source)


def views_of(job: tuple[int, Recipe, Path | None]) -> list[tuple[StoredView, Pixels, Pixels]]:
    """Return both views of a synthetic picture, given its number, its recipe and the perception.pt that crops."""
    number, recipe, perception = job
    picture = realise(recipe, _source(recipe.source))
    whole = picture.view(FULL)
    crop = (
        crop_around(recipe, picture.width, picture.height)
        if perception is None
        else detected_crop(_perception(perception), whole)
    )
    stored = []
    for region, view in ((FULL, whole), (crop, picture.view(crop))):
        part = recipe.region.relative_to(region) if recipe.kind else None
        fault = ViewFault(recipe.kind, recipe.severity, part) if recipe.kind and part else None
        h, w = view.overview.shape[:2]
        labels = StoredView(number, recipe.distortion is None, region, (h, w), recipe.mos, fault)
        stored.append((labels, view.overview, view.fragments))
    return stored


def crop_around(recipe: Recipe, width: int, height: int) -> Region:
    """Return a crop loosely around the fault; anywhere if the fault is everywhere or absent, and for UNRELATED."""
    rng = np.random.default_rng(recipe.seed + 1)
    r = recipe.region
    if r == FULL or rng.random() < UNRELATED:
        side = float(rng.uniform(0.35, 0.6))
        x, y = rng.uniform(0, 1 - side, 2)
        wanted = Region(float(x), float(y), float(x) + side, float(y) + side)
    else:
        wanted = r.grown(*rng.uniform(0.02, 0.25, 4) * [r.width, r.height, r.width, r.height])
    return ZOOM.settle(wanted, width, height)


@torch.no_grad()
def detected_crop(perception: Perception, whole: View) -> Region:
    """Return the crop that the fault head's box asks for after a view of the whole picture."""
    faults = perception.fault_head(perception.cells([whole.overview], [whole.fragments]))
    return ZOOM.settle(Region(*faults.box[0].tolist()), whole.picture.width, whole.picture.height)


@lru_cache(maxsize=1)
def _perception(path: Path) -> Perception:
    torch.set_num_threads(1)  # there is a process for every core
    return Perception.open(path)


@lru_cache(maxsize=1)
def _source(path: str) -> Picture:
    return load(path)


def _change(recipe: Recipe) -> float:
    return visible_change(recipe, _source(recipe.source))


def write_pictures(views: Path, out: Path, count: int, workers: int = 2) -> Path:
    """Write synthetic pictures of a view store as PNG files with a manifest, out/synthetic.jsonl; return its path.

    `count` pictures of split "train" and a quarter as many of "val", from the held-out recipes. Faults that cannot be
    seen or that show no kind of the vocabulary are left out, and so are pictures above MOST_MEGAPIXELS. Nothing is
    done if the manifest exists.
    """
    manifest = out / "synthetic.jsonl"
    if manifest.exists():
        return manifest
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    chosen = _visible_recipes(views, count)
    files = [out / "pictures" / f"{number:05d}.png" for number, _ in chosen]
    with Pool(workers) as pool:
        written = pool.starmap(_write_picture, zip([recipe for _, recipe in chosen], files, strict=True))
    samples = []
    for (number, recipe), file, is_written in zip(chosen, files, written, strict=True):
        if is_written:
            faults: tuple[Fault, ...] = ()
            if recipe.distortion is not None and recipe.kind is not None:
                faults = (Fault(recipe.distortion, recipe.kind, recipe.level, recipe.region),)
            split = "val" if number % HELD_OUT_RECIPE == 0 else "train"
            samples.append(Sample(str(file), recipe.mos, split=split, faults=faults))
    write_manifest(samples, manifest)
    return manifest


def _visible_recipes(views: Path, count: int) -> list[tuple[int, Recipe]]:
    """Draw `count` recipes to train on and a quarter as many held-out ones, each with its number."""
    changes = [float(line) for line in (views / "change.txt").read_text().splitlines()]
    usable: dict[bool, list[tuple[int, Recipe]]] = {False: [], True: []}
    for number, (recipe, change) in enumerate(zip(read_recipes(views / "recipes.jsonl"), changes, strict=True)):
        if recipe.distortion is None or (change >= VISIBLE and recipe.kind is not None):
            usable[number % HELD_OUT_RECIPE == 0].append((number, recipe))
    rng = np.random.default_rng(0)
    chosen: list[tuple[int, Recipe]] = []
    for held_out, most in ((False, count), (True, count // 4)):
        order = rng.permutation(len(usable[held_out]))[:most]
        chosen += [usable[held_out][i] for i in sorted(order.tolist())]
    return chosen


def _write_picture(recipe: Recipe, file: Path) -> bool:
    """Write the picture of a recipe unless it exists; return False for one that is too large."""
    if not file.exists():
        picture = realise(recipe, _source(recipe.source))
        if picture.megapixels > MOST_MEGAPIXELS:
            return False
        with replacing(file) as part:
            Image.fromarray(picture.pixels).save(part, "PNG", compress_level=1)
    return True
