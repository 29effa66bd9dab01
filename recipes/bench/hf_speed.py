"""Measure pictures per second of the hf: backend in batches, against the state before on the same model.

    git worktree add --detach build/v0.14 803bb1f
    python recipes/bench/hf_speed.py --model build/tiny-llava --before build/v0.14/src

Both versions are open at the same time and take turns, so that they see the same load; two rounds, ratings read. Times
are CPU seconds of one thread, and seconds. Prints medians and ratios, and the largest difference of a score between
batches of 8 and of 1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

PICTURES = 8


def serve(model: str) -> None:
    """Assess PICTURES pictures whenever a batch size comes in, and print CPU seconds, seconds and scores as JSON."""
    import torch

    import snellen

    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (400, 400, 3), dtype=np.uint8) for _ in range(PICTURES)]
    backend: Any = None
    for line in sys.stdin:
        assessor = snellen.Assessor(backend or f"hf:{model}", batch_size=int(line))
        backend = assessor.backend
        began, cpu = time.perf_counter(), time.process_time()
        found = assessor.assess(pictures)
        used, took = time.process_time() - cpu, time.perf_counter() - began
        rounds = [len(one.steps) for one in found]
        print(json.dumps([used, took, [one.score for one in found], rounds]), flush=True)


def start(model: Path, source: Path) -> subprocess.Popen[str]:
    """Start this script as a server with the package of another source folder."""
    environment = os.environ | {"PYTHONPATH": str(source.resolve()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", str(model.resolve())]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def ask(server: subprocess.Popen[str], batch: int) -> list[Any]:
    """Return what a server measured for one batch size."""
    into, out = server.stdin, server.stdout
    assert into is not None and out is not None
    into.write(f"{batch}\n")
    into.flush()
    measured: list[Any] = json.loads(out.readline())
    return measured


def difference(some: Sequence[float], others: Sequence[float]) -> float:
    """Return the largest difference of two lists of scores."""
    return max(abs(a - b) for a, b in zip(some, others, strict=True))


def main() -> None:
    """Run both versions in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help="folder of recipes/bench/tiny_llava.py")
    parser.add_argument("--before", type=Path, help="src folder of the version to compare with")
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    now = Path(__file__).parents[2] / "src"
    servers = {"before": start(args.model, args.before), "now": start(args.model, now)}
    runs = [("before", 1), ("now", 1), ("now", 8)]
    measured: dict[tuple[str, int], list[list[Any]]] = {run: [] for run in runs}
    for turn in range(args.turns + 1):
        for run in runs:
            found = ask(servers[run[0]], run[1])
            if turn:  # the first warms up
                measured[run].append(found)
    for server in servers.values():
        assert server.stdin is not None
        server.stdin.close()
    cpu = {run: statistics.median(one[0] for one in found) for run, found in measured.items()}
    wall = {run: statistics.median(one[1] for one in found) for run, found in measured.items()}
    for run in runs:
        ratios = f"{cpu[runs[0]] / cpu[run]:.1f} x (CPU), {wall[runs[0]] / wall[run]:.1f} x (clock)"
        print(f"{run[0]}, batch {run[1]}: {PICTURES / cpu[run]:.2f} pictures per CPU second; {ratios} of before")
    before, alone, together = (measured[run][0] for run in runs)
    print(f"rounds: {before[3]} before, {together[3]} now")
    print(f"largest difference of a score, batch 8 to 1: {difference(together[2], alone[2]):.1e}")
    print(f"largest difference of a score, now to before: {difference(together[2], before[2]):.4f}")


if __name__ == "__main__":
    main()
