"""Whatever is chosen among what the grammar allows can be read, and everything that can be said is allowed."""

from __future__ import annotations

import numpy as np
import pytest

from snellen.answer import FIRST_LABELS, LATER_LABELS, Answer, Issue, Rationale, labels, parse_reply, render_reply
from snellen.backends.bundled import token_id
from snellen.backends.grammar import MOST_ISSUES, SECTION_TOKENS, SHORTEST, Grammar, Pieces, words_of
from snellen.model.tokenizer import train_tokenizer
from snellen.region import Region

CORNER = Region(0.0, 0.1, 0.4, 0.55)
WORDS = Rationale("Soft edges: the rest is fine.", "Crisp edges.", "No halos there.", "At first sight it is good.")
LATER = Rationale("Soft edges: the rest is fine.", "Crisp edges.", "No halos there.", "At first it was 3.47; it stays.")
ANSWERS = [
    Answer(None, 3.47, "final"),
    Answer(CORNER, 1.0, "crop", (Issue("motion blur", 5, CORNER),)),
    Answer(None, 5.0, "final", (Issue("blur", 1, CORNER), Issue("color cast", 3, Region(0.0, 0.0, 1.0, 1.0)))),
]


def said(answer: Answer, number: int) -> str:
    return render_reply(WORDS if number == 1 else LATER, answer, number)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([said(answer, number) for answer in ANSWERS for number in (1, 2)] * 3, 420)


@pytest.fixture(scope="module")
def pieces(tokenizer) -> Pieces:
    texts = [tokenizer.decode([i], skip_special_tokens=False) for i in range(tokenizer.get_vocab_size())]
    words = words_of(said(answer, number).partition("</think>")[0] for answer in ANSWERS for number in (1, 2))
    return Pieces(texts, token_id(tokenizer, "0.00"), token_id(tokenizer, "<end>"), words)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_the_protocol_can_say_is_allowed(tokenizer, pieces: Pieces, answer: Answer, number: int) -> None:
    grammar = Grammar(pieces, labels(number), 347 if number == 2 else None)
    for token in [*tokenizer.encode(said(answer, number)).ids, pieces.end]:
        assert grammar.allowed()[token], pieces.texts[token]
        if token != pieces.end:
            grammar.add(token)


@pytest.mark.parametrize("seed", range(40))
def test_any_walk_can_be_read(pieces: Pieces, seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = 1 + seed % 2
    grammar = Grammar(pieces, FIRST_LABELS if number == 1 else LATER_LABELS)
    text = ""
    for _ in range(2000):
        token = int(rng.choice(np.flatnonzero(grammar.allowed())))
        if token == pieces.end:
            break
        text += pieces.texts[token]
        grammar.add(token)
    else:
        pytest.fail(f"no end: {text[-200:]}")
    parsed = parse_reply(text, number)
    assert parsed.rationale is not None
    assert all(len(words) >= SHORTEST for words in parsed.rationale.sections)
    assert len(parsed.answer.issues) <= MOST_ISSUES
    assert (parsed.answer.tool == "crop") == (parsed.answer.region is not None)


def test_the_only_number_among_the_words_is_the_earlier_rating(tokenizer, pieces: Pieces) -> None:
    quoted = token_id(tokenizer, "3.47")
    numbers = [token_id(tokenizer, f"{n / 100:.2f}") for n in range(501)]
    for earlier in (None, 347):
        grammar = Grammar(pieces, LATER_LABELS, earlier)
        for token in tokenizer.encode(f"<think>{LATER_LABELS[0]}: Soft").ids:
            grammar.add(token)
        allowed = grammar.allowed()
        assert [n for n in numbers if allowed[n]] == ([] if earlier is None else [quoted])
        assert not any(allowed[i] for i, text in enumerate(pieces.texts) if text.strip().isdigit())


@pytest.mark.parametrize("words", ["The first look gave ", "At first the rating was "])
def test_the_earlier_rating_follows_where_it_is_announced(tokenizer, pieces: Pieces, words: str) -> None:
    grammar = Grammar(pieces, LATER_LABELS, 347)
    for token in tokenizer.encode(f"<think>{LATER_LABELS[0]}: {words}").ids:
        grammar.add(token)
    assert np.flatnonzero(grammar.allowed()).tolist() == [token_id(tokenizer, "3.47")]
    grammar.add(token_id(tokenizer, "3.47"))
    assert grammar.allowed().sum() > 10


def begun(words: frozenset[str]) -> tuple[Pieces, Grammar]:
    """A grammar in its first section, where every letter and every pair of letters a, b is a token."""
    texts = ["", *map(chr, range(32, 127)), "\n", "ab", "ba", " a"]
    pieces = Pieces(texts, 0, 0, words)
    grammar = Grammar(pieces, FIRST_LABELS)
    say(grammar, f"<think>{FIRST_LABELS[0]}: ")
    return pieces, grammar


def say(grammar: Grammar, text: str) -> None:
    for letter in text:
        assert grammar.allowed()[grammar.pieces.texts.index(letter)], (text, letter)
        grammar.add(grammar.pieces.texts.index(letter))


def can_follow(grammar: Grammar) -> set[str]:
    return {grammar.pieces.texts[i] for i in np.flatnonzero(grammar.allowed())}


def test_only_words_that_were_taught_are_spelled() -> None:
    _, grammar = begun(frozenset({"ab", "aba", "cd"}))
    say(grammar, "Ab")
    assert {"a", " ", ",", " a"} <= can_follow(grammar)
    assert not {"b", "c", "ba", "ab"} & can_follow(grammar), "abb, abc, abba and abab are no words"
    say(grammar, ", c")
    assert can_follow(grammar) == {"d", "D"}


def test_no_three_tokens_are_said_twice_in_a_section() -> None:
    _, grammar = begun(frozenset("pqrs"))
    say(grammar, "p, q. p")
    assert "," not in can_follow(grammar), "a blank, p and a comma were said"
    say(grammar, ". r; s\n")
    say(grammar, f"{FIRST_LABELS[1]}: p, ")
    assert "q" in can_follow(grammar), "another section"


@pytest.mark.parametrize("seed", range(5))
def test_a_word_is_ended_though_the_section_is_full(seed: int) -> None:
    words = frozenset({"abcdefgh", "bcd", "fed", "cab"})
    _, grammar = begun(words)
    rng = np.random.default_rng(seed)
    text = ""
    while grammar.done == 0:
        token = int(rng.choice(np.flatnonzero(grammar.allowed())))
        text += grammar.pieces.texts[token]
        grammar.add(token)
    assert words_of([text]) <= words
    assert len(grammar.labels[0]) + SECTION_TOKENS > len(text) / 2 - 8, "pairs are the longest tokens"


def test_a_token_that_goes_past_a_label_holds_only_words() -> None:
    """Else the last section could end in a line of its own, where there is no further label."""
    pieces = Pieces([": ", " ", " word", " word\n", " \n", " word\nNext", ' "x', "y"], 0, 1, frozenset())
    assert pieces.label(" ", last=True).tolist() == [False, True, True, False, False, False, False, False]
    assert pieces.label(" ", last=False).tolist() == [False, True, True, True, False, False, False, False]
