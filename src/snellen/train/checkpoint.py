"""Learning-rate schedule, weight averaging, and checkpoints that a killed run cannot leave half written."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snellen.backend import Policy
from snellen.output import replacing


def rate_at(step: int, steps: int, warmup: int) -> float:
    """Return the learning rate at `step` (from 0) as a share of the peak: linear warm-up over `warmup` steps, then half
    a cosine down to 0.02 at `steps` (Loshchilov & Hutter, SGDR, 2017, without restarts)."""
    cosine = 0.5 * (1.0 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / warmup) * (cosine * 0.98 + 0.02)


def follow(average: Mapping[str, Tensor], weights: Mapping[str, Tensor], step: int, most: float) -> None:
    """Update an exponential moving average of weights in place, after `step` (from 0).

    The decay is min(most, (1 + step) / (10 + step)), so that the initial weights are soon forgotten. Integer buffers
    stay as they are.
    """
    decay = min(most, (1 + step) / (10 + step))
    for name, value in weights.items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)


def save(state: dict[str, Any], path: Path) -> None:
    """Write a file atomically: to a temporary file first, which then replaces `path`. Raises OutputError."""
    with replacing(path) as part:
        torch.save(state, part)


def keep(
    file: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, average: Mapping[str, Tensor]
) -> None:
    """Save model, optimiser, weight average and random state after `step` steps, for `resume`."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": dict(average)}
    save(state | {"step": step, "random": torch.get_rng_state()}, file)


def resume(file: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]) -> int:
    """Load what `keep` saved and return the number of steps done; 0 where there is no file."""
    if not file.exists():
        return 0
    saved = torch.load(file, weights_only=True, map_location=next(model.parameters()).device)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    average.update(saved["average"])
    torch.set_rng_state(saved["random"].cpu())
    return int(saved["step"])


def save_policy(out: Path, step: int, policy: Policy, state: Mapping[str, Any], *, writes: bool = True) -> None:
    """Write out/checkpoint-STEP atomically, with the policy and training.pt, and remove older checkpoints.

    state: whatever else training needs to go on, as `torch.save` takes it. writes: False where another process of the
    run writes, and this one only takes part in putting a sharded policy together.
    """
    folder, part = out / f"checkpoint-{step:06d}", out / "checkpoint.part"
    if not writes:
        policy.save(part)
        return
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    policy.save(part)
    torch.save({**state, "step": step}, part / "training.pt")
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    for old in out.glob("checkpoint-*"):
        if old != folder:
            shutil.rmtree(old)


def resume_policy(out: Path, policy: Policy) -> dict[str, Any]:
    """Load the newest checkpoint of `save_policy` into the policy and return its state; {"step": 0} without one."""
    folders = sorted(out.glob("checkpoint-*"))
    if not folders:
        return {"step": 0}
    policy.resume(folders[-1])
    state: dict[str, Any] = torch.load(folders[-1] / "training.pt", weights_only=True, map_location="cpu")
    return state
