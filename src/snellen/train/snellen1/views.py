"""Views to train on: rated pictures read as they are needed, synthetic views from a store on disk.

A synthetic picture of several megapixels takes longer to make than to learn from, so its views are made once
(`store_views`) and read through memory maps.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from snellen.data.sample import Sample
from snellen.data.sets.duplicates import leak_free
from snellen.data.synthesize import VISIBLE
from snellen.image import GRID, OVERVIEW, TILE
from snellen.image import load as load_picture
from snellen.region import FULL, Region
from snellen.train.snellen1.example import Pixels, ViewExample, ViewFault

FRAGMENTS_SIDE = GRID * TILE
"""Sides of the fragments picture, px."""
HELD_OUT = 800
"""Rated training pictures kept for validation and for calibrating the interval; no stage trains on them."""
HELD_OUT_RECIPE = 40
"""Every so many synthetic pictures, one is kept for validation."""


def hold_out(samples: Sequence[Sample], count: int) -> tuple[list[Sample], list[Sample]]:
    """Split into (train, held out) with at least `count` held out; groups of near-duplicates stay together.

    A hash of the group's name decides, so the split does not change when pictures are added or reordered. ValueError
    for a test picture: test pictures must never come near training.
    """
    tested = next((sample.path for sample in samples if sample.split == "test"), None)
    if tested is not None:
        raise ValueError(f"{tested} is a test picture; give training pictures only (see training_pictures)")
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.group or sample.path, []).append(sample)
    names = sorted(groups, key=lambda name: hashlib.sha256(Path(name).name.encode()).hexdigest())
    train: list[Sample] = []
    held: list[Sample] = []
    for name in names:
        (held if len(held) < count else train).extend(groups[name])
    return train, held


def training_pictures(samples: Sequence[Sample], count: int = HELD_OUT) -> tuple[list[Sample], list[Sample]]:
    """Return (train, held out) of a manifest. Neither has a test picture or a picture of a scene that is tested."""
    return hold_out([sample for sample in leak_free(samples) if sample.split == "train"], count)


def rated_view(sample: Sample, region: Region = FULL) -> ViewExample:
    """Return a view of a rated picture, labelled with its MOS."""
    assert sample.mos is not None
    view = load_picture(sample.path).view(region)
    return ViewExample(view.overview, view.fragments, sample.mos, rated=True)


@dataclass(frozen=True)
class StoredView:
    """Everything that a store holds of a view beside its pixels.

    recipe: number of the synthetic picture. clean: True if that has no fault anywhere. region: the view's, in fractions
    of the picture. overview_size: height and width of the overview, px.
    """

    recipe: int
    clean: bool
    region: Region
    overview_size: tuple[int, int]
    mos: float
    fault: ViewFault | None

    def to_row(self) -> dict[str, Any]:
        """Return a JSON object."""
        fault = None if self.fault is None else [self.fault.kind, self.fault.severity, _sides(self.fault.region)]
        return {
            "recipe": self.recipe,
            "clean": self.clean,
            "region": _sides(self.region),
            "overview_size": list(self.overview_size),
            "mos": self.mos,
            "fault": fault,
        }

    @staticmethod
    def from_row(row: dict[str, Any]) -> StoredView:
        """Return the inverse of `to_row`."""
        height, width = row["overview_size"]
        fault = None
        if row["fault"] is not None:
            kind, severity, sides = row["fault"]
            fault = ViewFault(kind, severity, Region(*sides))
        return StoredView(row["recipe"], row["clean"], Region(*row["region"]), (height, width), row["mos"], fault)


def _sides(region: Region) -> list[float]:
    return [region.x0, region.y0, region.x1, region.y1]


class ViewStore:
    """Synthetic views in a folder: views.jsonl, overview.npy, fragments.npy, and change.txt, the `visible_change` of
    each synthetic picture. Views of faults that cannot be seen are in neither `trained` nor `held_out`."""

    def __init__(self, folder: Path) -> None:
        lines = (folder / "views.jsonl").read_text(encoding="utf-8").splitlines()
        self.name = folder.name
        self.views = [StoredView.from_row(json.loads(line)) for line in lines]
        self.overview = np.load(folder / "overview.npy", mmap_mode="r")
        self.fragments = np.load(folder / "fragments.npy", mmap_mode="r")
        changes = [float(line) for line in (folder / "change.txt").read_text().splitlines()]
        usable = [i for i, view in enumerate(self.views) if view.clean or changes[view.recipe] >= VISIBLE]
        self.held_out = [i for i in usable if self.views[i].recipe % HELD_OUT_RECIPE == 0]
        self.trained = [i for i in usable if self.views[i].recipe % HELD_OUT_RECIPE != 0]

    def __len__(self) -> int:
        return len(self.views)

    def draw(self, rng: np.random.Generator, count: int) -> list[int]:
        """Return indices of views to train on, with replacement, every kind of fault equally often."""
        faults = [self.views[i].fault for i in self.trained]
        chances = balanced_chances([fault.kind if fault else None for fault in faults])
        return [int(i) for i in rng.choice(self.trained, count, p=chances)]

    def __getitem__(self, i: int) -> ViewExample:
        return ViewExample(*self.pixels(i), self.views[i].mos, rated=False, fault=self.views[i].fault)

    def pixels(self, i: int) -> tuple[Pixels, Pixels]:
        """Return overview and fragments of a view."""
        h, w = self.views[i].overview_size
        return np.array(self.overview[i, :h, :w]), np.array(self.fragments[i])


def balanced_chances(kinds: Sequence[str | None]) -> npt.NDArray[np.float64]:
    """Return the probability to draw each view, given the kind of its fault, None for clean views; they sum to 1.

    All kinds together keep their share and have equal parts of it; clean views keep theirs. Otherwise kinds that few
    distortions make (motion blur) are seldom drawn, and the easiest (noise) most often.
    """
    counts = Counter(kinds)
    faulty = len(kinds) - counts[None]
    different = len(counts) - (None in counts)
    return np.array([1.0 if kind is None else faulty / different / counts[kind] for kind in kinds]) / len(kinds)


def stored_count(folder: Path) -> int:
    """Return how many views `store_views` has completed in `folder`, also in a run that was killed."""
    lines = folder / "views.jsonl"
    return lines.read_bytes().count(b"\n") if lines.exists() else 0


def store_views(views: Iterable[tuple[StoredView, Pixels, Pixels]], count: int, folder: Path, first: int = 0) -> None:
    """Write views (labels, overview, fragments) to a store of `count` in all.

    first: this many are stored already, and `views` are the rest (see `stored_count`). ValueError for a store of
    another size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    overviews = _pixel_file(folder / "overview.npy", (count, OVERVIEW, OVERVIEW, 3), first)
    fragments = _pixel_file(folder / "fragments.npy", (count, FRAGMENTS_SIDE, FRAGMENTS_SIDE, 3), first)
    complete = (folder / "views.jsonl").read_bytes().splitlines(keepends=True)[:first] if first else []
    with (folder / "views.jsonl").open("wb") as lines:
        lines.writelines(complete)
        for i, (view, overview, fragment) in enumerate(views, first):
            h, w = view.overview_size
            overviews[i, :h, :w] = overview
            fragments[i] = fragment
            lines.write(json.dumps(view.to_row()).encode() + b"\n")
            lines.flush()


