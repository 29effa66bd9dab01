"""Reinforcement learning: advantages and clipping by hand, microbatches, resume, and a toy problem that it learns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tiny_snellen1 import BOX, picture

from snellen.assessor import Assessor
from snellen.backend import Reply, Sampling
from snellen.backends.scripted import ScriptedBackend
from snellen.data.sample import Sample
from snellen.image import Picture
from snellen.protocol import Conversation
from snellen.reply import Answer, render_reply
from snellen.snellen1.actions import MOVE
from snellen.train.advantage import CREDIT, advantages, group_advantage
from snellen.train.grpo import (
    RlOptions,
    actions_of,
    clipped_surrogate,
    draw_pictures,
    train_grpo,
    update,
)
from snellen.train.log import RunLog, bias_by_fifth, distinct_2, mos_edges
from snellen.train.regularizers import entropy_bonus, kl_coverage, no_regulariser
from snellen.train.rewards import WEIGHTS, Truth
from snellen.train.rollout import Rollout, roll_out, rounds_of
from snellen.train.sampler import Pool, uniform
from snellen.train.snellen1.policy import Snellen1Policy

NO_COVERAGE = RlOptions(share=0.0)
SMALL = RlOptions(steps=4, real=2, synthetic=1, rollouts=3, rate=1e-3, warmup=1, checkpoint_every=2)
Samples = tuple[list[Sample], list[Sample]]


def test_group_advantage_by_hand() -> None:
    # mean 2, standard deviation 1
    assert group_advantage(np.array([[1.0, 3.0], [5.0, 5.0]]), 1e-12)[0] == pytest.approx([-1.0, 1.0])
    found = group_advantage(np.array([[1.0, 3.0], [5.0, 5.0]]), 1.0)
    assert found == pytest.approx(np.array([[-0.5, 0.5], [0.0, 0.0]]))


def test_credit_gives_each_kind_of_action_its_own_rewards() -> None:
    rewards = {name: np.array([[0.0, 0.0]]) for name, _ in WEIGHTS} | {
        "score": np.array([[0.0, 1.0]]),
        "grounding": np.array([[1.0, 0.0]]),
        "first": np.array([[0.5, 0.5]]),
    }
    credited = advantages(rewards, (("score", 1.0), ("grounding", 1.0), ("first", 1.0)), 0.5, credit=True)
    assert credited["rating"] == pytest.approx(np.array([[-0.5, 0.5]]))
    assert credited["zoom"] == pytest.approx(np.array([[0.5, -0.5]]))
    assert credited["text"] == pytest.approx(np.array([[0.0, 0.0]]))
    assert credited["first rating"] == pytest.approx(np.array([[0.0, 0.0]]))
    shared = advantages(rewards, (("score", 2.0), ("grounding", 1.0)), 0.5, credit=False)
    assert all(shared[kind] == pytest.approx(np.array([[-0.5, 0.5]])) for kind in CREDIT)


def test_an_unreadable_reply_costs_every_kind_of_action() -> None:
    """A crop that gains nothing costs its price of 0.1; an unreadable reply saves it, and loses format 0.5."""
    rewards = {name: np.zeros((1, 2)) for name, _ in WEIGHTS}
    rewards |= {"format": np.array([[1.0, 0.0]]), "price": np.array([[-1.0, 0.0]])}
    credited = advantages(rewards, (("format", 0.5), ("price", 0.1)), 0.05, credit=True)
    # zoom: 0.4 and 0, mean 0.2, deviation 0.2; the others: 0.5 and 0, mean 0.25, deviation 0.25
    assert credited["zoom"] == pytest.approx(np.array([[0.8, -0.8]]))
    for kind in ("text", "rating", "first rating"):
        assert credited[kind] == pytest.approx(np.array([[5 / 6, -5 / 6]]))


def test_every_reward_is_credited() -> None:
    assert {name for names in CREDIT.values() for name in names} == {name for name, _ in WEIGHTS}


def test_clipping_by_hand() -> None:
    """Ratios 1, 2 and 1/2, clipped to 0.8..1.3."""
    sampled = torch.zeros(6)
    logprob = torch.tensor([1.0, 2.0, 0.5, 1.0, 2.0, 0.5]).log()
    advantage = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0, -1.0])
    found = clipped_surrogate(logprob, sampled, advantage, 0.2, 0.3)
    assert found.tolist() == pytest.approx([-1.0, -1.3, -0.5, 1.0, 2.0, 0.8])


def test_rounds_hold_the_pixels_that_were_sampled_from() -> None:
    """An assessment keeps a picture of at most 1024 px; log-probabilities need the views as they were shown."""
    crop = render_reply(None, Answer(BOX, 3.0, "crop"), 1)
    last = render_reply(None, Answer(None, 3.0, "final"), 2)
    large = Picture(np.random.default_rng(0).integers(0, 256, (1500, 1300, 3), np.uint8), "large")
    shown: list[np.ndarray] = []

    def script(conversation: Conversation) -> Reply:
        shown.append(conversation[-1].views[-1].fragments)
        return Reply(crop if len(shown) == 1 else last)

    assessor = Assessor(ScriptedBackend(script))
    (assessment,) = assessor.assess([large])
    rounds = rounds_of(assessor, large, assessment)
    assert [one.reply.text for one in rounds] == [crop, last]
    assert [len(one.conversation) for one in rounds] == [1, 3] and rounds[1].conversation[1].text == crop
    for one, pixels in zip(rounds, shown, strict=True):
        assert np.array_equal(one.conversation[-1].views[-1].fragments, pixels)


def rollouts_of(policy: Snellen1Policy, advantage: dict[str, list[float]]) -> list[Rollout]:
    """Rollouts of one picture with given advantages by kind."""
    count = len(next(iter(advantage.values())))
    assessor = Assessor(policy, sampling=Sampling(1.0, seed=4), batch_size=count)
    done = assessor.assess([picture(0)] * count)
    return [
        Rollout(
            Truth(3.0, True, None),
            one,
            rounds_of(assessor, picture(0), one),
            {},
            0.0,
            {kind: values[i] for kind, values in advantage.items()},
        )
        for i, one in enumerate(done)
    ]


def by_kind(*values: float) -> dict[str, list[float]]:
    return {kind: list(values) for kind in CREDIT}


def test_advantages_reach_the_actions_of_their_kind(policy: Snellen1Policy) -> None:
    credit = {"text": [0.0] * 8, "zoom": [4.0] * 8, "rating": [2.0] * 8, "first rating": [3.0] * 8}
    rollouts = rollouts_of(policy, credit)
    (batch,) = actions_of(policy, rollouts, NO_COVERAGE)
    taken = [one.reply.token_ids[j] for one in batch.rounds for j in one.reply.action_indices]
    assert any(token >= MOVE for token in taken)
    assert batch.advantage.tolist() == [2.0 if token >= MOVE else 4.0 for token in taken]
    sampled = [one.reply.logprobs[j] for one in batch.rounds for j in one.reply.action_indices]
    assert batch.sampled.tolist() == pytest.approx(sampled)


def test_the_rating_of_an_earlier_round_is_a_kind_of_its_own(policy: Snellen1Policy) -> None:
    policy.rounds = 3
    assessor = Assessor(policy, sampling=Sampling(1.0, seed=4), batch_size=40, max_rounds=3)
    done = assessor.assess([picture(0)] * 40)
    long = next(one for one in done if len(one.steps) == 3)
    rounds, credit = rounds_of(assessor, picture(0), long), dict(zip(CREDIT, (1.0, 2.0, 3.0, 4.0), strict=True))
    (batch,) = actions_of(policy, [Rollout(Truth(3.0, True, None), long, rounds, {}, 0.0, credit)], NO_COVERAGE)
    taken = [one.reply.token_ids[j] for one in rounds for j in one.reply.action_indices]
    moves = [weight for token, weight in zip(taken, batch.advantage.tolist(), strict=True) if token >= MOVE]
    assert moves == [4.0, 3.0]


def test_microbatches_do_not_change_the_step(policy: Snellen1Policy) -> None:
    """All rounds in one pass or in several: the same gradient, so the same weights."""
    rollouts, after = rollouts_of(policy, by_kind(1.0, -1.0, 0.5, -0.5)), []
    start = policy.decoder.state_dict()
    for name, value in start.items():  # away from the reference, so that the regulariser counts
        start[name] = value + 0.01 * torch.sin(torch.arange(value.numel())).view(value.shape)
    for microbatch in (100, 2):
        policy.decoder.load_state_dict(start)
        batches = actions_of(policy, rollouts, RlOptions(microbatch=microbatch))
        assert (len(batches) > 1) == (microbatch == 2)
        optimizer = torch.optim.SGD(policy.parameters(), lr=1.0)
        found = update(policy, optimizer, Accelerator(), batches, kl_coverage, SMALL)
        assert found["kl"] > 0 and found["covered"] > 0
        after.append({name: value.clone() for name, value in policy.decoder.state_dict().items()})
    for name, value in after[0].items():
        assert torch.allclose(value, after[1][name], atol=1e-5), name


def test_the_gradient_is_that_of_the_log_probability_times_the_advantage(policy: Snellen1Policy) -> None:
    """At the first update the ratio is 1, so the loss has the gradient of - sum A log p / N."""
    rollouts = rollouts_of(policy, by_kind(1.0, -2.0, 0.5, 0.5))
    batches = actions_of(policy, rollouts, NO_COVERAGE)
    logprob = policy.logprobs(batches[0].rounds).policy
    wanted = torch.autograd.grad(-(logprob * batches[0].advantage).mean(), list(policy.parameters()), allow_unused=True)
    before = [parameter.detach().clone() for parameter in policy.parameters()]
    update(policy, torch.optim.SGD(policy.parameters(), lr=1e-3), Accelerator(), batches, no_regulariser, SMALL)
    norm = torch.stack([one.norm() for one in wanted if one is not None]).norm()
    for parameter, old, gradient in zip(policy.parameters(), before, wanted, strict=True):
        if gradient is not None:
            clipped = gradient / norm.clamp_min(1.0)
            assert torch.allclose(parameter, old - 1e-3 * clipped, atol=1e-6)


def test_a_second_update_moves_away_from_the_policy_that_sampled(policy: Snellen1Policy) -> None:
    batches = actions_of(policy, rollouts_of(policy, by_kind(1.0, -1.0, 1.0, -1.0)), NO_COVERAGE)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-2)
    both = [update(policy, optimizer, Accelerator(), batches, no_regulariser, SMALL) for _ in range(2)]
    assert both[0]["gap"] < 1e-4 < both[1]["gap"] and both[1]["clipped"] > 0.0


def test_pictures_come_from_both_pools(samples: Samples) -> None:
    pools = [Pool(samples[0], True), Pool(samples[1], False)]
    chosen = draw_pictures(pools, SMALL, uniform, 3)
    assert [pool for pool, _ in chosen] == [0, 0, 1] and chosen == draw_pictures(pools, SMALL, uniform, 3)
    with pytest.raises(ValueError, match="cannot be drawn from 0"):
        draw_pictures([pools[0], Pool([], False)], SMALL, uniform, 3)


def test_a_picture_that_is_gone_is_named(policy: Snellen1Policy, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"gone\.png: no such file"):
        roll_out(policy, [Sample(str(tmp_path / "gone.png"), 3.0)], size=3, rounds=2, max_tokens=64, seed=0)


def test_two_steps_then_resume_equals_four_steps(policy: Snellen1Policy, samples: Samples, tmp_path: Path) -> None:
    def run(out: Path, stop: int | None = None) -> dict[str, torch.Tensor]:
        policy.decoder.load_state_dict(policy.reference.state_dict())
        train_grpo(SMALL, policy, *samples, out, stop=stop)
        return {name: value.clone() for name, value in policy.decoder.state_dict().items()}

    straight = run(tmp_path / "a")
    begun = run(tmp_path / "b", stop=2)
    with (tmp_path / "b" / "log.jsonl").open("a") as log:
        log.write('{"step": 3, "reward": 0.0}\n{"step": 4, "rew')  # killed after its last checkpoint, in a line
    resumed = run(tmp_path / "b")
    assert any(not torch.equal(begun[name], value) for name, value in straight.items())
    for name, value in straight.items():
        assert torch.equal(value, resumed[name]), name
    rows = [[json.loads(line) for line in (tmp_path / x / "log.jsonl").read_text().splitlines()] for x in "ab"]
    timed = ("seconds", "rolling")
    plain = [[{key: value for key, value in row.items() if key not in timed} for row in one] for one in rows]
    assert plain[0] == plain[1] and [row["step"] for row in plain[0]] == [1, 2, 3, 4]
    assert sorted(path.name for path in (tmp_path / "b").glob("checkpoint*")) == ["checkpoint-000004"]
    assert (tmp_path / "b" / "decoder.pt").exists() and (tmp_path / "b" / "replies-000001.html").exists()


def test_a_checkpoint_of_other_pictures_is_refused(policy: Snellen1Policy, samples: Samples, tmp_path: Path) -> None:
    train_grpo(SMALL, policy, *samples, tmp_path, stop=1)
    with pytest.raises(ValueError, match="3 pictures of a pool, not 2"):
        train_grpo(SMALL, policy, samples[0][:2], samples[1], tmp_path)


def test_the_regulariser_is_an_argument(policy: Snellen1Policy, samples: Samples, tmp_path: Path) -> None:
    """With rewards of weight 0 only the regulariser moves the policy: the bonus raises the entropy."""
    options = replace(SMALL, steps=3, rewards=(("score", 0.0),), rate=1e-2)
    with torch.no_grad():
        policy.decoder.head.bias[4] += 2.0
    train_grpo(options, policy, *samples, tmp_path, regulariser=entropy_bonus, sampler=uniform)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["entropy"] > rows[0]["entropy"]


def test_it_learns_to_crop_where_the_fault_is(policy: Snellen1Policy, samples: Samples, tmp_path: Path) -> None:
    """Reward: grounding. The fault lies in the upper left; a random box scores about 0.3."""
    options = RlOptions(
        steps=12, real=0, synthetic=1, rollouts=12, rate=3e-2, warmup=1, rewards=(("grounding", 1.0),),
        replies_every=1000, checkpoint_every=1000, strength=0.0,
    )  # fmt: skip
    train_grpo(options, policy, *samples, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    first, last = (np.mean([row["reward_grounding"] for row in part]) for part in (rows[:3], rows[-3:]))
    assert last > first + 0.3 and rows[-1]["crop_rate"] > 0.9


def test_options_out_of_range_are_refused() -> None:
    refused: list[dict[str, Any]] = [{"rollouts": 1}, {"steps": 0}, {"real": 0, "synthetic": 0}, {"microbatch": 0}]
    for wrong in refused:
        with pytest.raises(ValueError, match="at least 1"):
            replace(RlOptions(), **wrong)


def test_log_numbers_by_hand(tmp_path: Path) -> None:
    edges = mos_edges([1.0, 2.0, 3.0, 4.0, 5.0])
    assert bias_by_fifth([1.5, 4.0, np.nan], [1.0, 5.0, 3.0], edges)[0] == 0.5
    assert bias_by_fifth([1.5, 4.0, np.nan], [1.0, 5.0, 3.0], edges)[4] == -1.0
    assert distinct_2(["a clean sky", "a clean lake"]) == pytest.approx(3 / 4)
    log = RunLog(tmp_path, 0)
    log.write({"step": 1.0, "reward": float("nan"), "error": 0.123456})
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"step": 1.0, "reward": None, "error": 0.12346}
