"""Stage 2: reinforcement learning. GRPO (Shao et al. 2024, arXiv 2402.03300) over rollouts with the zoom tool.

Reads top to bottom: next pictures, roll out through the one Assessor, reward, group advantage, loss, step. Connector
and decoder learn; the encoder is frozen. Which tokens are actions is said in `snellen.train.snellen1.policy` and
`snellen.train.snellen1.trace`; crops and what is seen in them are context and never trained on.

One process on two cores or one GPU, or several started by `accelerate launch`: each rolls out its share of the
pictures, rewards see all of them, gradients are summed.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.backend import Sampling
from snellen.backends.taught import write_phrases
from snellen.data.sample import Sample
from snellen.image import load
from snellen.snellen1.decoder import Decoder
from snellen.train.checkpoint import save
from snellen.train.log import Rollout, RunLog, bias_by_fifth, distinct_2, mos_edges, think_texts
from snellen.train.regularizers import open_regulariser
from snellen.train.rewards import WEIGHTS, Floats, Said, Truth, last_ratings, reward_parts, said_by, total, truth_of
from snellen.train.sampler import draw, flatness, mos_bins, probabilities
from snellen.train.snellen1.policy import Policy
from snellen.train.snellen1.trace import trace
from snellen.train.update import cut, of_actions, update

CREDIT: Mapping[str, tuple[str, ...]] = {
    "words": ("format", "claim"),
    "zoom": ("refinement", "grounding", "price"),
    "last": ("score", "rank"),
    "first": ("first",),
}
"""With token credit, what each kind of action learns from: words (with the issues), the decision whether to look again
and where, the rating of the last round, the ratings before it. After MR-IQA-2, where rating tokens learn from score and
rank, reasoning tokens from the rest; that the zoom learns by itself is ours."""


@dataclass(frozen=True)
class RlOptions:
    """real, synthetic: pictures of each kind per step; rollouts: of each picture. rounds: looks at most.

    updates: optimiser steps on the same rollouts, the ratio of probabilities clipped to 1 - clip_low .. 1 + clip_high.
    rewards: (name, weight); width: of the score reward, in MOS; noise: see `group_advantage`; token_credit: see
    `CREDIT`. regulariser: kl_coverage, kl, entropy or none; strength: its factor; share: of tokens covered at most.
    flat_from, flat_by, flat: the schedule of `snellen.train.sampler.flatness`; flat 0 is no re-sampling. tokens:
    padded tokens in one pass at most. warmup: steps in which the learning rate rises to `rate`.
    """

    steps: int = 200
    real: int = 12
    synthetic: int = 4
    rollouts: int = 8
    rounds: int = 2
    max_tokens: int = 160
    updates: int = 1
    clip_low: float = 0.2
    clip_high: float = 0.28
    rate: float = 1e-4
    warmup: int = 5
    rewards: tuple[tuple[str, float], ...] = WEIGHTS
    width: float = 0.5
    noise: float = 0.05
    token_credit: bool = False
    regulariser: str = "kl_coverage"
    strength: float = 1.0
    share: float = 0.2
    flat_from: float = 0.1
    flat_by: float = 0.7
    flat: float = 1.0
    tokens: int = 8000
    seed: int = 0
    checkpoint_every: int = 10
    replies_every: int = 50

    def __post_init__(self) -> None:
        counts = (self.steps, self.rounds, self.updates, self.warmup, self.max_tokens, self.real + self.synthetic)
        if min(counts) < 1 or self.rollouts < 2:
            raise ValueError("steps, rounds, updates, warmup, max_tokens and pictures are at least 1, rollouts 2")
        flatness(0.0, self.flat_from, self.flat_by, self.flat)
        open_regulariser(self.regulariser)


@dataclass
class Pool:
    """Pictures to draw from. disagreement: standard deviation of the last rollouts' ratings in MOS, NaN before any."""

    samples: Sequence[Sample]
    real: bool
    disagreement: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.truths = [truth_of(sample, self.real) for sample in self.samples]
        self.bins = mos_bins([truth.mos for truth in self.truths])
        self.disagreement = np.full(len(self.samples), np.nan)


