"""The policy as a backend, and its rollouts as numbers: what it drew is what training computes again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_policy import picture, tiny_policy

from snellen.answer import RATING_PREFIX
from snellen.assess import Assessor, Step
from snellen.backends import Sampling, Turn
from snellen.backends.bundled import LOOK_TOKENS, RATING_MARK, turn_ids
from snellen.image import look
from snellen.model.vision import Encoder, Glance
from snellen.region import FULL, Region
from snellen.train.batch import CONTEXT, RATING, Round, encode_rounds
from snellen.train.kl_coverage import taken_logprobs
from snellen.train.look_cache import LookCache
from snellen.train.policy import Draft, Policy
from snellen.train.trace import action_logits, collate, trace, visible

DRAWN = Sampling(temperature=1.0, max_tokens=64)
PART = Region(0.25, 0.25, 0.75, 0.75)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return tiny_policy()


@pytest.fixture(scope="module")
def rollouts(policy: Policy) -> list[list[Step]]:
    """Two rounds each, two rollouts of two pictures."""
    policy.draws.manual_seed(0)
    assessor = Assessor(policy, batch_size=4, sampling=DRAWN)
    assessments = assessor.assess([picture(0), picture(0), picture(1), picture(1)])
    assert all(len(assessment.steps) == 2 for assessment in assessments)
    return [list(assessment.steps) for assessment in assessments]


def test_logprobs_when_drawn_are_those_of_the_training_pass(policy: Policy, rollouts: list[list[Step]]) -> None:
    traces = [trace(policy, steps) for steps in rollouts]
    assert all(one.rating.sum() == 2 for one in traces), "each round's rating is an action"
    with torch.no_grad():
        batch = collate(policy, traces)
        again = taken_logprobs(action_logits(policy.model, batch, policy.bias), batch.taken)
    drawn = np.concatenate([one.logprob for one in traces])
    assert np.abs(again.numpy() - drawn).max() < 1e-4
    alone = collate(policy, traces[2:3])
    with torch.no_grad():
        single = taken_logprobs(action_logits(policy.model, alone, policy.bias), alone.taken)
    assert np.abs(single.numpy() - traces[2].logprob).max() < 1e-4


def test_a_rating_is_drawn_before_the_words(policy: Policy, rollouts: list[list[Step]]) -> None:
    """Its log-probability is that of the distribution which a score without words reads."""
    first = policy._first_rating
    for steps in rollouts:
        view, reply = steps[0].view, steps[0].reply
        assert isinstance(reply, Draft)
        (quick,) = policy.reply([(Turn("user", "", (view,)),)], Sampling(prefix=RATING_PREFIX, max_tokens=1))
        assert quick.rating is not None and quick.finish == "prefix"
        for place in reply.forced:
            chance = quick.rating.probs[reply.token_ids[place] - first]
            assert reply.logprobs[place] == pytest.approx(np.log(chance), abs=1e-4)
        assert reply.rating is None, "the rating that counts is the one drawn"


def test_context_is_no_action(policy: Policy, rollouts: list[list[Step]]) -> None:
    for steps in rollouts:
        one = trace(policy, steps)
        shown = 1 + 4 + LOOK_TOKENS
        replies = [step.reply for step in steps]
        assert all(isinstance(reply, Draft) for reply in replies)
        lengths = [len(reply.token_ids) + (reply.end is not None) for reply in replies]  # type: ignore[attr-defined]
        own = [*range(shown, shown + lengths[0])]
        own += range(2 * shown + lengths[0], 2 * shown + sum(lengths))
        words = one.at[~one.rating] + 1
        forced = {shown + place for place in replies[0].forced}  # type: ignore[attr-defined]
        forced |= {2 * shown + lengths[0] + place for place in replies[1].forced}  # type: ignore[attr-defined]
        assert set(words.tolist()) == set(own) - forced
        assert (one.taken[~one.rating] == one.ids[words]).all()
        # a rating is predicted from the end of its branch
        branches = [reply for reply in replies if reply.forced]  # type: ignore[attr-defined]
        assert one.rating.sum() == len(branches)
        assert len(one.ids) == 2 * shown + sum(lengths) + len(branches) * len(policy.prefix)


def test_the_row_is_laid_out_as_in_supervised_training(policy: Policy) -> None:
    reply = f'{RATING_PREFIX}3.47, "tool": "final", "issues": []}}</answer>'
    ids = policy.tokenizer.encode(reply).ids
    place = ids.index(policy.tokenizer.token_to_id("3.47"))
    view = look(picture(0))
    said = Draft(reply, tuple(ids), tuple([-1.0] * len(ids)), None, "stop", (place,), -0.5)
    one = trace(policy, [Step(view, said)])
    row = encode_rounds(policy.tokenizer, [Round(0, FULL, reply, 3.47, 0)])
    main = one.segment == 0
    assert (one.ids[main] == row.ids).all() and (one.positions[main] == np.arange(len(row.ids))).all()
    own = np.flatnonzero((row.role != CONTEXT) & (row.role != RATING))
    assert set(own) <= set(one.at[~one.rating] + 1)
    begin = len(turn_ids(policy.tokenizer, FULL))
    assert (one.positions[~main] == begin + np.arange(len(policy.prefix))).all()
    assert one.taken[one.rating].tolist() == [ids[place]]


def test_branches_see_the_conversation_before_them_only() -> None:
    segment = torch.tensor([[0, 0, 0, 1, 1, 2]])
    limit = torch.tensor([[3, 3, 3, 1, 1, 2]])
    assert visible(segment, limit)[0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 0, 0, 1, 0, 0],
        [1, 0, 0, 1, 1, 0],
        [1, 1, 0, 0, 0, 1],
    ]


def test_draws_repeat_with_their_seed_and_differ_between_rows(policy: Policy) -> None:
    view = look(picture(3))
    conversations = [(Turn("user", "", (view,)),)] * 3

    def texts(seed: int) -> list[str]:
        policy.draws.manual_seed(seed)
        return [reply.text for reply in policy.reply(conversations, DRAWN)]

    assert texts(5) == texts(5) != texts(6) and len({*texts(5), *texts(6)}) > 3
    with pytest.raises(ValueError, match="at temperature 1 and top_p 1"):
        policy.reply(conversations, Sampling(temperature=0.7))


def test_greedy_replies_do_not_depend_on_the_batch_and_write_the_expected_rating(policy: Policy) -> None:
    conversations = [(Turn("user", "", (look(picture(i)),)),) for i in range(3)]
    together = policy.reply(conversations, Sampling(max_tokens=64))
    for conversation, reply in zip(conversations, together, strict=True):
        (alone,) = policy.reply([conversation], Sampling(max_tokens=64))
        assert alone.text == reply.text and alone.logprobs == pytest.approx(reply.logprobs, abs=1e-4)
        assert reply.rating is not None
        assert f"{RATING_MARK}{reply.rating.mean:.2f}" in reply.text


def test_a_score_without_words_goes_through_the_assessor(policy: Policy) -> None:
    (assessment,) = Assessor(policy, score_only=True).assess([picture(0)])
    assert assessment.score is not None and 1.0 <= assessment.score <= 5.0


def test_looks_are_encoded_once_and_kept_on_disk(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder, glance = Encoder(), Glance()
    calls: list[int] = []
    encoder.register_forward_hook(lambda *_: calls.append(1))
    views = [look(picture(0)), look(picture(0), PART), look(picture(1))]
    first = LookCache(encoder, glance, tmp_path / "looks.db").take(views)
    made = len(calls)
    assert made > 0 and [tuple(part.shape) for part in first] == [(3, 128), (3, 25, 160), (3, 25, 160), (3,)]
    again = LookCache(encoder, glance, tmp_path / "looks.db").take([look(picture(1)), views[0]])
    assert len(calls) == made, "nothing was encoded twice"
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a[[2, 0]], b)
    other = LookCache(Encoder(), glance, tmp_path / "looks.db")
    assert not torch.equal(other.take(views)[0], first[0]), "another encoder sees for itself"
