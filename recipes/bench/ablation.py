r"""Measure what each part of GRPO is worth: the same run without it, two seeds each.

    python recipes/bench/ablation.py --model build/model --start build/sft --manifest build/biq2021.jsonl \
        --synthetic build/synthetic/synthetic.jsonl --steps 30 --real 3 --synthetic-pictures 3 --rollouts 6 \
        --rate 3e-4 --workers 2 --out build/ablation --page docs/results/ablation.md

Writes ablation.json and ablation.md: a validation pass on held-out pictures (never the test split), and the training
logs. As many runs go on at a time as there are workers, on one thread each. A finished run is not repeated, a killed
one is continued; features of views are computed once for all. `--test` adds the chosen model and the one before it on
the test split, each evaluated once.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation_page import BASE, FULL, Comparison, Run, write_page

from snellen.data.sample import Sample, read_manifest
from snellen.evaluate import diff
from snellen.evaluate.validation import Greedy, evenly_spaced, validate
from snellen.train.config import RlConfig, run_rl
from snellen.train.grpo import RlOptions
from snellen.train.rewards import WEIGHTS
from snellen.train.snellen1.policy import Snellen1Policy
from snellen.train.snellen1.views import training_pictures


def without(*names: str) -> tuple[tuple[str, float], ...]:
    """Return the rewards with some of them only logged."""
    return tuple((name, 0.0 if name in names else weight) for name, weight in WEIGHTS)


SETTINGS: dict[str, dict[str, Any]] = {
    FULL: {},
    "without KL-Coverage": {"regulariser": "none"},
    "ordinary KL": {"regulariser": "kl"},
    "entropy bonus": {"regulariser": "entropy", "strength": 0.01},
    "without re-sampling": {"sampler": "uniform"},
    "without rank": {"rewards": without("rank")},
    "without refinement and grounding": {"rewards": without("refinement", "grounding")},
    "credit by action": {"credit": True},
}
"""Name -> differences from the configuration of the whole. A stronger entropy bonus drowns the rewards."""


def configured(config: RlConfig, changes: dict[str, Any]) -> RlConfig:
    """Return a configuration with changes of its own fields and of its options."""
    own = {name: value for name, value in changes.items() if name in ("regulariser", "sampler")}
    options = {name: value for name, value in changes.items() if name not in own}
    return replace(config, **own, options=replace(config.options, **options))


Pictures = tuple[list[Sample], list[Sample]]
"""Held-out pictures, rated ones and synthetic ones."""


@dataclass(frozen=True)
class Job:
    """One run. folder: its decoder. config: of the training to do first; None for the model that all start from."""

    setting: str
    seed: int
    folder: Path
    model: Path
    features: Path
    config: RlConfig | None


def run(job: Job, pictures: Pictures) -> Run:
    """Train and validate unless that is done. ValueError if it was done with other options or pictures."""
    log: dict[str, list[float]] = {}
    if job.config is not None:
        train(job.config)
        log = read_log(job.folder / "log.jsonl")
    done = job.features.parent / f"validation-{job.folder.name}.json"
    if not done.exists():
        found = validate(Greedy(Snellen1Policy(job.model, job.folder, features=job.features)), *pictures)
        kept = {"numbers": found.numbers, "mos": found.mos.tolist(), "scores": found.scores.tolist()}
        done.write_text(json.dumps(kept) + "\n")
    kept = json.loads(done.read_text())
    if len(kept["mos"]) != len(pictures[0]):
        raise ValueError(f"{done} was made with other pictures; remove it, or name another --out")
    return Run(job.setting, job.seed, kept["numbers"], kept["scores"], kept["mos"], log)


def train(config: RlConfig) -> None:
    """Take all steps that are not done yet. ValueError if some were done with another configuration."""
    saved = config.out / "run.json"
    if saved.exists():
        old, new = json.loads(saved.read_text()), json.loads(json.dumps(asdict(config), default=str))
        if old != new:
            raise ValueError(f"{config.out} holds a run with other options; remove it, or name another --out")
    run_rl(config)


def read_log(file: Path) -> dict[str, list[float]]:
    """Read every number of a training log by name, a value per step; NaN where nothing was logged."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf8").splitlines()]
    return {name: [np.nan if row[name] is None else row[name] for row in rows] for name in rows[0]}


