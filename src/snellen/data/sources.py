"""Where pictures come from: the BIQ2021 data set as its authors publish it, and folders of pristine photographs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.data.sample import Sample

BIQ2021_RATERS = 30  # every picture was rated by 30 people (the data set's README)
NEAR_DUPLICATE = 4  # bits of 64 in which the hashes of two pictures of one scene may differ

_BIQ2021_TABLES = (("train", "Train (Images and MOS).csv"), ("test", "Test (Images and MOS).csv"))


class SourceError(ValueError):
    """A data set folder that is not laid out as expected; the message names the file and the remedy."""


def import_biq2021(root: str | Path) -> list[Sample]:
    """The 12,000 rated pictures of BIQ2021 (Ahmed and Asif 2022) from a clone of nisarahmedrana/BIQ2021.

    MOS m in 0..1 becomes 1 + 4 m. The split is the official one. `group` is shared by near-duplicates (see
    `near_duplicate_groups`), `subset` is ss01, ss02 or ss03. Decodes every picture once, half a minute on one core.
    Raises SourceError naming the first file that is missing or the first table row that cannot be read.
    """
    folder = Path(root)
    images = folder / "Images"
    if not images.is_dir():
        raise SourceError(f"{images}: no such folder; clone https://github.com/nisarahmedrana/BIQ2021 and name its folder")
    # One file is named .JPG on disk and .jpg in the table: names are matched without regard to case.
    files = {name.lower(): name for name in os.listdir(images)}
    samples = []
    for split, table in _BIQ2021_TABLES:
        for name, mos in _read_mos_table(folder / table):
            found = files.get(name.lower())
            if found is None:
                raise SourceError(f"{images / name}: listed in {table} but missing; the clone is incomplete, fetch again")
            path = str(images / found)
            samples.append(Sample(path, 1.0 + 4.0 * mos, n=BIQ2021_RATERS, split=split, subset=name.split(" ")[0]))
    groups = near_duplicate_groups(np.array([dhash(sample.path) for sample in samples], dtype=np.uint64))
    return [replace(sample, group=f"g{group:05d}") for sample, group in zip(samples, groups.tolist(), strict=True)]


def _read_mos_table(table: Path) -> Iterator[tuple[str, float]]:
    """Rows (name, MOS 0..1). The training table has two empty columns after these, the test table has none."""
    if not table.is_file():
        raise SourceError(f"{table}: missing; the folder is not a clone of BIQ2021")
    with table.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.reader(lines)
        if next(rows, [])[:2] != ["Image Name", "MOS"]:
            raise SourceError(f"{table}: line 1: expected the columns 'Image Name,MOS'")
        for number, row in enumerate(rows, 2):
            try:
                name, mos = row[0], float(row[1])
            except (IndexError, ValueError) as error:
                raise SourceError(f"{table}: line {number}: {row!r} is not a name and a number") from error
            if not 0.0 <= mos <= 1.0:
                raise SourceError(f"{table}: line {number}: MOS {mos} is outside 0..1")
            yield name, mos


def leak_free(samples: Sequence[Sample], split: str = "train", other: str = "test") -> list[Sample]:
    """The samples, less those of `split` whose near-duplicate group also holds a picture of `other`.

    Scenes of BIQ2021 lie on both sides of its official split; a model trained on such a picture has seen the answer.
    With split="test", other="train" it is the test pictures that are dropped.
    """
    touched = {sample.group for sample in samples if sample.split == other and sample.group}
    return [sample for sample in samples if sample.split != split or sample.group not in touched]


def dhash(path: str | Path) -> int:
    """64-bit difference hash (Krawetz 2013): in the gray picture shrunk to 9x8, is each pixel darker than its right one.

    Bits run row by row, the first one highest.
    """
    with Image.open(path) as picture:
        # Decoded in full: letting the JPEG decoder shrink is three times faster, but changes bits and so the groups.
        gray = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BICUBIC), dtype=np.int16)
    bits = (gray[:, 1:] > gray[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_duplicate_groups(hashes: NDArray[np.uint64], distance: int = NEAR_DUPLICATE) -> NDArray[np.int64]:
    """Group number of each of (N,) hashes: two are together when a chain of steps of at most `distance` bits joins them.

    A group is numbered by its first member. All pairs are compared, as a product of +-1 rows:
    a . b = 64 - 2 * Hamming distance.
    """
    count = len(hashes)
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(count, 8), axis=1)
    signs = bits.astype(np.float32) * 2.0 - 1.0
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for start in range(0, count, 1024):
        alike = signs[start : start + 1024] @ signs[start:].T >= 64 - 2 * distance
        for i, j in np.argwhere(alike).tolist():
            low, high = sorted((root(start + i), root(start + j)))
            parent[high] = low
    return np.array([root(i) for i in range(count)], dtype=np.int64)
