"""Stage 1: supervised fine-tuning. Maximise the log-probability of the tokens that a demonstrated reply chose.

A demonstration is a `Round`: the conversation that is asked, and a reply with token ids of which `Reply.actions` marks
the ones to learn. Prompts, pictures and forced tokens are context. The model is any `snellen.backend.Policy`, as in
`snellen.train.grpo`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from snellen.backend import Policy, Round
from snellen.train.checkpoint import rate_at, resume_policy, save_policy
from snellen.train.log import RunLog


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
    optimizer = _optimizer(policy, options)
    state = resume_policy(out, policy)
    if "optimizer" in state:
        optimizer.load_state_dict(state["optimizer"])
    out.mkdir(parents=True, exist_ok=True)
    (out / "options.json").write_text(json.dumps(asdict(options), indent=1) + "\n", encoding="utf8")
    log = RunLog(out, state["step"])
    last = min(options.steps, stop or options.steps)
    for step in range(state["step"], last):
        began = time.time()
        for group in optimizer.param_groups:
            group["lr"] = options.rate * rate_at(step, options.steps, options.warmup)
        batch = [demonstrations[i] for i in batch_of(len(demonstrations), options.batch, step, options.seed)]
        optimizer.zero_grad(set_to_none=True)
        loss = _backward(policy, batch, options.microbatch)
        nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        done = step + 1 == last
        row = {"step": step + 1.0, "seconds": time.time() - began, "loss": loss}
        if held_out and ((step + 1) % options.validate_every == 0 or done):
            row["held_out"] = validate(policy, held_out, options.microbatch)
        log.write(row)
        if (step + 1) % options.checkpoint_every == 0 or done:
            save_policy(out, step + 1, policy, {"optimizer": optimizer.state_dict()})
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


def _backward(policy: Policy, batch: Sequence[Round], microbatch: int) -> float:
    """Add up the gradients of the mean of -log p over all actions of a batch, and return that mean, nats."""
    count = max(1, sum(len(one.reply.action_indices) for one in batch))
    loss = 0.0
    for begin in range(0, len(batch), microbatch):
        part = -policy.logprobs(batch[begin : begin + microbatch], reference=False).policy.sum() / count
        if part.requires_grad:  # False where no reply of the microbatch has an action
            part.backward()  # type: ignore[no-untyped-call]
        loss += float(part.detach())
    return loss


def _optimizer(policy: Policy, options: SftOptions) -> torch.optim.AdamW:
    parameters = list(policy.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=options.rate, betas=(0.9, 0.98))
