"""Torch weights loaded back from a model folder."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from snellen.backend import SNELLEN_1
from snellen.snellen1.export import export_onnx
from snellen.snellen1.files import GRAPHS
from snellen.snellen1.from_onnx import load_trained
from snellen.snellen1.perception import Perception


def test_the_released_weights_come_back_to_the_last_bit(tmp_path: Path) -> None:
    perception, rating_head = load_trained(SNELLEN_1)
    perception.save(tmp_path / "perception.pt")
    export_onnx(Perception.open(tmp_path / "perception.pt"), rating_head, tmp_path)
    for graph in GRAPHS:
        again, released = (onnx.load(path / f"{graph}.onnx").graph for path in (tmp_path, SNELLEN_1))
        assert again.SerializeToString() == released.SerializeToString(), graph
    torch.manual_seed(0)
    severity = perception.fault_head.severity.weight
    assert severity.abs().max() < 0.1, "what is not exported begins anew: the twin's weights are 1 and more"


def test_a_folder_of_other_graphs_is_refused(tmp_path: Path) -> None:
    for name in ("card.json", *(f"{graph}.onnx" for graph in GRAPHS)):
        (tmp_path / name).write_bytes((SNELLEN_1 / name).read_bytes())
    (tmp_path / "encoder.onnx").write_bytes((SNELLEN_1 / "imagenet_network.onnx").read_bytes())
    with pytest.raises(ValueError, match=r"encoder\.onnx holds other weights"):
        load_trained(tmp_path)