def jobs_of(args: argparse.Namespace) -> list[Job]:
    """Return every setting with the first seed, then with the next."""
    features, jobs = args.out / "features.db", []
    options = replace(
        RlOptions(),
        steps=args.steps,
        real=args.real,
        synthetic=args.synthetic_pictures,
        rollouts=args.rollouts,
        rate=args.rate,
    )
    whole = RlConfig(
        str(args.model),
        args.out,
        args.start,
        features,
        manifest=args.manifest,
        synthetic=args.synthetic,
        options=options,
    )
    for seed in args.seeds:
        for name in args.only:
            out = args.out / f"{name.lower().replace(' ', '-')}-{seed}"
            config = replace(configured(whole, SETTINGS[name] | {"seed": seed}), out=out)
            jobs.append(Job(name, seed, out, args.model, features, config))
    return jobs


def _one_thread() -> None:
    torch.set_num_threads(1)


def _run(job: tuple[Job, Pictures]) -> Run:
    return run(*job)


def run_all(jobs: Sequence[Job], pictures: Pictures, workers: int) -> Iterator[Run]:
    """Yield the runs in the order of the jobs, each when it is done. Processes are spawned: torch threads do not
    survive a fork."""
    with get_context("spawn").Pool(workers, _one_thread) as pool:
        for one in pool.imap(_run, [(job, pictures) for job in jobs], chunksize=1):
            print(f"{one.setting}, seed {one.seed}: SRCC {one.numbers['srcc']:.3f}", flush=True)
            yield one


def compared(chosen: Path, before: Path) -> Comparison:
    """Compare two runs of `snellen evaluate`: paired differences and shares."""
    commands = [shlex.join(json.loads((folder / "run.json").read_text())["command"]) for folder in (chosen, before)]
    found = diff.diff_runs(chosen, before)
    return Comparison(commands, diff.tables(found | {"summaries": {}}))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the script."""
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--start", type=Path, required=True, help="folder of supervised fine-tuning")
    parser.add_argument("--manifest", type=Path, required=True, help="rated pictures")
    parser.add_argument("--synthetic", type=Path, required=True, help="manifest of synthetic pictures")
    parser.add_argument(
        "--validate",
        type=int,
        nargs=2,
        default=[200, 100],
        metavar=("RATED", "SYNTHETIC"),
        help="held-out pictures of a validation pass",
    )
    parser.add_argument("--steps", type=int, default=RlOptions.steps)
    parser.add_argument("--real", type=int, default=RlOptions.real, help="rated pictures per step")
    parser.add_argument("--synthetic-pictures", type=int, default=RlOptions.synthetic, help="synthetic ones per step")
    parser.add_argument("--rollouts", type=int, default=RlOptions.rollouts, help="per picture")
    parser.add_argument("--rate", type=float, default=RlOptions.rate, help="learning rate")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), default=list(SETTINGS), metavar="SETTING")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--page", type=Path, help="write the page here too, figures in a folder of its name beside it")
    parser.add_argument(
        "--test",
        type=Path,
        nargs=2,
        action="append",
        default=[],
        metavar=("CHOSEN", "BEFORE"),
        help="folders of `snellen evaluate`: the chosen model, and the one that it started from",
    )
    parser.add_argument("--out", type=Path, required=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.workers)
    args.out.mkdir(parents=True, exist_ok=True)
    tested = [compared(*folders) for folders in args.test]
    rated = training_pictures(read_manifest(args.manifest))[1]
    synthetic = [sample for sample in read_manifest(args.synthetic) if sample.split == "val"]
    pictures = evenly_spaced(rated, args.validate[0]), evenly_spaced(synthetic, args.validate[1])
    # the first, alone and on all cores, computes the features of the whole pictures for all others
    runs = [run(Job(BASE, 0, args.start, args.model, args.out / "features.db", None), pictures)]
    for one in run_all(jobs_of(args), pictures, args.workers):
        runs.append(one)  # pages are written after each, so that an ablation that is stopped has its page too
        (args.out / "ablation.json").write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
        for page in [args.out / "ablation.md", *([args.page] if args.page else [])]:
            write_page(page, runs, shlex.join(["python", *sys.argv]), len(pictures[1]), tested)


if __name__ == "__main__":
    main()
