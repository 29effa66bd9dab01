"""Stage 3: train the fault head longer, on the stored cell features of synthetic views.

It trains with the encoder first (`snellen.train.snellen1.encoder`). The encoder is best on MOS after about three passes
over the rated pictures and worse after five, when place and kind of faults still gain. So the fault head goes on alone.
The encoder no longer changes, so its cell features are computed once (`snellen.train.snellen1.cells`).
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
from snellen.snellen1.fault_head import FaultHead, Faults
from snellen.snellen1.perception import Perception
from snellen.train import best_device
from snellen.train.checkpoint import follow, keep, rate_at, resume
from snellen.train.snellen1.example import LEAST_AREA, ViewFault, cell_targets, worst_target
from snellen.train.snellen1.views import ViewStore, balanced_chances
from snellen.vocabulary import KINDS

WEIGHTS = {"kind": 0.7, "severity": 0.3, "worst_kind": 0.3, "worst_severity": 0.2}
CLEAN_WEIGHT = 0.4
"""Weight of clean cells in the loss of the kinds: most cells are clean, so "no fault" everywhere is mostly right."""
STRONG = 3.0
"""Severity from which on a fault counts as strong."""


@dataclass(frozen=True)
class FaultHeadOptions:
    """steps of `batch` views. rate: peak learning rate. average: decay of the mean of the weights over the steps."""

    steps: int = 12_000
    batch: int = 64
    rate: float = 1.2e-3
    weight_decay: float = 0.05
    warmup: int = 50
    average: float = 0.998
    seed: int = 0
    checkpoint_every: int = 500


class StoredCells:
    """The views of several stores under one numbering: their faults and cell features, without their pixels.

    cells: one array (N, 2, CELL_FEATURES, GRID, GRID) per store. ValueError for an array of another length.
    """

    def __init__(self, stores: Sequence[ViewStore], cells: Sequence[npt.NDArray[np.float16]]) -> None:
        self.faults: list[ViewFault | None] = []
        self.trained: list[int] = []
        self.held_out: list[int] = []
        self._places: list[tuple[int, int]] = []
        self._cells = cells
        for number, store in enumerate(stores):
            if len(store) != len(cells[number]):
                raise ValueError(f"store {number} has {len(store)} views but cell features of {len(cells[number])}")
            begin = len(self.faults)
            self.trained += [begin + i for i in store.trained]
            self.held_out += [begin + i for i in store.held_out]
            self.faults += [view.fault for view in store.views]
            self._places += [(number, i) for i in range(len(store))]

    def take(self, chosen: Sequence[int]) -> Tensor:
        """Return the cell features of some views, (n, 2, CELL_FEATURES, GRID, GRID) float."""
        rows = [self._cells[number][i] for number, i in (self._places[one] for one in chosen)]
        return torch.from_numpy(np.stack(rows).astype(np.float32))


def run_fault_head(
    options: FaultHeadOptions, perception_file: Path, stores: Sequence[Path], cells: Path, out: Path
) -> None:
    """Train the fault head of perception.pt on view stores and their cell features; writes out/perception.pt."""
    perception = Perception.open(perception_file)
    opened = [ViewStore(folder) for folder in stores]
    arrays = [np.load(cells / f"{store.name}.npy", mmap_mode="r") for store in opened]
    train_fault_head(options, perception.fault_head, StoredCells(opened, arrays), out)
    perception.save(out / "perception.pt")


def fault_losses(head: FaultHead, faults: Sequence[ViewFault | None], cells: Tensor) -> dict[str, Tensor]:
    """Return the parts of the loss for views with known faults, given their cell features as `FaultHead` takes them.

    kind, severity: of single cells; worst_kind, worst_severity: of the view. A part without any example is left out.
    """
    device = cells.device
    predicted = head(cells)
    targets = [cell_targets(fault, *cells.shape[3:]) for fault in faults]
    kind = torch.from_numpy(np.stack([one for one, _ in targets])).to(device)
    severity = torch.from_numpy(np.stack([one for _, one in targets])).to(device)
    worst = [worst_target(fault) for fault in faults]
    worst_kind = torch.tensor([one for one, _ in worst], device=device)
    worst_severity = torch.tensor([one for _, one in worst], device=device)
    weight = torch.ones(len(KINDS) + 1, device=device)
    weight[0] = CLEAN_WEIGHT
    parts = {}
    if bool((kind >= 0).any()):
        parts["kind"] = F.cross_entropy(predicted.kind, kind, weight, ignore_index=-1)
        parts["severity"] = F.smooth_l1_loss(predicted.severity[kind >= 0], severity[kind >= 0])
    if bool((worst_kind >= 0).any()):
        parts["worst_kind"] = F.cross_entropy(predicted.worst_kind, worst_kind, ignore_index=-1)
    faulty = worst_kind > 0
    if bool(faulty.any()):
        of_kind = predicted.severity_as[faulty].gather(1, worst_kind[faulty][:, None] - 1)[:, 0]
        parts["worst_severity"] = F.smooth_l1_loss(of_kind, worst_severity[faulty])
    return parts


def train_fault_head(
    options: FaultHeadOptions, head: FaultHead, stored: StoredCells, out: Path, stop: int | None = None
) -> None:
    """Train `head` in place; it ends with the mean of its weights over the steps.

    Writes one line of JSON per step to out/log.jsonl, then `validate_fault_head`. Resumes exactly from
    out/checkpoint.pt: the views of a step depend on the seed and its number alone. stop: end after this many steps of
    the schedule, with a checkpoint, as a killed run does.
    """
    torch.manual_seed(options.seed)
    device = best_device()
    head.to(device).train()
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=options.rate, weight_decay=options.weight_decay, betas=(0.9, 0.98)
    )
    chances = balanced_chances([fault.kind if (fault := stored.faults[i]) else None for i in stored.trained])
    average = {name: value.clone() for name, value in head.state_dict().items()}
    out.mkdir(parents=True, exist_ok=True)
    first = resume(out / "checkpoint.pt", head, optimizer, average)
    last = min(options.steps, stop or options.steps)
    with (out / "log.jsonl").open("a" if first else "w") as lines:
        if not first:
            lines.write(json.dumps(asdict(options)) + "\n")
        for step in range(first, last):
            for group in optimizer.param_groups:
                group["lr"] = options.rate * rate_at(step, options.steps, options.warmup)
            faults, cells = _batch(stored, chances, options.batch, np.random.default_rng((options.seed, step)))
            parts = fault_losses(head, faults, cells.to(device))
            optimizer.zero_grad(set_to_none=True)
            loss = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(head.parameters(), 5.0)
            optimizer.step()
            follow(average, head.state_dict(), step, options.average)
            lines.write(json.dumps({"step": step + 1} | {k: round(v.item(), 4) for k, v in parts.items()}) + "\n")
            if (step + 1) % options.checkpoint_every == 0 or step + 1 == last:
                lines.flush()
                keep(out / "checkpoint.pt", step + 1, head, optimizer, average)
        head.load_state_dict(average)
        head.cpu().eval()
        if last == options.steps:
            held = [stored.faults[i] for i in stored.held_out]
            lines.write(json.dumps(validate_fault_head(head, held, stored.take(stored.held_out))) + "\n")


def _batch(
    stored: StoredCells, chances: npt.NDArray[np.float64], count: int, rng: np.random.Generator
) -> tuple[list[ViewFault | None], Tensor]:
    """Draw views to train on, all of them mirrored half of the time: cell features hardly change in a mirror image."""
    chosen = np.sort(rng.choice(stored.trained, count, p=chances)).tolist()
    faults, cells = [stored.faults[i] for i in chosen], stored.take(chosen)
    if rng.random() < 0.5:
        faults = [None if fault is None else fault.flipped() for fault in faults]
        cells = cells.flip(-1)
    return faults, cells


@torch.no_grad()
def validate_fault_head(head: FaultHead, faults: Sequence[ViewFault | None], cells: Tensor) -> dict[str, float]:
    """Return shares over held-out views; NaN where there is no view of a sort.

    kind, kind_strong: faults, all and strong ones, of which the kind is right. false_alarm: clean views in which a
    fault is detected. severity: Pearson correlation of predicted and true severity. half_covered: strong local faults
    half of which lies in the predicted box.
    """
    predicted = Faults(*(part.cpu() for part in head(cells)))
    kinds, severities = predicted.worst_kind.argmax(dim=1).numpy(), predicted.worst_severity.numpy()
    worst = np.array([worst_target(fault)[0] for fault in faults])
    severity = np.array([worst_target(fault)[1] for fault in faults])
    strong = (worst > 0) & (severity >= STRONG)
    covered = []
    for fault, box in zip(faults, predicted.box.numpy(), strict=True):
        if fault is not None and fault.severity >= STRONG and LEAST_AREA <= fault.region.area < LOCAL_AREA:
            covered.append(Region(*map(float, box)).covers(fault.region) >= 0.5)

    def share(hits: Sequence[bool] | npt.NDArray[np.bool_]) -> float:
        return round(float(np.mean(np.asarray(hits, float))), 4) if len(hits) else np.nan

    both = severities[worst > 0], severity[worst > 0]
    return {
        "kind": share((kinds == worst)[worst > 0]),
        "kind_strong": share((kinds == worst)[strong]),
        "false_alarm": share((kinds > 0)[worst == 0]),
        "severity": round(float(np.corrcoef(*both)[0, 1]), 4) if len(set(both[1])) > 1 else np.nan,
        "half_covered": share(covered),
    }
