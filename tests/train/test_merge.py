"""A merged adapter is a checkpoint of its own, with the trained policy's replies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("peft")

from test_lora import OPTIONS, asked, picture
from tiny_qwen import make_model

from snellen.backend import BackendError, Sampling
from snellen.backends import open_backend
from snellen.cli import main
from snellen.options import ModelOptions
from snellen.train.lora import LoraPolicy
from snellen.train.merge import merge


@pytest.mark.parametrize("family", ["qwen2.5", "qwen3"])
def test_a_merged_checkpoint_has_the_trained_policys_greedy_replies(tmp_path: Path, family: str) -> None:
    base = make_model(tmp_path / "base", family)
    policy = LoraPolicy(str(base), OPTIONS)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in policy.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    policy.save(tmp_path / "run")
    assert main(["train", "merge", "--model", f"hf:{tmp_path / 'run'}", "--out", str(tmp_path / "merged")]) == 0
    asked_for = [asked(picture(seed)) for seed in range(4)]
    greedy = Sampling(max_tokens=8)
    trained, before = policy.sample(asked_for, greedy), LoraPolicy(str(base), OPTIONS).sample(asked_for, greedy)
    merged = LoraPolicy(str(tmp_path / "merged"), OPTIONS).sample(asked_for, greedy)
    assert [one.token_ids for one in merged] == [one.token_ids for one in trained]
    backend = open_backend(f"hf:{tmp_path / 'merged'}", options=ModelOptions(long_side=OPTIONS.long_side, device="cpu"))
    shown = 0
    for one, wanted in zip(backend.reply(asked_for, greedy), trained, strict=True):
        ends = [i for i, token in enumerate(one.token_ids) if token in policy.suppressed]  # hf: may draw these
        same = ends[0] if ends else len(one.token_ids)
        assert one.token_ids[:same] == wanted.token_ids[:same]
        shown += same
    assert shown >= 8
    assert [one.token_ids for one in before] != [one.token_ids for one in trained]


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="give the folder of a training run"):
        merge(tmp_path, tmp_path / "out")
