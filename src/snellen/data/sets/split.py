"""Splits for sets that have no official one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace

from snellen.data.sample import Sample


def split_by_group(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples with a split that keeps all pictures of one group, or else of one reference, together.

    Groups are ordered by the SHA-256 of their name: the first fifth (rounded up) is test, the next tenth (rounded
    down) val, the rest train. So the split is the same on every machine. A picture with neither group nor reference is
    a group by itself.
    """
    names = sorted({_group(sample) for sample in samples}, key=lambda name: hashlib.sha256(name.encode()).digest())
    test = -(-len(names) // 5)
    val = test + len(names) // 10
    splits = {name: "test" if i < test else "val" if i < val else "train" for i, name in enumerate(names)}
    return [replace(sample, split=splits[_group(sample)]) for sample in samples]


def _group(sample: Sample) -> str:
    return sample.group or os.path.basename(sample.reference or sample.path).lower()
