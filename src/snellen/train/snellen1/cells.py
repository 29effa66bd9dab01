"""Stage 2: cell features of all views, computed once, since the encoder no longer changes.

A folder of them has NAME.npy, (views, 2, CELL_FEATURES, GRID, GRID) float16, for each view store NAME; and rated.npy
with rated.jsonl, two views of each rated training picture: the whole and its most detailed part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from snellen.data.sample import Sample, read_manifest
from snellen.image import GRID, load
from snellen.output import replacing
from snellen.region import FULL, Region
from snellen.snellen1.encoder import CELL_FEATURES
from snellen.snellen1.perception import Perception
from snellen.train import best_device
from snellen.train.snellen1.example import Pixels
from snellen.train.snellen1.views import HELD_OUT, ViewStore, training_pictures
from snellen.zoom import ZOOM_PRESETS

ViewPixels = list[tuple[Pixels, Pixels]]
"""Overview and fragments of each of some views."""


class ViewSource(Protocol):
    """A data set of views, some at a time; `count` is how many views there are in all."""

    count: int

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> ViewPixels: ...


@dataclass(frozen=True)
class RatedPicture:
    """A rated training picture. group: see `Sample`. region: of its second view."""

    path: str
    group: str
    mos: float
    held_out: bool
    region: Region


class RatedViews(Dataset[ViewPixels]):
    """Both views of each rated picture."""

    def __init__(self, pictures: Sequence[RatedPicture]) -> None:
        self.pictures, self.count = pictures, 2 * len(pictures)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> ViewPixels:
        picture = load(self.pictures[i].path)
        views = [picture.view(region) for region in (FULL, self.pictures[i].region)]
        return [(view.overview, view.fragments) for view in views]


class StoredViews(Dataset[ViewPixels]):
    """The views of a store, one at a time."""

    def __init__(self, store: ViewStore) -> None:
        self.store, self.count = store, len(store)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> ViewPixels:
        return [self.store.pixels(i)]


def run_cells(
    perception_file: Path, manifest: Path, stores: Sequence[Path], out: Path, held_out: int = HELD_OUT
) -> None:
    """Write the cell features of rated training pictures and of view stores; arrays that exist are kept.

    held_out: rated pictures kept for validation, as in the other stages.
    """
    perception = Perception.open(perception_file)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "rated.jsonl").exists():
        write_rated(rated_pictures(read_manifest(manifest), held_out), out / "rated.jsonl")
    if not (out / "rated.npy").exists():
        write_cells(perception, RatedViews(read_rated(out / "rated.jsonl")), out / "rated.npy")
    for folder in stores:
        if not (out / f"{folder.name}.npy").exists():
            write_cells(perception, StoredViews(ViewStore(folder)), out / f"{folder.name}.npy")


def rated_pictures(samples: Sequence[Sample], held_out: int) -> list[RatedPicture]:
    """Return the rated training pictures of a manifest, held-out ones last, each with a region for a second view."""
    train, held = training_pictures(samples, held_out)
    pictures = []
    for number, sample in enumerate([*train, *held]):
        assert sample.mos is not None
        side = float(np.random.default_rng(number).uniform(0.4, 0.7))
        picture = load(sample.path)
        wanted = most_detailed(picture.view().overview, side)
        region = ZOOM_PRESETS["snellen"].settle(wanted, picture.width, picture.height)
        group = sample.group or sample.path
        pictures.append(RatedPicture(sample.path, group, sample.mos, number >= len(train), region))
    return pictures


def most_detailed(overview: Pixels, side: float) -> Region:
    """Return the part with the largest sum of absolute gradients; its sides are `side` of the overview's, 0..1."""
    gray = overview.astype(np.float32).mean(axis=2)
    energy = np.abs(np.diff(gray, axis=0))[:, 1:] + np.abs(np.diff(gray, axis=1))[1:]
    total = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    h, w = (int(n * side) for n in energy.shape)
    sums = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
    y, x = np.unravel_index(int(sums.argmax()), sums.shape)
    x0, y0 = float(x / energy.shape[1]), float(y / energy.shape[0])
    return Region(x0, y0, min(1.0, x0 + side), min(1.0, y0 + side))


def write_rated(pictures: Sequence[RatedPicture], file: Path) -> None:
    """Write one JSON object per picture."""
    with replacing(file) as part, part.open("w", encoding="utf-8") as out:
        for one in pictures:
            r = one.region
            out.write(json.dumps(asdict(one) | {"region": [r.x0, r.y0, r.x1, r.y1]}) + "\n")


def read_rated(file: Path) -> list[RatedPicture]:
    """Read what `write_rated` wrote."""
    rows = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    return [RatedPicture(**row | {"region": Region(*row["region"])}) for row in rows]


def in_batches(views: ViewSource) -> Iterator[ViewPixels]:
    """Yield the pixels of all views in order, read by one worker process."""
    loader: DataLoader[ViewPixels] = DataLoader(
        views,  # type: ignore[arg-type]
        batch_size=16,
        num_workers=1,
        prefetch_factor=4,
        collate_fn=_flat,
    )
    yield from loader


def sixteen_bits(device: torch.device) -> torch.autocast:
    """Return a context for products in bfloat16 where the device has them, in half the time; else it has no effect."""
    enabled = device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def _flat(batch: list[ViewPixels]) -> ViewPixels:
    return [one for pixels in batch for one in pixels]


@torch.no_grad()
def write_cells(perception: Perception, views: ViewSource, file: Path) -> None:
    """Write the cell features of all views, in order."""
    device = best_device()
    perception.to(device)
    part = file.with_suffix(".part")
    shape = (views.count, 2, CELL_FEATURES, GRID, GRID)
    rows = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
    at = 0
    for batch in in_batches(views):
        overviews, fragments = zip(*batch, strict=True)
        with sixteen_bits(device):
            cells = perception.cells(overviews, fragments)
        rows[at : at + len(batch)] = cells.float().cpu().numpy()
        at += len(batch)
    rows.flush()
    part.replace(file)
