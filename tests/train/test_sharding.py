"""Two processes with sharded weights (FSDP2 over gloo) take the step that one process takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("peft")

from safetensors.torch import load_file

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
from accelerate import Accelerator
from test_lora import OPTIONS, asked, picture
from tiny_qwen import make_model
from snellen.backend import Reply, Round, Sampling
from snellen.train.grpo import Actions, RlOptions, update
from snellen.train.lora import LoraPolicy
from snellen.train.regularizers import ordinary_kl
from snellen.train.sft import SftOptions, train_sft
base, out = Path(sys.argv[1]), Path(sys.argv[2])
accelerator = Accelerator()
shard = accelerator.num_processes > 1
policy = LoraPolicy(str(base), replace(OPTIONS, shard=shard, checkpointing=True))
texts = ["1234", "4.56", "12", "987654", "3.1"]  # five, so that one process makes a pass more
rounds = [Round(asked(picture(i)), policy.reply_of(text)) for i, text in enumerate(texts)]
train_sft(SftOptions(steps=2, batch=5, microbatch=1, rate=1e-2, warmup=1), policy, rounds, [], out)
mine = rounds[accelerator.process_index :: accelerator.num_processes]
batches = []
for one in mine:
    n = len(one.reply.token_ids)
    advantage = torch.linspace(-1.0, 1.0, n)
    batches.append(Actions([one], torch.full((n,), -4.0), advantage, torch.zeros(n, dtype=torch.bool)))
optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
update(policy, optimizer, accelerator, batches, ordinary_kl, RlOptions())
policy.save(out / "after")
with policy.rolling_out():  # unequal numbers of replies: no process waits for the other
    policy.sample([asked(picture(0))] * (1 + accelerator.process_index), Sampling(1.0, max_tokens=2))
"""


def test_two_sharded_processes_take_the_step_of_one(tmp_path: Path) -> None:
    from tiny_qwen import make_model

    base = make_model(tmp_path / "base")
    (tmp_path / "script.py").write_text(SCRIPT)
    paths = [str(Path(__file__).parent), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "ACCELERATE_USE_CPU": "true"}
    many = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for out, launcher in (("one", []), ("two", many)):
        command = [sys.executable, *launcher, str(tmp_path / "script.py"), str(base), str(tmp_path / out)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    for folder in (".", "after"):
        one, two = (load_file(tmp_path / out / folder / "adapter_model.safetensors") for out in ("one", "two"))
        assert one.keys() == two.keys() and len(one) > 0
        assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
        assert any(float(value.abs().max()) > 1e-3 for name, value in one.items() if "lora_B" in name), "it has moved"
