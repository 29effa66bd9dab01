"""The way back from a model's folder to trained torch weights, so that training can go on from what was shipped.

An exported graph holds every weight that it needs, but those of matrix products are laid out anew and have lost their
names. So which is which is not guessed: a twin with other numbers in each weight is exported the same way, and
where a weight of the twin is found in its graphs, the model's graphs hold the model's.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer
from torch import Tensor, nn

from snellen.backends.onnx import GRAPHS
from snellen.snellen1.decoder import Decoder, DecoderShape
from snellen.snellen1.export import export_onnx
from snellen.snellen1.perception import Vision

NOT_EXPORTED = ("vision.faults.severity.", "vision.glance.alone.")
"""Only train the rest: how severe each single cell is, and the ratings of one small picture alone."""
Array = npt.NDArray[np.generic]


def restore(folder: Path) -> tuple[Vision, Decoder]:
    """Torch weights of the model in `folder`, as runs/export.py wrote it; they are exported to the same graphs again.

    What is not exported begins anew. ValueError when the graphs are not those that this version exports.
    """
    card = json.loads((folder / "card.json").read_text(encoding="utf8"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vision = Vision()
    decoder = Decoder(DecoderShape(tokenizer.get_vocab_size(), card["width"], card["layers"], card["heads"]))
    both = nn.ModuleDict({"vision": vision, "decoder": decoder})
    weights = {name: weight for name, weight in both.state_dict().items() if weight.is_floating_point()}
    begun = {name: weight.clone() for name, weight in weights.items()}
    missing = {name for name in weights if not name.startswith(NOT_EXPORTED)}
    generator = torch.Generator().manual_seed(0)
    for weight in weights.values():
        weight.copy_(1.0 + torch.rand(weight.shape, generator=generator))
    with tempfile.TemporaryDirectory() as twin:
        export_onnx(vision, decoder, Path(twin))
        for graph in GRAPHS:
            ours, theirs = (_constants(path / f"{graph}.onnx") for path in (Path(twin), folder))
            if [one.shape for one in ours] != [one.shape for one in theirs]:
                raise ValueError(f"{folder / graph}.onnx holds other weights than this version exports")
            for one, its in zip(ours, theirs, strict=True):
                for name, turned in _found(one, weights):
                    begun[name] = torch.from_numpy((its.T if turned else its).copy())
                    missing.discard(name)
    if missing:
        raise ValueError(f"{folder}: no graph holds {', '.join(sorted(missing))}")
    for name, weight in weights.items():
        weight.copy_(begun[name])
    vision.glimpse.taught.fill_(True)
    return vision.eval(), decoder.eval()


def save(vision: Vision, decoder: Decoder, folder: Path, out: Path) -> None:
    """Write what `restore` read from `folder` as training leaves it: vision.pt, and decoder.pt with its options,
    tokenizer and phrases."""
    out.mkdir(parents=True, exist_ok=True)
    vision.save(out / "vision.pt")
    torch.save(decoder.state_dict(), out / "decoder.pt")
    (out / "options.json").write_text(json.dumps({"shape": asdict(decoder.shape)}, indent=1))
    for name in ("tokenizer.json", "phrases.txt"):
        shutil.copy(folder / name, out)


def _constants(graph: Path) -> list[Array]:
    """The weights in a graph, in the exporter's order; numbers of its own, such as sizes, are left out."""
    found = [numpy_helper.to_array(one) for one in onnx.load(graph).graph.initializer]
    return [one for one in found if one.dtype == np.float32]


def _found(one: Array, weights: Mapping[str, Tensor]) -> Iterator[tuple[str, bool]]:
    """Which weight of the twin this is, and whether it is turned; none where it is but a part of one."""
    for name, weight in weights.items():
        for turned, same in ((False, weight), (True, weight.mT if weight.dim() == 2 else weight)):
            if tuple(same.shape) == one.shape and np.array_equal(same.numpy(), one):
                yield name, turned
                return
