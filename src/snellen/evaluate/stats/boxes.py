"""What was named against what was there: boxes and kinds of fault."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence, Set
from typing import Any

import numpy as np

from snellen.region import FULL, Region
from snellen.reply import Issue

DRAWS = 20
"""How many random boxes of the same size stand for chance, for each picture."""


def points_at(box: Region, fault: Region) -> bool:
    """Pointing game: whether the middle of the box lies in the fault (Zhang et al., Excitation Backprop, 2018)."""
    x, y = box.center
    return fault.x0 <= x < fault.x1 and fault.y0 <= y < fault.y1


def coverage(boxes: Sequence[Region], fault: Region, steps: int = 64) -> float:
    """Share of the fault's area inside any of the boxes, 0..1, on a grid of `steps` x `steps` points of the fault."""
    if len(boxes) == 1:
        return boxes[0].covers(fault)
    if not boxes:
        return 0.0
    x = fault.x0 + (np.arange(steps) + 0.5) / steps * fault.width
    y = fault.y0 + (np.arange(steps) + 0.5) / steps * fault.height
    inside = np.zeros((steps, steps), bool)
    for box in boxes:
        inside |= np.outer((box.y0 <= y) & (y < box.y1), (box.x0 <= x) & (x < box.x1))
    return float(inside.mean())


def overlap(issues: Sequence[Issue], kind: str, fault: Region) -> float | None:
    """Intersection over union of the fault and the best box of its kind; None where the kind is not named."""
    return max((issue.region.iou(fault) for issue in issues if issue.kind == kind), default=None)


def kind_counts(named: Sequence[Set[str]], true: Sequence[Set[str]]) -> tuple[int, int, int]:
    """(right, false, missed) over pictures: kinds named that are there, named that are not, and there but not named.

    One entry for each picture: the kinds named in it, and those applied to it (none for a clean one).
    """
    right = sum(len(a & b) for a, b in zip(named, true, strict=True))
    return right, sum(map(len, named)) - right, sum(map(len, true)) - right


def precision_recall_f1(right: int, false: int, missed: int) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean from counts; NaN where nothing was named, or nothing was there."""
    precision = right / (right + false) if right + false else math.nan
    recall = right / (right + missed) if right + missed else math.nan
    whole = 2 * right + false + missed
    return precision, recall, 2 * right / whole if whole else math.nan


def worst(issues: Sequence[Issue], kind: str | None = None) -> int:
    """The highest severity named (of one kind), 0 for none."""
    return max((issue.severity for issue in issues if kind is None or issue.kind == kind), default=0)


Boxes = tuple[int, Sequence[Region], Region]
"""A seed, the boxes named, and where the fault is."""


def against_controls(entries: Sequence[Boxes]) -> dict[str, Any]:
    """`placed` of the boxes as they are named, of random and central ones as large, and of the whole picture."""
    return {
        "as named": placed([(boxes, fault) for _, boxes, fault in entries]),
        "random": placed([(drawn, fault) for seed, boxes, fault in entries for drawn in _random(seed, boxes)]),
        "central": placed([([_central(box) for box in boxes], fault) for _, boxes, fault in entries]),
        "full": placed([([FULL] if boxes else [], fault) for _, boxes, fault in entries]),
    }


def _random(seed: int, boxes: Sequence[Region]) -> list[list[Region]]:
    rng = np.random.default_rng(seed)
    return [[_moved(box, float(rng.random()), float(rng.random())) for box in boxes] for _ in range(DRAWS)]


def _central(box: Region) -> Region:
    return _moved(box, 0.5, 0.5)


def _moved(box: Region, across: float, down: float) -> Region:
    """A box of the same size, at 0..1 of the way from the left to the right end of the picture, and from the top."""
    x, y = across * (1.0 - box.width), down * (1.0 - box.height)
    return Region(x, y, min(1.0, x + box.width), min(1.0, y + box.height))


def placed(entries: Sequence[tuple[Sequence[Region], Region]]) -> dict[str, float]:
    """Means over pictures, each with its boxes and its fault; a picture without boxes counts 0 everywhere.

    coverage: share of the fault inside any box. half inside: how often that is a half or more. IoU: of the best box.
    pointing: how often the middle of a box lies in the fault.
    """
    cover = [coverage(boxes, fault) for boxes, fault in entries]
    return {
        "coverage": mean(cover),
        "half inside": mean(value >= 0.5 for value in cover),
        "IoU": mean(max((box.iou(fault) for box in boxes), default=0.0) for boxes, fault in entries),
        "pointing": mean(any(points_at(box, fault) for box in boxes) for boxes, fault in entries),
    }


def mean(values: Iterable[float]) -> float:
    """NaN of nothing."""
    those = list(values)
    return float(np.mean(those)) if those else math.nan
