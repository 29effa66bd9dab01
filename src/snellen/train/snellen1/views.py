"""Where training looks come from: real pictures read as they are needed, synthetic ones from a store on disk.

Making a synthetic picture of several megapixels costs more than learning from it, so its looks are made once
(`store_looks`) and read back through memory maps.
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
from snellen.train.snellen1.example import Look

SIDE = GRID * TILE
HELD_OUT = 800
"""Real training pictures kept for validation and for calibrating the interval; never trained on by any stage."""
HELD_OUT_RECIPE = 40
"""Every so many synthetic pictures one is only validated on."""


def hold_out(samples: Sequence[Sample], count: int) -> tuple[list[Sample], list[Sample]]:
    """Split into (train, held out) with at least `count` held out, whole groups of near-duplicates together.

    Which groups is decided by a hash of their name, so it does not change when pictures are added or reordered.
    ValueError when a test picture is among them: it must never come near training.
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
    """(train, held out) of a manifest: what to learn from, and what to tune on. No test picture is in either, nor
    a training picture that shows the scene of one."""
    return hold_out([sample for sample in leak_free(samples) if sample.split == "train"], count)


def real_look(sample: Sample, region: Region = FULL) -> Look:
    """A look at a real picture, labelled with its human MOS."""
    assert sample.mos is not None
    view = load_picture(sample.path).view(region)
    return Look(view.overview, view.fragments, sample.mos, real=True)


