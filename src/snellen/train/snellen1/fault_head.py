"""Between encoder and decoder: teach the fault heads, on what the trained encoder says of synthetic looks.

They learn with the encoder first (`snellen.train.snellen1.encoder`). On MOS that is best after about three passes over
the real pictures and worse after five (docs/log), when what says where a fault is, and of which kind, still gains.
So that goes on without it, and as the encoder no longer changes, what it says of every look is computed once
(runs/cells.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.region import LOCAL_AREA, Region
from snellen.snellen1.fault_head import FaultHeads, Faults
from snellen.train import best_device
from snellen.train.checkpoint import follow, keep, rate_at, resume
from snellen.train.snellen1.example import SLIVER, Look, cell_targets, worst_target
from snellen.train.snellen1.views import LookStore, even
from snellen.vocabulary import KINDS

WEIGHTS = {"kind": 0.7, "severity": 0.3, "worst_kind": 0.3, "worst_severity": 0.2}
CLEAN_WEIGHT = 0.4
"""Of a clean cell in the loss of the kinds: most cells are clean, and a model that says so of all is mostly right."""


@dataclass(frozen=True)
class HeadOptions:
    """steps of `batch` looks; rate: the peak learning rate; average: how much of the mean of the weights over the steps
    stays from one to the next."""

    steps: int = 2400
    batch: int = 64
    rate: float = 1.5e-3
    weight_decay: float = 0.05
    warmup: int = 50
    average: float = 0.998
    seed: int = 0
    checkpoint_every: int = 500


class StoredCells:
    """The looks of some stores, numbered through, without their pixels and with what the encoder says of each: one
    array (N, 2, SAID, GRID, GRID) per store."""

    def __init__(self, stores: Sequence[LookStore], cells: Sequence[npt.NDArray[np.float16]]) -> None:
        nothing = np.zeros((0, 0, 3), np.uint8)
        self.looks: list[Look] = []
        self.trained: list[int] = []
        self.held_out: list[int] = []
        self._where: list[tuple[int, int]] = []
        self._cells = cells
        for number, store in enumerate(stores):
            if len(store) != len(cells[number]):
                raise ValueError(f"store {number} has {len(store)} looks but there are cells of {len(cells[number])}")
            begin = len(self.looks)
            self.trained += [begin + i for i in store.trained]
            self.held_out += [begin + i for i in store.held_out]
            self.looks += [
                Look(nothing, nothing, row["mos"], False, store.fault(i)) for i, row in enumerate(store.rows)
            ]
            self._where += [(number, i) for i in range(len(store))]

    def take(self, chosen: Sequence[int]) -> Tensor:
        """What the encoder says of some looks, (n, 2, SAID, GRID, GRID) float."""
        rows = [self._cells[number][i] for number, i in (self._where[one] for one in chosen)]
        return torch.from_numpy(np.stack(rows).astype(np.float32))


def fault_losses(heads: FaultHeads, looks: Sequence[Look], cells: Tensor) -> dict[str, Tensor]:
    """The parts that teach where, what and how severe, from looks whose faults are known; cells as `FaultHeads` takes
    them. Parts of which the looks hold no example are left out."""
    device = cells.device
    found = heads(cells)
    targets = [cell_targets(look, *cells.shape[3:]) for look in looks]
    kind = torch.from_numpy(np.stack([one for one, _ in targets])).to(device)
    severity = torch.from_numpy(np.stack([one for _, one in targets])).to(device)
    worst = [worst_target(look) for look in looks]
    worst_kind = torch.tensor([one for one, _ in worst], device=device)
    worst_severity = torch.tensor([one for _, one in worst], device=device)
    weight = torch.ones(len(KINDS) + 1, device=device)
    weight[0] = CLEAN_WEIGHT
    parts = {}
    if bool((kind >= 0).any()):
        parts["kind"] = F.cross_entropy(found.kind, kind, weight, ignore_index=-1)
        parts["severity"] = F.smooth_l1_loss(found.severity[kind >= 0], severity[kind >= 0])
    if bool((worst_kind >= 0).any()):
        parts["worst_kind"] = F.cross_entropy(found.worst_kind, worst_kind, ignore_index=-1)
    if bool((worst_kind > 0).any()):
        said = found.severity_as[worst_kind > 0].gather(1, worst_kind[worst_kind > 0][:, None] - 1)[:, 0]
        parts["worst_severity"] = F.smooth_l1_loss(said, worst_severity[worst_kind > 0])
    return parts


def train_heads(
    options: HeadOptions, heads: FaultHeads, stored: StoredCells, out: Path, stop: int | None = None
) -> None:
    """Train `heads` in place, which get the mean of their weights over the steps; out/log.jsonl gets a line of JSON per
    step, then `validate_heads`. Resumes from out/checkpoint.pt, exactly: which looks a step takes depends on the seed
    and its number alone. stop: end after this many steps of the schedule, as a killed run does, with a checkpoint."""
    torch.manual_seed(options.seed)
    device = best_device()
    heads.to(device).train()
    optimizer = torch.optim.AdamW(
        heads.parameters(), lr=options.rate, weight_decay=options.weight_decay, betas=(0.9, 0.98)
    )
    shown = [fault[0] if (fault := stored.looks[i].fault) else None for i in stored.trained]
    chances = even(shown)
    average = {name: value.clone() for name, value in heads.state_dict().items()}
    out.mkdir(parents=True, exist_ok=True)
    first = resume(out / "checkpoint.pt", heads, optimizer, average)
    last = min(options.steps, stop or options.steps)
    with (out / "log.jsonl").open("a" if first else "w") as lines:
        if not first:
            lines.write(json.dumps(asdict(options)) + "\n")
        for step in range(first, last):
            for group in optimizer.param_groups:
                group["lr"] = options.rate * rate_at(step, options.steps, options.warmup)
            rng = np.random.default_rng((options.seed, step))
            chosen = np.sort(rng.choice(stored.trained, options.batch, p=chances)).tolist()
            looks, cells = [stored.looks[i] for i in chosen], stored.take(chosen).to(device)
            if rng.random() < 0.5:  # what is said of a cell is about the same in the mirror, where it stands is not
                looks, cells = [look.flipped() for look in looks], cells.flip(-1)
            parts = fault_losses(heads, looks, cells)
            optimizer.zero_grad(set_to_none=True)
            loss = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(heads.parameters(), 5.0)
            optimizer.step()
            follow(average, heads.state_dict(), step, options.average)
            lines.write(json.dumps({"step": step + 1} | {k: round(v.item(), 4) for k, v in parts.items()}) + "\n")
            if (step + 1) % options.checkpoint_every == 0 or step + 1 == last:
                lines.flush()
                keep(out / "checkpoint.pt", step + 1, heads, optimizer, average)
        heads.load_state_dict(average)
        heads.cpu().eval()
        if last == options.steps:
            held = [stored.looks[i] for i in stored.held_out]
            lines.write(json.dumps(validate_heads(heads, held, stored.take(stored.held_out))) + "\n")


@torch.no_grad()
def validate_heads(heads: FaultHeads, looks: Sequence[Look], cells: Tensor) -> dict[str, float]:
    """On looks that were held out, NaN where there are none of a sort. right, right_strong: share of faults, of all and
    of those of severity 3 and more, whose kind is named; false_alarm: share of clean looks in which one is seen;
    severity: correlation of the severity with the true one over all faults; held: share of local faults of severity 3
    and more of which the box holds half."""
    faults = Faults(*(part.cpu() for part in heads(cells)))
    named, said = faults.worst_kind.argmax(dim=1).numpy(), faults.worst_severity.numpy()
    worst = np.array([worst_target(look)[0] for look in looks])
    severity = np.array([worst_target(look)[1] for look in looks])
    strong = (worst > 0) & (severity >= 3)
    held = []
    for look, box in zip(looks, faults.box.numpy(), strict=True):
        if look.fault is None or look.fault[1] < 3 or not SLIVER <= look.fault[2].area < LOCAL_AREA:
            continue
        held.append(Region(*map(float, box)).covers(look.fault[2]) >= 0.5)

    def share(hits: Sequence[bool] | npt.NDArray[np.bool_]) -> float:
        return round(float(np.mean(np.asarray(hits, float))), 4) if len(hits) else np.nan

    both = said[worst > 0], severity[worst > 0]
    return {
        "right": share((named == worst)[worst > 0]),
        "right_strong": share((named == worst)[strong]),
        "false_alarm": share((named > 0)[worst == 0]),
        "severity": round(float(np.corrcoef(*both)[0, 1]), 4) if len(set(both[1])) > 1 else np.nan,
        "held": share(held),
    }
