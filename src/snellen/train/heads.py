"""Between encoder and decoder: teach the fault heads alone, on what the trained encoder says of synthetic looks.

The encoder stays as it is. On MOS it is best after about three passes over the real pictures and worse after five
(docs/training-log.md), when the heads that say where a fault is, and of which kind, still gain: they go on without it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from snellen.model.vision import WIDTH, Encoder, Glance, encode_mixed, regrid
from snellen.train import best_device
from snellen.train.looks import LookStore
from snellen.train.loop import rate_at
from snellen.train.vision import WEIGHTS, Look, fault_losses, worst_target

SIDE = 10
"""Cells on a side of the grids: those of the fragments."""
HEADS = ("context", "kind", "severity", "worst_kind", "worst_severity")


@dataclass(frozen=True)
class HeadOptions:
    """steps of `batch` looks; rate: the peak learning rate; dropout: share of the channels hidden in a look."""

    steps: int = 1200
    batch: int = 64
    rate: float = 1.5e-3
    weight_decay: float = 0.05
    warmup: int = 50
    dropout: float = 0.1
    seed: int = 0


@torch.no_grad()
def store_cells(encoder: Encoder, store: LookStore, file: Path) -> npt.NDArray[np.float16]:
    """(N, 2, WIDTH, 10, 10): cells of overview and fragments of all looks of a store; kept in `file`."""
    shape = (len(store), 2, WIDTH, SIDE, SIDE)
    part = file.with_suffix(".part")
    cells = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
    device = encoder.cell.weight.device
    for begin in range(0, len(store), 16):
        pixels = [store.pixels(i) for i in range(begin, min(begin + 16, len(store)))]
        with torch.autocast(device.type, torch.bfloat16):
            pair = [encode_mixed(encoder, [one[k] for one in pixels]) for k in (0, 1)]
        for k, looks in enumerate(pair):
            grids = [regrid(one.float(), SIDE, SIDE) for one in looks]
            cells[begin : begin + len(pixels), k] = torch.stack(grids).cpu().numpy()
    cells.flush()
    part.replace(file)
    kept: npt.NDArray[np.float16] = np.load(file, mmap_mode="r")
    return kept


def known_looks(store: LookStore) -> list[Look]:
    """The looks of a store without their pixels."""
    nothing = np.zeros((0, 0, 3), np.uint8)
    return [Look(nothing, nothing, row["mos"], False, store.fault(i)) for i, row in enumerate(store.rows)]


def train_heads(
    options: HeadOptions, glance: Glance, store: LookStore, cells: npt.NDArray[np.float16], log: Path
) -> None:
    """Train the fault heads of `glance` in place; `log` gets a line of JSON per step, then `validate_heads`."""
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    device = best_device()
    glance.to(device)
    looks = known_looks(store)
    parameters = [p for name in HEADS for p in getattr(glance, name).parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.rate, weight_decay=options.weight_decay, betas=(0.9, 0.98))
    with log.open("w") as lines:
        lines.write(json.dumps(asdict(options) | validate_heads(glance, looks, cells, store.held_out)) + "\n")
        for step in range(options.steps):
            for group in optimizer.param_groups:
                group["lr"] = options.rate * rate_at(step, options.steps, options.warmup)
            chosen = np.sort(rng.choice(store.trained, options.batch, replace=False))
            shown = torch.from_numpy(np.asarray(cells[chosen], np.float32)).to(device)
            shown = nn.functional.dropout2d(shown.flatten(1, 2), options.dropout).view_as(shown)
            parts = fault_losses(glance, [looks[i] for i in chosen], shown[:, 0].unbind(), shown[:, 1].unbind())
            optimizer.zero_grad(set_to_none=True)
            loss = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            lines.write(json.dumps({"step": step + 1} | {k: round(v.item(), 4) for k, v in parts.items()}) + "\n")
        lines.write(json.dumps(validate_heads(glance, looks, cells, store.held_out)) + "\n")


@torch.no_grad()
def validate_heads(
    glance: Glance, looks: Sequence[Look], cells: npt.NDArray[np.float16], held: Sequence[int]
) -> dict[str, float]:
    """On held-out looks: shares of faults whose kind is named, and of clean looks in which one is seen."""
    shown = torch.from_numpy(np.asarray(cells[list(held)], np.float32)).to(glance.score.weight.device)
    named = glance.faults(shown[:, 0], shown[:, 1]).worst_kind.argmax(dim=1).cpu().numpy()
    worst = np.array([worst_target(looks[i])[0] for i in held])
    right, alarm = (named == worst)[worst > 0], (named > 0)[worst == 0]
    return {"worst_right": round(float(right.mean()), 4), "false_alarm": round(float(alarm.mean()), 4)}
