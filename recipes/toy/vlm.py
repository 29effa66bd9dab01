"""Train a tiny vision-language model on a toy task, SFT then GRPO, and measure it before and after.

    python recipes/toy/vlm.py --seeds 0 1 2 --regularisers kl_coverage none
    python recipes/toy/vlm.py --seeds 0 1 2 --family qwen3

Nothing is downloaded: the model is made here, and pretrained on other pictures until it replies in form and rates them
roughly, as a stand-in for a pretrained one. A run that was killed goes on where it was. The task is in `vlm_pictures`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tiny_qwen import SIDE, make_model
from vlm_pictures import PLAIN, make, write_conversations

from snellen.assessor import Assessor
from snellen.backend import Policy, Sampling
from snellen.data.sample import Sample
from snellen.train.config import RlConfig, SftConfig, read_config, run_rl, run_sft
from snellen.train.demonstrations import Demonstrations, read_conversations
from snellen.train.lora import LoraOptions, LoraPolicy
from snellen.train.rewards import outcome_of, rewards_of, total, truth_of

HERE = Path(__file__).parent
OUT = Path("build/toy-vlm")
PRECISE, WEAK = 0.3, 1.0
"""Standard deviation of the ratings about the MOS in conversations of pretraining and of SFT, MOS. SFT makes the start
weak on purpose: it rates roughly and crops at random, so that what reinforcement adds can be seen."""
DRAWS = 3
"""Rollouts of each held-out picture that are measured."""


@dataclass(frozen=True)
class Size:
    """Numbers of pictures to train on and to measure on, and optimiser steps of pretraining, SFT and GRPO."""

    train: int = 96
    test: int = 32
    pretraining: int = 700
    sft: int = 20
    rl: int = 60


def pretrain(folder: Path, family: str, samples: list[Sample], steps: int) -> None:
    """Train all weights of a new model on replies in form, whose ratings follow the pictures where a view shows them."""
    if (folder / "taught").exists():
        return
    make_model(folder, family)
    policy = LoraPolicy(str(folder), LoraOptions(rank=1, alpha=1, long_side=SIDE))
    model = policy.base.requires_grad_(True)
    write_conversations(samples, folder / "conversations.jsonl", 1_000, PRECISE, 8)
    lines, _ = read_conversations(folder / "conversations.jsonl")
    rounds = Demonstrations(lines, policy.reply_of)
    optimizer = torch.optim.AdamW([p for n, p in model.named_parameters() if "lora_" not in n], lr=3e-3)
    rng = np.random.default_rng(0)
    for step in range(steps):
        batch = [rounds[int(i)] for i in rng.choice(len(rounds), 24)]
        optimizer.param_groups[0]["lr"] = 3e-3 * (1.0 - step / steps)
        loss = -policy.logprobs(batch, reference=False).policy.mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"pretraining: step {step + 1}, loss {float(loss.detach()):.3f} nats a token", flush=True)
    policy.model.unload().save_pretrained(folder)
    (folder / "taught").touch()


def measure(policy: Policy, samples: list[Sample], seed: int) -> dict[str, list[float]]:
    """Return, of `DRAWS` rollouts of each held-out picture at temperature 1: mos, rating (NaN where unreadable),
    reward, crop (1 or 0), and plain (1 or 0)."""
    options = read_config(HERE / "vlm_rl.toml", RlConfig).options
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
    """Train one model with one seed, and write start.json and end.json, the numbers before and after GRPO."""
    base, folder = out / family / "base", out / family / f"seed{seed}"
    samples = make(out / "pictures", size.train, 0)
    held_out = make(out / "held-out", size.test, 1)
    base.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    pretrain(base, family, make(out / "pretraining", 2 * size.train, 2), size.pretraining)
    conversations = folder / "conversations.jsonl"
    write_conversations(samples, conversations, seed, WEAK, 4)

    sft = read_config(HERE / "vlm_sft.toml", SftConfig)
    options = replace(sft.options, seed=seed, steps=size.sft)
    sft = replace(sft, model=f"hf:{base}", conversations=conversations, out=folder / "sft", options=options)
    if not (sft.out / "adapter_config.json").exists():
        run_sft(sft)
    rl = read_config(HERE / "vlm_rl.toml", RlConfig)
    rl = replace(rl, model=f"hf:{base}", start=sft.out, manifest=out / "pictures" / "manifest.jsonl")
    rl = replace(rl, out=folder / regulariser, regulariser=regulariser)
    rl = replace(rl, options=replace(rl.options, seed=seed, steps=size.rl))
    if not (rl.out / "adapter_config.json").exists():
        run_rl(rl)
    for name, start in (("start", sft.out), ("end", rl.out)):
        policy = LoraPolicy(str(base), rl.lora, start=start)
        numbers = measure(policy, held_out, 1_000 + seed)
        (rl.out / f"{name}.json").write_text(json.dumps(numbers), encoding="utf8")
        crops = np.array(numbers["crop"]), np.array(numbers["plain"]) == 1
        print(
            f"{family} seed {seed} {regulariser} {name}: reward {np.mean(numbers['reward']):.3f}, crops of plain "
            f"{crops[0][crops[1]].mean():.2f}, of striped {crops[0][~crops[1]].mean():.2f}",
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
    size = Size(args.train, args.test, args.pretraining, args.sft, args.rl)
    for seed in args.seeds:
        for regulariser in args.regularisers:
            run(seed, args.family, regulariser, size)


if __name__ == "__main__":
    main()