def _pixel_file(file: Path, shape: tuple[int, ...], first: int) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Return a new array on disk, or the present one if views are stored already; it must have `shape`."""
    mode: Literal["r+", "w+"] = "r+" if first else "w+"
    pixels = np.lib.format.open_memmap(file, mode=mode, dtype=np.uint8, shape=shape)
    if pixels.shape != shape:
        raise ValueError(f"{file} is for {len(pixels)} views, not {shape[0]}; remove its folder to begin anew")
    return pixels


@dataclass(frozen=True)
class Mixture(torch.utils.data.IterableDataset[list[ViewExample]]):
    """Endless batches of `rated` views of rated pictures and `synthetic` ones from a store; `seed` fixes the order.

    crops: share of rated views that show a random part of 0.63 to 0.9 of each side, as a later round does, under the
    same MOS. The others show 0.9 to 1 of each side: nobody rates a picture differently for a missing edge. skip:
    batches to leave out at the beginning.
    """

    samples: Sequence[Sample]
    store: ViewStore | None
    rated: int
    synthetic: int
    crops: float
    seed: int
    skip: int = 0

    def __iter__(self) -> Iterator[list[ViewExample]]:
        rng = np.random.default_rng(self.seed)
        order: list[int] = []
        drawn: list[int] = []
        step = 0
        while True:
            while len(order) < self.rated:
                order += rng.permutation(len(self.samples)).tolist()
            take, order = order[: self.rated], order[self.rated :]
            draws = rng.random((self.rated + self.synthetic, 5))
            synthetic: list[int] = []
            if self.store is not None:
                while len(drawn) < self.synthetic:
                    drawn += self.store.draw(rng, len(self.store.trained))
                synthetic, drawn = drawn[: self.synthetic], drawn[self.synthetic :]
            step += 1
            if step <= self.skip:
                continue
            views = []
            for draw, i in zip(draws, take, strict=False):  # the last draws are those of the synthetic views
                side = 0.63 + 0.27 * draw[1] if draw[0] < self.crops else 0.9 + 0.1 * draw[1]
                x, y = (1 - side) * draw[2], (1 - side) * draw[3]
                views.append(rated_view(self.samples[i], Region(x, y, x + side, y + side)))
            if self.store is not None:
                views += [self.store[i] for i in synthetic]
            yield [one.flipped() if draw[4] < 0.5 else one for draw, one in zip(draws, views, strict=False)]


def batches(mixture: Mixture) -> Iterator[list[ViewExample]]:
    """Yield the batches of a mixture, prepared by one worker process while the model learns."""
    loader = torch.utils.data.DataLoader(mixture, batch_size=None, num_workers=1, prefetch_factor=4, collate_fn=_same)
    return iter(loader)


def _same(batch: list[ViewExample]) -> list[ViewExample]:
    return batch
