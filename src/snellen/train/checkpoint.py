"""What the training loops share: how fast to learn at which step, the mean of the weights over the steps, a checkpoint
that a kill cannot halve, and going on from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def rate_at(step: int, steps: int, warmup: int) -> float:
    """Share of the peak rate at `step` (from 0): up in a straight line over `warmup` steps, then half a cosine down to
    0.02 of the peak at `steps` (Loshchilov & Hutter, SGDR, 2017, without restarts)."""
    cosine = 0.5 * (1.0 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / warmup) * (cosine * 0.98 + 0.02)


def follow(average: Mapping[str, Tensor], weights: Mapping[str, Tensor], step: int, most: float) -> None:
    """Let `average`, the mean of the weights over the steps, follow those of `step` (from 0), in place: of it stays
    min(most, (1 + step) / (10 + step)), so that the beginning is soon forgotten. Whole numbers stay as they were."""
    stays = min(most, (1 + step) / (10 + step))
    for name, value in weights.items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - stays)


def save(state: dict[str, Any], path: Path) -> None:
    """Write beside it first: a killed run leaves the old checkpoint whole."""
    part = path.with_suffix(".tmp")
    torch.save(state, part)
    part.replace(path)


def keep(
    file: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, average: Mapping[str, Tensor]
) -> None:
    """Save a checkpoint after `step` steps, for `resume`."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": dict(average)}
    save(state | {"step": step, "random": torch.get_rng_state()}, file)


def resume(file: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]) -> int:
    """Steps that are done according to a checkpoint of `keep`, which is loaded; 0 without one."""
    if not file.exists():
        return 0
    saved = torch.load(file, weights_only=True, map_location=next(model.parameters()).device)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    average.update(saved["average"])
    torch.set_rng_state(saved["random"].cpu())
    return int(saved["step"])
