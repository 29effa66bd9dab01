r"""What each part of the reinforcement stage is worth: the same run without it, two seeds each.

    python runs/ablation.py --vision build/vision/vision.pt --sft build/sft --manifest build/biq2021.jsonl \
        --looks build/looks --steps 30 --real 6 --synthetic 2 --rollouts 6 --rate 3e-4 --workers 2 \
        --out build/ablation --page docs/results/ablation.md

Writes ablation.json and ablation.md: numbers of a validation pass on held-out pictures (never the test split), and the
training logs. As many runs go on at a time as there are workers, on one thread each. A run that is there is not
repeated, one that was killed goes on; looks are encoded once for all of them. When one is chosen, `--test` puts what it
and the model before it reach on the test split, each evaluated once, on the page too.
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
from rl import add_arguments, held_out, options_of, synthetic_manifest, validate

from snellen.data.sample import Sample
from snellen.evaluate import compare
from snellen.train.config import RlConfig, run_rl
from snellen.train.grpo import RlOptions
from snellen.train.rewards import WEIGHTS
from snellen.train.snellen1.policy import open_policy


def without(*names: str) -> tuple[tuple[str, float], ...]:
    """The rewards with some of them only logged."""
    return tuple((name, 0.0 if name in names else weight) for name, weight in WEIGHTS)


SETTINGS: dict[str, dict[str, Any]] = {
    FULL: {},
    "without KL-Coverage": {"regulariser": "none"},
    "ordinary KL": {"regulariser": "kl"},
    "entropy bonus": {"regulariser": "entropy", "strength": 0.01},
    "without re-sampling": {"flat": 0.0},
    "without rank": {"rewards": without("rank")},
    "without refinement and grounding": {"rewards": without("refinement", "grounding")},
    "token credit": {"token_credit": True},
}
"""Name -> what differs from the options of the run. An entropy bonus as strong as the KL drowns the rewards."""

Pictures = tuple[list[Sample], list[Sample]]


@dataclass(frozen=True)
class Job:
    """One run. config: of a training to do before it is validated, None for the model that all of them start from."""

    setting: str
    seed: int
    folder: Path
    vision: Path
    looks: Path
    config: RlConfig | None


def run(job: Job, pictures: Pictures) -> Run:
    """Train and validate, unless that is done. ValueError when it was done with other options or pictures."""
    log: dict[str, list[float]] = {}
    if job.config is not None:
        train(job.config)
        log = read_log(job.folder / "log.jsonl")
    looks = job.looks
    done = looks.parent / f"validation-{job.folder.name}.json"
    if not done.exists():
        found = validate(open_policy(job.vision, job.folder, looks), *pictures, RlOptions.rounds)
        kept = {"numbers": found.numbers, "mos": found.mos.tolist(), "scores": found.scores.tolist()}
        done.write_text(json.dumps(kept) + "\n")
    kept = json.loads(done.read_text())
    if len(kept["mos"]) != len(pictures[0]):
        raise ValueError(f"{done} was made with other pictures; remove it, or name another --out")
    return Run(job.setting, job.seed, kept["numbers"], kept["scores"], kept["mos"], log)


def train(config: RlConfig) -> None:
    """All steps that are not done yet. ValueError when some were done with other options."""
    options = config.out / "options.json"
    if options.exists():
        old = json.loads(options.read_text())
        new = json.loads(json.dumps(asdict(config.options)))
        if new != {name: old.get(name) for name in new}:
            raise ValueError(f"{config.out} holds a run with other options; remove it, or name another --out")
    run_rl(config)


def read_log(file: Path) -> dict[str, list[float]]:
    """Every number of a training log, step by step, by name; NaN where nothing was logged."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf8").splitlines()]
    return {name: [np.nan if row[name] is None else row[name] for row in rows] for name in rows[0]}


def jobs_of(args: argparse.Namespace, synthetic: Path) -> list[Job]:
    """Every setting with the first seed, then with the next."""
    looks, jobs = args.out / "looks.db", []
    for seed in args.seeds:
        for name in args.only:
            out = args.out / f"{name.lower().replace(' ', '-')}-{seed}"
            options = replace(options_of(args), seed=seed, **SETTINGS[name])
            config = RlConfig(args.vision, args.sft, args.manifest, out, synthetic, looks, options=options)
            jobs.append(Job(name, seed, out, args.vision, looks, config))
    return jobs


def _one_thread() -> None:
    torch.set_num_threads(1)


def _run(job: tuple[Job, Pictures]) -> Run:
    return run(*job)


def run_all(jobs: Sequence[Job], pictures: Pictures, workers: int) -> Iterator[Run]:
    """In the order of the jobs, each when it is done. Processes begin anew: torch threads do not outlive a fork."""
    with get_context("spawn").Pool(workers, _one_thread) as pool:
        for one in pool.imap(_run, [(job, pictures) for job in jobs], chunksize=1):
            print(f"{one.setting}, seed {one.seed}: SRCC {one.numbers['srcc']:.3f}", flush=True)
            yield one


def compared(chosen: Path, before: Path) -> Comparison:
    """Two runs of `snellen evaluate`: the paired differences and the shares of `snellen evaluate compare`."""
    commands = [shlex.join(json.loads((folder / "run.json").read_text())["command"]) for folder in (chosen, before)]
    found = compare.compare_runs(chosen, before)
    return Comparison(commands, compare.tables(found | {"summaries": {}}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), default=list(SETTINGS), metavar="SETTING")
    parser.add_argument("--page", type=Path, help="write the page here too, figures in a folder of its name beside it")
    told = "what `snellen evaluate` wrote of the chosen model and of the one that it began from"
    parser.add_argument(
        "--test", type=Path, nargs=2, action="append", default=[], metavar=("CHOSEN", "BEFORE"), help=told
    )
    args = parser.parse_args()
    torch.set_num_threads(args.workers)
    tested = [compared(*folders) for folders in args.test]
    synthetic = synthetic_manifest(args.looks, args.out, args.pictures, args.workers)
    pictures = held_out(args.manifest, synthetic, tuple(args.validate))
    # first, alone, on all cores: it encodes the whole pictures that all others are validated on
    base = run(Job(BASE, 0, args.sft, args.vision, args.out / "looks.db", None), pictures)
    runs = [base]
    for one in run_all(jobs_of(args, synthetic), pictures, args.workers):
        runs.append(one)  # the pages are written after each, so that an ablation that is stopped has its page too
        (args.out / "ablation.json").write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
        for page in [args.out / "ablation.md", *([args.page] if args.page else [])]:
            write_page(page, runs, shlex.join(["python", *sys.argv]), len(pictures[1]), tested)


if __name__ == "__main__":
    main()
