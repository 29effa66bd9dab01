"""The policy as a backend, and its rollouts as numbers: what it drew is what training computes again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_policy import picture, replies, tiny_policy

from snellen.assessment import Step
from snellen.assessor import Assessor
from snellen.backend import Sampling, Turn
from snellen.backends.onnx import LOOK_TOKENS, RATING_MARK, turn_ids
from snellen.region import FULL, Region
from snellen.reply import RATING_PREFIX
from snellen.snellen1.decoder import Decoder
from snellen.snellen1.perception import Vision
from snellen.train.regularizers import taken_logprobs
from snellen.train.snellen1.batch import CONTEXT, RATING, Round, encode_rounds
from snellen.train.snellen1.feature_cache import LookCache
from snellen.train.snellen1.policy import RATING as ONLY_RATINGS
from snellen.train.snellen1.policy import Draft, Policy
from snellen.train.snellen1.trace import action_logits, collate, trace, visible
from snellen.vocabulary import KINDS

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
        again = taken_logprobs(action_logits(policy.model, batch), batch.taken)
    drawn = np.concatenate([one.logprob for one in traces])
    assert np.abs(again.numpy() - drawn).max() < 1e-4
    alone = collate(policy, traces[2:3])
    with torch.no_grad():
        single = taken_logprobs(action_logits(policy.model, alone), alone.taken)
    assert np.abs(single.numpy() - traces[2].logprob).max() < 1e-4


def random_policy() -> Policy:
    """One that has learned nothing."""
    taught = tiny_policy()
    torch.manual_seed(1)
    return Policy(Decoder(taught.model.shape).eval(), taught.tokenizer, taught.looks, taught.phrases)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_one_that_has_learned_nothing_can_be_read(temperature: float) -> None:
    """Unless it is cut off; and what it drew, under many masks, is what training computes again."""
    policy = random_policy()
    policy.draws.manual_seed(0)
    sampling = Sampling(temperature, max_tokens=700)
    done = Assessor(policy, batch_size=4, sampling=sampling).assess([picture(0), picture(1)])
    assert all(one.error is None and one.steps[-1].reply.finish == "stop" for one in done)
    (short,) = Assessor(policy, sampling=Sampling(temperature, max_tokens=30)).assess([picture(0)])
    assert short.error is not None and "cut off at 30 tokens" in short.error.problem
    if temperature:
        traces = [trace(policy, one.steps) for one in (*done, short)]
        batch = collate(policy, traces)
        with torch.no_grad():
            again = taken_logprobs(action_logits(policy.model, batch), batch.taken)
        assert np.abs(again.numpy() - np.concatenate([one.logprob for one in traces])).max() < 1e-4
        assert len(set(np.concatenate([one.mask for one in traces]))) > 20


def test_actions_are_drawn_from_what_the_grammar_allows(policy: Policy, rollouts: list[list[Step]]) -> None:
    one = trace(policy, rollouts[0])
    with torch.no_grad():
        batch = collate(policy, [one])
        chances = torch.softmax(action_logits(policy.model, batch), dim=1)
    reply = rollouts[0][0].reply
    assert isinstance(reply, Draft)
    grammar, word = policy.grammar([Turn("user", "", (rollouts[0][0].view,))], 3.0), 0
    for place, token in enumerate(reply.token_ids):
        allowed = torch.from_numpy(grammar.allowed())
        if place != reply.rated and allowed.sum() > 1:
            assert chances[word][allowed].sum().item() == pytest.approx(1.0, abs=1e-5)
            assert chances[word][~allowed].sum().item() == 0.0
            word += 1
        grammar.add(token)
    assert word == (one.round[~one.rating] == 1).sum()
    places = slice(policy._first_rating, policy._first_rating + 401)
    assert chances[batch.rating][:, places].sum(dim=1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)


def test_a_rating_is_drawn_before_the_words(policy: Policy, rollouts: list[list[Step]]) -> None:
    """Its log-probability is that of the distribution which a score without words reads."""
    first = policy._first_rating
    for steps in rollouts:
        view, reply = steps[0].view, steps[0].reply
        assert isinstance(reply, Draft)
        (quick,) = policy.rate([(Turn("user", "", (view,)),)])
        assert quick.rating is not None and quick.finish == "rating"
        assert reply.rated is not None and reply.masks[reply.rated] == ONLY_RATINGS
        chance = quick.rating.probs[reply.token_ids[reply.rated] - first]
        assert reply.logprobs[reply.rated] == pytest.approx(np.log(chance), abs=1e-4)
        assert reply.rating is None, "the rating that counts is the one drawn"


def test_context_is_no_action(policy: Policy, rollouts: list[list[Step]]) -> None:
    for steps in rollouts:
        one = trace(policy, steps)
        shown = 1 + 4 + LOOK_TOKENS
        own, begin = set(), 0
        for step in steps:
            reply = step.reply
            assert isinstance(reply, Draft) and reply.finish == "stop"
            begin += shown
            free = [place for place, mask in enumerate(reply.masks) if policy.masks.choices[mask] > 1]
            own |= {begin + place for place in free if place != reply.rated}
            begin += len(reply.token_ids) + 1
        words = one.at[~one.rating] + 1
        assert set(words.tolist()) == own
        assert (one.taken[~one.rating] == one.ids[words]).all()
        # a rating is predicted from the end of its branch
        assert one.rating.sum() == len(steps)
        assert len(one.ids) == begin + len(steps) * len(policy.prefix)


def test_the_row_is_laid_out_as_in_supervised_training(policy: Policy) -> None:
    reply = f'{RATING_PREFIX}3.47, "tool": "final", "issues": []}}</answer>'
    ids = policy.tokenizer.encode(reply).ids
    place = ids.index(policy.tokenizer.token_to_id("3.47"))
    view = picture(0).view()
    masks = (ONLY_RATINGS,) * len(ids)
    said = Draft(reply, tuple(ids), tuple([-1.0] * len(ids)), None, "stop", masks=masks, rated=place)
    one = trace(policy, [Step(view, said)])
    row = encode_rounds(policy.tokenizer, [Round(0, FULL, reply, 3.47, 0)])
    main = one.segment == 0
    assert (one.ids[main] == row.ids).all() and (one.positions[main] == np.arange(len(row.ids))).all()
    own = np.flatnonzero((row.role != CONTEXT) & (row.role != RATING))
    assert set(own) - {len(row.ids) - 1} <= set(one.at[~one.rating] + 1), "all but <end>, which nothing else can follow"
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
    view = picture(3).view()
    conversations = [(Turn("user", "", (view,)),)] * 3

    def texts(seed: int) -> list[str]:
        policy.draws.manual_seed(seed)
        return [reply.text for reply in policy.reply(conversations, DRAWN)]

    assert texts(5) == texts(5) != texts(6) and len({*texts(5), *texts(6)}) > 3
    with pytest.raises(ValueError, match="at temperature 1 and top_p 1"):
        policy.reply(conversations, Sampling(temperature=0.7))


def test_greedy_replies_do_not_depend_on_the_batch_and_write_the_expected_rating(policy: Policy) -> None:
    conversations = [(Turn("user", "", (picture(i).view(),)),) for i in range(3)]
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
    vision = Vision()
    calls: list[int] = []
    vision.encoder.cell.register_forward_hook(lambda *_: calls.append(1))
    views = [picture(0).view(), picture(0).view(PART), picture(1).view()]
    first = LookCache(vision, tmp_path / "looks.db").take(views)
    made = len(calls)
    assert made > 0 and [tuple(part.shape) for part in first] == [
        (3, 128),
        (3, 25, 160),
        (3, 25, 160),
        (3,),
        (3,),
        (3, 15),
        (3, 4),
    ]
    again = LookCache(vision, tmp_path / "looks.db").take([picture(1).view(), views[0]])
    assert len(calls) == made, "nothing was encoded twice"
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a[[2, 0]], b)
    other = LookCache(Vision(), tmp_path / "looks.db")
    assert not torch.equal(other.take(views)[0], first[0]), "other weights see for themselves"


@torch.no_grad()
def test_a_look_is_encoded_both_ways_and_its_cells_lie_as_in_the_picture() -> None:
    torch.manual_seed(0)
    vision = Vision().eval()
    whole, part = picture(0).view(), picture(0).view(PART)  # which is too small to be looked at closer
    seen = LookCache(vision).take([whole, part])
    small = [[one.overview for one in (whole, part)], [one.fragments for one in (whole, part)]]
    turned = [[one[:, ::-1] for one in kind] for kind in small]
    cells = (vision.cells(*small) + vision.cells(*turned).flip(-1)) / 2
    rated = (vision.glimpses(small[0]) + vision.glimpses(turned[0])) / 2
    wanted = vision.judge(cells, torch.tensor([one.region.to_list() for one in (whole, part)]), rated)
    for found, by_hand in zip(seen, wanted, strict=True):
        assert torch.allclose(found, by_hand, atol=2e-3), "in 16 bits"
    assert seen.shown.tolist() == pytest.approx([1.0, part.region.area], abs=1e-3)


@torch.no_grad()
def test_what_is_found_in_a_crop_is_what_a_closer_look_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    views = [picture(0).view(), picture(0).view(PART), picture(1).view()]
    near = picture(0).view(Region(0.3, 0.4, 0.6, 0.7))
    closer = "snellen.train.snellen1.feature_cache.closer"
    monkeypatch.setattr(closer, lambda view, _: near if view is views[1] else None)
    cache = LookCache(Vision())
    seen, rated = cache.take(views), torch.zeros(1)
    far, close = (cache.vision.judge(*cache._read([view]), rated) for view in (views[1], near))
    assert torch.allclose(seen.found[1], close.found[0], atol=2e-3), "in 16 bits"
    assert torch.allclose(seen.box[1], close.box[0], atol=2e-3)
    assert torch.allclose(seen.summary[1], far.summary[0], atol=2e-3), "the rest is said of the crop"
    assert seen.shown[1] == pytest.approx(PART.area, abs=1e-3)
    assert not torch.allclose(far.box, close.box, atol=2e-3), "so it matters"
    monkeypatch.undo()
    for found, alone in zip(seen, LookCache(cache.vision).take(views[::2]), strict=True):
        assert torch.allclose(found[::2], alone, atol=2e-3), "and of other looks nothing else"


@torch.no_grad()
@pytest.mark.parametrize(
    ("first", "last", "found"), [((0.2, 0.3), (0.7, 0.8), ("noise", 4)), ((0.6, 0.9), (0.7, 0.5), (None, None))]
)
def test_what_the_looks_show_is_the_likeliest_by_both_as_severe_as_the_last_shows_it(
    policy: Policy, first: tuple[float, float], last: tuple[float, float], found: tuple[str | None, int | None]
) -> None:
    """Each look: the chance of no fault, and the severity of the worst, in fifths."""
    views = [picture(0).view(), picture(0).view(PART)]
    seen = policy.looks.take(views)
    chances = torch.zeros_like(seen.found)
    for row, (none, severity) in enumerate((first, last)):
        chances[row, 0], chances[row, 1 + KINDS.index("noise")], chances[row, -1] = none, 1.0 - none, severity
    told = policy.model.see(seen._replace(found=chances, rating=torch.tensor([1.3, 1.3]))).numpy()
    policy._shown = {(view.picture.name, view.region): one for view, one in zip(views, told, strict=True)}
    asked = [Turn("user", "", (view,)) for view in views]
    grammar = policy.grammar([asked[0], Turn("assistant", replies(3.0)[0]), asked[1]], 3.0)
    assert (grammar.found, grammar.severe) == found
    assert grammar.listed == {"noise": 3}


def test_what_is_forgotten_changes_no_reply_and_no_number_of_a_rating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks are kept by what they were made for, and told apart by identity: forgetting them must not mix them up."""
    pictures = [picture(i) for i in range(4)]
    wanted = [one.steps[-1].reply.text for one in Assessor(tiny_policy(), batch_size=1).assess(pictures)]
    policy = tiny_policy()
    monkeypatch.setattr("snellen.backends.pieces.MOST_KEPT", 0)
    done = Assessor(policy, batch_size=1).assess(pictures)
    assert [one.steps[-1].reply.text for one in done] == wanted
    kept = len(policy.masks.form.known)
    policy.masks.form.forget()
    assert len(policy.masks.form.known) < kept, "there was something to forget"
    assert policy.masks.number(policy.masks.form.numbers(100, 500)) == ONLY_RATINGS
    assert all(trace(policy, one.steps).rating.sum() == len(one.steps) for one in done)
