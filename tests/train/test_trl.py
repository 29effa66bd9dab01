"""The TRL adapter: loss and gradients of our loop on the same rollouts; one step of TRL's trainer; what TRL lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

pytest.importorskip("peft")
pytest.importorskip("trl")

from test_lora import OPTIONS, _samples, asked, picture
from tiny_qwen import make_model

from snellen.assessment import Assessment
from snellen.backend import LogProbs, Round
from snellen.train.advantage import CREDIT
from snellen.train.grpo import RlOptions, actions_of, update
from snellen.train.lora import LoraPolicy
from snellen.train.regularizers import kl_coverage
from snellen.train.rewards import Truth
from snellen.train.rollout import Rollout
from snellen.train.trl_grpo import TrlTrainer, trl_config
from snellen.train.trl_rows import rows_of

RL = RlOptions(
    steps=1, real=2, synthetic=0, rollouts=2, max_tokens=6, rate=1e-2, warmup=1, strength=10.0, share=0.5,
    mask_truncated=False, rewards=(("format", 1.0), ("score", 1.0)),
)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))


def policy_of(base: Path) -> LoraPolicy:
    policy = LoraPolicy(str(base), OPTIONS)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        for parameter in policy.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return policy


def rollouts_of(policy: LoraPolicy) -> list[Rollout]:
    """Four rollouts of pictures of three sizes, one and two rounds long, as an older policy might have sampled them."""
    rollouts = []
    for i, texts in enumerate([["12", "3.4"], ["567"], ["8", "90.12"], ["3.14159"]]):
        rounds: list[Round] = []
        for text in texts:
            conversation = asked(picture(i, 160 + 60 * (i % 3)), rounds[0].reply if rounds else None)
            rounds.append(Round(conversation, policy.reply_of(text)))
        found = policy.logprobs(rounds, reference=False).policy.detach() + 0.3 * (-1.0) ** i
        sampled, logged = found.tolist(), []
        for one in rounds:
            n = len(one.reply.token_ids)
            logged.append(Round(one.conversation, replace(one.reply, logprobs=tuple(sampled[:n]))))
            del sampled[:n]
        advantage = dict.fromkeys(CREDIT, 1.0 * (-1.0) ** (i // 2))
        truth = Truth(3.0, True, None)
        rollouts.append(Rollout(truth, Assessment(f"picture {i}"), tuple(logged), {}, 0.0, advantage))
    return rollouts


def test_loss_and_gradients_are_those_of_our_loop(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = policy_of(base), policy_of(base)
    rollouts = rollouts_of(ours)
    penalties: list[Tensor] = []

    def k3_coverage(logprobs: LogProbs, advantage: Tensor, covered: Tensor) -> Tensor:
        penalties.append(kl_coverage(replace(logprobs, kl=None), advantage, covered))
        return penalties[-1]

    batches = actions_of(ours, rollouts, replace(RL, microbatch=2))
    count = sum(len(batch.sampled) for batch in batches)
    assert len(batches) > 1 and any(bool(batch.covered.any()) for batch in batches)
    measured = update(ours, torch.optim.SGD(ours.parameters(), lr=0.0), Accelerator(), batches, k3_coverage, RL)
    assert 0.0 < measured["gradient_norm"] < 1.0, "so that no gradient is clipped"
    assert measured["clipped"] > 0.0, "and some ratios are"
    loss = measured["surrogate"] + RL.strength * float(sum(one.detach() for one in penalties)) / count

    arguments = trl_config(RL, tmp_path, per_device_train_batch_size=4, use_cpu=True)
    trainer = TrlTrainer(theirs, _samples(tmp_path), RL, arguments)
    monkeypatch.setattr(trainer, "_generate_and_score_completions", lambda _: trainer.batch_of(rollouts))
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    inputs = trainer._prepare_inputs([])  # TRL splits, shuffles and joins the pictures here
    assert inputs["num_images"] != [] and sorted(inputs["num_images"]) == [1, 1, 2, 2]
    found: Any = trainer.compute_loss(trainer.model, inputs)
    found.backward()
    assert float(found.detach()) == pytest.approx(loss, abs=1e-4)
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    largest = max(float(a.grad.abs().max()) for a, _ in pairs)  # type: ignore[union-attr]
    difference = max(float((a.grad - b.grad).abs().max()) for a, b in pairs)  # type: ignore[operator]
    assert largest > 1e-2 and difference < min(1e-4, 1e-3 * largest)
    print(f"loss {loss:.6f}, {float(found.detach()):.6f}; gradients up to {largest:.4f}, difference {difference:.1e}")


def test_picture_tokens_stay_beside_their_pictures(base: Path) -> None:
    """TRL up to 1.4.0 padded token types on the other side than tokens, so short rows lost their pictures silently."""
    policy = policy_of(base)
    token = policy.inputs.image_token
    assert token is not None
    batch = rows_of(policy, rollouts_of(policy), RL)
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    assert torch.equal(ids == token, batch["mm_token_type_ids"] == 1)
    features = batch["image_grid_thw"].prod(dim=1) // 4
    rows = (ids == token).sum(dim=1).tolist()
    assert [int(one.sum()) for one in features.split(batch["num_images"])] == rows
    assert (batch["prompt_mask"][:, -1] == 1).all() and (batch["completion_mask"][:, 0] == 1).all()
    assert int(batch["tool_mask"].sum()) == sum(
        len(one.reply.token_ids) for rollout in rollouts_of(policy) for one in rollout.rounds
    ), "crops and prompts are no actions"


def test_one_step_of_the_trainer_changes_the_adapter(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"format": np.array([[0.0, 1.0], [1.0, 0.0]])}  # two pictures, two rollouts: random replies all get 0
    monkeypatch.setattr("snellen.train.trl_grpo.rewards_of", lambda outcomes, truths, width: given)
    policy = policy_of(base)
    before = [parameter.detach().clone() for parameter in policy.parameters()]
    options = replace(RL, rewards=(("format", 1.0),))
    arguments = trl_config(options, tmp_path / "out", per_device_train_batch_size=4, use_cpu=True, save_strategy="no")
    trainer = TrlTrainer(policy, _samples(tmp_path), options, arguments)
    trainer.train()
    assert trainer.state.log_history[0]["reward"] == 0.5
    assert any(not torch.equal(a, b) for a, b in zip(before, policy.parameters(), strict=True))


def test_why_neither_the_environments_nor_the_tools_of_trl_are_used(base: Path) -> None:
    from trl.chat_template_utils import supports_tool_calling

    assert not supports_tool_calling(policy_of(base).inputs.processor), "the template has no place for tools"
