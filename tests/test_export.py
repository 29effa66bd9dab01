"""The exported graphs say what the torch model says, with and without a cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from snellen.model.decoder import Decoder, DecoderShape
from snellen.model.export import export_onnx
from snellen.model.vision import WIDTH, Encoder, Glance

SHAPE = DecoderShape(600, 32, 2, 2)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory):
    torch.manual_seed(0)
    twins = Encoder().eval(), Glance().eval(), Decoder(SHAPE).eval()
    folder: Path = tmp_path_factory.mktemp("export")
    export_onnx(*twins, folder)
    graphs = {
        name: onnxruntime.InferenceSession(str(folder / f"{name}.onnx")) for name in ("encoder", "connector", "decoder")
    }
    return twins, graphs


@pytest.mark.parametrize("size", [(64, 64), (320, 224), (96, 320)])
def test_encoder_agrees_at_every_size(models, size) -> None:
    (encoder, _, _), graphs = models
    picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    with torch.no_grad():
        wanted = encoder(torch.from_numpy(picture)).numpy()
    assert np.allclose(graphs["encoder"].run(None, {"picture": picture})[0], wanted, atol=1e-4)


def test_connector_agrees(models) -> None:
    (_, glance, decoder), graphs = models
    rng = np.random.default_rng(1)
    pools = rng.normal(size=(1, 4 * WIDTH)).astype(np.float32)
    overview, fragments = (rng.normal(size=(1, 25, WIDTH)).astype(np.float32) for _ in range(2))
    with torch.no_grad():
        summary = glance.summary(torch.from_numpy(pools))
        rating = glance.rating(summary)
        vectors = decoder.see(summary, torch.from_numpy(overview), torch.from_numpy(fragments), rating).numpy()
    said = graphs["connector"].run(None, {"pools": pools, "overview": overview, "fragments": fragments})
    assert np.allclose(said[0], vectors, atol=1e-4) and np.allclose(said[1], rating, atol=1e-4)


def test_decoder_with_cache_agrees_with_one_pass(models) -> None:
    (_, _, decoder), graphs = models
    rng = np.random.default_rng(2)
    batch, total = 2, 9
    ids = rng.integers(0, 300, (batch, total))
    looks = rng.normal(size=(batch, total, SHAPE.width)).astype(np.float32)
    is_look = rng.random((batch, total)) < 0.4
    keys = np.ones((batch, total), bool)
    keys[1, :3] = False  # the second row is shorter, padded on the left
    positions = np.maximum(np.cumsum(keys, axis=1) - 1, 0)
    with torch.no_grad():
        hidden, _ = decoder(*(torch.from_numpy(a) for a in (ids, looks, is_look, positions, keys)))
        wanted = decoder.logits(hidden[:, -1]).numpy()
        alone, _ = decoder(*(torch.from_numpy(a[1:, 3:]) for a in (ids, looks, is_look, positions - 0, keys)))
    past = np.zeros((SHAPE.layers, 2, batch, SHAPE.heads, 0, SHAPE.width // SHAPE.heads), np.float32)
    for begin, end in ((0, 5), (5, 6), (6, 9)):
        part = {
            name: a[:, begin:end]
            for name, a in (("ids", ids), ("looks", looks), ("is_look", is_look), ("positions", positions))
        }
        logits, past = graphs["decoder"].run(None, part | {"keys": keys[:, :end], "past": past})
    assert np.allclose(logits, wanted, atol=1e-4)
    assert np.allclose(decoder.logits(alone[:, -1])[0].detach().numpy(), wanted[1], atol=1e-4)
