"""Stage 2: reinforcement learning with GRPO (Shao et al. 2024, arXiv 2402.03300) over rollouts with the zoom tool.

One step, top to bottom in `train_grpo`: draw pictures, roll out through the Assessor, compute rewards and group
advantages, log-probabilities, clipped surrogate and regulariser, take an optimiser step, log, save a checkpoint. There
is no value network (the group mean is the baseline), no length normalisation per reply (every action of the step counts
the same), and no gradient for tokens that the policy did not choose (prompts, pictures, forced tokens).

The model is any `snellen.backend.Policy`. Rewards, sampler and regulariser are functions in the files of these names.
One process, or several started by `accelerate launch`: each rolls out its share of the pictures, rewards compare the
pictures of all processes, gradients are summed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from snellen.assessment import Assessment
from snellen.backend import LogProbs, Policy, Round
from snellen.data.sample import Sample
from snellen.train.advantage import advantages
from snellen.train.log import distinct_2, mos_edges, open_log, sample_of, summary, think_texts
from snellen.train.parallel import (
    clip_gradients,
    gather_groups,
    passes,
    resume_run,
    save_run,
    sum_gradients,
    total_count,
)
from snellen.train.regularizers import Regulariser, coverage_set, divergence, kl_coverage
from snellen.train.rewards import WEIGHTS, Floats, Outcome, Truth, last_ratings, outcome_of, rewards_of, total
from snellen.train.rollout import Rollout, roll_out
from snellen.train.sampler import Pool, Sampler, draw, progressive


@dataclass(frozen=True)
class RlOptions:
    """Options of GRPO.

    steps: optimiser steps of the schedule. real, synthetic: pictures of each pool per step. rollouts: per picture
    (group size). rounds: at most, per rollout. max_tokens: per reply. updates: optimiser steps per batch of rollouts.
    clip_low, clip_high: the probability ratio is clipped to 1 - clip_low .. 1 + clip_high. rate, warmup: learning rate
    and the steps in which it rises to that. rewards: (name, weight). width: of the score reward, MOS. noise: see
    `group_advantage`. credit: each kind of action learns from its own rewards, see `snellen.train.advantage.CREDIT`.
    strength: factor of the regulariser. share: of the actions that KL-Coverage covers, at most. mask_truncated: replies
    that were cut off at max_tokens are rewarded, but not learned from. microbatch: replies in one pass.
    checkpoint_every, replies_every: steps between checkpoints, and between pages of rollouts to read.
    """

    steps: int = 200
    real: int = 12
    synthetic: int = 4
    rollouts: int = 8
    rounds: int = 2
    max_tokens: int = 512
    updates: int = 1
    clip_low: float = 0.2
    clip_high: float = 0.28
    rate: float = 1e-4
    warmup: int = 5
    rewards: tuple[tuple[str, float], ...] = WEIGHTS
    width: float = 0.5
    noise: float = 0.05
    credit: bool = False
    strength: float = 1.0
    share: float = 0.2
    mask_truncated: bool = True
    microbatch: int = 64
    seed: int = 0
    checkpoint_every: int = 10
    replies_every: int = 50

    def __post_init__(self) -> None:
        counts = (self.steps, self.rounds, self.updates, self.warmup, self.microbatch, self.real + self.synthetic)
        if min(counts) < 1 or self.rollouts < 2:
            raise ValueError("steps, rounds, updates, warmup, microbatch and pictures are at least 1, rollouts 2")


@dataclass(frozen=True, eq=False)
class StepRollouts:
    """The rollouts of one step: P pictures, G rollouts of each.

    truths (P,), outcomes, rewards by name and their weighted sum `reward`, (P, G) each: of the pictures of all
    processes. mine: the rollouts of this process, group by group.
    """

    truths: Sequence[Truth]
    outcomes: Sequence[Sequence[Outcome]]
    rewards: Mapping[str, Floats]
    reward: Floats
    mine: Sequence[Rollout]


@dataclass(frozen=True)
class Actions:
    """The N actions of some rounds, in order. sampled: log-probability (natural log) when each was sampled;
    advantage; covered by KL-Coverage: each (N,)."""

    rounds: Sequence[Round]
    sampled: Tensor
    advantage: Tensor
    covered: Tensor


def train_grpo(
    options: RlOptions,
    policy: Policy,
    real: Sequence[Sample],
    synthetic: Sequence[Sample],
    out: Path,
    *,
    regulariser: Regulariser = kl_coverage,
    sampler: Sampler = progressive,
    stop: int | None = None,
) -> None:
    """Train `policy` in place and save it to `out`, with log.jsonl, pages of rollouts and checkpoints.

    A run that was killed resumes exactly from its last checkpoint.

    Args:
        real: pictures with a human MOS.
        synthetic: pictures with known faults.
        stop: end after so many steps of the schedule, with a checkpoint, as a killed run would.

    Raises:
        ValueError, ImageError: a picture cannot be used; the message names it.
    """
    accelerator = Accelerator()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0)
    pools = [Pool(real, True), Pool(synthetic, False)]
    edges = mos_edges([truth.mos for truth in (pools[0].truths or pools[1].truths)] or [3.0])
    first = _resume(out, policy, optimizer, pools)
    log = open_log(out, first, options) if accelerator.is_main_process else None
    last = min(options.steps, stop or options.steps)
    for step in range(first, last):
        began = time.time()
        chosen = draw_pictures(pools, options, sampler, step)
        rolled = roll_out_step(policy, pools, chosen, options, accelerator, step)
        times = {"step": step + 1.0, "rolling": time.time() - began}

        batches = actions_of(policy, rolled.mine, options)
        for parameters in optimizer.param_groups:
            parameters["lr"] = options.rate * min(1.0, (step + 1) / options.warmup)
        for _ in range(options.updates):
            measured = update(policy, optimizer, accelerator, batches, regulariser, options)

        for (pool, i), ratings in zip(chosen, last_ratings(rolled.outcomes), strict=True):
            pools[pool].remember(i, ratings)
        if log is not None:
            log.write(times | {"seconds": time.time() - began} | numbers_of(rolled, edges) | measured)
            if (step + 1) % options.replies_every == 0 or step == 0:
                log.replies(step + 1, sample_of(rolled.mine, options.rollouts))
        if (step + 1) % options.checkpoint_every == 0 or step + 1 == last:
            save_run(out, step + 1, policy, optimizer, accelerator, _state_of(pools))
        accelerator.wait_for_everyone()
    if policy.sharded or accelerator.is_main_process:
        policy.save(out)


def draw_pictures(pools: Sequence[Pool], options: RlOptions, sampler: Sampler, step: int) -> list[tuple[int, int]]:
    """Return (pool, index in it) of the pictures of one step: `options.real` of the first pool, then
    `options.synthetic` of the second."""
    chosen = []
    for number, (pool, count) in enumerate(zip(pools, (options.real, options.synthetic), strict=True)):
        p = sampler(pool, step / options.steps)
        chosen += [(number, int(i)) for i in draw(p, count, options.seed + number, step)]
    return chosen


def roll_out_step(
    policy: Policy,
    pools: Sequence[Pool],
    chosen: Sequence[tuple[int, int]],
    options: RlOptions,
    accelerator: Accelerator,
    step: int,
) -> StepRollouts:
    """Roll out the chosen pictures, each process every so many of them, and return the rollouts with rewards and group
    advantages. `rank` compares with the pictures of all processes."""
    process, processes = accelerator.process_index, accelerator.num_processes
    truths = [pools[pool].truths[i] for pool, i in chosen]
    samples = [pools[pool].samples[i] for pool, i in chosen[process::processes]]
    with policy.rolling_out():
        seed = (options.seed * 1_000_003 + step) * 1_009 + process
        groups = roll_out(policy, samples, options.rollouts, options.rounds, options.max_tokens, seed)
    outcomes = gather_groups([[outcome_of(one) for one, _ in group] for group in groups], len(chosen), processes)
    rewards = rewards_of(outcomes, truths, options.width)
    reward = total(rewards, options.rewards)
    advantage = advantages(rewards, options.rewards, options.noise, options.credit)
    mine = _mine(groups, truths, rewards, reward, advantage, slice(process, None, processes))
    return StepRollouts(truths, outcomes, rewards, reward, mine)


def numbers_of(rolled: StepRollouts, edges: Floats) -> dict[str, float]:
    """Return what is logged of a step's rollouts, by name."""
    variety = distinct_2(think_texts([one.assessment for one in rolled.mine]))
    return summary(rolled.rewards, rolled.reward, rolled.outcomes, rolled.truths, edges) | {"distinct_2": variety}


