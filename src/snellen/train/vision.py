"""Stage 0: teach the encoder to see quality. MOS of real pictures, kind and severity of known faults per cell.

Reads top to bottom: next looks, forward, losses, step. Checkpoints and resumes. The plain regression head trained
here is also the yardstick: the language model's score is held against it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.model.vision import CELL, Encoder, Glance, encode_mixed, load_imagenet
from snellen.protocol import KINDS
from snellen.region import Region
from snellen.train import best_device
from snellen.train.loop import rate_at, save


@dataclass(frozen=True)
class Look:
    """One training example: the two small pictures of a look and what is known about it.

    overview (h, w, 3) and fragments (320, 320, 3) uint8. mos on 1..5. real: the MOS is a human one for this very
    picture. fault: (kind, level, Region in fractions of the look), None when clean. For real pictures, whose faults
    nobody knows, the cells are not trained.
    """

    overview: np.ndarray
    fragments: np.ndarray
    mos: float
    real: bool
    fault: tuple[str, int, Region] | None = None

    def flipped(self) -> Look:
        """Mirrored left to right: people's opinion stays."""
        fault = self.fault
        if fault is not None:
            kind, level, r = fault
            fault = (kind, level, Region(1 - r.x1, r.y0, 1 - r.x0, r.y1))
        return Look(self.overview[:, ::-1], self.fragments[:, ::-1], self.mos, self.real, fault)


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


