"""Near-duplicates: pictures of one scene, found by a difference hash, and splits that keep them apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.data.sample import Sample

NEAR_DUPLICATE = 4
"""Largest Hamming distance, of 64 bits, between the hashes of two pictures of one scene."""


def dhash(path: str | Path) -> int:
    """Return the 64-bit difference hash of a picture (Krawetz 2013).

    The picture is shrunk to 9 x 8 gray pixels. A bit is 1 where a pixel is darker than its right neighbour. Bits run
    row by row, the first one highest.
    """
    with Image.open(path) as picture:
        return hash_of(picture)


def hash_of(picture: Image.Image) -> int:
    """Return the difference hash of an opened picture; see `dhash`."""
    # Decoded in full: a JPEG decoder that shrinks is three times faster but changes bits and so the groups.
    gray = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BICUBIC), dtype=np.int16)
    bits = (gray[:, 1:] > gray[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_duplicate_groups(hashes: NDArray[np.uint64], distance: int = NEAR_DUPLICATE) -> NDArray[np.int64]:
    """Return the group number of each of (N,) hashes; a group is numbered by the index of its first member.

    Two hashes that differ in at most `distance` bits share a group, transitively.
    """
    return joined(near_pairs(hashes, distance), len(hashes))


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs i < j of (N,) hashes that differ in at most `distance` bits.

    All pairs are compared as a product of +-1 rows: a . b = 64 - 2 * Hamming distance.
    """
    count = len(hashes)
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(count, 8), axis=1)
    signs = bits.astype(np.float32) * 2.0 - 1.0
    for start in range(0, count, 1024):
        alike = signs[start : start + 1024] @ signs[start:].T >= 64 - 2 * distance
        for i, j in np.argwhere(alike).tolist():
            if i < j:
                yield start + i, start + j


def joined(pairs: Iterable[tuple[int, int]], count: int) -> NDArray[np.int64]:
    """Return the groups of `count` items that pairs connect, (count,): each the index of its first member."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in pairs:
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    return np.array([root(i) for i in range(count)], dtype=np.int64)


def leak_free(samples: Sequence[Sample], split: str = "train", other: str = "test") -> list[Sample]:
    """Return the samples without those of `split` whose near-duplicate group also holds a picture of `other`.

    Some scenes of BIQ2021 lie on both sides of its official split; a model that trained on such a picture has seen
    the answer. With split="test", other="train" the test pictures are dropped.
    """
    shared = {sample.group for sample in samples if sample.split == other and sample.group}
    return [sample for sample in samples if sample.split != split or sample.group not in shared]
