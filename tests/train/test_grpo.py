"""Reinforcement learning on a tiny policy: advantages by hand, resume, and a toy problem that it learns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from tiny_policy import BOX, picture, tiny_policy

from snellen.assessor import Assessor
from snellen.backend import Sampling
from snellen.data.sample import Fault, Sample
from snellen.train.grpo import (
    CREDIT,
    Pool,
    RlOptions,
    advantages,
    group_advantage,
    next_pictures,
    roll_out,
    train_grpo,
)
from snellen.train.log import RunLog, bias_by_fifth, distinct_2, mos_edges
from snellen.train.regularizers import covered_kl, no_regulariser
from snellen.train.rewards import WEIGHTS
from snellen.train.snellen1.trace import trace, zoom_of
from snellen.train.update import clipped_surrogate, cut, of_actions, update

SMALL = RlOptions(steps=4, real=2, synthetic=1, rollouts=3, max_tokens=64, rate=1e-3, warmup=1, checkpoint_every=2)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Sample], list[Sample]]]:
    """Three human-rated pictures and one with a fault that is known."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for seed in range(4):
        paths.append(str(folder / f"{seed}.png"))
        Image.fromarray(picture(seed).pixels).save(paths[-1])
    real = [Sample(path, mos) for path, mos in zip(paths, (4.5, 4.4, 4.6), strict=False)]
    yield real, [Sample(paths[3], 2.0, faults=(Fault("white_noise", "noise", 3, BOX),))]


def test_group_advantage_by_hand() -> None:
    # mean 2, standard deviation 1
    assert group_advantage(np.array([[1.0, 3.0], [5.0, 5.0]]), 0.0 + 1e-12)[0] == pytest.approx([-1.0, 1.0])
    found = group_advantage(np.array([[1.0, 3.0], [5.0, 5.0]]), 1.0)
    assert found == pytest.approx(np.array([[-0.5, 0.5], [0.0, 0.0]]))


def test_token_credit_gives_each_kind_its_own_rewards() -> None:
    parts = {name: np.array([[0.0, 0.0]]) for name, _ in WEIGHTS} | {
        "score": np.array([[0.0, 1.0]]),
        "grounding": np.array([[1.0, 0.0]]),
        "first": np.array([[0.5, 0.5]]),
    }
    credited = advantages(parts, (("score", 1.0), ("grounding", 1.0), ("first", 1.0)), 0.5, token_credit=True)
    assert credited["last"] == pytest.approx(np.array([[-0.5, 0.5]]))
    assert credited["zoom"] == pytest.approx(np.array([[0.5, -0.5]]))
    assert credited["words"] == pytest.approx(np.array([[0.0, 0.0]]))
    assert credited["first"] == pytest.approx(np.array([[0.0, 0.0]]))
    shared = advantages(parts, (("score", 2.0), ("grounding", 1.0)), 0.5, token_credit=False)
    assert all(shared[kind] == pytest.approx(np.array([[-0.5, 0.5]])) for kind in CREDIT)


def test_every_reward_is_credited_to_one_kind() -> None:
    assert sorted(name for names in CREDIT.values() for name in names) == sorted(name for name, _ in WEIGHTS)


def test_clipping_by_hand() -> None:
    """Ratios 1, 2 and 1/2, clipped to 0.8..1.3."""
    old = torch.zeros(6)
    logprob = torch.tensor([1.0, 2.0, 0.5, 1.0, 2.0, 0.5]).log()
    advantage = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0, -1.0])
    found = clipped_surrogate(logprob, old, advantage, 0.2, 0.3)
    assert found.tolist() == pytest.approx([-1.0, -1.3, -0.5, 1.0, 2.0, 0.8])


def test_advantages_reach_their_actions_and_context_gets_none() -> None:
    policy = tiny_policy()
    policy.draws.manual_seed(1)
    done = Assessor(policy, sampling=Sampling(1.0, max_tokens=64)).assess([picture(0)] * 6)
    one = trace(policy, next(assessment.steps for assessment in done if assessment.error is None))
    found = of_actions(one, {"words": 1.0, "zoom": 4.0, "last": 2.0, "first": 3.0})
    assert len(one.views) == 2
    assert found[one.rating].tolist() == [3.0, 2.0]
    assert set(found[~one.rating]) == {1.0, 4.0} and set(found[one.zoom]) == {4.0}


