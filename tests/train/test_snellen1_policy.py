"""snellen-1's decoder as a policy: sampling, log-probabilities, demonstrations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_snellen1 import picture

from snellen.assessor import Assessor
from snellen.backend import Round, Sampling, Turn
from snellen.protocol import DEFAULT_QUESTION, SnellenProtocol
from snellen.region import Region
from snellen.snellen1.actions import CROP, FINAL, MOVE
from snellen.snellen1.layout import Decision
from snellen.train.rollout import rounds_of
from snellen.train.snellen1.policy import Snellen1Policy

CROP_BOX = Region(0.1, 0.2, 0.5, 0.7)


def sampled(policy: Snellen1Policy, count: int = 12, max_rounds: int = 2) -> list[list[Round]]:
    """The rounds of rollouts of two pictures."""
    policy.rounds = max_rounds
    assessor = Assessor(policy, sampling=Sampling(1.0, seed=5), max_rounds=max_rounds, batch_size=2 * count)
    pictures = [picture(0)] * count + [picture(1)] * count
    done = assessor.assess(pictures)
    assert all(one.error is None for one in done)
    return [list(rounds_of(assessor, shown, one)) for shown, one in zip(pictures, done, strict=True)]


def test_recomputed_log_probabilities_are_those_of_sampling(policy: Snellen1Policy) -> None:
    rollouts = sampled(policy)
    assert {len(rollout) for rollout in rollouts} == {1, 2}
    rounds = [one for rollout in rollouts for one in rollout]
    wanted = [one.reply.logprobs[j] for one in rounds for j in one.reply.action_indices]
    together = policy.logprobs(rounds)
    assert together.policy.tolist() == pytest.approx(wanted, abs=1e-5)
    alone = torch.cat([policy.logprobs([one]).policy for one in rounds])
    assert alone.tolist() == pytest.approx(wanted, abs=1e-5), "padding changes nothing"


def test_the_reference_stays_and_the_divergence_is_exact(policy: Snellen1Policy) -> None:
    rounds = [one for rollout in sampled(policy, 4) for one in rollout]
    before = policy.logprobs(rounds)
    assert before.kl is not None and before.kl.tolist() == pytest.approx([0.0] * len(before.kl), abs=1e-6)
    with torch.no_grad():
        policy.decoder.head.bias.add_(torch.randn(len(policy.decoder.head.bias)))
    after = policy.logprobs(rounds)
    assert after.kl is not None and float(after.kl.detach().min()) >= 0.0 and float(after.kl.detach().max()) > 0.01
    assert after.reference.tolist() == pytest.approx(before.reference.tolist(), abs=1e-6)
    assert policy.logprobs(rounds, reference=False).kl is None


def test_log_probabilities_are_over_the_allowed_tokens_alone(policy: Snellen1Policy) -> None:
    """The first action of a round is crop or final: the two probabilities add to 1."""
    conversation = SnellenProtocol().conversation(DEFAULT_QUESTION, [picture(0).view()], [])
    both = [policy.demonstrate(conversation, one) for one in (Decision("final"), Decision("crop", CROP_BOX))]
    final, *crop = policy.logprobs([Round(conversation, one) for one in both]).policy.exp().tolist()
    assert final + crop[0] == pytest.approx(1.0, abs=1e-6)


def test_forced_tokens_are_no_actions(policy: Snellen1Policy) -> None:
    for rollout in sampled(policy):
        for number, one in enumerate(rollout, 1):
            ids, actions = one.reply.token_ids, one.reply.actions
            assert len(ids) == len(actions) == len(one.reply.logprobs)
            if number == 2:
                assert ids[0] >= MOVE and ids[1:] == (FINAL,) and actions == (True, False), "the last round is final"
            assert all(action or one.reply.logprobs[i] == 0.0 for i, action in enumerate(actions))


def test_with_three_rounds_the_second_may_crop(policy: Snellen1Policy) -> None:
    rollouts = sampled(policy, 12, max_rounds=3)
    assert any(len(one.reply.token_ids) > 2 for rollout in rollouts for one in rollout[1:2])
    rounds = [one for rollout in rollouts for one in rollout]
    wanted = [one.reply.logprobs[j] for one in rounds for j in one.reply.action_indices]
    assert policy.logprobs(rounds).policy.tolist() == pytest.approx(wanted, abs=1e-5)


def test_the_rating_is_that_of_the_rating_head_and_the_move(policy: Snellen1Policy) -> None:
    views = [picture(0).view(), picture(0).view(CROP_BOX)]
    first = policy.demonstrate(
        SnellenProtocol().conversation(DEFAULT_QUESTION, views[:1], []), Decision("crop", CROP_BOX)
    )
    conversation = SnellenProtocol().conversation(DEFAULT_QUESTION, views, [first.turn()])
    plain, moved = (policy.demonstrate(conversation, Decision("final", None, move)).rating for move in (0.0, 0.2))
    assert plain is not None and moved is not None and moved.mean - plain.mean == pytest.approx(0.2, abs=0.02)


def test_sampling_is_reproducible_and_every_row_has_its_own_stream(policy: Snellen1Policy) -> None:
    conversation = SnellenProtocol().conversation(DEFAULT_QUESTION, [picture(0).view()], [])

    def drawn(seed: int, rows: int = 16, temperature: float = 1.0) -> list[tuple[int, ...]]:
        return [one.token_ids for one in policy.sample([conversation] * rows, Sampling(temperature, seed=seed))]

    assert drawn(1) == drawn(1) and drawn(1) != drawn(2)
    assert {ids[0] for ids in drawn(1)} == {CROP, FINAL} and len(set(drawn(1))) > 4
    assert drawn(1, 3) == drawn(1)[:3], "independent of the rest of the batch"
    assert len(set(drawn(1, temperature=0.0))) == 1


def test_frequencies_follow_the_probabilities(policy: Snellen1Policy) -> None:
    conversation = SnellenProtocol().conversation(DEFAULT_QUESTION, [picture(0).view()], [])
    final = policy.demonstrate(conversation, Decision("final"))
    p = float(policy.logprobs([Round(conversation, final)]).policy.detach().exp())
    replies = policy.sample([conversation] * 300, Sampling(1.0, seed=0))
    share = np.mean([one.token_ids == (FINAL,) for one in replies])
    assert share == pytest.approx(p, abs=0.08)


def test_kinds_of_actions(policy: Snellen1Policy) -> None:
    rollout = next(one for one in sampled(policy) if len(one) == 2)
    kinds = [policy.action_kinds(one.reply) for one in rollout]
    assert set(kinds[0]) == {"zoom"} and kinds[1] == ["rating"]


def test_saved_weights_are_resumed_and_started_from(policy: Snellen1Policy, tmp_path: Path) -> None:
    rounds = [one for rollout in sampled(policy, 4) for one in rollout]
    with torch.no_grad():
        policy.decoder.head.bias.add_(torch.randn(len(policy.decoder.head.bias)))
    changed = policy.logprobs(rounds)
    policy.save(tmp_path)
    with torch.no_grad():
        policy.decoder.head.bias.zero_()
    policy.resume(tmp_path)
    again = policy.logprobs(rounds)
    assert torch.equal(again.policy, changed.policy) and torch.equal(again.reference, changed.reference)
    started = Snellen1Policy(start=tmp_path)
    started.cache = policy.cache
    found = started.logprobs(rounds)
    assert torch.equal(found.policy, changed.policy)
    assert found.reference.tolist() == pytest.approx(changed.policy.tolist(), abs=1e-6), "the start is the reference"


def test_a_conversation_of_another_model_is_refused(policy: Snellen1Policy) -> None:
    views = [picture(0).view(), picture(0).view(CROP_BOX)]
    conversation = SnellenProtocol().conversation(DEFAULT_QUESTION, views, [Turn("assistant", "a text")])
    with pytest.raises(ValueError, match="no decision of this policy"):
        policy.sample([conversation], Sampling(1.0))
