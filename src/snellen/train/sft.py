"""Stage 1: supervised fine-tuning. Maximise the log-probability of the tokens that a demonstrated reply chose.

A demonstration is a `Round`: the conversation that is asked, and a reply with token ids of which `Reply.actions` marks
the ones to learn. Prompts, pictures and forced tokens are context. The model is any `snellen.backend.Policy`, as in
`snellen.train.grpo`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from snellen.backend import Policy, Round
from snellen.train.checkpoint import rate_at
from snellen.train.log import open_log
from snellen.train.parallel import clip_gradients, passes, resume_run, save_run, sum_gradients, total_count


@dataclass(frozen=True)
class SftOptions:
    """Options of supervised fine-tuning.

    steps: optimiser steps. batch: demonstrations per step; microbatch: per pass. rate, warmup: peak learning rate, and
    the steps in which it rises to that; half a cosine follows, see `rate_at`. weight_decay: of matrices only.
    checkpoint_every, validate_every: steps between checkpoints, and between passes over the held-out demonstrations.
    """

    steps: int = 1200
    batch: int = 64
    microbatch: int = 64
    rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 100
    seed: int = 0
    checkpoint_every: int = 100
    validate_every: int = 300

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.microbatch, self.warmup) < 1:
            raise ValueError("steps, batch, microbatch and warmup are at least 1")


def train_sft(
    options: SftOptions,
    policy: Policy,
    demonstrations: Sequence[Round],
    held_out: Sequence[Round],
    out: Path,
    *,
    stop: int | None = None,
) -> None:
    """Train `policy` in place and save it to `out`, with log.jsonl and checkpoints, from which it resumes exactly.

    Args:
        demonstrations: at least one. An item may be made when it is indexed, so that pictures need not fit in memory.
        held_out: demonstrations that are only validated on; may be empty.
        stop: end after so many steps of the schedule, with a checkpoint, as a killed run would.
    """
    if not demonstrations:
        raise ValueError("no demonstrations to learn from; check the manifest and its splits")
    accelerator = Accelerator()
    optimizer = _optimizer(policy, options)
    first = resume_run(out, policy, optimizer)["step"]
    log = open_log(out, first, options) if accelerator.is_main_process else None
    last = min(options.steps, stop or options.steps)
    for step in range(first, last):
        began = time.time()
        for group in optimizer.param_groups:
            group["lr"] = options.rate * rate_at(step, options.steps, options.warmup)
        chosen = batch_of(len(demonstrations), options.batch, step, options.seed)
        batch = [demonstrations[i] for i in chosen[accelerator.process_index :: accelerator.num_processes]]
        optimizer.zero_grad(set_to_none=True)
        loss = _backward(policy, batch, options.microbatch, accelerator)
        sum_gradients(policy, accelerator)
        clip_gradients(policy)
        optimizer.step()
        done = step + 1 == last
        row = {"step": step + 1.0, "seconds": time.time() - began, "loss": loss}
        if held_out and ((step + 1) % options.validate_every == 0 or done):
            row["held_out"] = validate(policy, held_out, options.microbatch)
        if log is not None:
            log.write(row)
        if (step + 1) % options.checkpoint_every == 0 or done:
            save_run(out, step + 1, policy, optimizer, accelerator, {})
        accelerator.wait_for_everyone()
    if policy.sharded or accelerator.is_main_process:
        policy.save(out)


def batch_of(count: int, batch: int, step: int, seed: int) -> list[int]:
    """Return the indices of the demonstrations of one step. Every one of `count` comes once per epoch, in an order that
    depends on seed and epoch only, so that a run can begin at any step."""
    places = range(step * batch, (step + 1) * batch)
    orders = {epoch: np.random.default_rng([seed, epoch]).permutation(count) for epoch in {i // count for i in places}}
    return [int(orders[i // count][i % count]) for i in places]


@torch.no_grad()
def validate(policy: Policy, demonstrations: Sequence[Round], microbatch: int) -> float:
    """Return the mean of -log p over all actions of demonstrations, nats."""
    total, count = 0.0, 0
    for begin in range(0, len(demonstrations), microbatch):
        rounds = [demonstrations[i] for i in range(begin, min(begin + microbatch, len(demonstrations)))]
        logprob = policy.logprobs(rounds, reference=False).policy
        total, count = total - float(logprob.sum()), count + len(logprob)
    return total / max(1, count)


def _backward(policy: Policy, batch: Sequence[Round], microbatch: int, accelerator: Accelerator) -> float:
    """Add up the gradients of the mean of -log p over all actions of all processes' batches, and return that mean,
    nats."""
    device = next(iter(policy.parameters())).device
    count = total_count(accelerator, sum(len(one.reply.action_indices) for one in batch), device)
    parts = [batch[begin : begin + microbatch] for begin in range(0, len(batch), microbatch)]
    loss = torch.zeros((), device=device)
    for i in range(passes(policy, accelerator, len(parts))):
        own = i < len(parts)  # past its own, a process of a sharded policy passes once more, for the others' sake
        part = -policy.logprobs(parts[i % len(parts)], reference=False).policy.sum() * float(own) / count
        if part.requires_grad:  # False where no reply of the microbatch has an action
            accelerator.backward(part)
        loss += part.detach()
    return float(accelerator.reduce(loss, "sum"))


def _optimizer(policy: Policy, options: SftOptions) -> torch.optim.AdamW:
    parameters = list(policy.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=options.rate, betas=(0.9, 0.98))