def actions_of(policy: Policy, rollouts: Sequence[Rollout], options: RlOptions) -> list[Actions]:
    """Return the actions of rollouts in microbatches of at most `options.microbatch` rounds. A reply that was cut off
    has none with `mask_truncated`: its end is not what the policy wanted to say. Which actions are covered is decided
    for each kind over all of them, see `snellen.train.regularizers`."""
    rounds, kinds, sampled, advantage, sizes = [], [], [], [], []
    for rollout in rollouts:
        for one in rollout.rounds:
            if options.mask_truncated and one.reply.finish == "length":
                continue
            names = policy.action_kinds(one.reply)
            if one is not rollout.rounds[-1]:
                names = ["first rating" if name == "rating" else name for name in names]
            rounds.append(one)
            kinds += names
            sampled += [one.reply.logprobs[j] for j in one.reply.action_indices]
            advantage += [rollout.advantage[name] for name in names]
            sizes.append(len(names))
    kind, logprob, weight = np.array(kinds), np.array(sampled, np.float32), np.array(advantage, np.float32)
    covered = np.zeros(len(kind), bool)
    for name in set(kinds):
        covered[kind == name] = coverage_set(weight[kind == name], logprob[kind == name], options.share)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    device = next(iter(policy.parameters())).device
    batches = []
    for begin in range(0, len(rounds), options.microbatch):
        end = min(begin + options.microbatch, len(rounds))
        columns = (torch.from_numpy(column[ends[begin] : ends[end]]) for column in (logprob, weight, covered))
        batches.append(Actions(rounds[begin:end], *(column.to(device) for column in columns)))
    return batches


