"""Which tokens are the model's own, token by token."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snellen.backends.onnx import LOOK_TOKENS, turn_ids
from snellen.rationale.lexicon import CLAIMS
from snellen.region import FULL, Region
from snellen.reply import RATING_PREFIX, Answer, Issue, Rationale, render_reply
from snellen.snellen1.tokenizer import train_tokenizer
from snellen.train.snellen1.batch import CLAIM, CONTEXT, PLACE, RATING, WORD, Round, collate, encode_rounds

BOX = Region(0.1, 0.2, 0.6, 0.8)
WORDS = Rationale("Noise shows. It is fair.", "Clean tones.", "No speckle.", "Look there.")
LATER = Rationale("Noise is there.", "Clean tones.", "No speckle.", "The first look gave 3.47; it stays.")
FIRST_REPLY = render_reply(WORDS, Answer(BOX, 3.47, "crop", (Issue("noise", 3, BOX),)), 1)
LAST_REPLY = render_reply(LATER, Answer(None, 3.2, "final", (Issue("noise", 3, BOX),)), 2)
ROUNDS = (Round(4, FULL, FIRST_REPLY, 3.468, 1), Round(5, BOX, LAST_REPLY, 3.2, 1))


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([FIRST_REPLY, LAST_REPLY] * 3, 400)


def test_every_two_decimal_number_up_to_five_is_one_token(tokenizer) -> None:
    for i in range(501):
        assert len(tokenizer.encode(f"{i / 100:.2f}").ids) == 1
    assert tokenizer.token_to_id("5.00") - tokenizer.token_to_id("0.00") == 500


def test_replies_survive_the_tokenizer(tokenizer) -> None:
    for reply in (FIRST_REPLY, LAST_REPLY, "<think>ünseen wörds</think>"):
        assert tokenizer.decode(tokenizer.encode(reply).ids, skip_special_tokens=False) == reply


def test_only_replies_and_their_ends_are_own(tokenizer) -> None:
    row = encode_rounds(tokenizer, ROUNDS)
    first, last = (len(tokenizer.encode(reply).ids) + 1 for reply in (FIRST_REPLY, LAST_REPLY))
    shown = 1 + 4 + LOOK_TOKENS
    own = np.r_[np.zeros(shown), np.ones(first), np.zeros(shown), np.ones(last)].astype(bool)
    assert np.array_equal(row.role != CONTEXT, own)
    end = tokenizer.token_to_id("<end>")
    assert row.ids[shown + first - 1] == end and row.ids[-1] == end
    assert row.looks == (4, 5)
    assert list(row.ids[:shown]) == turn_ids(tokenizer, FULL)


def test_numbers_of_the_answer_are_told_apart(tokenizer) -> None:
    row = encode_rounds(tokenizer, ROUNDS)
    said = {kind: [tokenizer.id_to_token(int(i)) for i in row.ids[row.role == kind]] for kind in (RATING, PLACE, WORD)}
    assert said[RATING] == ["3.47", "3.20"]
    asked, issue = ["0.10", "0.20", "0.60", "0.80"], ["0.10", "0.20", "0.60", "0.80"]
    assert said[PLACE] == asked + issue + issue
    assert said[WORD].count("0.00") == 4  # the last answer asks for no region: four zeros are words, not a place
    # the earlier rating that the second reply quotes is a word like any other
    assert "3.47" in said[WORD]
    assert np.allclose(row.target[row.role == RATING], [3.468, 3.2])
    assert not row.target[row.role != RATING].any()


def test_what_is_claimed_is_told_from_how_it_is_worded() -> None:
    reply = (
        "Image Quality Summary: One sees severe motion blur in the upper left corner; the whole is fair.\n"
        "Crop Inspection Summary: The crop shows intact detail, it clears the suspicion.\n"
        '<answer>{"bbox_2d": [0.00, 0.00, 0.50, 0.50], "rating": 2.10, "tool": "crop", '
        '"issues": [{"kind": "motion blur", "severity": 5, "bbox_2d": [0.00, 0.00, 0.40, 0.40]}]}</answer>'
    )
    assert [match.group() for match in CLAIMS.finditer(reply)] == [
        "Summary: One sees", "severe", "motion blur", "in the upper left corner", "fair",
        "Summary: The crop", "shows intact", "clears", '"tool": "crop', '"issues": [', "motion blur", '"severity": 5',
    ]  # fmt: skip
    letters = train_tokenizer([reply], 10)  # hardly any merges: a token is a letter
    row = encode_rounds(letters, [Round(0, FULL, reply, 2.1, 1)])
    claimed = "".join(letters.decode([int(i)]) for i in row.ids[row.role == CLAIM])
    assert claimed == "".join(match.group() for match in CLAIMS.finditer(reply))


def test_collate_pads_on_the_right(tokenizer) -> None:
    rows = [encode_rounds(tokenizer, ROUNDS[:1]), encode_rounds(tokenizer, ROUNDS)]
    batch = collate(rows, tokenizer.token_to_id("<image>"))
    assert batch.ids.shape == (2, len(rows[1].ids))
    assert batch.keys.sum(1).tolist() == [len(row.ids) for row in rows]
    assert batch.is_look.sum(1).tolist() == [LOOK_TOKENS, 2 * LOOK_TOKENS]
    assert batch.looks.tolist() == [4, 4, 5]
    assert not batch.role[0, len(rows[0].ids) :].any()


def test_a_forced_beginning_is_not_the_models_own(tokenizer) -> None:
    reply = f'{RATING_PREFIX}3.47, "tool": "final", "issues": []}}</answer>'
    row = encode_rounds(tokenizer, [Round(0, FULL, reply, 3.47, 0)])
    forced = len(tokenizer.encode(RATING_PREFIX).ids)
    begin = 1 + 4 + LOOK_TOKENS
    assert not row.role[: begin + forced].any()
    assert row.role[begin + forced] == RATING and set(row.role[begin + forced + 1 :]) == {WORD, CLAIM}


def test_a_round_may_teach_its_rating_only_or_nothing(tokenizer) -> None:
    first, last = ROUNDS
    row = encode_rounds(tokenizer, [replace(first, teaches="nothing"), replace(last, teaches="rating")])
    whole = encode_rounds(tokenizer, ROUNDS)
    assert row.ids.tolist() == whole.ids.tolist()
    own = np.flatnonzero(row.role)
    assert own.tolist() == [np.flatnonzero(whole.role == RATING)[1]]
    assert row.target[own[0]] == np.float32(3.2)
