"""The photo fault head: its arithmetic by hand, its file, and how its kinds join the fault head's findings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snellen.region import FULL, Region
from snellen.snellen1.kernel import KernelHead
from snellen.snellen1.layout import Finding, merge
from snellen.snellen1.photo_faults import PHOTO_KINDS, PhotoFault, PhotoFaultHead
from snellen.snellen1.photo_features import pooled_cells

BOX = Region(0.2, 0.2, 0.4, 0.4)


@pytest.fixture
def head() -> PhotoFaultHead:
    """Two features, one component, two landmarks at -1 and 1; the second makes the first kind as severe as 4."""
    kinds = len(PHOTO_KINDS)
    dual = np.zeros((2, kinds))
    dual[1, 0] = 4.0
    kernel = KernelHead(
        mean=np.array([10.0, 0.0]), std=np.array([2.0, 1.0]), weight=np.array([1.0, 0.0]), centre=np.zeros(2),
        basis=np.array([[1.0], [0.0]]), landmarks=np.array([[-1.0], [1.0]]), dual=dual, scale=np.full(kinds, 2.0),
        offset=np.zeros(kinds),
    )  # fmt: skip
    logistic = np.stack([np.full(kinds, -2.0), np.ones(kinds)])
    logistic[0, 1] = 5.0  # the second kind is likely whatever the features say
    return PhotoFaultHead(kernel, logistic, np.array([1.0, 0.5]))


def test_prediction_by_hand(head: PhotoFaultHead) -> None:
    # the feature 12 lies one standard deviation above the mean, on the second landmark: k = 1
    assert head.kernel.predict(np.array([[12.0, 7.0]]))[0, 0] == pytest.approx(4.0)
    # two standard deviations away from it: k = exp(-4 / (2 * 2))
    assert head.kernel.predict(np.array([[8.0, 7.0]]))[0, 0] == pytest.approx(4.0 * np.exp(-1.0))


def test_features_far_off_are_clipped(head: PhotoFaultHead) -> None:
    assert head.kernel.project(np.array([[1e6, 0.0]]))[0, 0] == 5.0


def test_kinds_come_with_probability_and_severity(head: PhotoFaultHead) -> None:
    first, second, *rest = head(np.array([[12.0, 0.0]]))
    assert first.kind == PHOTO_KINDS[1] and first.probability == pytest.approx(1.0 / (1.0 + np.exp(-5.0)))
    assert second.kind == PHOTO_KINDS[0] and second.severity == 3, "1 + 0.5 * 4"
    assert second.probability == pytest.approx(1.0 / (1.0 + np.exp(-2.0)))
    assert len(rest) == len(PHOTO_KINDS) - 2 and all(one.severity == 1 for one in rest)


def test_severities_are_averaged_over_reads(head: PhotoFaultHead) -> None:
    both = head(np.array([[12.0, 0.0], [8.0, 0.0]]))
    found = next(one for one in both if one.kind == PHOTO_KINDS[0])
    severity = (4.0 + 4.0 * np.exp(-1.0)) / 2.0
    assert found.probability == pytest.approx(1.0 / (1.0 + np.exp(2.0 - severity)))


def test_a_saved_head_predicts_the_same_to_half_precision(head: PhotoFaultHead, tmp_path: Path) -> None:
    head.save(tmp_path / "photo_faults.npz")
    again = PhotoFaultHead.open(tmp_path / "photo_faults.npz")
    features = np.array([[11.3, 0.0]])
    assert again.kernel.predict(features) == pytest.approx(head.kernel.predict(features), abs=1e-2)
    assert again.logistic == pytest.approx(head.logistic) and again.severity == pytest.approx(head.severity)


def test_each_output_has_a_kernel_of_its_own_width() -> None:
    kernel = KernelHead(
        mean=np.zeros(1), std=np.ones(1), weight=np.ones(1), centre=np.zeros(1), basis=np.ones((1, 1)),
        landmarks=np.zeros((1, 1)), dual=np.ones((1, 2)), scale=np.array([0.5, 2.0]), offset=np.array([0.0, 10.0]),
    )  # fmt: skip
    assert kernel.predict(np.array([[1.0]]))[0] == pytest.approx([np.exp(-1.0), 10.0 + np.exp(-0.25)])


def test_cells_are_pooled_over_the_grid() -> None:
    cells = np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2)
    pooled = pooled_cells(cells)
    # overview 0..3 then fragments 4..7: mean, standard deviation (n - 1), maximum, minimum
    std = np.std([0, 1, 2, 3], ddof=1)
    assert pooled == pytest.approx([1.5, std, 3, 0, 5.5, std, 7, 4])


def test_a_kind_named_by_both_heads_keeps_the_box_and_the_higher_probability() -> None:
    found = [Finding("motion blur", 4, BOX, 0.7), Finding("banding", 2, BOX, 0.65)]
    photo = [PhotoFault("blur", 0.9, 2), PhotoFault("noise", 0.8, 3)]
    assert merge(photo, found) == [
        Finding("motion blur", 4, BOX, 0.9),
        Finding("noise", 3, FULL, 0.8),
        Finding("banding", 2, BOX, 0.65),
    ]
    assert merge([], found) == found and merge([], []) == []
