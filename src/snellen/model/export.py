"""From trained torch weights to the files of a bundled model: ONNX graphs, tokenizer, calibration, card.

Three graphs: `encoder` (a small picture -> cell vectors), `connector` (pooled looks -> decoder vectors) and `decoder`
(ids, look vectors and key/value cache -> logits and cache).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from snellen.backends.bundled import GRID_SIDE
from snellen.model.decoder import Decoder
from snellen.model.vision import WIDTH, Encoder, Glance


class _Connect(nn.Module):
    """Pools and cells of one look in, the decoder's vectors and the plain head's rating out."""

    def __init__(self, glance: Glance, decoder: Decoder) -> None:
        super().__init__()
        self.glance, self.decoder = glance, decoder

    def forward(self, pools: Tensor, overview: Tensor, fragments: Tensor) -> tuple[Tensor, Tensor]:
        summary = self.glance.summary(pools)
        rating = self.glance.rating(summary)
        return self.decoder.see(summary, overview, fragments, rating), rating


class _Decode(nn.Module):
    """The decoder with the logits of the last position only, which is all that generation reads."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, ids: Tensor, looks: Tensor, is_look: Tensor, positions: Tensor, keys: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor]:
        hidden, present = self.decoder(ids, looks, is_look, positions, keys, past)
        return self.decoder.logits(hidden[:, -1]), present


def export_onnx(encoder: Encoder, glance: Glance, decoder: Decoder, out: Path) -> None:
    """Write encoder.onnx, connector.onnx and decoder.onnx into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    encoder.eval(), glance.eval(), decoder.eval()
    export_encoder(encoder, out / "encoder.onnx")
    cells = GRID_SIDE * GRID_SIDE
    inputs = (torch.zeros(1, 4 * WIDTH), torch.zeros(1, cells, WIDTH), torch.zeros(1, cells, WIDTH))
    names = ["pools", "overview", "fragments"]
    each = {name: {0: "n"} for name in [*names, "vectors", "rating"]}
    _save(_Connect(glance, decoder), inputs, out / "connector.onnx", names, ["vectors", "rating"], each)
    shape, t, p = decoder.shape, 3, 2
    heads, d = shape.heads, shape.width // shape.heads
    step = (
        torch.zeros(2, t, dtype=torch.int64),
        torch.zeros(2, t, shape.width),
        torch.zeros(2, t, dtype=torch.bool),
        torch.arange(p, p + t).expand(2, t),
        torch.ones(2, p + t, dtype=torch.bool),
        torch.zeros(shape.layers, 2, 2, heads, p, d),
    )
    names = ["ids", "looks", "is_look", "positions", "keys", "past"]
    flexible = {name: {0: "batch", 1: "time"} for name in names[:4]}
    flexible |= {"keys": {0: "batch", 1: "total"}, "past": {2: "batch", 4: "before"}}
    flexible |= {"logits": {0: "batch"}, "present": {2: "batch", 4: "total"}}
    _save(_Decode(decoder), step, out / "decoder.onnx", names, ["logits", "present"], flexible)


def export_encoder(encoder: Encoder, path: Path) -> None:
    """Write the encoder alone; it takes small pictures of any size in multiples of 32."""
    picture = torch.zeros(1, 320, 320, 3, dtype=torch.uint8)
    sizes = {"picture": {0: "n", 1: "height", 2: "width"}, "cells": {0: "n", 2: "rows", 3: "columns"}}
    _save(encoder.eval(), (picture,), path, ["picture"], ["cells"], sizes)


def _save(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    names: list[str],
    outputs: list[str],
    flexible: dict[str, dict[int, str]],
) -> None:
    with torch.no_grad():
        torch.onnx.export(
            module,
            inputs,
            str(path),
            input_names=names,
            output_names=outputs,
            dynamic_axes=flexible,
            opset_version=18,
            dynamo=False,
        )
