from __future__ import annotations

import math

import pytest

from snellen.evaluate.stats.boxes import (
    center_inside,
    coverage,
    detection_counts,
    localisation_with_baselines,
    precision_recall_f1,
)
from snellen.region import FULL, Region

FAULT = Region(0.5, 0.5, 1.0, 1.0)


def test_pointing() -> None:
    assert center_inside(Region(0.5, 0.6, 0.7, 0.8), FAULT)
    assert not center_inside(Region(0.0, 0.0, 0.9, 1.0), FAULT)  # its centre is at x = 0.45
    assert center_inside(FULL, FAULT)  # 0.5 lies inside: boxes are half-open


def test_coverage_of_one_and_of_several_boxes() -> None:
    left, right = Region(0.5, 0.0, 0.75, 1.0), Region(0.75, 0.5, 1.0, 1.0)
    assert coverage([], FAULT) == 0.0
    assert coverage([left], FAULT) == pytest.approx(0.5)
    assert coverage([left, left], FAULT) == pytest.approx(0.5)  # what lies in both counts once
    assert coverage([left, right], FAULT) == pytest.approx(1.0)


def test_kinds_by_hand() -> None:
    named = [{"blur", "noise"}, {"noise"}, set(), {"blur"}]
    there = [{"blur"}, {"blur"}, {"noise"}, set()]
    assert detection_counts(named, there) == (1, 3, 2)
    assert precision_recall_f1(1, 3, 2) == pytest.approx((1 / 4, 1 / 3, 2 / 7))


def test_nothing_named_or_nothing_there() -> None:
    precision, recall, f1 = precision_recall_f1(0, 0, 2)
    assert math.isnan(precision) and recall == 0.0 and f1 == 0.0
    assert all(math.isnan(value) for value in precision_recall_f1(0, 0, 0))


def test_localisation_and_its_baselines_by_hand() -> None:
    # the second picture has no box, and counts 0 everywhere; FAULT is a fourth of the picture
    boxes = [Region(0.5, 0.5, 1.0, 0.75), Region(0.0, 0.0, 0.1, 0.1)]
    found = localisation_with_baselines([(boxes, FAULT), ([], FAULT)])
    assert found["predicted"] == {"coverage": 0.25, "half covered": 0.5, "IoU": 0.25, "centre inside": 0.5}
    # centred, the first box is 0.25..0.75 x 0.375..0.625: an eighth of the fault, centre on its (closed) corner
    assert found["centre"]["coverage"] == pytest.approx(0.125 / 2)
    assert found["centre"]["centre inside"] == 0.5 and found["centre"]["half covered"] == 0.0
    assert found["whole picture"] == {"coverage": 0.5, "half covered": 0.5, "IoU": 0.125, "centre inside": 0.5}
