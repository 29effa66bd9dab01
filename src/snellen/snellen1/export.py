"""From trained torch weights to the files of a bundled model: ONNX graphs, tokenizer, calibration, card.

Four graphs: `encoder` (a small picture -> all that is said of its cells), `glimpse` (a smaller one -> a rating),
`connector` (cells of looks and of closer ones, and glimpses -> the decoder's vectors) and `decoder` (ids, look
vectors and key/value cache -> logits of tokens and ratings, and cache).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from snellen.image import GRID
from snellen.snellen1.decoder import Decoder
from snellen.snellen1.encoder import SAID, Encoder
from snellen.snellen1.imagenet_view import IMAGENET_SIDE
from snellen.snellen1.perception import Vision
from snellen.snellen1.rating_head import TOLD


class _Everything(nn.Module):
    """All numbers of each cell of small pictures."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, picture: Tensor) -> Tensor:
        return self.encoder.everything(picture)


class _Connect(nn.Module):
    """Cells of looks, the regions looked at and what the glimpse rates in, and cells and regions of the looks to take
    the findings from; the decoder's vectors and the plain rating out."""

    def __init__(self, vision: Vision, decoder: Decoder) -> None:
        super().__init__()
        self.vision, self.decoder = vision, decoder

    def forward(
        self, cells: Tensor, region: Tensor, glimpse: Tensor, near: Tensor, near_region: Tensor
    ) -> tuple[Tensor, Tensor]:
        seen = self.vision.judge(cells, region, glimpse, (near, near_region))
        return self.decoder.see(seen), seen.rating


class _Decode(nn.Module):
    """The decoder with the logits, of tokens and of ratings, of the last position only: all that is ever read."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, ids: Tensor, looks: Tensor, positions: Tensor, keys: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        hidden, present = self.decoder(ids, looks, positions, keys, past)
        last = hidden[:, -1], looks[:, -1]
        return self.decoder.logits(*last), self.decoder.ratings(*last), present


def export_onnx(vision: Vision, decoder: Decoder, out: Path) -> None:
    """Write a file for each graph into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    vision.eval(), decoder.eval()
    export_encoder(_Everything(vision.encoder), out / "encoder.onnx")
    picture = torch.zeros(1, IMAGENET_SIDE, IMAGENET_SIDE, 3, dtype=torch.uint8)
    sizes = {"picture": {0: "n", 1: "height", 2: "width"}, "glimpse": {0: "n"}}
    _save(vision.glimpse, (picture,), out / "glimpse.onnx", ["picture"], ["glimpse"], sizes)
    place = torch.zeros(1, 2, SAID, GRID, GRID), torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    inputs = (*place, torch.zeros(1), *place)
    names = ["cells", "region", "glimpse", "near", "near_region"]
    each = {name: {0: "n"} for name in [*names, "vectors", "rating"]}
    _save(_Connect(vision, decoder), inputs, out / "connector.onnx", names, ["vectors", "rating"], each)
    shape, t, p = decoder.shape, 3, 2
    heads, d = shape.heads, shape.width // shape.heads
    step = (
        torch.zeros(2, t, dtype=torch.int64),
        torch.zeros(2, t, shape.width + TOLD),
        torch.arange(p, p + t).expand(2, t),
        torch.ones(2, p + t, dtype=torch.bool),
        torch.zeros(shape.layers, 2, 2, heads, p, d),
    )
    names = ["ids", "looks", "positions", "keys", "past"]
    flexible = {name: {0: "batch", 1: "time"} for name in names[:3]}
    flexible |= {"keys": {0: "batch", 1: "total"}, "past": {2: "batch", 4: "before"}}
    flexible |= {"logits": {0: "batch"}, "ratings": {0: "batch"}, "present": {2: "batch", 4: "total"}}
    _save(_Decode(decoder), step, out / "decoder.onnx", names, ["logits", "ratings", "present"], flexible)


def export_encoder(encoder: nn.Module, path: Path) -> None:
    """Write an encoder alone; it takes small pictures of any size in multiples of 32."""
    picture = torch.zeros(1, 320, 320, 3, dtype=torch.uint8)
    sizes = {"picture": {0: "n", 1: "height", 2: "width"}, "cells": {0: "n", 2: "rows", 3: "columns"}}
    _save(encoder, (picture,), path, ["picture"], ["cells"], sizes)


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
            module.eval(),  # else the exporter leaves what is inside in training mode
            inputs,
            str(path),
            input_names=names,
            output_names=outputs,
            dynamic_axes=flexible,
            opset_version=18,
            dynamo=False,
        )
