"""Load the torch weights back from a model folder, so that training can go on from a released model.

An exported graph holds every weight that it needs, but those of matrix products are transposed and have lost their
names. They are not guessed: a twin model with random weights is exported the same way, and where a weight of the twin
lies in its graphs, the model's graphs hold the model's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from snellen.snellen1.export import export_onnx
from snellen.snellen1.files import GRAPHS
from snellen.snellen1.perception import Perception
from snellen.snellen1.rating_head import RatingHead

NOT_EXPORTED = ("perception.fault_head.severity.", "perception.score_head.alone.")
"""Weights that only training uses: the severity of single cells, and ratings of one small picture alone."""
Array = npt.NDArray[np.generic]


def load_trained(folder: Path) -> tuple[Perception, RatingHead]:
    """Load the torch weights of the model in `folder`; `export_onnx` writes the same graphs from them again.

    Weights that are not exported begin anew. ValueError when the graphs are not those that this version exports.
    """
    perception, rating_head = Perception(), RatingHead()
    both = nn.ModuleDict({"perception": perception, "rating_head": rating_head})
    weights = {name: weight for name, weight in both.state_dict().items() if weight.is_floating_point()}
    found = {name: weight.clone() for name, weight in weights.items()}
    missing = {name for name in weights if not name.startswith(NOT_EXPORTED)}
    generator = torch.Generator().manual_seed(0)
    for weight in weights.values():
        weight.copy_(1.0 + torch.rand(weight.shape, generator=generator))
    with tempfile.TemporaryDirectory() as twin:
        export_onnx(perception, rating_head, Path(twin))
        for graph in GRAPHS:
            ours, theirs = (_constants(path / f"{graph}.onnx") for path in (Path(twin), folder))
            if [one.shape for one in ours] != [one.shape for one in theirs]:
                raise ValueError(f"{folder / graph}.onnx holds other weights than this version exports")
            for our, their in zip(ours, theirs, strict=True):
                for name, transposed in _matches(our, weights):
                    found[name] = torch.from_numpy((their.T if transposed else their).copy())
                    missing.discard(name)
    if missing:
        raise ValueError(f"{folder}: no graph holds {', '.join(sorted(missing))}")
    for name, weight in weights.items():
        weight.copy_(found[name])
    return perception.eval(), rating_head.eval()


def _constants(graph: Path) -> list[Array]:
    """The float weights in a graph, in the exporter's order."""
    found = [numpy_helper.to_array(one) for one in onnx.load(graph).graph.initializer]
    return [one for one in found if one.dtype == np.float32]


def _matches(constant: Array, weights: Mapping[str, Tensor]) -> Iterator[tuple[str, bool]]:
    """The name of the twin's weight that equals a constant and whether it is transposed; nothing where none does."""
    for name, weight in weights.items():
        for transposed, same in ((False, weight), (True, weight.mT if weight.dim() == 2 else weight)):
            if tuple(same.shape) == constant.shape and np.array_equal(same.numpy(), constant):
                yield name, transposed
                return
