"""From trained torch weights to the files of a bundled model: ONNX graphs, tokenizer, calibration, card.

Four graphs: `encoder` (a small picture -> cell vectors), `glance` (cells -> what the heads say), `connector` (all of it
-> decoder vectors) and `decoder` (ids, look vectors and key/value cache -> logits and cache).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from snellen.model.decoder import Decoder
from snellen.model.seen import SIZES, Seen
from snellen.model.vision import WIDTH, Encoder, Glance


class _Glance(nn.Module):
    """What the heads say of looks; overview and fragments as grids of the same shape."""

    def __init__(self, glance: Glance) -> None:
        super().__init__()
        self.glance = glance

    def forward(self, pools: Tensor, overview: Tensor, fragments: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        summary = self.glance.summary(pools)
        faults = self.glance.faults(overview, fragments)
        return summary, self.glance.rating(summary), faults.found, faults.chances


class _Connect(nn.Module):
    """Everything that is said of looks in, the decoder's vectors out."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, *seen: Tensor) -> Tensor:
        return self.decoder.see(Seen(*seen))


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
    """Write encoder.onnx, glance.onnx, connector.onnx and decoder.onnx into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    encoder.eval(), glance.eval(), decoder.eval()
    export_encoder(encoder, out / "encoder.onnx")
    grid = torch.zeros(1, WIDTH, 10, 10)
    names, said = ["pools", "overview", "fragments"], ["summary", "rating", "found", "chances"]
    each = {name: {0: "n"} for name in [*names, *said]}
    for name in ("overview", "fragments", "chances"):
        first = 1 if name == "chances" else 2
        each[name] |= {first: "rows", first + 1: "columns"}
    _save(_Glance(glance), (torch.zeros(1, 4 * WIDTH), grid, grid), out / "glance.onnx", names, said, each)
    seen = Seen.unpack(torch.zeros(1, sum(SIZES)))
    names = list(Seen._fields)
    each = {name: {0: "n"} for name in [*names, "vectors"]}
    _save(_Connect(decoder), tuple(seen), out / "connector.onnx", names, ["vectors"], each)
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