class LookStore:
    """Synthetic looks on disk: memory-mapped pixels and one line of JSON per look."""

    def __init__(self, folder: Path) -> None:
        self.rows = [json.loads(line) for line in (folder / "looks.jsonl").read_text().splitlines()]
        self.overview = np.load(folder / "overview.npy", mmap_mode="r")
        self.fragments = np.load(folder / "fragments.npy", mmap_mode="r")
        changes = [float(line) for line in (folder / "change.txt").read_text().splitlines()]
        usable = [i for i, row in enumerate(self.rows) if row["clean"] or changes[row["recipe"]] >= VISIBLE]
        self.held_out = [i for i in usable if self.rows[i]["recipe"] % HELD_OUT_RECIPE == 0]
        self.trained = [i for i in usable if self.rows[i]["recipe"] % HELD_OUT_RECIPE != 0]

    def __len__(self) -> int:
        return len(self.rows)

    def draw(self, rng: np.random.Generator, count: int) -> list[int]:
        """Looks to train on, with replacement, every kind of fault as often as any other (see `even`)."""
        shown = [fault[0] if (fault := self.fault(i)) else None for i in self.trained]
        return [int(i) for i in rng.choice(self.trained, count, p=even(shown))]

    def __getitem__(self, i: int) -> Look:
        return Look(*self.pixels(i), self.rows[i]["mos"], False, self.fault(i))

    def fault(self, i: int) -> tuple[str, float, Region] | None:
        """Kind, severity and region of a look's fault; None when it shows none."""
        found = self.rows[i]["fault"]
        return (found[0], found[1], Region(*found[2])) if found else None

    def pixels(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Overview and fragments of a look."""
        h, w = self.rows[i]["shape"]
        return np.array(self.overview[i, :h, :w]), np.array(self.fragments[i])


def even(kinds: Sequence[str | None]) -> npt.NDArray[np.float64]:
    """The chance with which to draw each of some looks, given the kind of its fault, None for clean ones: faults of
    every kind equally often in all, clean looks as often as they are. Kinds that few distortions make (motion blur) are
    otherwise seldom seen, and those that are easiest (noise) most often."""
    counts = Counter(kinds)
    faulty = len(kinds) - counts[None]
    several = len(counts) - (None in counts)
    return np.array([1.0 if kind is None else faulty / several / counts[kind] for kind in kinds]) / len(kinds)


def stored(folder: Path) -> int:
    """Looks that a run of `store_looks` has left in `folder`, also one that was killed: whole lines of looks.jsonl."""
    lines = folder / "looks.jsonl"
    return lines.read_bytes().count(b"\n") if lines.exists() else 0


def store_looks(looks: Iterable[tuple[Look, dict[str, object]]], count: int, folder: Path, first: int = 0) -> None:
    """Write looks, each with a dictionary of what else is known (the recipe's number, the region), to a store of up to
    `count` in all. first: this many are there, `looks` are the rest (see `stored`)."""
    folder.mkdir(parents=True, exist_ok=True)
    overview = _pixels(folder / "overview.npy", (count, OVERVIEW, OVERVIEW, 3), first)
    fragments = _pixels(folder / "fragments.npy", (count, SIDE, SIDE, 3), first)
    there = (folder / "looks.jsonl").read_bytes().splitlines(keepends=True)[:first] if first else []
    with (folder / "looks.jsonl").open("wb") as lines:
        lines.writelines(there)
        for i, (one, more) in enumerate(looks, first):
            h, w = one.overview.shape[:2]
            overview[i, :h, :w] = one.overview
            fragments[i] = one.fragments
            fault = [one.fault[0], one.fault[1], list(vars(one.fault[2]).values())] if one.fault else None
            row = {"shape": [h, w], "mos": one.mos, "fault": fault} | more
            lines.write(json.dumps(row).encode() + b"\n")
            lines.flush()


def _pixels(file: Path, shape: tuple[int, ...], first: int) -> np.memmap[Any, np.dtype[np.uint8]]:
    """A new array on disk, or with something in it the one that is there, which is to have this shape."""
    mode: Literal["r+", "w+"] = "r+" if first else "w+"
    pixels = np.lib.format.open_memmap(file, mode=mode, dtype=np.uint8, shape=shape)
    if pixels.shape != shape:
        raise ValueError(f"{file} is for {len(pixels)} looks, not {shape[0]}; remove its folder to begin anew")
    return pixels


@dataclass(frozen=True)
class Mixture(torch.utils.data.IterableDataset[list[Look]]):
    """Endless batches: `real` looks of human-rated pictures and `synthetic` ones from a store, in a fixed order.

    crops: share of real looks that see a random part of the picture, as a later round does, under the same MOS. The
    others see nearly all of it, each time another part: nobody rates a picture differently for a missing edge.
    """

    samples: Sequence[Sample]
    store: LookStore | None
    real: int
    synthetic: int
    crops: float
    seed: int
    skip: int = 0

    def __iter__(self) -> Iterator[list[Look]]:
        rng = np.random.default_rng(self.seed)
        order: list[int] = []
        stored: list[int] = []
        step = 0
        while True:
            while len(order) < self.real:
                order += rng.permutation(len(self.samples)).tolist()
            take, order = order[: self.real], order[self.real :]
            draws = rng.random((self.real + self.synthetic, 5))
            synthetic: list[int] = []
            if self.store is not None:
                while len(stored) < self.synthetic:
                    stored += self.store.draw(rng, len(self.store.trained))
                synthetic, stored = stored[: self.synthetic], stored[self.synthetic :]
            step += 1
            if step <= self.skip:
                continue
            looks = []
            for draw, i in zip(draws, take, strict=False):  # the draws go on for the synthetic looks
                side = 0.63 + 0.27 * draw[1] if draw[0] < self.crops else 0.9 + 0.1 * draw[1]
                x, y = (1 - side) * draw[2], (1 - side) * draw[3]
                looks.append(real_look(self.samples[i], Region(x, y, x + side, y + side)))
            if self.store is not None:
                looks += [self.store[i] for i in synthetic]
            yield [one.flipped() if draw[4] < 0.5 else one for draw, one in zip(draws, looks, strict=False)]


def batches(mixture: Mixture) -> Iterator[list[Look]]:
    """The mixture's batches, prepared by one worker process while the model learns."""
    loader = torch.utils.data.DataLoader(mixture, batch_size=None, num_workers=1, prefetch_factor=4, collate_fn=_same)
    return iter(loader)


def _same(batch: list[Look]) -> list[Look]:
    return batch
