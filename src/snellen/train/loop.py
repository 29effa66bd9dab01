"""What the training loops share: how fast to learn at which step, and a checkpoint that a kill cannot halve."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def rate_at(step: int, steps: int, warmup: int) -> float:
    """Share of the peak rate at `step` (from 0): up in a straight line over `warmup` steps, then half a cosine down to
    0.02 of the peak at `steps` (Loshchilov & Hutter, SGDR, 2017, without restarts)."""
    cosine = 0.5 * (1.0 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / warmup) * (cosine * 0.98 + 0.02)


def fitting(state: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The state of `module` with the entries of `state` that fit it; a part of another shape begins anew."""
    own = module.state_dict()
    return own | {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}


def save(state: dict[str, Any], path: Path) -> None:
    """Write beside it first: a killed run leaves the old checkpoint whole."""
    part = path.with_suffix(".tmp")
    torch.save(state, part)
    part.replace(path)
