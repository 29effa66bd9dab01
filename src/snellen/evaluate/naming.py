"""What was named against what was there: boxes and kinds of fault."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set

import numpy as np

from snellen.answer import Issue
from snellen.region import Region


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
