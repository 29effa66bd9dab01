"""Photographs to make faults in: found in folders by a filter, or taken from a list of content hashes."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.data.sets.duplicates import dhash, near_duplicate_groups
from snellen.image import ImageError, load

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff"})


@dataclass(frozen=True)
class Photograph:
    """A pristine photograph to make faults in: its file and its size in px."""

    path: str
    width: int
    height: int

    @property
    def megapixels(self) -> float:
        """Width times height in millions of px."""
        return self.width * self.height / 1e6


def open_photograph(path: str | Path) -> Photograph:
    """Return the photograph in a file without any filter; only its header is read."""
    with Image.open(path) as picture:
        return Photograph(str(path), *picture.size)


def find_photographs(
    folders: Iterable[str | Path], *, min_megapixels: float = 0.15, max_megapixels: float = 24.1
) -> list[Photograph]:
    """Return the photographs under `folders`, sorted by path: no drawings (`is_photograph`), no scene twice, no links.

    Of near-duplicates (the same wallpaper in several sizes) the largest is kept. Pictures outside the size limits are
    left out, and so is, with a warning that names it, any that cannot be read. ValueError for a missing folder.
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
        if best is None or photograph.megapixels > best.megapixels:
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


def blob_id(data: bytes) -> str:
    """Return the id that git gives a file with this content: the SHA-1 of "blob LENGTH NUL" and the content, in hex."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def read_photograph_list(file: Path) -> dict[str, list[str]]:
    """Read a list of photographs: lines "OWNER/NAME BLOB" -> the blob ids by repository. "#" begins a comment.

    ValueError names the first line that is not of this form.
    """
    listed: dict[str, list[str]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        repository, _, blob = line.partition(" ")
        if repository.count("/") != 1 or not re.fullmatch("[0-9a-f]{40}", blob):
            raise ValueError(f"{file}: line {number}: {line!r} is not OWNER/NAME and the id of a blob")
        listed.setdefault(repository, []).append(blob)
    return listed


def listed_photographs(file: Path, clones: Path) -> list[Photograph]:
    """Return the photographs of a list (see `read_photograph_list`), sorted by path.

    `clones` holds each repository OWNER/NAME as a folder OWNER+NAME. Files are found by content, wherever they lie in
    the clone; of equal files the first by path is taken. FileNotFoundError names the first repository that lacks some.
    """
    photographs = []
    for repository, blobs in read_photograph_list(file).items():
        folder = clones / repository.replace("/", "+")
        files: dict[str, Path] = {}
        for path in _pictures_under([folder]) if folder.is_dir() else ():
            files.setdefault(blob_id(path.read_bytes()), path)
        missing = [blob for blob in blobs if blob not in files]
        if missing:
            raise FileNotFoundError(
                f"{folder} lacks {len(missing)} of {len(blobs)} listed photographs, the first of them {missing[0]}; "
                f"clone https://github.com/{repository} there, with Git LFS where it uses that"
            )
        photographs += [open_photograph(files[blob]) for blob in blobs]
    return sorted(photographs, key=lambda photograph: photograph.path)


def is_photograph(pixels: NDArray[np.uint8]) -> bool:
    """Return True if (H, W, 3) uint8 sRGB pixels look like a detailed photograph, not a drawing, a render or a chart.

    Four thresholds, tuned on 484 wallpapers and test pictures. A photograph has grain: few native pixels equal their
    neighbours, and even smooth blocks vary. At 1,024 px it has some texture, but not the steps of pixel art, and many
    colors. The only drawings that pass are paintings with brush texture. Photographs that fail are denoised, very dark
    or strongly blurred; they are poor pristine sources anyway.
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
    """Return two statistics of 5 x 5 evenly spread squares of 128 native px: the share (0..1) of pixels equal to both
    their right and their lower neighbour, and the 10th percentile over 8 x 8 blocks of the mean absolute Laplacian
    (gray levels)."""
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
    """Return the absolute four-neighbour Laplacian of the channel mean: (H, W, 3) -> (H - 2, W - 2), gray levels."""
    gray = rgb.mean(axis=2, dtype=np.float32)
    inner = gray[1:-1, 1:-1]
    around = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    response: NDArray[np.float32] = np.abs(4 * inner - around)
    return response
