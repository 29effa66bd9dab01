"""The way back from a model's folder to torch weights."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from snellen.backends.onnx import GRAPHS, WEIGHTS
from snellen.backends.taught import read_phrases
from snellen.snellen1.decoder import Decoder
from snellen.snellen1.export import export_onnx
from snellen.snellen1.from_onnx import restore, save
from snellen.snellen1.perception import Vision


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("restored")
    save(*restore(WEIGHTS), WEIGHTS, folder)
    return folder


def test_what_was_shipped_comes_back_to_the_last_bit(restored: Path, tmp_path: Path) -> None:
    export_onnx(Vision.open(restored / "vision.pt"), Decoder.open(restored), tmp_path)
    for graph in GRAPHS:
        again, shipped = (onnx.load(path / f"{graph}.onnx").graph for path in (tmp_path, WEIGHTS))
        assert again.SerializeToString() == shipped.SerializeToString(), graph


def test_training_can_go_on_from_it(restored: Path) -> None:
    from snellen.train.snellen1.policy import open_policy

    policy = open_policy(restored / "vision.pt", restored)
    assert policy.phrases == read_phrases(WEIGHTS)


def test_what_is_not_exported_begins_anew() -> None:
    torch.manual_seed(0)
    vision, _ = restore(WEIGHTS)
    severity = vision.faults.severity.weight
    assert severity.abs().max() < 0.1  # not the twin's, which are 1 and more


def test_a_folder_of_other_graphs_is_refused(tmp_path: Path) -> None:
    for name in ("card.json", "tokenizer.json", *(f"{graph}.onnx" for graph in GRAPHS)):
        (tmp_path / name).write_bytes((WEIGHTS / name).read_bytes())
    (tmp_path / "encoder.onnx").write_bytes((WEIGHTS / "glimpse.onnx").read_bytes())
    with pytest.raises(ValueError, match=r"encoder\.onnx holds other weights"):
        restore(tmp_path)
