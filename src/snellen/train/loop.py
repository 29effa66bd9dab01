"""What the training loops share: how fast to learn at which step, and a checkpoint that a kill cannot halve."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch


def rate_at(step: int, steps: int, warmup: int) -> float:
    """Share of the peak rate at `step` (from 0): up in a straight line over `warmup` steps, then half a cosine down to
    0.02 of the peak at `steps` (Loshchilov & Hutter, SGDR, 2017, without restarts)."""
    cosine = 0.5 * (1.0 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / warmup) * (cosine * 0.98 + 0.02)


def save(state: dict[str, Any], path: Path) -> None:
    """Write beside it first: a killed run leaves the old checkpoint whole."""
    part = path.with_suffix(".tmp")
    torch.save(state, part)
    part.replace(path)
