"""Where pictures come from: the BIQ2021 data set as its authors publish it, and folders of pristine photographs."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.data.sample import Sample
from snellen.image import ImageError, load

BIQ2021_RATERS = 30  # every picture was rated by 30 people (the data set's README)
NEAR_DUPLICATE = 4  # bits of 64 in which the hashes of two pictures of one scene may differ

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff"})

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
        remedy = "clone https://github.com/nisarahmedrana/BIQ2021 and name its folder"
        raise SourceError(f"{images}: no such folder; {remedy}")
    # One file is named .JPG on disk and .jpg in the table: names are matched without regard to case.
    files = {name.lower(): name for name in os.listdir(images)}
    samples = []
    for split, table in _BIQ2021_TABLES:
        for name, mos in _read_mos_table(folder / table):
            found = files.get(name.lower())
            if found is None:
                raise SourceError(f"{images / name}: listed in {table} but missing; the clone is incomplete, repeat it")
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


def near_duplicates_across_splits(samples: Sequence[Sample], distance: int = NEAR_DUPLICATE) -> list[list[Sample]]:
    """Groups of near-duplicates (see `near_duplicate_groups`) that lie in more than one split, in the samples' order.

    A report, nothing is dropped; an empty list says that no scene was found on two sides. Decodes every picture; those
    that cannot be read are left out.
    """
    read: list[tuple[Sample, int]] = []
    for sample in samples:
        with suppress(OSError):
            read.append((sample, dhash(sample.path)))
    members: dict[int, list[Sample]] = {}
    groups = near_duplicate_groups(np.array([found for _, found in read], np.uint64), distance).tolist()
    for group, (sample, _) in zip(groups, read, strict=True):
        members.setdefault(group, []).append(sample)
    return [group for group in members.values() if len({sample.split for sample in group}) > 1]


def dhash(path: str | Path) -> int:
    """64-bit difference hash (Krawetz 2013): is each pixel of the gray picture, shrunk to 9x8, darker than the next.

    Bits run row by row, the first one highest.
    """
    with Image.open(path) as picture:
        # Decoded in full: letting the JPEG decoder shrink is three times faster, but changes bits and so the groups.
        gray = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BICUBIC), dtype=np.int16)
    bits = (gray[:, 1:] > gray[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_duplicate_groups(hashes: NDArray[np.uint64], distance: int = NEAR_DUPLICATE) -> NDArray[np.int64]:
    """Group number of each of (N,) hashes: joined are those that differ in at most `distance` bits, and transitively.

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


@dataclass(frozen=True)
class Photograph:
    """A pristine photograph to make faults in: its file and its size in px."""

    path: str
    width: int
    height: int


def find_photographs(
    folders: Iterable[str | Path], *, min_megapixels: float = 0.15, max_megapixels: float = 24.1
) -> list[Photograph]:
    """The photographs under `folders`, sorted by path: no drawings (`is_photograph`), no scene twice, no links.

    Of near-duplicates (the same wallpaper in several sizes) the largest stays. Pictures outside the size limits are
    left out, and, with a warning that names it, any that cannot be read. ValueError for a folder that is not there.
    """
    found, hashes = [], []
    for path in _pictures_under(folders):
        try:
            picture = load(path, max_megapixels=max_megapixels)
        except ImageError as error:
            if error.code not in ("too_large", "too_small"):
                warnings.warn(str(error), stacklevel=2)
            continue
        if picture.megapixels < min_megapixels or not is_photograph(picture.pixels):
            continue
        found.append(Photograph(str(path), picture.width, picture.height))
        hashes.append(dhash(path))
    groups = near_duplicate_groups(np.array(hashes, dtype=np.uint64)).tolist()
    largest: dict[int, Photograph] = {}
    for group, photograph in zip(groups, found, strict=True):
        best = largest.get(group)
        if best is None or photograph.width * photograph.height > best.width * best.height:
            largest[group] = photograph
    return sorted(largest.values(), key=lambda photograph: photograph.path)


def _pictures_under(folders: Iterable[str | Path]) -> Iterator[Path]:
    for folder in folders:
        if not Path(folder).is_dir():
            raise ValueError(f"{folder}: no such folder")
        for inside, subfolders, names in os.walk(folder):
            subfolders.sort()
            for name in sorted(names):
                path = Path(inside) / name
                if path.suffix.lower() in PICTURE_SUFFIXES and not path.is_symlink():
                    yield path


def is_photograph(pixels: NDArray[np.uint8]) -> bool:
    """Whether (H, W, 3) uint8 sRGB pixels look like a detailed photograph, not a drawing, a render or a chart.

    Four thresholds, chosen by looking at 484 wallpapers and test pictures. A photograph has grain: few native pixels
    equal their neighbours, and even the calm blocks are not quite smooth. At 1,024 px it has some texture, but not
    the steps of pixel art, and many colours. Of drawings, only paintings with brush texture pass; of photographs,
    the denoised, the very dark and the much blurred fail, and make poor pristine sources anyway.
    """
    flat, calm = _native_grain(pixels)
    if not (flat < 0.26 and calm >= 0.45):
        return False
    small = Image.fromarray(pixels)
    scale = 1024 / max(small.size)
    if scale < 1.0:
        size = max(3, round(small.width * scale)), max(3, round(small.height * scale))
        small = small.resize(size, Image.Resampling.BOX)
    rgb = np.asarray(small)
    texture = float(np.median(_laplacian(rgb)))
    codes = (rgb >> 2).astype(np.int32) @ np.array([4096, 64, 1], dtype=np.int32)  # 6 bits a channel
    return 1.9 <= texture < 40.0 and len(np.unique(codes)) >= 1500


def _native_grain(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """In 5 x 5 spread squares of 128 native px: share of pixels equal to their neighbours right and below (0..1), and
    the 10th percentile over 8x8 blocks of the mean absolute Laplacian (gray levels)."""
    height, width = pixels.shape[:2]
    side = max(10, min(128, height // 5, width // 5))
    flats, grains = [], []
    for top in np.linspace(0, height - side, 5).astype(int):
        for left in np.linspace(0, width - side, 5).astype(int):
            square = pixels[top : top + side, left : left + side]
            same_x = (square[:-1, 1:] == square[:-1, :-1]).all(axis=2)
            same_y = (square[1:, :-1] == square[:-1, :-1]).all(axis=2)
            flats.append((same_x & same_y).mean())
            laplacian = _laplacian(square)
            blocks = laplacian.shape[0] // 8
            grain = laplacian[: blocks * 8, : blocks * 8].reshape(blocks, 8, blocks, 8).mean(axis=(1, 3))
            grains.append(grain.ravel())
    return float(np.mean(flats)), float(np.percentile(np.concatenate(grains), 10))


def _laplacian(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) -> (H - 2, W - 2): absolute four-neighbour Laplacian of the channel mean, in gray levels."""
    gray = rgb.mean(axis=2, dtype=np.float32)
    inner = gray[1:-1, 1:-1]
    around = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    response: NDArray[np.float32] = np.abs(4 * inner - around)
    return response
