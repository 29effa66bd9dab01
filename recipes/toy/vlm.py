"""Train a tiny vision-language model on a toy task, SFT then GRPO, and measure it before and after.

    python recipes/toy/vlm.py --seeds 0 1 2 --regularisers kl_coverage none
    python recipes/toy/vlm.py --seeds 0 --family qwen3

Nothing is downloaded: the model is made here, and pretrained on other pictures until it replies in form and rates what
a view shows. A run that was killed goes on where it was. The task is in `vlm_pictures`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tiny_qwen import SIDES
from vlm_base import pretrain
from vlm_pictures import PLAIN, make, write_conversations

from snellen.assessor import Assessor
from snellen.backend import Policy, Sampling
from snellen.data.sample import Sample
from snellen.train.config import RlConfig, SftConfig, open_policy, read_config, run_sft
from snellen.train.grpo import RlOptions, train_grpo
from snellen.train.regularizers import open_regulariser
from snellen.train.rewards import outcome_of, rewards_of, total, truth_of

HERE = Path(__file__).parent
OUT = Path("build/toy-vlm")
PRECISE = 0.3
"""Standard deviation of the ratings about the MOS, where a view shows it, in pretraining."""
WEAK = 1.0
"""Standard deviation of the ratings about the MOS in the demonstrations of SFT. They make the start weak on purpose: it
rates roughly and crops at random, so that what reinforcement adds can be seen."""
DRAWS = 3
"""Rollouts of each held-out picture that are measured."""


@dataclass(frozen=True)
class Size:
    """Numbers of pictures to train on and to measure on, optimiser steps of pretraining, SFT and GRPO, and every how
    many of the last it is measured."""

    train: int = 96
    test: int = 48
    pretraining: int = 300
    sft: int = 30
    rl: int = 120
    every: int = 20


def measure(policy: Policy, samples: list[Sample], options: RlOptions, seed: int) -> dict[str, list[float]]:
    """Return, of `DRAWS` rollouts of each held-out picture at temperature 1: mos, rating (NaN where unreadable),
    reward, crop (1 or 0), and plain (1 or 0)."""
    assessor = Assessor(policy, batch_size=64, sampling=Sampling(1.0, max_tokens=options.max_tokens, seed=seed))
    drawn = [one for one in samples for _ in range(DRAWS)]
    outcomes = [outcome_of(one) for one in assessor.assess([one.path for one in drawn])]
    groups = [outcomes[i : i + DRAWS] for i in range(0, len(outcomes), DRAWS)]
    truths = [truth_of(one, True) for one in samples]
    reward = total(rewards_of(groups, truths, options.width), options.rewards).ravel()
    return {
        "mos": [float(one.mos or np.nan) for one in drawn],
        "rating": [one.ratings[-1] if one.readable else float("nan") for one in outcomes],
        "reward": reward.tolist(),
        "crop": [float(len(one.crops) > 0) for one in outcomes],
        "plain": [float(PLAIN in Path(one.path).name) for one in drawn],
    }


def run(seed: int, family: str, regulariser: str, size: Size, out: Path = OUT) -> None:
    """Train one model with one seed by both stages; what is done is not done again."""
    base, folder = out / family / "base", out / family / f"seed{seed}"
    samples = make(out / "pictures", size.train, 0)
    held_out = make(out / "held-out", size.test, 1)
    base.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    others = make(out / "pretraining", size.train, 2)
    write_conversations(others, base / "conversations.jsonl", 1_000, PRECISE, 8)
    pretrain(base, family, base / "conversations.jsonl", size.pretraining)
    conversations = folder / "conversations.jsonl"
    write_conversations(samples, conversations, seed, WEAK, 4)

    sft = read_config(HERE / "vlm_sft.toml", SftConfig)
    options = replace(sft.options, seed=seed, steps=size.sft)
    lora = replace(sft.lora, long_side=SIDES[family])
    sft = replace(sft, model=f"hf:{base}", conversations=conversations, out=folder / "sft", options=options, lora=lora)
    if not (sft.out / "adapter_config.json").exists():
        run_sft(sft)
    rl = read_config(HERE / "vlm_rl.toml", RlConfig)
    lora = replace(rl.lora, long_side=SIDES[family])
    rl = replace(rl, model=f"hf:{base}", start=sft.out, out=folder / regulariser, regulariser=regulariser, lora=lora)
    rl = replace(rl, options=replace(rl.options, seed=seed, steps=size.rl, checkpoint_every=size.every))
    reinforce(rl, samples, held_out)


def reinforce(config: RlConfig, samples: list[Sample], held_out: list[Sample]) -> None:
    """Train by GRPO, and write held-out-STEP.json, what `measure` returns, at the start and at every checkpoint.
    Training stops there and resumes."""
    policy, options = open_policy(config, seed=config.options.seed), config.options
    config.out.mkdir(parents=True, exist_ok=True)
    for step in range(0, options.steps + 1, options.checkpoint_every):
        file = config.out / f"held-out-{step:03d}.json"
        if file.exists():
            continue
        if step:
            chosen = open_regulariser(config.regulariser)
            train_grpo(options, policy, samples, [], config.out, regulariser=chosen, stop=step)
        numbers = measure(policy, held_out, options, 1_000 + options.seed)
        file.write_text(json.dumps(numbers), encoding="utf8")
        crop, plain = np.array(numbers["crop"]), np.array(numbers["plain"]) == 1
        print(
            f"{config.out}, step {step}: reward {np.mean(numbers['reward']):.3f}, crops of plain pictures "
            f"{crop[plain].mean():.2f}, of striped ones {crop[~plain].mean():.2f}",
            flush=True,
        )


def main() -> None:
    """Run all seeds and regularisers of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--family", choices=("qwen2.5", "qwen3"), default="qwen2.5")
    parser.add_argument("--regularisers", nargs="+", default=["kl_coverage"])
    for name, number in asdict(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=number)
    args = parser.parse_args()
    torch.set_num_threads(1)  # more are slower for a model this small
    size = Size(**{name: getattr(args, name) for name in asdict(Size())})
    for seed in args.seeds:
        for regulariser in args.regularisers:
            run(seed, args.family, regulariser, size)


if __name__ == "__main__":
    main()
