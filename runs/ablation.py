r"""What each part of the reinforcement stage is worth: the same run without it, two seeds each.

    python runs/ablation.py --vision build/vision/vision.pt --sft build/sft --manifest build/biq2021.jsonl \
        --looks build/looks --steps 50 --out build/ablation

Writes ablation.json and ablation.md: numbers of a validation pass on held-out pictures (never the test split), and the
last tenth of each training log. A run that is there is not repeated, one that was killed goes on; looks are encoded
once for all of them.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rl import add_arguments, held_out, synthetic_manifest, validate

from snellen.train.command import RlConfig, run_rl
from snellen.train.grpo import RlOptions
from snellen.train.policy import open_policy
from snellen.train.rewards import WEIGHTS


def without(*names: str) -> tuple[tuple[str, float], ...]:
    """The rewards with some of them only logged."""
    return tuple((name, 0.0 if name in names else weight) for name, weight in WEIGHTS)


SETTINGS: dict[str, dict[str, Any]] = {
    "RL": {},
    "without KL-Coverage": {"regulariser": "none"},
    "ordinary KL": {"regulariser": "kl"},
    "entropy bonus": {"regulariser": "entropy", "strength": 0.01},
    "without re-sampling": {"flat": 0.0},
    "without rank": {"rewards": without("rank")},
    "without refinement and grounding": {"rewards": without("refinement", "grounding")},
    "token credit": {"token_credit": True},
}
"""Name -> what differs from the defaults of `RlOptions`. An entropy bonus as strong as the KL drowns the rewards."""

LOGGED = ("reward", "error", "rating_entropy", "word_entropy", "distinct_ratings", "distinct_2", "crop_rate", "kl")
"""Taken from the end of the training log."""


def end_of_log(file: Path) -> dict[str, float]:
    """Means over the last tenth of a run, by name; NaN where nothing was logged."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf8").splitlines()]
    rows = rows[-max(1, len(rows) // 10) :]
    values = {name: [row[name] for row in rows if row[name] is not None] for name in LOGGED}
    return {f"train_{name}": float(np.mean(found)) if found else np.nan for name, found in values.items()}


def markdown(rows: dict[str, list[dict[str, float]]]) -> str:
    """A table with a line per setting: mean over seeds, and half their range."""
    names = list(dict.fromkeys(name for runs in rows.values() for run in runs for name in run))
    lines = [f"| setting | seeds | {' | '.join(names)} |", "|" + " --- |" * (len(names) + 2)]
    for setting, runs in rows.items():
        cells = [cell([run[name] for run in runs if name in run]) for name in names]
        lines.append(f"| {setting} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(values: list[float]) -> str:
    """ "0.812 ± 0.004", the second number only with several seeds; a dash for nothing."""
    there = [value for value in values if not np.isnan(value)]
    if not there:
        return "-"
    half = (max(there) - min(there)) / 2
    return f"{np.mean(there):.3f}" + (f" ± {half:.3f}" if len(there) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), default=list(SETTINGS), metavar="SETTING")
    args = parser.parse_args()
    torch.set_num_threads(2)
    synthetic = synthetic_manifest(args.looks, args.out, args.synthetic, args.workers)
    pictures, looks = held_out(args.manifest, synthetic, args.validate), args.out / "looks.db"

    def measured(folder: Path) -> dict[str, float]:
        done = args.out / f"validation-{folder.name}.json"
        if not done.exists():
            found = validate(open_policy(args.vision, folder, looks), *pictures, RlOptions.rounds)
            done.write_text(json.dumps(found, indent=1) + "\n")
        return dict(json.loads(done.read_text()))

    rows = {"SFT": [measured(args.sft)]}
    for name in args.only:
        rows[name] = []
        for seed in args.seeds:
            out = args.out / f"{name.lower().replace(' ', '-')}-{seed}"
            options = replace(RlOptions(), steps=args.steps, seed=seed, **SETTINGS[name])
            run_rl(RlConfig(args.vision, args.sft, args.manifest, out, synthetic, looks, options=options))
            rows[name].append(measured(out) | end_of_log(out / "log.jsonl"))
        (args.out / "ablation.json").write_text(json.dumps(rows, indent=1) + "\n")
        (args.out / "ablation.md").write_text(markdown(rows))
    print(markdown(rows))


if __name__ == "__main__":
    main()
