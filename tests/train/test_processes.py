"""Two processes, as `accelerate launch` starts them, roll out their shares and end with the same weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from snellen.data.sample import Sample, write_manifest

SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tiny_snellen1 import random_features
from snellen.data.sample import read_manifest
from snellen.snellen1.decoder import DecoderShape
from snellen.train.grpo import RlOptions, train_grpo
from snellen.train.snellen1.feature_cache import FeatureCache
from snellen.train.snellen1.policy import Snellen1Policy
policy = Snellen1Policy(shape=DecoderShape(width=32, layers=1, heads=2))
policy.cache = FeatureCache(random_features, "random")
folder = Path(sys.argv[1])
options = RlOptions(steps=2, real=3, synthetic=0, rollouts=2, rate=1e-2, warmup=1)
train_grpo(options, policy, read_manifest(folder / "m.jsonl"), [], folder / "out")
policy.save(folder / sys.argv[2].format(torch.distributed.get_rank()))
"""


def test_two_processes_end_with_the_same_weights(samples: tuple[list[Sample], list[Sample]], tmp_path: Path) -> None:
    write_manifest(samples[0], tmp_path / "m.jsonl")
    (tmp_path / "script.py").write_text(SCRIPT)
    paths = [str(Path(__file__).parent), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = [str(tmp_path / "script.py"), str(tmp_path), "process {}"]
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"process {i}" / "decoder.pt")["weights"] for i in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    rows = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and rows[0]["gap"] < 1e-4, "only the first process logs"
