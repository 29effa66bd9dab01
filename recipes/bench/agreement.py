r"""Check that a picture gets the same score however it is run, and the same as in torch before the export.

    python recipes/bench/agreement.py --manifest build/biq2021.jsonl --model src/snellen/snellen1/weights \
        --perception build/photo-rating/perception.pt --rating-head build/rating-head/rating_head.pt \
        --out build/agreement

Two rounds on pictures spread over the test split: the exported graphs against the torch modules, and, for fewer
pictures, one at a time against batches of 8, two threads and two processes. Writes OUT/agreement.json. Needs the extra
"train".
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from snellen.assessor import Assessor
from snellen.backends.onnx import Snellen1Backend
from snellen.data.sample import read_manifest
from snellen.evaluate.measurements import card_version, write_measurements
from snellen.snellen1.layout import VIEW_OUTPUTS
from snellen.snellen1.perception import HeadOutputs
from snellen.snellen1.rating_head import RatingInputs
from snellen.train.snellen1.release import load_weights

Result = tuple[float, tuple[str, ...]]
"""Score (NaN without one) and the reply of each round."""


def assess_all(folder: Path, threads: int | None, batch: int, paths: Sequence[str]) -> list[Result]:
    """Assess with the exported model, two rounds."""
    return results_of(Snellen1Backend(folder, threads), batch, paths)


def results_of(backend: Snellen1Backend, batch: int, paths: Sequence[str], *, score_only: bool = False) -> list[Result]:
    """Return scores and replies, in the order of the paths."""
    assessor = Assessor(backend, batch_size=batch, score_only=score_only)
    return [
        (np.nan if a.score is None else a.score, tuple(step.reply.text for step in a.steps))
        for a in assessor.stream(paths)
    ]


class TorchGraph:
    """A torch function behind the one method of an ONNX session that the backend calls."""

    def __init__(self, call: Callable[..., Any], inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.call, self.inputs, self.outputs = call, inputs, outputs

    def run(self, wanted: Sequence[str] | None, feed: dict[str, Any]) -> list[Any]:
        """See `onnxruntime.InferenceSession.run`."""
        with torch.no_grad():
            out = self.call(*(torch.from_numpy(np.array(feed[name])) for name in self.inputs))
        found = dict(zip(self.outputs, out if isinstance(out, tuple) else (out,), strict=True))
        return [found[name].numpy() for name in wanted or self.outputs]


def torch_twin(folder: Path, perception_file: Path, rating_head_file: Path) -> Snellen1Backend:
    """Return the exported model with its graphs replaced by the torch modules that they were exported from."""
    perception, rating_head = load_weights(perception_file, rating_head_file)
    assert HeadOutputs._fields == VIEW_OUTPUTS

    def rating(*inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = rating_head(RatingInputs(*inputs))
        return mean, std

    twin = Snellen1Backend(folder)
    heads_inputs = ("cells", "plain_rating", "detail_cells", "detail_region")
    graphs = {
        "_encoder": TorchGraph(perception.encoder.everything, ["picture"], ["cells"]),
        "_imagenet_network": TorchGraph(perception.imagenet_network, ["picture"], ["features"]),
        "_heads": TorchGraph(perception.heads, heads_inputs, VIEW_OUTPUTS),
        "_rating_head": TorchGraph(rating, RatingInputs._fields, ["mean", "std"]),
    }
    for name, graph in graphs.items():
        setattr(twin, name, graph)
    return twin


def compare(name: str, found: Sequence[Result], base: Sequence[Result], within: float) -> dict[str, float]:
    """Return differences of two runs on the same pictures. A picture scored in one run only is not within `within`."""
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


def compare_runs(folder: Path, paths: Sequence[str]) -> dict[str, float]:
    """Compare pictures one at a time on one thread with batches of 8, two threads, and two processes at once."""
    alone = assess_all(folder, 1, 1, paths)
    found = compare("batches of 8", assess_all(folder, 1, 8, paths), alone, 1e-3)
    found |= compare("two threads", assess_all(folder, 2, 1, paths), alone, 1e-3)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        twice = pool.starmap(assess_all, [(folder, 1, 8, paths)] * 2)
    for number, results in enumerate(twice, start=1):
        found |= compare(f"process {number} of two", results, alone, 1e-3)
    return found


def compare_with_torch(exported: Snellen1Backend, twin: Snellen1Backend, paths: Sequence[str]) -> dict[str, float]:
    """Compare the exported model with its torch twin, in two rounds and score only."""
    found = compare("torch, two rounds", results_of(exported, 8, paths), results_of(twin, 8, paths), 0.01)
    quick, slow = (results_of(backend, 8, paths, score_only=True) for backend in (exported, twin))
    return found | compare("torch, score only", quick, slow, 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True, help="BIQ2021, from 00_sources.py")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--perception", type=Path, required=True, help="perception.pt that was exported")
    parser.add_argument("--rating-head", type=Path, required=True, help="rating_head.pt that was exported")
    parser.add_argument("--pictures", type=int, default=200, help="to compare with torch (200)")
    parser.add_argument("--fewer", type=int, default=24, help="to compare batches, threads and processes (24)")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tested = [sample.path for sample in read_manifest(args.manifest) if sample.split == "test"]
    many, few = (tested[:: max(1, len(tested) // count)][:count] for count in (args.pictures, args.fewer))
    numbers: dict[str, float | int] = {"pictures, torch": len(many), "pictures, runs": len(few)}
    numbers |= compare_runs(args.model, few)
    twin = torch_twin(args.model, args.perception, args.rating_head)
    numbers |= compare_with_torch(Snellen1Backend(args.model), twin, many)
    title = "The same score however it is run"
    write_measurements("agreement", args.out, title, numbers, str(args.model), card_version(args.model))


if __name__ == "__main__":
    main()
