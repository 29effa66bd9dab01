"""The exported graphs say what the torch model says, with and without a cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from snellen.backends.onnx import BOX, GRAPHS
from snellen.image import GRID
from snellen.snellen1.decoder import Decoder, DecoderShape
from snellen.snellen1.encoder import SAID, SameConv2d
from snellen.snellen1.export import export_onnx
from snellen.snellen1.perception import Vision
from snellen.snellen1.rating_head import TOLD

SHAPE = DecoderShape(600, 32, 2, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def models(folder: Path):
    torch.manual_seed(0)
    twins = Vision().eval(), Decoder(SHAPE).eval()
    torch.nn.init.normal_(twins[0].faults.kind.weight)  # else all boxes are about as likely
    torch.nn.init.normal_(twins[1].pointer.gates.weight)  # else it adds nothing
    twins[1].pointer.spoken[3, 100:120] = 1.0
    export_onnx(*twins, folder)
    graphs = {name: onnxruntime.InferenceSession(str(folder / f"{name}.onnx")) for name in GRAPHS}
    return twins, graphs


@pytest.mark.parametrize("name", ["encoder", "glimpse"])
def test_padding_is_part_of_the_convolution(models, folder: Path, name: str) -> None:
    nodes = onnx.load(folder / f"{name}.onnx").graph.node
    padded = {node.output[0] for node in nodes if node.op_type == "Pad"}
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    assert len(convolutions) > 40
    assert not [node.name for node in convolutions if padded.intersection(node.input)], "padding apart takes time"


@pytest.mark.parametrize("size", [(64, 64), (320, 224), (96, 320)])
def test_encoder_agrees_at_every_size(models, size) -> None:
    (vision, _), graphs = models
    picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    with torch.no_grad():
        wanted = vision.encoder.everything(torch.from_numpy(picture)).numpy()
    assert np.allclose(graphs["encoder"].run(None, {"picture": picture})[0], wanted, atol=1e-4)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_same_padding_is_that_of_tensorflow(kernel: int, stride: int) -> None:
    conv = SameConv2d(1, 1, kernel, stride)
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    said = conv(torch.ones(1, 1, 16, 16))[0, 0].detach()
    before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
    inside = torch.tensor([min(at + kernel, before + 16) - max(at, before) for at in range(0, 16, stride)])
    assert after - before == stride - 1 and said.shape == (16 // stride, 16 // stride)
    assert torch.equal(said, (inside[:, None] * inside).float()), "one zero more at the end at stride 2"


@pytest.mark.parametrize("size", [(64, 64), (224, 160)])
def test_glimpse_agrees(models, size) -> None:
    (vision, _), graphs = models
    picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    with torch.no_grad():
        wanted = vision.glimpse(torch.from_numpy(picture)).numpy()
    assert np.allclose(graphs["glimpse"].run(None, {"picture": picture})[0], wanted, atol=1e-4)


def test_connector_agrees(models) -> None:
    (vision, decoder), graphs = models
    cells = torch.rand(2, 2, SAID, GRID, GRID, generator=torch.Generator().manual_seed(1))
    region, glimpse = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.2, 0.1, 0.6, 0.9]]), torch.tensor([2.5, 4.0])
    near = torch.rand(cells.shape, generator=torch.Generator().manual_seed(2)), torch.tensor([[0.1, 0.2, 0.3, 0.4]] * 2)
    with torch.no_grad():
        seen = vision.judge(cells, region, glimpse, near)
        wanted = decoder.see(seen), seen.rating
    places = {"cells": cells, "region": region, "near": near[0], "near_region": near[1]}
    said = graphs["connector"].run(None, {name: one.numpy() for name, one in (places | {"glimpse": glimpse}).items()})
    for one, other in zip(said, wanted, strict=True):
        assert np.allclose(one, other, atol=1e-4)
    assert np.allclose(said[0][:, -1, BOX], seen.box, atol=1e-4)


def test_decoder_with_cache_agrees_with_one_pass(models) -> None:
    (_, decoder), graphs = models
    rng = np.random.default_rng(2)
    batch, total = 2, 9
    ids = rng.integers(0, 300, (batch, total))
    looks = rng.uniform(size=(batch, total, SHAPE.width + TOLD)).astype(np.float32)
    keys = np.ones((batch, total), bool)
    keys[1, :3] = False  # the second row is shorter, padded on the left
    positions = np.maximum(np.cumsum(keys, axis=1) - 1, 0)
    with torch.no_grad():
        hidden, _ = decoder(*(torch.from_numpy(a) for a in (ids, looks, positions, keys)))
        last = hidden[:, -1], torch.from_numpy(looks[:, -1])
        wanted, rated = decoder.logits(*last).numpy(), decoder.ratings(*last).numpy()
        alone, _ = decoder(*(torch.from_numpy(a[1:, 3:]) for a in (ids, looks, positions, keys)))
    past = np.zeros((SHAPE.layers, 2, batch, SHAPE.heads, 0, SHAPE.width // SHAPE.heads), np.float32)
    for begin, end in ((0, 5), (5, 6), (6, 9)):
        part = {name: a[:, begin:end] for name, a in (("ids", ids), ("looks", looks), ("positions", positions))}
        logits, ratings, past = graphs["decoder"].run(None, part | {"keys": keys[:, :end], "past": past})
    assert np.allclose(logits, wanted, atol=1e-4) and np.allclose(ratings, rated, atol=1e-3, rtol=1e-4)
    second = decoder.logits(alone[:, -1], torch.from_numpy(looks[1:, -1]))[0].detach().numpy()
    assert np.allclose(second, wanted[1], atol=1e-4)
