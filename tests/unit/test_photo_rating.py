"""The photo rating head: the mean of both experts, by hand, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snellen.snellen1.kernel import KernelHead
from snellen.snellen1.photo_rating import PhotoRatingHead


@pytest.fixture
def head() -> PhotoRatingHead:
    """One feature. The first expert says 3, and 4 at the only landmark, 0; the second says 2 + x."""
    kernel = KernelHead(
        mean=np.zeros(1), std=np.ones(1), weight=np.ones(1), centre=np.zeros(1), basis=np.ones((1, 1)),
        landmarks=np.zeros((1, 1)), dual=np.ones((1, 1)), scale=np.array([0.5]), offset=np.array([3.0]),
    )  # fmt: skip
    return PhotoRatingHead(kernel, np.array([1.0]), np.array(2.0))


def test_the_rating_is_the_mean_of_both_experts(head: PhotoRatingHead) -> None:
    assert head.experts(np.array([[0.0], [1.0]])) == pytest.approx(np.array([[4.0, 2.0], [3.0 + np.exp(-1.0), 3.0]]))
    assert head(np.array([[0.0], [1.0]])) == pytest.approx([3.0, 3.0 + np.exp(-1.0) / 2.0])


def test_features_far_off_are_clipped_for_both(head: PhotoRatingHead) -> None:
    assert head(np.array([[1e9]])) == pytest.approx(head(np.array([[5.0]])))


def test_a_saved_head_rates_the_same(head: PhotoRatingHead, tmp_path: Path) -> None:
    head.save(tmp_path / "photo_rating.npz")
    assert PhotoRatingHead.open(tmp_path / "photo_rating.npz")(np.array([[0.7]])) == pytest.approx(
        head(np.array([[0.7]])), abs=1e-3
    )
