"""Stage 2 by TRL: python recipes/qwen-vl/trl_rl.py CONFIG.toml; needs the extra trl. Not run on a GPU here."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from snellen.train.config import RlConfig, open_policy, read_config, real_samples
from snellen.train.lora import LoraPolicy
from snellen.train.trl_grpo import TrlTrainer, trl_config


def main(file: Path) -> None:
    """Train the hf: model of a configuration on its manifest; the adapter goes to its `out`."""
    config = read_config(file, RlConfig)
    policy = open_policy(config, seed=config.options.seed)
    if not isinstance(policy, LoraPolicy):
        raise SystemExit(f"{file}: model is hf:FOLDER here; for snellen-1 use `snellen train rl`")
    if config.regulariser != "kl_coverage":
        raise SystemExit(f"{file}: regulariser {config.regulariser} is not in TRL's loss here; use `snellen train rl`")
    print("TRL draws the pictures, from the manifest: sampler and synthetic have no effect", file=sys.stderr)
    samples, _ = real_samples(config.manifest, config.held_out)
    arguments = trl_config(config.options, config.out, bf16=torch.cuda.is_available())
    TrlTrainer(policy, samples, config.options, arguments).train()
    policy.save(config.out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
