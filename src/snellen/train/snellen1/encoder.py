"""Stage 0: teach the encoder to see quality: MOS of real pictures; where known faults are, of which kind, how severe.

Reads top to bottom: next looks, forward, losses, step. Checkpoints and resumes. The plain regression head trained
here is also the yardstick: the language model's score is held against it.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.snellen1.encoder import CELL, WIDTH, load_imagenet
from snellen.snellen1.perception import Vision
from snellen.train import best_device
from snellen.train.checkpoint import follow, keep, rate_at, resume
from snellen.train.snellen1 import fault_head as heads
from snellen.train.snellen1.example import Look
from snellen.train.snellen1.fault_head import fault_losses, validate_heads


@dataclass(frozen=True)
class VisionOptions:
    """steps of `batch` looks each; learning rates of encoder and heads at their peak; frozen: leading blocks kept."""

    steps: int = 1500
    batch: int = 16
    encoder_rate: float = 4e-4
    head_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warmup: int = 60
    frozen: int = 3
    average: float = 0.997
    seed: int = 0
    checkpoint_every: int = 100
    validate_every: int = 475


def correlation_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """1 - PLCC over a batch, (N,) each: what is measured in the end, blind to shift and scale."""
    a, b = predicted - predicted.mean(), wanted - wanted.mean()
    out: Tensor = 1.0 - (a * b).sum() / (a.norm() * b.norm() + 1e-6)
    return out


def look_losses(vision: Vision, looks: Sequence[Look]) -> dict[str, Tensor]:
    """The parts of the loss for one batch of looks, each a scalar, not yet weighted."""
    glance = vision.glance
    cells = vision.cells([look.overview for look in looks], [look.fragments for look in looks])
    mos = torch.tensor([look.mos for look in looks], device=cells.device)
    real = torch.tensor([look.real for look in looks], device=cells.device)
    pools = torch.cat([glance.pool(part) for part in cells[:, :, :WIDTH].unbind(1)], dim=1)
    rating = glance.rating(glance.summary(pools))
    half = pools.shape[1] // 2
    alone = [3.0 + glance.alone(part)[:, 0] for part in (pools[:, :half], pools[:, half:])]
    weight = torch.where(real, 1.0, 0.4)
    parts = {
        "mos": (F.smooth_l1_loss(rating, mos, beta=0.3, reduction="none") * weight).mean(),
        "alone": torch.stack(
            [(F.smooth_l1_loss(a, mos, beta=0.3, reduction="none") * weight).mean() for a in alone]
        ).mean(),
        "plcc": correlation_loss(rating[real], mos[real]) if int(real.sum()) > 3 else rating.sum() * 0,
    }
    made = [look for look in looks if not look.real]
    if made:
        parts |= fault_losses(vision.faults, made, cells[~real])
    return parts


WEIGHTS = {"mos": 1.0, "alone": 0.3, "plcc": 0.5} | heads.WEIGHTS
SETTLING = 20
"""Batches from which the fault heads learn how large the encoder's numbers are, before ImageNet's weights move."""


def train_vision(
    options: VisionOptions,
    batches: Callable[[int], Iterator[list[Look]]],
    validation: Sequence[Look],
    out: Path,
    start: Path | None = None,
    stop: int | None = None,
) -> None:
    """Train encoder, plain head and fault heads; writes out/vision.pt (weights averaged over steps) and out/log.jsonl.

    batches: given the number of batches already seen, the endless rest. start: the vision.pt to begin from instead of
    ImageNet's weights. Resumes from out/checkpoint.pt. stop: end after this many steps of the schedule, as a killed run
    does, with a checkpoint.
    """
    torch.manual_seed(options.seed)
    device = best_device()
    model = _begin(start, options.frozen, batches, device)
    average = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = _optimizer(model, options)
    out.mkdir(parents=True, exist_ok=True)
    (out / "options.json").write_text(json.dumps(asdict(options), indent=1))
    first = resume(out / "checkpoint.pt", model, optimizer, average)
    following = batches(first)
    began = time.time()
    last = min(options.steps, stop or options.steps)
    for step in range(first, last):
        ramp = rate_at(step, options.steps, options.warmup)
        for group, rate in zip(optimizer.param_groups, (options.encoder_rate, options.head_rate), strict=True):
            group["lr"] = rate * ramp
        _learning(model)
        parts = look_losses(model, next(following))
        loss = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 5.0)
        optimizer.step()
        follow(average, model.state_dict(), step, options.average)
        row: dict[str, float] = {"step": step + 1, "seconds": round(time.time() - began, 1)}
        row |= {name: round(part.item(), 4) for name, part in parts.items()}
        done = step + 1 == last
        if (step + 1) % options.validate_every == 0 or done:
            raw = {k: v.clone() for k, v in model.state_dict().items()}
            model.load_state_dict(average)
            row |= validate(model, validation)
            model.load_state_dict(raw)
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        if (step + 1) % options.checkpoint_every == 0 or done:
            keep(out / "checkpoint.pt", step + 1, model, optimizer, average)
            save_vision(average, out / "vision.pt")


def _begin(
    start: Path | None, frozen: int, batches: Callable[[int], Iterator[list[Look]]], device: torch.device
) -> Vision:
    """What to learn from: ImageNet's weights, or those of `start`; the first `frozen` blocks stay as they are."""
    if start is not None:
        vision = Vision.open(start, whole=False)
    else:
        vision = Vision()
        load_imagenet(vision.encoder)
        vision.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    vision.to(device)
    for module in [vision.encoder.stem, *vision.encoder.blocks[:frozen]]:
        module.requires_grad_(False)
    if start is None:
        _settle(vision, itertools.islice(batches(0), SETTLING))
    return vision


