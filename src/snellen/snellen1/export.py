"""Export trained torch weights to the files of a model folder: four ONNX graphs.

`encoder.onnx`: a small picture -> cell features. `imagenet_network.onnx`: one -> pooled features. `heads.onnx`: cell
features and ratings of views -> `snellen.snellen1.layout.VIEW_OUTPUTS`. `rating_head.onnx`: `RatingInputs` -> mean and
standard deviation of a round's rating.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from snellen.image import GRID, OVERVIEW
from snellen.snellen1.encoder import CELL_FEATURES, Encoder
from snellen.snellen1.layout import VIEW_OUTPUTS
from snellen.snellen1.perception import HeadOutputs, Perception
from snellen.snellen1.rating_head import RatingHead, RatingInputs
from snellen.vocabulary import KINDS

HEADS_INPUTS = ("cells", "plain_rating", "detail_cells", "detail_region")


class _CellFeatures(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, picture: Tensor) -> Tensor:
        return self.encoder.everything(picture)


class _Heads(nn.Module):
    def __init__(self, perception: Perception) -> None:
        super().__init__()
        self.perception = perception

    def forward(self, cells: Tensor, rating: Tensor, detail_cells: Tensor, detail_region: Tensor) -> HeadOutputs:
        # adding 0: in a graph, an output cannot be an input itself
        return self.perception.heads(cells, rating + 0.0, detail_cells, detail_region)


class _Rating(nn.Module):
    def __init__(self, head: RatingHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = self.head(RatingInputs(*inputs))
        return mean, std


def export_onnx(perception: Perception, rating_head: RatingHead, out: Path) -> None:
    """Write the four graphs into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    perception.eval()
    export_encoder(_CellFeatures(perception.encoder), out / "encoder.onnx")
    picture = torch.zeros(1, OVERVIEW, OVERVIEW, 3, dtype=torch.uint8)
    sizes = {"picture": {0: "n", 1: "height", 2: "width"}, "features": {0: "n"}}
    _save(perception.imagenet_network, (picture,), out / "imagenet_network.onnx", ("picture",), ("features",), sizes)
    cells, region = torch.zeros(1, 2, CELL_FEATURES, GRID, GRID), torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    inputs = (cells, torch.zeros(1), cells.clone(), region)
    batch = {name: {0: "n"} for name in (*HEADS_INPUTS, *VIEW_OUTPUTS)}
    _save(_Heads(perception), inputs, out / "heads.onnx", HEADS_INPUTS, VIEW_OUTPUTS, batch)
    kinds, number = torch.full((1, len(KINDS) + 1), 1.0 / (len(KINDS) + 1)), torch.ones(1)
    rated = RatingInputs(kinds, kinds, number, number, number, number, number)
    names, outputs = RatingInputs._fields, ("mean", "std")
    batch = {name: {0: "n"} for name in (*names, *outputs)}
    _save(_Rating(rating_head), tuple(rated), out / "rating_head.onnx", names, outputs, batch)


def export_encoder(encoder: nn.Module, path: Path) -> None:
    """Write an encoder alone; it takes small pictures of any size in multiples of 32."""
    picture = torch.zeros(1, 320, 320, 3, dtype=torch.uint8)
    sizes = {"picture": {0: "n", 1: "height", 2: "width"}, "cells": {0: "n", 2: "rows", 3: "columns"}}
    _save(encoder, (picture,), path, ("picture",), ("cells",), sizes)


def _save(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    names: tuple[str, ...],
    outputs: tuple[str, ...],
    flexible: dict[str, dict[int, str]],
) -> None:
    with torch.no_grad():
        torch.onnx.export(
            module.eval(),  # else the exporter leaves submodules in training mode
            inputs,
            str(path),
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes=flexible,
            opset_version=18,
            dynamo=False,
        )
