"""`consistency` and `agreement`: the same picture scores the same however it is run, and as it did in torch."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from evaluate_pictures import Options, open_model
from evaluate_tables import number, percent, publish, table

from snellen import metrics
from snellen.assess import Assessor
from snellen.backends.bundled import BundledBackend

WITHIN = 1e-3
"""How far scores of one picture may lie apart."""
WITHIN_TORCH = 0.01


def assess_all(model: str, threads: int | None, batch: int, paths: Sequence[str]) -> list[tuple[float, str]]:
    """Score (NaN without one) and all text of each picture."""
    assessor = Assessor(open_model(model, threads), batch_size=batch)
    return [
        (np.nan if a.score is None else a.score, "\n".join(step.reply.text for step in a.steps))
        for a in assessor.assess(paths)
    ]


def consistency(paths: Sequence[str], options: Options) -> dict[str, Any]:
    """The same pictures alone, in batches of 8 (in two orders), with another number of threads, in two processes."""
    shuffled = [int(i) for i in np.random.default_rng(0).permutation(len(paths))]
    ways = {
        "alone": assess_all(options.model, options.threads, 1, paths),
        "in batches of 8": assess_all(options.model, options.threads, 8, paths),
        "on one thread": assess_all(options.model, 1, 1, paths),
    }
    mixed = assess_all(options.model, options.threads, 8, [paths[i] for i in shuffled])
    ways["in other batches of 8"] = [mixed[shuffled.index(i)] for i in range(len(paths))]
    halves = [paths[::2], paths[1::2]]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        jobs = [(options.model, options.threads, 8, half) for half in halves]
        even, odd = pool.starmap(assess_all, jobs)
    ways["in two processes"] = [(even if i % 2 == 0 else odd)[i // 2] for i in range(len(paths))]
    base = np.array([score for score, _ in ways["alone"]])
    data: dict[str, Any] = {"pictures": len(paths), "without a score": int(np.isnan(base).sum()), "ways": {}}
    rows = []
    for name, found in list(ways.items())[1:]:
        there = ~np.isnan(base)
        apart = np.abs(np.array([score for score, _ in found]) - base)[there]
        texts = [a[1] == b[1] for a, b in zip(found, ways["alone"], strict=True)]
        row = {
            "largest difference": float(apart.max()) if len(apart) else np.nan,
            "within 0.001": metrics.share(apart <= WITHIN)[0],
            "same text": metrics.share(texts)[0],
        }
        data["ways"][name] = row
        cells = [f"{row['largest difference']:.2g}", percent(row["within 0.001"]), percent(row["same text"])]
        rows.append([name, *cells])
    head = ["against alone", "largest difference", "within 0.001", "same text"]
    publish("consistency", options.out, [(f"The same {len(paths)} pictures", table(head, rows))], data)
    return data


class TorchGraph:
    """A torch module behind the calls that `BundledBackend` makes of an ONNX session.

    `names` are its inputs in order.
    """

    def __init__(self, module: Any, names: Sequence[str]) -> None:
        self.module, self.names = module.eval(), names

    def run(self, outputs: object, inputs: dict[str, Any]) -> list[Any]:
        """As `InferenceSession.run`, all outputs."""
        import torch

        with torch.no_grad():
            out = self.module(*(torch.from_numpy(np.array(inputs[name])) for name in self.names))
        return [one.numpy() for one in (out if isinstance(out, tuple) else (out,))]

    def run_with_ort_values(self, outputs: object, inputs: dict[str, Any]) -> list[Any]:
        """As `InferenceSession.run_with_ort_values`, all outputs."""
        out = self.run(outputs, {name: value.numpy() for name, value in inputs.items()})
        return [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(one)) for one in out]


def torch_twin(folder: Path, vision: Path, sft: Path, threads: int | None) -> BundledBackend:
    """The bundled model with its graphs replaced by the torch modules they were exported from."""
    import torch
    from export import load_torch

    from snellen.model.export import _Connect, _Decode

    if threads is not None:
        torch.set_num_threads(threads)
    twin = BundledBackend(folder, threads)
    encoder, glance, model = load_torch(vision, sft)
    graphs: dict[str, Any] = {
        "_encoder": TorchGraph(encoder, ["picture"]),
        "_connector": TorchGraph(_Connect(glance, model), ["pools", "overview", "fragments"]),
        "_decoder": TorchGraph(_Decode(model), ["ids", "looks", "is_look", "positions", "keys", "past"]),
    }
    for name, graph in graphs.items():
        setattr(twin, name, graph)
    twin.name += ", torch"
    return twin


def agreement(paths: Sequence[str], folder: Path, vision: Path, sft: Path, options: Options) -> dict[str, Any]:
    """Scores and greedy texts of the exported model against its torch twin."""
    exported = Assessor(BundledBackend(folder, options.threads), batch_size=options.chunk)
    twin = Assessor(torch_twin(folder, vision, sft, options.threads), batch_size=options.chunk)
    one_round = [Assessor(a.backend, batch_size=options.chunk, score_only=True) for a in (exported, twin)]
    a, b = exported.assess(paths), twin.assess(paths)
    c, d = (assessor.assess(paths) for assessor in one_round)
    pairs = [(x.score, y.score) for x, y in zip(a, b, strict=True) if x.score is not None and y.score is not None]
    short = [(x.score, y.score) for x, y in zip(c, d, strict=True) if x.score is not None and y.score is not None]
    same = [_text(x) == _text(y) for x, y in zip(a, b, strict=True)]
    apart, apart_short = (np.array([abs(x - y) for x, y in found]) for found in (pairs, short))
    both = [abs(x.score - y.score) for x, y in zip(a, b, strict=True) if x.score and y.score and _text(x) == _text(y)]
    if not pairs or not short:
        raise SystemExit("no picture got a score from both; there is nothing to compare")
    data = {
        "pictures": len(paths),
        "scored by both": len(pairs),
        "largest difference, two rounds": float(apart.max()),
        "within 0.01, two rounds": metrics.share(apart <= WITHIN_TORCH)[0],
        "largest difference, score only": float(apart_short.max()),
        "within 0.01, score only": metrics.share(apart_short <= WITHIN_TORCH)[0],
        "same text in all rounds": metrics.share(same)[0],
        "largest difference where the text is the same": max(both, default=np.nan),
    }
    shown = table(["what", "value"], [[name, number(v, 4) if isinstance(v, float) else v] for name, v in data.items()])
    publish("agreement", options.out, [("Exported model against its torch twin", shown)], data)
    return data


def _text(assessment: Any) -> list[str]:
    return [step.reply.text for step in assessment.steps]
