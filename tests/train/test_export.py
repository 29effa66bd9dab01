"""The exported graphs compute what the torch modules compute."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from snellen.image import GRID
from snellen.snellen1.encoder import CELL_FEATURES, SameConv2d
from snellen.snellen1.export import HEADS_INPUTS, export_onnx
from snellen.snellen1.files import GRAPHS
from snellen.snellen1.layout import VIEW_OUTPUTS
from snellen.snellen1.perception import Perception
from snellen.snellen1.rating_head import RatingHead, RatingInputs
from snellen.vocabulary import KINDS

Models = tuple[Perception, RatingHead, dict[str, onnxruntime.InferenceSession]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def models(folder: Path) -> Models:
    torch.manual_seed(0)
    perception, rating_head = Perception().eval(), RatingHead().eval()
    torch.nn.init.normal_(perception.fault_head.kind.weight)  # else all boxes are about as likely
    for part in (rating_head.move, rating_head.width):
        torch.nn.init.normal_(cast(torch.nn.Linear, part[-1]).weight)  # else both begin at zero
    export_onnx(perception, rating_head, folder)
    graphs = {name: onnxruntime.InferenceSession(str(folder / f"{name}.onnx")) for name in GRAPHS}
    return perception, rating_head, graphs


@pytest.mark.parametrize("name", ["encoder", "imagenet_network"])
def test_padding_is_part_of_the_convolution(models: Models, folder: Path, name: str) -> None:
    nodes = onnx.load(folder / f"{name}.onnx").graph.node
    padded = {node.output[0] for node in nodes if node.op_type == "Pad"}
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    assert len(convolutions) > 40
    assert not [node.name for node in convolutions if padded.intersection(node.input)], "padding apart takes time"


@pytest.mark.parametrize("size", [(64, 64), (320, 224), (96, 320)])
def test_encoder_agrees_at_every_size(models: Models, size: tuple[int, int]) -> None:
    perception, _, graphs = models
    picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = perception.encoder.everything(torch.from_numpy(picture)).numpy()
    assert np.allclose(graphs["encoder"].run(None, {"picture": picture})[0], expected, atol=1e-4)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_same_padding_is_that_of_tensorflow(kernel: int, stride: int) -> None:
    conv = SameConv2d(1, 1, kernel, stride)
    torch.nn.init.ones_(conv.weight)
    assert conv.bias is not None
    torch.nn.init.zeros_(conv.bias)
    out = conv(torch.ones(1, 1, 16, 16))[0, 0].detach()
    before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
    inside = torch.tensor([min(at + kernel, before + 16) - max(at, before) for at in range(0, 16, stride)])
    assert after - before == stride - 1 and out.shape == (16 // stride, 16 // stride)
    assert torch.equal(out, (inside[:, None] * inside).float()), "one zero more at the end at stride 2"


@pytest.mark.parametrize("size", [(64, 64), (224, 160)])
def test_imagenet_network_agrees(models: Models, size: tuple[int, int]) -> None:
    perception, _, graphs = models
    picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = perception.imagenet_network(torch.from_numpy(picture)).numpy()
    assert np.allclose(graphs["imagenet_network"].run(None, {"picture": picture})[0], expected, atol=1e-4)


def test_heads_agree_and_read_findings_from_the_closer_view(models: Models) -> None:
    perception, _, graphs = models
    generator = torch.Generator().manual_seed(1)
    cells, detail = torch.rand(2, 2, 2, CELL_FEATURES, GRID, GRID, generator=generator).unbind(0)
    inputs = (cells, torch.tensor([2.5, 4.0]), detail, torch.tensor([[0.1, 0.2, 0.3, 0.4]] * 2))
    with torch.no_grad():
        expected = perception.heads(*inputs)
    feed = {name: one.numpy() for name, one in zip(HEADS_INPUTS, inputs, strict=True)}
    found = dict(zip(VIEW_OUTPUTS, graphs["heads"].run(list(VIEW_OUTPUTS), feed), strict=True))
    assert set(found) == set(expected._fields)
    for name, one in found.items():
        assert np.allclose(one, getattr(expected, name), atol=1e-4), name
    assert (found["box"] >= 0.1 - 1e-6).all() and (found["box"] <= 0.4 + 1e-6).all()


def test_rating_head_agrees(models: Models) -> None:
    _, rating_head, graphs = models
    generator = torch.Generator().manual_seed(3)
    kinds, first_kinds = torch.rand(2, 5, len(KINDS) + 1, generator=generator).softmax(dim=2).unbind(0)
    numbers = torch.rand(5, 5, generator=generator) * torch.tensor([[4.0], [1.0], [1.0], [4.0], [4.0]])
    inputs = RatingInputs(kinds, first_kinds, 1.0 + numbers[0], *numbers[1:3], *(1.0 + numbers[3:]))
    with torch.no_grad():
        expected = rating_head(inputs)
    feed = {name: one.numpy() for name, one in inputs._asdict().items()}
    for one, other in zip(graphs["rating_head"].run(["mean", "std"], feed), expected, strict=True):
        assert np.allclose(one, other, atol=1e-5)
