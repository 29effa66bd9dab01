"""`snellen train`: one stage of training, configured by a TOML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.usage import OK, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen train`."""
    parser.add_argument("stage", choices=("sft", "rl"), help="supervised fine-tuning, or reinforcement learning")
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="TOML: inputs, out, [options]")


def run(args: argparse.Namespace) -> int:
    """Train; return the exit code."""
    from snellen.data.sample import ManifestError
    from snellen.train.config import ConfigError, RlConfig, SftConfig, read_config, run_rl, run_sft

    try:
        if args.stage == "sft":
            run_sft(read_config(args.config, SftConfig))
        else:
            run_rl(read_config(args.config, RlConfig))
    except (ConfigError, ManifestError, OSError) as error:
        raise UsageError(str(error)) from error
    return OK