def _learning(vision: Vision) -> None:
    """Ready to learn; but a batch holds too few synthetic looks to say how large a number commonly is."""
    vision.train()
    vision.faults.scale.eval()


@torch.no_grad()
def _settle(vision: Vision, batches: Iterable[list[Look]]) -> None:
    """Let the fault heads' scale be that of the synthetic looks in some batches."""
    scale = vision.faults.scale.train()
    for looks in batches:
        made = [look for look in looks if not look.real]
        if made:
            cells = vision.cells([look.overview for look in made], [look.fragments for look in made])
            scale(torch.cat([cells[:, 0, WIDTH:], cells[:, 1, WIDTH:]], dim=1))


def _optimizer(vision: Vision, options: VisionOptions) -> torch.optim.AdamW:
    """What starts anew learns faster than what ImageNet taught."""
    encoder = vision.encoder
    new = [*encoder.cell.parameters(), *encoder.norm.parameters()]
    new += [*vision.glance.parameters(), *vision.faults.parameters()]
    old = [p for block in encoder.blocks for p in block.parameters() if p.requires_grad]
    groups = [{"params": old, "lr": options.encoder_rate}, {"params": new, "lr": options.head_rate}]
    return torch.optim.AdamW(groups, weight_decay=options.weight_decay, betas=(0.9, 0.98))


def save_vision(state: dict[str, Tensor], path: Path) -> None:
    """Split a joint state into its parts, as `Vision.open` reads them."""
    parts = {
        part: {k[len(part) + 1 :]: v.cpu() for k, v in state.items() if k.startswith(part + ".")}
        for part in ("encoder", "glance", "faults", "glimpse")
    }
    torch.save(parts, path)


@torch.no_grad()
def validate(vision: Vision, looks: Sequence[Look]) -> dict[str, float]:
    """SRCC and PLCC of the plain head on real looks; of the fault heads what `validate_heads` says of the others."""
    from scipy.stats import pearsonr, spearmanr

    vision.eval()
    ratings, cells = [], []
    for begin in range(0, len(looks), 16):
        batch = looks[begin : begin + 16]
        said = vision.cells([look.overview for look in batch], [look.fragments for look in batch])
        real = torch.tensor([look.real for look in batch], device=said.device)
        ratings.append(vision.rate(said[real]).cpu())
        cells.append(said[~real])
    both = torch.cat(ratings).numpy(), [look.mos for look in looks if look.real]
    row = {"held_srcc": round(float(spearmanr(*both)[0]), 4), "held_plcc": round(float(pearsonr(*both)[0]), 4)}
    made = [look for look in looks if not look.real]
    if made:
        row |= validate_heads(vision.faults, made, torch.cat(cells))
    return row


assert CELL == 32
