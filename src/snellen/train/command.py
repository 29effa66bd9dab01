"""`snellen train sft|rl|merge`: one stage of training, or a trained adapter made into a whole checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from snellen.usage import OK, UsageError, wrong_usage

PATHS = {
    "out": "folder of the run, or of the merged checkpoint",
    "start": "folder of an earlier run whose weights this one begins with; its policy is then the reference",
    "conversations": "JSON lines of `snellen data build` (sft of hf: models)",
    "manifest": "pictures with a human MOS",
    "synthetic": "pictures with known faults",
}
"""Keys of a configuration that have an option of their own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen train`."""
    stages = "supervised fine-tuning; reinforcement learning; merge a LoRA adapter into its base model"
    parser.add_argument("stage", choices=("sft", "rl", "merge"), help=stages)
    parser.add_argument("--config", metavar="FILE", type=Path, help="TOML: model, inputs, out, [options], [lora]")
    group = parser.add_argument_group("instead of the key in the file")
    group.add_argument("--model", metavar="MODEL", help="snellen-1, a model folder or hf:FOLDER")
    for name, text in PATHS.items():
        group.add_argument(f"--{name}", metavar="PATH", help=text)
    group.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="any other key, as in TOML: options.steps=20"
    )


def run(args: argparse.Namespace) -> int:
    """Train or merge; return the exit code."""
    from snellen.train.config import RlConfig, SftConfig, read_config, run_rl, run_sft

    given = {name: getattr(args, name) for name in ("model", *PATHS) if getattr(args, name) is not None}
    if args.stage == "merge":
        return _merge(given)
    if args.config is None and not {"model", "out"} <= given.keys():
        raise UsageError("give --config FILE, or at least --model and --out")
    with wrong_usage(OSError):
        if args.stage == "sft":
            run_sft(read_config(args.config, SftConfig, given, args.set))
        else:
            run_rl(read_config(args.config, RlConfig, given, args.set))
    return OK


def _merge(given: dict[str, Any]) -> int:
    from snellen.train.merge import merge

    if given.keys() != {"model", "out"} or not given["model"].startswith("hf:"):
        raise UsageError("merge takes --model hf:FOLDER, with the adapter of a run, and --out FOLDER, and nothing else")
    merge(Path(given["model"].removeprefix("hf:")), Path(given["out"]))
    return OK