def clipped_surrogate(logprob: Tensor, sampled: Tensor, advantage: Tensor, low: float, high: float) -> Tensor:
    """-min(r A, clip(r, 1 - low, 1 + high) A) with r = p / p_sampled, (N,) each (PPO: Schulman et al.,
    arXiv 1707.06347; unequal bounds: Yu et al., DAPO, arXiv 2503.14476)."""
    ratio = (logprob - sampled).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1.0 - low, 1.0 + high) * advantage)


def update(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    batches: Sequence[Actions],
    regulariser: Regulariser,
    options: RlOptions,
) -> dict[str, float]:
    """Take one optimiser step on all microbatches and return means over the actions, by name, for the log.

    loss = (sum over actions of the clipped surrogate + strength x regulariser) / number of actions
    """
    device = next(iter(policy.parameters())).device
    count = total_count(accelerator, sum(len(batch.sampled) for batch in batches), device)
    optimizer.zero_grad(set_to_none=True)
    sums: dict[str, list[float]] = {}
    batches = [batch for batch in batches if len(batch.sampled)]
    if policy.sharded and not batches:
        raise ValueError("every reply of this process was cut off; raise max_tokens, or train the format by SFT first")
    for i in range(passes(policy, accelerator, len(batches))):
        batch = batches[i % len(batches)]  # past its own, a process passes once more, for the others' sake
        logprobs = policy.logprobs(batch.rounds)
        surrogate = clipped_surrogate(
            logprobs.policy, batch.sampled, batch.advantage, options.clip_low, options.clip_high
        )
        penalty = options.strength * regulariser(logprobs, batch.advantage, batch.covered)
        accelerator.backward((surrogate.sum() + penalty) * float(i < len(batches)) / count)
        if i < len(batches):
            for name, column in _columns(logprobs, surrogate.detach(), batch, options).items():
                sums.setdefault(name, []).extend(column.float().cpu().tolist())
    sum_gradients(policy, accelerator)
    norm = clip_gradients(policy)
    optimizer.step()
    gap = {"gap_largest": max(sums["gap"])} if sums else {}
    return {name: float(np.mean(values)) for name, values in sums.items()} | gap | {"gradient_norm": norm}


@torch.no_grad()
def _columns(logprobs: LogProbs, surrogate: Tensor, batch: Actions, options: RlOptions) -> dict[str, Tensor]:
    """Return what is logged of each action, by name, (N,). gap: between the log-probability under the trained policy
    and that of the engine that sampled; before the first update it shows whether the two agree."""
    ratio = (logprobs.policy - batch.sampled).exp()
    return {
        "surrogate": surrogate,
        "kl": divergence(logprobs),
        "entropy": logprobs.entropy,
        "covered": batch.covered,
        "clipped": (ratio < 1.0 - options.clip_low) | (ratio > 1.0 + options.clip_high),
        "gap": (logprobs.policy - batch.sampled).abs(),
    }


def _mine(
    groups: Sequence[Sequence[tuple[Assessment, tuple[Round, ...]]]],
    truths: Sequence[Truth],
    rewards: Mapping[str, Floats],
    reward: Floats,
    advantage: Mapping[str, Floats],
    rows: slice,
) -> list[Rollout]:
    """Return the rollouts of this process, group by group; `rows` are its groups among those of all processes."""
    return [
        Rollout(
            truth,
            assessment,
            rounds,
            {name: float(values[rows][i, k]) for name, values in rewards.items()},
            float(reward[rows][i, k]),
            {name: float(values[rows][i, k]) for name, values in advantage.items()},
        )
        for i, (group, truth) in enumerate(zip(groups, truths[rows], strict=True))
        for k, (assessment, rounds) in enumerate(group)
    ]


def _state_of(pools: Sequence[Pool]) -> dict[str, list[Tensor]]:
    """Return the disagreement of each pool's pictures, for a checkpoint."""
    return {"disagreement": [torch.from_numpy(pool.disagreement) for pool in pools]}


def _resume(out: Path, policy: Policy, optimizer: torch.optim.Optimizer, pools: Sequence[Pool]) -> int:
    """Load the newest checkpoint and return the number of steps done. ValueError where its pictures are others."""
    state = resume_run(out, policy, optimizer)
    if "disagreement" in state:
        for pool, disagreement in zip(pools, state["disagreement"], strict=True):
            if len(disagreement) != len(pool.samples):
                problem = f"its checkpoint has {len(disagreement)} pictures of a pool, not {len(pool.samples)}"
                raise ValueError(f"{out}: {problem}; use the same manifests, or another folder for a new run")
            pool.disagreement = disagreement.numpy()
    return int(state["step"])
