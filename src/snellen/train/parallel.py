"""Several processes of one run, as `accelerate launch` starts them: gradients, checkpoints, numbers of passes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from snellen.backend import Policy
from snellen.train.checkpoint import resume_policy, save_policy
from snellen.train.sharding import spread, whole

Group = TypeVar("Group")


def gather_groups(mine: list[Group], count: int, processes: int) -> list[Group]:
    """Return the groups of all processes in the order of the `count` pictures, of which process p has every
    `processes`-th from p on."""
    gathered = gather_object(mine) if processes > 1 else mine
    places = [place for process in range(processes) for place in range(process, count, processes)]
    return [gathered[places.index(place)] for place in range(count)]


def sum_gradients(policy: Policy, accelerator: Accelerator) -> None:
    """Replace each gradient by its sum over the processes."""
    if accelerator.num_processes == 1:
        return
    for parameter in policy.parameters():
        if policy.sharded:  # FSDP has taken the mean
            if parameter.grad is not None:
                parameter.grad.mul_(accelerator.num_processes)
            continue
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad  # another may have one
        parameter.grad = accelerator.reduce(gradient, "sum")


def clip_gradients(policy: Policy, most: float = 1.0) -> float:
    """Scale the gradients so that their norm is at most `most`, and return the norm before."""
    norm = nn.utils.clip_grad_norm_(list(policy.parameters()), most)
    return float(whole(norm))


def passes(policy: Policy, accelerator: Accelerator, mine: int) -> int:
    """Return how many passes this process makes: its own number, or of a sharded policy the largest of all."""
    if not policy.sharded:
        return mine
    return int(accelerator.gather(torch.tensor([mine], device=accelerator.device)).max())


def total_count(accelerator: Accelerator, mine: int, device: torch.device) -> Tensor:
    """Return the sum of `mine` over the processes, at least 1."""
    count: Tensor = accelerator.reduce(torch.tensor(mine, device=device), "sum")
    return count.clamp_min(1)


def save_run(
    out: Path,
    step: int,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    state: Mapping[str, Any],
) -> None:
    """Write a checkpoint, see `save_policy`; called by all processes."""
    if policy.sharded or accelerator.is_main_process:
        moments = whole(optimizer.state_dict())
        save_policy(out, step, policy, {**state, "optimizer": moments}, writes=accelerator.is_main_process)


def resume_run(out: Path, policy: Policy, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Load the newest checkpoint of `save_run` and return its state; {"step": 0} without one."""
    state = resume_policy(out, policy)
    if "optimizer" in state:
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        moments = state["optimizer"]["state"]
        for i, values in moments.items():
            moments[i] = {
                name: spread(value, parameters[i]) if isinstance(value, Tensor) else value
                for name, value in values.items()
            }
        optimizer.load_state_dict(state["optimizer"])
    return state
