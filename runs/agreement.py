"""Is the score the same however a picture is run, and as it was in torch before the export?

    python runs/agreement.py --manifest build/biq2021.jsonl --model src/snellen/snellen1/weights \\
        --vision build/vision/vision.pt --sft build/sft --out build/agreement

Two rounds on pictures spread over the test split: exported against torch (aims: scores within 0.01, greedy text equal
on 95 % or more), and of fewer pictures alone against batches of 8, two threads and two processes (aim: within 0.001).
Writes OUT/agreement.json. Needs the extra "train".
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from export import load_torch
from result import card_version, publish

from snellen.assessor import Assessor
from snellen.backends.onnx import BundledBackend
from snellen.data.sample import read_manifest
from snellen.snellen1.export import _Connect, _Decode, _Everything

Said = tuple[float, tuple[str, ...]]
"""Score (NaN without one) and the reply of each round."""


def assess_all(folder: Path, threads: int | None, batch: int, paths: Sequence[str]) -> list[Said]:
    """Two rounds with the exported model."""
    return said_by(BundledBackend(folder, threads), batch, paths)


def said_by(backend: BundledBackend, batch: int, paths: Sequence[str], *, score_only: bool = False) -> list[Said]:
    """Scores and replies, in the order of the paths."""
    assessor = Assessor(backend, batch_size=batch, score_only=score_only)
    return [
        (np.nan if a.score is None else a.score, tuple(step.reply.text for step in a.steps))
        for a in assessor.stream(paths)
    ]


class TorchGraph:
    """A torch module behind the calls that `BundledBackend` makes of an ONNX session.

    `names` are its inputs in order.
    """

    def __init__(self, module: Any, names: Sequence[str]) -> None:
        self.module, self.names = module.eval(), names

    def run(self, outputs: object, inputs: dict[str, Any]) -> list[Any]:
        """As `InferenceSession.run`, all outputs."""
        with torch.no_grad():
            out = self.module(*(torch.from_numpy(np.array(inputs[name])) for name in self.names))
        return [one.numpy() for one in (out if isinstance(out, tuple) else (out,))]

    def run_with_ort_values(self, outputs: object, inputs: dict[str, Any]) -> list[Any]:
        """As `InferenceSession.run_with_ort_values`, all outputs."""
        out = self.run(outputs, {name: value.numpy() for name, value in inputs.items()})
        return [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(one)) for one in out]


def torch_twin(folder: Path, vision: Path, sft: Path) -> BundledBackend:
    """The exported model with its graphs replaced by the torch modules they were exported from."""
    twin = BundledBackend(folder)
    seen, model = load_torch(vision, sft)
    graphs: dict[str, Any] = {
        "_encoder": TorchGraph(_Everything(seen.encoder), ["picture"]),
        "_glimpse": TorchGraph(seen.glimpse, ["picture"]),
        "_connector": TorchGraph(_Connect(seen, model), ["cells", "region", "glimpse", "near", "near_region"]),
        "_decoder": TorchGraph(_Decode(model), ["ids", "looks", "positions", "keys", "past"]),
    }
    for name, graph in graphs.items():
        setattr(twin, name, graph)
    return twin


def compared(name: str, found: Sequence[Said], base: Sequence[Said], within: float) -> dict[str, float]:
    """Differences of two runs on the same pictures. One that only one of the runs scored is not within `within`."""
    a, b = (np.array([score for score, _ in those]) for those in (found, base))
    apart = np.abs(a - b)  # NaN where a score is missing
    one_only = np.isnan(a) != np.isnan(b)
    same = [x[1] == y[1] for x, y in zip(found, base, strict=True)]
    return {
        f"{name}: scored in one of the two only": int(one_only.sum()),
        f"{name}: largest difference": float(np.nanmax(apart, initial=0.0)),
        f"{name}: share within {within:g}": float(np.mean(~one_only & ~(apart > within))),
        f"{name}: share with the same text": float(np.mean(same)),
    }


def however_run(folder: Path, paths: Sequence[str]) -> dict[str, float]:
    """Alone on one thread, against the same in batches of 8, on two threads, and in two processes at once."""
    alone = assess_all(folder, 1, 1, paths)
    found = compared("batches of 8", assess_all(folder, 1, 8, paths), alone, 1e-3)
    found |= compared("two threads", assess_all(folder, 2, 1, paths), alone, 1e-3)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        twice = pool.starmap(assess_all, [(folder, 1, 8, paths)] * 2)
    for number, said in enumerate(twice, start=1):
        found |= compared(f"process {number} of two", said, alone, 1e-3)
    return found


def against_torch(folder: Path, vision: Path, sft: Path, batch: int, paths: Sequence[str]) -> dict[str, float]:
    """The exported model against its torch twin, in two rounds and in one look without text."""
    exported, twin = BundledBackend(folder), torch_twin(folder, vision, sft)
    a, b = said_by(exported, batch, paths), said_by(twin, batch, paths)
    found = compared("torch, two rounds", a, b, 0.01)
    equal = [abs(x[0] - y[0]) for x, y in zip(a, b, strict=True) if x[1] == y[1] and not np.isnan(x[0] - y[0])]
    found["torch, two rounds: largest difference where the text is the same"] = max(equal, default=np.nan)
    c, d = (said_by(backend, batch, paths, score_only=True) for backend in (exported, twin))
    return found | compared("torch, score only", c, d, 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True, help="BIQ2021, as runs/sources.py writes it")
    parser.add_argument("--model", type=Path, required=True, help="folder with a card.json")
    parser.add_argument("--vision", type=Path, required=True, help="vision.pt")
    parser.add_argument("--sft", type=Path, required=True, help="folder of decoder.pt")
    parser.add_argument("--pictures", type=int, default=200, help="against torch (200)")
    parser.add_argument("--again", type=int, default=24, help="however run (24)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tested = [sample.path for sample in read_manifest(args.manifest) if sample.split == "test"]
    many, few = (tested[:: max(1, len(tested) // count)][:count] for count in (args.pictures, args.again))
    rows: dict[str, float | int] = {"pictures against torch": len(many), "pictures however run": len(few)}
    rows |= however_run(args.model, few)
    rows |= against_torch(args.model, args.vision, args.sft, args.batch_size, many)
    publish("agreement", args.out, "The same score however it is run", rows, str(args.model), card_version(args.model))


if __name__ == "__main__":
    main()