def test_the_decision_to_look_again_is_an_action_of_its_own() -> None:
    """From behind its heading to the box: not the sections before it, the issues after it, or a last round's words."""
    policy = tiny_policy()
    policy.draws.manual_seed(1)
    texts = policy.masks.form.texts
    done = Assessor(policy, sampling=Sampling(1.0, max_tokens=64)).assess([picture(0)] * 6)
    read = [one.steps for one in done if one.error is None]
    assert {len(steps) for steps in read} >= {2}
    for steps in read:
        first = steps[0].reply
        zooms = zoom_of(first, texts)
        before, at, until = ("".join(texts[i] for i in first.token_ids[:end]) for end in (*zooms[:2], zooms.stop))
        begin = first.text.index(" & Rationale:") + len(" & Rationale:")
        assert len(before) <= begin <= len(at), "the token that ends the heading may begin the words"
        assert until.endswith('"rating": ') and first.text.startswith(until)
        one = trace(policy, steps)
        assert one.zoom.any() and set(one.round[one.zoom]) == {1} and not (one.zoom & one.rating).any()
        assert len(steps) == 1 or len(zoom_of(steps[1].reply, texts)) == 0


def test_pieces_do_not_change_the_step() -> None:
    """All rollouts in one pass or in several: the same gradient, so the same weights."""
    after = []
    for tokens in (100_000, 300):
        policy = tiny_policy()
        reference = tiny_policy().model.requires_grad_(False)
        with torch.no_grad():  # away from the reference, so that the regulariser counts
            policy.model.embedding.weight += 0.01
        policy.draws.manual_seed(1)
        done = Assessor(policy, sampling=Sampling(1.0, max_tokens=64)).assess([picture(0)] * 4)
        traces = [trace(policy, one.steps) for one in done]
        rewards = [{"words": a, "zoom": a, "last": a, "first": a} for a in (1.0, -1.0, 0.5, -0.5)]
        per_action = [of_actions(one, a) for one, a in zip(traces, rewards, strict=True)]
        pieces = cut(policy, traces, per_action, 0.2, tokens)
        assert (len(pieces) > 1) == (tokens < 1000)
        optimizer = torch.optim.SGD(policy.model.parameters(), lr=1.0)
        found = update(policy, reference, optimizer, Accelerator(), pieces, covered_kl, 1.0, (0.2, 0.2))
        assert found["kl"] > 0 and found["clipped"] == 0.0 and found["off_policy"] < 1e-4 and found["covered"] > 0
        after.append(policy.model.state_dict())
    for name, value in after[0].items():
        assert torch.allclose(value, after[1][name], atol=1e-5), name


def test_a_second_update_moves_away_from_the_policy_that_drew() -> None:
    policy = tiny_policy()
    policy.draws.manual_seed(2)
    done = Assessor(policy, sampling=Sampling(1.0, max_tokens=64)).assess([picture(0)] * 2)
    traces = [trace(policy, one.steps) for one in done]
    per_action = [np.full(len(one.at), sign) for one, sign in zip(traces, (1.0, -1.0), strict=True)]
    pieces = cut(policy, traces, per_action, 0.0, 8000)
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=3e-2)
    reference = tiny_policy().model
    both = [
        update(policy, reference, optimizer, Accelerator(), pieces, no_regulariser, 0.0, (0.2, 0.2)) for _ in range(2)
    ]
    assert both[0]["off_policy"] < 1e-4 < both[1]["off_policy"] and both[1]["clipped"] > 0.0


def test_next_pictures_come_from_both_pools(samples: tuple[list[Sample], list[Sample]]) -> None:
    pools = [Pool(samples[0], True), Pool(samples[1], False)]
    chosen = next_pictures(pools, (2, 1), 0.5, 0, 3)
    assert [pool for pool, _ in chosen] == [0, 0, 1] and chosen == next_pictures(pools, (2, 1), 0.5, 0, 3)
    with pytest.raises(ValueError, match="cannot be drawn from 0"):
        next_pictures([pools[0], Pool([], False)], (2, 1), 0.5, 0, 3)