def train_grpo(
    options: RlOptions,
    policy: Policy,
    real: Sequence[Sample],
    synthetic: Sequence[Sample],
    out: Path,
    stop: int | None = None,
) -> None:
    """Train `policy`, which is also the reference; writes out/decoder.pt, log.jsonl and replies; resumes exactly.

    real: pictures with a human MOS; synthetic: with faults that are known, see `Truth`. stop: end after this many steps
    of the schedule, as a killed run does, with a checkpoint. Raises ValueError or ImageError for a picture that cannot
    be used, naming it.
    """
    accelerator = Accelerator()
    process, processes = accelerator.process_index, accelerator.num_processes
    model = policy.to(accelerator.device).model.eval()
    reference = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0)
    regulariser = open_regulariser(options.regulariser)
    pools = [Pool(real, True), Pool(synthetic, False)]
    edges = mos_edges([truth.mos for truth in pools[0].truths] or [3.0])
    out.mkdir(parents=True, exist_ok=True)
    first = _resume(out / "checkpoint.pt", model, optimizer, pools)
    log = _open_log(out, first, options, policy) if accelerator.is_main_process else None
    last = min(options.steps, stop or options.steps)
    for step in range(first, last):
        began = time.time()
        # next pictures, of all processes; this one rolls out every so many of them
        flat = flatness(step / options.steps, options.flat_from, options.flat_by, options.flat)
        chosen = next_pictures(pools, (options.real, options.synthetic), flat, options.seed, step)
        mine = chosen[process::processes]
        truths = [pools[pool].truths[i] for pool, i in chosen]

        # roll out
        policy.draws.manual_seed((options.seed * 1_000_003 + step) * 1_009 + process)
        groups = roll_out(policy, [pools[pool].samples[i] for pool, i in mine], options)
        said = _from_all([[said_by(one) for one in group] for group in groups], len(chosen), processes)
        rolled = time.time()

        # reward, and advantage within the group; rank compares with the groups of all processes
        parts = reward_parts(said, truths, options.width)
        reward = total(parts, options.rewards)
        advantage = advantages(parts, options.rewards, options.noise, options.token_credit)
        rollouts = _mine(groups, truths, parts, reward, advantage, slice(process, None, processes))

        # loss and step
        traces = [trace(policy, one.assessment.steps) for one in rollouts]
        per_action = [of_actions(a, one.advantage) for a, one in zip(traces, rollouts, strict=True)]
        pieces = cut(policy, traces, per_action, options.share, options.tokens)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min(1.0, (step + 1) / options.warmup)
        clip = (options.clip_low, options.clip_high)
        for _ in range(options.updates):
            measured = update(policy, reference, optimizer, accelerator, pieces, regulariser, options.strength, clip)

        # remember, log, save
        _remember(pools, chosen, last_ratings(said))
        if log is not None:
            row = {"step": step + 1.0, "seconds": time.time() - began, "rolling": rolled - began, "flat": flat}
            words = {"distinct_2": distinct_2(think_texts([one.assessment for one in rollouts]))}
            log.write(row | summary(parts, reward, said, truths, edges) | words | measured)
            if (step + 1) % options.replies_every == 0 or step == 0:
                log.replies(step + 1, some_of(rollouts, options.rollouts))
            if (step + 1) % options.checkpoint_every == 0 or step + 1 == last:
                _save(out, step + 1, model, optimizer, pools)
        accelerator.wait_for_everyone()


def next_pictures(
    pools: Sequence[Pool], counts: Sequence[int], flat: float, seed: int, step: int
) -> list[tuple[int, int]]:
    """(pool, number in it) of the pictures of one step; `counts` from each pool."""
    chosen = []
    for number, (pool, count) in enumerate(zip(pools, counts, strict=True)):
        if count:
            p = probabilities(pool.bins, pool.disagreement, flat) if pool.samples else np.zeros(0)
            chosen += [(number, int(i)) for i in draw(p, count, seed + number, step)]
    return chosen


def roll_out(policy: Policy, samples: Sequence[Sample], options: RlOptions) -> list[list[Assessment]]:
    """A group of `options.rollouts` assessments of each picture, all drawn together."""
    assessor = Assessor(
        policy,
        max_rounds=options.rounds,
        batch_size=max(1, options.rollouts * len(samples)),
        sampling=Sampling(temperature=1.0, max_tokens=options.max_tokens),
    )
    pictures = (picture for sample in samples for picture in [load(sample.path)] * options.rollouts)
    done = assessor.assess(pictures)
    return [done[begin : begin + options.rollouts] for begin in range(0, len(done), options.rollouts)]


def group_advantage(reward: Floats, noise: float) -> Floats:
    """(r - mean) / (std + noise) over each group: (P, G) -> (P, G), no unit, mean 0 in each row.

    GRPO's (arXiv 2402.03300); `noise` in place of its tiny constant, so that a group which all but agrees teaches
    little instead of having its differences blown up.
    """
    out: Floats = (reward - reward.mean(axis=1, keepdims=True)) / (reward.std(axis=1, keepdims=True) + noise)
    return out


def advantages(
    parts: Mapping[str, Floats], weights: Sequence[tuple[str, float]], noise: float, token_credit: bool
) -> dict[str, Floats]:
    """Advantage by kind of action, each (P, G): the same for all, or with token credit each from its own rewards."""
    if not token_credit:
        whole = group_advantage(total(parts, weights), noise)
        return dict.fromkeys(CREDIT, whole)
    return {
        kind: group_advantage(total(parts, [(name, weight) for name, weight in weights if name in names]), noise)
        for kind, names in CREDIT.items()
    }


