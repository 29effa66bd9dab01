"""Localisation and detection: predicted boxes and kinds against true ones."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set

import numpy as np

from snellen.evaluate.stats.bootstrap import mean
from snellen.region import FULL, Region

Boxes = tuple[Sequence[Region], Region]
"""The predicted boxes of one picture and the true box of its fault."""


def center_inside(box: Region, fault: Region) -> bool:
    """Return True where the centre of the box lies in the fault (pointing game: Zhang et al., IJCV 126, 2018)."""
    x, y = box.center
    return fault.x0 <= x < fault.x1 and fault.y0 <= y < fault.y1


def coverage(boxes: Sequence[Region], fault: Region, steps: int = 64) -> float:
    """Return the share of the fault's area inside the union of the boxes, 0..1.

    One box is computed exactly, several on a grid of `steps` x `steps` points of the fault.
    """
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


def localisation(pictures: Sequence[Boxes]) -> dict[str, float]:
    """Return the means over pictures of four measures, 0..1; a picture without a box counts 0 in all of them.

    coverage: share of the fault inside the union of the boxes. half covered: share of pictures whose coverage is at
    least 0.5. IoU: of the best box. centre inside: share of pictures with a box whose centre lies in the fault.
    """
    covered = [coverage(boxes, fault) for boxes, fault in pictures]
    return {
        "coverage": mean(covered),
        "half covered": mean(value >= 0.5 for value in covered),
        "IoU": mean(max((box.iou(fault) for box in boxes), default=0.0) for boxes, fault in pictures),
        "centre inside": mean(any(center_inside(box, fault) for box in boxes) for boxes, fault in pictures),
    }


def localisation_with_baselines(pictures: Sequence[Boxes]) -> dict[str, dict[str, float]]:
    """Return `localisation` of the predicted boxes, of boxes as large in the centre, and of the whole picture.

    The last two need no look at the picture. They have a box only where the prediction has one.
    """
    return {
        "predicted": localisation(pictures),
        "centre": localisation([([_centered(box) for box in boxes], fault) for boxes, fault in pictures]),
        "whole picture": localisation([([FULL] if boxes else [], fault) for boxes, fault in pictures]),
    }


def _centered(box: Region) -> Region:
    x, y = (1.0 - box.width) / 2, (1.0 - box.height) / 2
    return Region(x, y, min(1.0, x + box.width), min(1.0, y + box.height))


def detection_counts(predicted: Sequence[Set[str]], true: Sequence[Set[str]]) -> tuple[int, int, int]:
    """Return (true positives, false positives, false negatives) of the kinds of all pictures together.

    predicted, true: the set of kinds of each picture, empty for a clean one.
    """
    right = sum(len(a & b) for a, b in zip(predicted, true, strict=True))
    return right, sum(map(len, predicted)) - right, sum(map(len, true)) - right


def precision_recall_f1(right: int, false: int, missed: int) -> tuple[float, float, float]:
    """Return precision, recall and F1 from `detection_counts`; NaN where a denominator is 0."""
    precision = right / (right + false) if right + false else math.nan
    recall = right / (right + missed) if right + missed else math.nan
    whole = 2 * right + false + missed
    return precision, recall, 2 * right / whole if whole else math.nan