def test_a_picture_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"gone\.png: no such file"):
        roll_out(tiny_policy(), [Sample(str(tmp_path / "gone.png"), 3.0)], SMALL)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """On a busy machine several threads may take a sum in another order, and what is to be equal to the bit is not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_two_steps_then_resume_equals_four_steps(
    one_thread: None, samples: tuple[list[Sample], list[Sample]], tmp_path: Path
) -> None:
    def run(out: Path, stop: int | None = None) -> dict[str, torch.Tensor]:
        train_grpo(SMALL, tiny_policy(), *samples, out, stop)
        weights: dict[str, torch.Tensor] = torch.load(out / "decoder.pt", weights_only=True)
        return weights

    straight = run(tmp_path / "a")
    begun = run(tmp_path / "b", stop=2)
    with (tmp_path / "b" / "log.jsonl").open("a") as log:
        log.write('{"step": 3, "reward": 0.0}\n{"step": 4, "rew')  # killed after its last checkpoint, in a line
    resumed = run(tmp_path / "b")
    assert any(not torch.equal(begun[name], value) for name, value in straight.items())
    for name, value in straight.items():
        assert torch.equal(value, resumed[name]), name
    rows = [[json.loads(line) for line in (tmp_path / x / "log.jsonl").read_text().splitlines()] for x in "ab"]
    assert [row["step"] for row in rows[1]] == [1, 2, 3, 4]
    for a, b in zip(*rows, strict=True):
        assert {k: v for k, v in a.items() if k not in ("seconds", "rolling")} == {
            k: v for k, v in b.items() if k not in ("seconds", "rolling")
        }
    wanted = {"reward", "reward_rank", "rating_entropy", "distinct_ratings", "crop_rate", "kl", "covered", "bias_1"}
    assert wanted <= set(rows[0][0]) and rows[0][0]["off_policy"] < 1e-4
    page = (tmp_path / "a" / "replies-000001.html").read_text()
    assert page.count("<img") == 6 and "MOS 2.00; faults: noise, severity 3" in page
    assert json.loads((tmp_path / "a" / "options.json").read_text())["shape"]["layers"] == 2


def test_ratings_move_towards_the_mos(samples: tuple[list[Sample], list[Sample]], tmp_path: Path) -> None:
    """All pictures are rated about 4.5; the policy begins at about 3.0. The score is read before the words."""
    options = replace(
        SMALL, steps=20, real=2, synthetic=0, rollouts=16, rounds=1, rate=1.5e-3, warmup=4, width=1.5,
        rewards=(("format", 0.5), ("score", 1.0)), token_credit=True, regulariser="kl", strength=0.3,
        checkpoint_every=20,
    )  # fmt: skip
    policy = tiny_policy()
    scorer = Assessor(policy, score_only=True)

    def mean_score() -> float:
        found = [assessment.score for assessment in scorer.assess([sample.path for sample in samples[0]])]
        return float(np.mean([score for score in found if score is not None]))

    before = mean_score()
    train_grpo(options, policy, samples[0], [], tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    shown = [(row["reward_format"], row["reward_score"], row["kl"]) for row in rows]
    assert mean_score() > before + 0.05, (before, mean_score(), shown)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown regulariser"):
        RlOptions(regulariser="cov")
    with pytest.raises(ValueError, match="rollouts 2"):
        RlOptions(rollouts=1)


def test_numbers_of_the_log_by_hand(tmp_path: Path) -> None:
    edges = mos_edges([1.0, 2.0, 3.0, 4.0, 5.0, 1.0])
    assert len(edges) == 4
    bias = bias_by_fifth([2.0, 2.0, float("nan"), 4.0], [1.0, 1.5, 3.0, 5.0], [1.2, 2.0, 3.5, 4.0])
    assert bias[:2] == pytest.approx([1.0, 0.5]) and bias[4] == pytest.approx(-1.0)
    assert np.isnan(bias[2]) and np.isnan(bias[3])
    assert distinct_2(["a b a b", "a b"]) == pytest.approx(2 / 4)
    log = RunLog(tmp_path, 0)
    log.write({"step": 1, "x": float("nan"), "y": 0.1234567})
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"step": 1, "x": None, "y": 0.12346}