def summary(
    parts: Mapping[str, Floats],
    reward: Floats,
    said: Sequence[Sequence[Said]],
    truths: Sequence[Truth],
    edges: npt.ArrayLike,
) -> dict[str, float]:
    """The numbers of one step's rollouts, by name."""
    ratings = last_ratings(said)
    everyone = [one for group in said for one in group]
    real = np.array([truth.real for truth in truths])
    mos = np.repeat(np.array([truth.mos for truth in truths])[:, None], ratings.shape[1], axis=1)
    bias = bias_by_fifth(ratings[real].ravel(), mos[real].ravel(), edges)
    rated = ratings[~np.isnan(ratings)]
    return {
        "reward": float(reward.mean()),
        **{f"reward_{name}": _mean(values) for name, values in parts.items()},
        "error": _mean(np.abs(ratings - mos)),
        "distinct_ratings": len(np.unique(rated.round(2))) / len(rated) if len(rated) else np.nan,
        "disagreement": _mean(np.array([np.nanstd(row) for row in ratings if not np.isnan(row).all()])),
        "crop_rate": float(np.mean([len(one.crops) > 0 for one in everyone])),
        **{f"bias_{number}": value for number, value in enumerate(bias, 1)},
    }


def some_of(rollouts: Sequence[Rollout], size: int) -> list[Rollout]:
    """The first two rollouts of the first and the last three groups of `size`, to be read."""
    groups = [rollouts[begin : begin + 2] for begin in range(0, len(rollouts), size)]
    return [one for i in sorted({*range(len(groups))[:3], *range(len(groups))[-3:]}) for one in groups[i]]


def _mine(
    groups: Sequence[Sequence[Assessment]],
    truths: Sequence[Truth],
    parts: Mapping[str, Floats],
    reward: Floats,
    advantage: Mapping[str, Floats],
    rows: slice,
) -> list[Rollout]:
    """The rollouts of this process, group by group; `rows` are its groups among all."""
    return [
        Rollout(
            truth,
            one,
            {name: float(values[rows][i, k]) for name, values in parts.items()},
            float(reward[rows][i, k]),
            {name: float(values[rows][i, k]) for name, values in advantage.items()},
        )
        for i, (group, truth) in enumerate(zip(groups, truths[rows], strict=True))
        for k, one in enumerate(group)
    ]


def _remember(pools: Sequence[Pool], chosen: Sequence[tuple[int, int]], ratings: Floats) -> None:
    """How far the rollouts of each picture disagree; nothing is learned from fewer than two ratings."""
    for (pool, i), row in zip(chosen, ratings, strict=True):
        if np.count_nonzero(~np.isnan(row)) > 1:
            pools[pool].disagreement[i] = np.nanstd(row)


def _open_log(out: Path, first: int, options: RlOptions, policy: Policy) -> RunLog:
    """Also writes what the export needs beside the weights: the shape of the decoder and the tokenizer."""
    (out / "options.json").write_text(json.dumps(asdict(options) | {"shape": asdict(policy.model.shape)}, indent=1))
    policy.tokenizer.save(str(out / "tokenizer.json"))
    write_phrases(policy.phrases, out)
    return RunLog(out, first)


def _mean(values: Floats) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else np.nan


def _from_all(mine: list[list[Said]], count: int, processes: int) -> list[list[Said]]:
    """What the rollouts of every process said, in the order of the pictures."""
    gathered = gather_object(mine) if processes > 1 else mine
    places = [place for process in range(processes) for place in range(process, count, processes)]
    return [gathered[places.index(place)] for place in range(count)]


def _resume(file: Path, model: Decoder, optimizer: torch.optim.Optimizer, pools: Sequence[Pool]) -> int:
    """Steps that are done according to a checkpoint, which is loaded; 0 without one."""
    if not file.exists():
        return 0
    saved = torch.load(file, weights_only=True, map_location=model.embedding.weight.device)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    for pool, disagreement in zip(pools, saved["disagreement"], strict=True):
        if len(disagreement) != len(pool.samples):
            problem = f"{file} was made with {len(disagreement)} pictures of a kind, not {len(pool.samples)}"
            raise ValueError(f"{problem}; use the same manifests, or another folder for a new run")
        pool.disagreement = disagreement.cpu().numpy()
    return int(saved["step"])


def _save(out: Path, step: int, model: Decoder, optimizer: torch.optim.Optimizer, pools: Sequence[Pool]) -> None:
    saved = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    saved["disagreement"] = [torch.from_numpy(pool.disagreement) for pool in pools]
    save(saved, out / "checkpoint.pt")
    torch.save(model.state_dict(), out / "decoder.pt")
