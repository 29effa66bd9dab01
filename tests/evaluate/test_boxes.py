from __future__ import annotations

import math

import pytest

from snellen.evaluate.stats.boxes import coverage, kind_counts, points_at, precision_recall_f1, worst
from snellen.region import FULL, Region
from snellen.reply import Issue

FAULT = Region(0.5, 0.5, 1.0, 1.0)


def test_pointing() -> None:
    assert points_at(Region(0.5, 0.6, 0.7, 0.8), FAULT)
    assert not points_at(Region(0.0, 0.0, 0.9, 1.0), FAULT)  # its middle is at 0.45
    assert points_at(FULL, FAULT)  # 0.5 lies inside: boxes are half-open


def test_coverage_of_one_and_of_several_boxes() -> None:
    left, right = Region(0.5, 0.0, 0.75, 1.0), Region(0.75, 0.5, 1.0, 1.0)
    assert coverage([], FAULT) == 0.0
    assert coverage([left], FAULT) == pytest.approx(0.5)
    assert coverage([left, left], FAULT) == pytest.approx(0.5)  # what lies in both counts once
    assert coverage([left, right], FAULT) == pytest.approx(1.0)


def test_kinds_by_hand() -> None:
    named = [{"blur", "noise"}, {"noise"}, set(), {"blur"}]
    there = [{"blur"}, {"blur"}, {"noise"}, set()]
    assert kind_counts(named, there) == (1, 3, 2)
    assert precision_recall_f1(1, 3, 2) == pytest.approx((1 / 4, 1 / 3, 2 / 7))


def test_nothing_named_or_nothing_there() -> None:
    precision, recall, f1 = precision_recall_f1(0, 0, 2)
    assert math.isnan(precision) and recall == 0.0 and f1 == 0.0
    assert all(math.isnan(value) for value in precision_recall_f1(0, 0, 0))


def test_worst_severity() -> None:
    issues = [Issue("blur", 2, FULL), Issue("noise", 4, FULL)]
    assert worst(issues) == 4
    assert worst(issues, "blur") == 2
    assert worst(issues, "banding") == 0