def cell_targets(look: Look, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Kind (0 none, else 1 + index in KINDS, -1 if a cell is half inside) and severity per cell, (rows, columns)."""
    kinds = np.zeros((rows, columns), np.int64)
    levels = np.zeros((rows, columns), np.float32)
    if look.fault is not None:
        kind, level, r = look.fault
        x, y = np.arange(columns) / columns, np.arange(rows) / rows
        across = np.clip(np.minimum(r.x1, x + 1 / columns) - np.maximum(r.x0, x), 0, None) * columns
        down = np.clip(np.minimum(r.y1, y + 1 / rows) - np.maximum(r.y0, y), 0, None) * rows
        inside = down[:, None] * across[None]
        kinds[inside > 0.6] = 1 + KINDS.index(kind)
        kinds[(inside > 0.1) & (inside <= 0.6)] = -1
        levels[inside > 0.6] = level
    return kinds, levels


def correlation_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """1 - PLCC over a batch, (N,) each: what is measured in the end, blind to shift and scale."""
    a, b = predicted - predicted.mean(), wanted - wanted.mean()
    out: Tensor = 1.0 - (a * b).sum() / (a.norm() * b.norm() + 1e-6)
    return out


def look_losses(encoder: Encoder, glance: Glance, looks: Sequence[Look]) -> dict[str, Tensor]:
    """The parts of the loss for one batch of looks, each a scalar, not yet weighted."""
    device = encoder.cell.weight.device
    fragments = encode_mixed(encoder, device, [look.fragments for look in looks])
    overviews = encode_mixed(encoder, device, [look.overview for look in looks])
    mos = torch.tensor([look.mos for look in looks], device=device)
    real = torch.tensor([look.real for look in looks], device=device)
    pools = torch.stack(
        [
            torch.cat([glance.pool(o[None])[0], glance.pool(f[None])[0]])
            for o, f in zip(overviews, fragments, strict=True)
        ]
    )
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
    kinds, levels, logits, severities = [], [], [], []
    for look, pair in zip(looks, zip(overviews, fragments, strict=True), strict=True):
        if look.real:
            continue
        for cells in pair:
            kind, level = cell_targets(look, cells.shape[1], cells.shape[2])
            a, b = glance.faults(cells[None])
            kinds.append(torch.from_numpy(kind).flatten())
            levels.append(torch.from_numpy(level).flatten())
            logits.append(a.flatten(0, 2))
            severities.append(b.flatten())
    if kinds:
        wanted = torch.cat(kinds).to(device)
        known = wanted >= 0
        weight = torch.ones(len(KINDS) + 1, device=device)
        weight[0] = CLEAN_WEIGHT
        parts["kind"] = F.cross_entropy(torch.cat(logits), wanted, weight, ignore_index=-1)
        parts["severity"] = F.smooth_l1_loss(torch.cat(severities)[known], torch.cat(levels).to(device)[known])
    return parts


WEIGHTS = {"mos": 1.0, "alone": 0.3, "plcc": 0.5, "kind": 0.7, "severity": 0.3}
CLEAN_WEIGHT = 0.4
"""Of a clean cell in the loss of the kinds: most cells are clean, and a model that says so of all is mostly right."""


def train_vision(
    options: VisionOptions,
    batches: Callable[[int], Iterator[list[Look]]],
    validation: Sequence[Look],
    out: Path,
    start: Path | None = None,
    stop: int | None = None,
) -> None:
    """Train encoder and glance heads; writes out/vision.pt (weights averaged over steps) and out/log.jsonl.

    batches: given the number of batches already seen, the endless rest. start: weights to begin from instead of
    ImageNet's. Resumes from out/checkpoint.pt. stop: end after this many steps of the schedule, as a killed run does,
    with a checkpoint.
    """
    torch.manual_seed(options.seed)
    device = best_device()
    encoder, glance = _begin(start, options.frozen, device)
    model = nn.ModuleDict({"encoder": encoder, "glance": glance})
    average = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = _optimizer(encoder, glance, options)
    first, out_log = 0, out / "log.jsonl"
    out.mkdir(parents=True, exist_ok=True)
    (out / "options.json").write_text(json.dumps(asdict(options), indent=1))
    if (out / "checkpoint.pt").exists():
        saved = torch.load(out / "checkpoint.pt", weights_only=True, map_location=device)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        average, first = saved["average"], saved["step"]
    following = batches(first)
    began = time.time()
    last = min(options.steps, stop or options.steps)
    for step in range(first, last):
        ramp = rate_at(step, options.steps, options.warmup)
        for group, rate in zip(optimizer.param_groups, (options.encoder_rate, options.head_rate), strict=True):
            group["lr"] = rate * ramp
        parts = look_losses(encoder, glance, next(following))
        loss = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 5.0)
        optimizer.step()
        decay = min(options.average, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            average[name].lerp_(value, 1 - decay)
        row: dict[str, float] = {"step": step + 1, "seconds": round(time.time() - began, 1)}
        row |= {name: round(part.item(), 4) for name, part in parts.items()}
        done = step + 1 == last
        if (step + 1) % options.validate_every == 0 or done:
            raw = {k: v.clone() for k, v in model.state_dict().items()}
            model.load_state_dict(average)
            row |= validate(encoder, glance, validation)
            model.load_state_dict(raw)
        with out_log.open("a") as log:
            log.write(json.dumps(row) + "\n")
        if (step + 1) % options.checkpoint_every == 0 or done:
            saved = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average,
                "step": step + 1,
            }
            save(saved, out / "checkpoint.pt")
            save_vision(average, out / "vision.pt")


def _begin(start: Path | None, frozen: int, device: torch.device) -> tuple[Encoder, Glance]:
    """Encoder and heads to learn from: ImageNet's, or those of `start`; the first `frozen` blocks stay as they are."""
    encoder, glance = Encoder(), Glance()
    load_imagenet(encoder)
    if start is not None:
        state = torch.load(start, weights_only=True)
        encoder.load_state_dict(state["encoder"])
        glance.load_state_dict(state["glance"])
    encoder.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in [encoder.stem, *encoder.blocks[:frozen]]:
        module.requires_grad_(False)
    return encoder, glance.to(device)


def _optimizer(encoder: Encoder, glance: Glance, options: VisionOptions) -> torch.optim.AdamW:
    """What starts anew learns faster than what ImageNet taught."""
    new = [*encoder.cell.parameters(), *encoder.norm.parameters(), *glance.parameters()]
    old = [p for block in encoder.blocks for p in block.parameters() if p.requires_grad]
    groups = [{"params": old, "lr": options.encoder_rate}, {"params": new, "lr": options.head_rate}]
    return torch.optim.AdamW(groups, weight_decay=options.weight_decay, betas=(0.9, 0.98))


def save_vision(state: dict[str, Tensor], path: Path) -> None:
    """Split a joint state into encoder and glance, as `start` and the export read it."""
    parts = {
        part: {k[len(part) + 1 :]: v.cpu() for k, v in state.items() if k.startswith(part + ".")}
        for part in ("encoder", "glance")
    }
    torch.save(parts, path)


@torch.no_grad()
def validate(encoder: Encoder, glance: Glance, looks: Sequence[Look]) -> dict[str, float]:
    """SRCC and PLCC of the plain head on real looks; share of right kinds in faulty cells on the others."""
    from scipy.stats import pearsonr, spearmanr

    ratings, wanted, right, faulty, alarms, clean = [], [], 0, 0, 0, 0
    for begin in range(0, len(looks), 16):
        batch = looks[begin : begin + 16]
        device = encoder.cell.weight.device
        overviews = encode_mixed(encoder, device, [look.overview for look in batch])
        fragments = encode_mixed(encoder, device, [look.fragments for look in batch])
        for look, o, f in zip(batch, overviews, fragments, strict=True):
            if look.real:
                ratings.append(float(glance.rating(glance.summarise(o[None], f[None]))[0]))
                wanted.append(look.mos)
                continue
            kind, _ = cell_targets(look, f.shape[1], f.shape[2])
            said = glance.faults(f[None])[0][0].argmax(-1).cpu().numpy()
            right += int(((said == kind) & (kind > 0)).sum())
            faulty += int((kind > 0).sum())
            alarms += int(((said > 0) & (kind == 0)).sum())
            clean += int((kind == 0).sum())
    row = {"held_srcc": float(spearmanr(ratings, wanted)[0]), "held_plcc": float(pearsonr(ratings, wanted)[0])}
    if faulty:
        row |= {"kind_right": right / faulty, "cell_alarms": alarms / max(1, clean)}
    return {k: round(v, 4) for k, v in row.items()}


assert CELL == 32
