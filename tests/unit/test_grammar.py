"""Whatever is chosen among what the grammar allows can be read, and everything that can be said is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from snellen.backends.grammar import MOST_ISSUES, SECTION_TOKENS, Grammar, called_places
from snellen.backends.onnx import token_id
from snellen.backends.pieces import Pieces
from snellen.backends.taught import (
    NOTHING,
    PLACED,
    UNLIKED,
    phrases_of,
    suiting,
    suiting_findings,
    suiting_places,
    suiting_severities,
)
from snellen.rationale.lexicon import places_in
from snellen.rationale.patterns import clauses
from snellen.region import FULL, Region
from snellen.reply import FIRST_LABELS, LATER_LABELS, Answer, Issue, Rationale, labels, parse_reply, render_reply
from snellen.snellen1.tokenizer import train_tokenizer
from snellen.vocabulary import KINDS, named

CORNER = Region(0.0, 0.1, 0.4, 0.55)
NAMED = "Soft edges: motion blur; blur, a color cast; the rest is fine."
WORDS = Rationale(NAMED, "Crisp edges.", "No halos there.", "At first sight it is good.")
LATER = Rationale(NAMED, "Crisp edges.", "No halos there.", "At first the rating was 3.47; it stays.")
ANSWERS = [
    Answer(None, 3.47, "final"),
    Answer(CORNER, 1.0, "crop", (Issue("motion blur", 5, CORNER),)),
    Answer(None, 5.0, "final", (Issue("blur", 1, CORNER), Issue("color cast", 3, Region(0.0, 0.0, 1.0, 1.0)))),
]


def said(answer: Answer, number: int) -> str:
    words = WORDS if number == 1 else LATER
    if answer.issues:
        kinds = ", ".join(issue.kind for issue in answer.issues)
        words = replace(words, summary=f"Soft edges: {kinds}; the rest is fine.")
    return render_reply(words, answer, number)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([said(answer, number) for answer in ANSWERS for number in (1, 2)] * 3, 420)


@pytest.fixture(scope="module")
def pieces(tokenizer) -> Pieces:
    texts = [tokenizer.decode([i], skip_special_tokens=False) for i in range(tokenizer.get_vocab_size())]
    phrases = phrases_of(said(answer, number) for answer in ANSWERS for number in (1, 2))
    return Pieces(texts, token_id(tokenizer, "0.00"), token_id(tokenizer, "<end>"), suiting(phrases, ()))


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_the_protocol_can_say_is_allowed(tokenizer, pieces: Pieces, answer: Answer, number: int) -> None:
    found = "blur" if answer.issues else NOTHING
    grammar = Grammar(pieces, labels(number), 3.5, found, earlier=347 if number == 2 else None)
    for token in [*tokenizer.encode(said(answer, number)).ids, pieces.end]:
        assert grammar.allowed()[token], pieces.texts[token]
        if token != pieces.end:
            grammar.add(token)


@pytest.mark.parametrize("seed", range(40))
def test_any_walk_can_be_read(pieces: Pieces, seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = 1 + seed % 2
    grammar = Grammar(
        pieces, labels(number), 3.5, (NOTHING, "blur")[seed % 3 % 2], earlier=347 if number == 2 else None
    )
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
    if number == 1:
        assert set(parsed.rationale.sections[1:]) <= {*WORDS.sections, *LATER.sections}, "summaries mix"
    kinds = [issue.kind for issue in parsed.answer.issues]
    assert len(kinds) == len(set(kinds)) <= MOST_ISSUES
    assert grammar.found == NOTHING or set(kinds) == named(parsed.rationale.summary)
    assert (parsed.answer.tool == "crop") == (parsed.answer.region is not None)


def test_the_only_number_among_the_words_is_the_earlier_rating(tokenizer, pieces: Pieces) -> None:
    grammar = Grammar(pieces, LATER_LABELS[-1:], 3.5, NOTHING, earlier=347)
    for token in tokenizer.encode(f"<think>{LATER_LABELS[-1]}: At first the rating was ").ids:
        grammar.add(token)
    assert np.flatnonzero(grammar.allowed()).tolist() == [token_id(tokenizer, "3.47")]
    without = Grammar(pieces, LATER_LABELS[-1:], 3.5, NOTHING)
    for token in tokenizer.encode(f"<think>{LATER_LABELS[-1]}: At first the rating was ").ids:
        without.add(token)
    assert not any(without.allowed()[token_id(tokenizer, f"{n / 100:.2f}")] for n in range(501))
    assert not any(without.allowed()[i] for i, text in enumerate(pieces.texts) if text.strip().isdigit())


def begun(
    *sections: str,
    labels: Sequence[str] = FIRST_LABELS,
    rating: float = 3.0,
    earlier: int | None = None,
    found: str | None = NOTHING,
    said: Mapping[str, str | Sequence[str]] | None = None,
    listed: Mapping[str, int] | None = None,
    severe: int | None = None,
    places: frozenset[str] = PLACED,
) -> Grammar:
    """A grammar in its first section, where every letter is a token and so are some longer texts. said: what some of
    the sections were said of, by their words."""
    texts = ["", *map(chr, range(32, 127)), "\n", "ed", "edg", " edges. ", "es, and", "s.\n", "s.\nNext", "</think>"]
    replies = {f"<think>{label}: {words}\nLast: So.</think>": words for label in labels for words in sections}
    phrases = suiting(phrases_of(replies), clauses())
    finds = {words: [found] if isinstance(found, str) else found for words, found in (said or {}).items()}
    findings = suiting_findings({reply: finds[words] for reply, words in replies.items()}) if said else {}
    zero = len(texts)
    texts += [f"{n / 100:.2f}" for n in range(501)]
    how, there = suiting_severities(phrases), suiting_places(phrases, places_in)
    taught = {
        phrase: those | findings.get(phrase, frozenset()) | how[phrase] | there[phrase]
        for phrase, those in phrases.items()
    }
    grammar = Grammar(Pieces(texts, zero, 0, taught), labels, rating, found, severe, earlier, listed, places)
    say(grammar, f"<think>{labels[0]}: ")
    return grammar


def say(grammar: Grammar, text: str) -> None:
    for letter in text:
        assert letter in can_follow(grammar), (text, letter, can_follow(grammar))
        grammar.add(grammar.pieces.texts.index(letter))


def can_follow(grammar: Grammar) -> set[str]:
    return {grammar.pieces.texts[i] for i in np.flatnonzero(grammar.allowed())}


def test_what_stands_before_a_name_of_two_words_is_known_behind_it() -> None:
    grammar = begun("It shows a part of the color cast only.", "But the color cast is local.", found=None)
    say(grammar, "But the color cast")
    assert can_follow(grammar) == {" "}
    say(grammar, " ")
    assert can_follow(grammar) == {"i"}, "only a part of it is there only"


def test_a_section_says_what_was_taught_in_it() -> None:
    texts = ["", *"ab. \n", "<think>", *(f"{label}: " for label in FIRST_LABELS)]
    phrases = phrases_of([f"<think>{FIRST_LABELS[0]}: a.\n{FIRST_LABELS[1]}: b."])
    grammar = Grammar(Pieces(texts, 0, 0, suiting(phrases, ())), FIRST_LABELS, 3.0, NOTHING)
    for token in (texts.index("<think>"), texts.index(f"{FIRST_LABELS[0]}: ")):
        grammar.add(token)
    assert can_follow(grammar) == {"a"}
    say(grammar, "a.\n")
    grammar.add(texts.index(f"{FIRST_LABELS[1]}: "))
    assert can_follow(grammar) == {"b"}


def test_words_keep_their_letters_capital_or_small() -> None:
    grammar = begun("Keep it.")
    assert can_follow(grammar) == {"K"}
    say(grammar, "K")
    assert can_follow(grammar) == {"e"}


def test_the_last_section_ends_where_one_did() -> None:
    grammar = begun("So be it.", "So be it or not.", labels=FIRST_LABELS[:1])
    say(grammar, "So be i")
    assert can_follow(grammar) == {"t"}
    say(grammar, "t")
    assert can_follow(grammar) == {" ", "."}
    say(grammar, ".")
    assert can_follow(grammar) == {"<", "</think>"}


def test_nothing_leads_to_a_number_where_there_is_none_to_quote() -> None:
    grammar = begun("It was 3.40.", "It is.", "It is then, it was 3.40.")
    say(grammar, "It")
    assert can_follow(grammar) == {" "}
    say(grammar, " ")
    assert can_follow(grammar) == {"i"}, "was leads to a number only"
    say(grammar, "is")
    assert can_follow(grammar) == {"."}, "then leads to a number too, in the end"


@pytest.mark.parametrize(("rating", "word"), [(1.5, "bad"), (3.0, "fair"), (3.39, "fair"), (3.41, "good")])
def test_the_verdict_among_the_words_is_that_of_the_rating(rating: float, word: str) -> None:
    said = [f"Soft edges; overall it looks {one}." for one in ("bad", "poor", "fair", "good")]
    grammar = begun(*said, "How good it is.", rating=rating)
    say(grammar, "Soft edges; overall it looks ")
    assert can_follow(grammar) == {word[0]}
    other = begun(*said, "How good it is.", rating=rating)
    say(other, "How good it is."), "it is no verdict there"


@pytest.mark.parametrize(
    ("rating", "words"),
    [(3.4, "up a little"), (3.6, "up"), (3.0, "down a little"), (2.6, "down"), (2.4, "falls"), (3.11, "stands")],
)
def test_the_direction_among_the_words_is_where_the_rating_goes(rating: float, words: str) -> None:
    said = {
        "up": "It shows, so the rating moves up.",
        "up a little": "It shows, so the rating moves up a little.",
        "down": "It shows, so the rating moves down.",
        "down a little": "It shows, so the rating moves down a little.",
        "falls": "It shows, so the rating falls far.",
        "stands": "It shows, so the first rating stands.",
    }
    grammar = begun(*said.values(), "It shows.", labels=["A"], rating=rating, earlier=320)
    say(grammar, said[words])
    for way in said.values():
        if way != said[words]:
            with pytest.raises(AssertionError):
                say(begun(*said.values(), "It shows.", labels=["A"], rating=rating, earlier=320), way)
    first = begun(*said.values(), "It shows.", labels=["A"], rating=rating)
    say(first, "It shows")
    assert can_follow(first) == {"."}, "the first rating comes from nowhere"


@pytest.mark.parametrize(("found", "starts"), [("noise", "GS"), ("blur", "ES"), (NOTHING, "A"), ("banding", "S")])
def test_the_words_are_about_what_was_found(found: str, starts: str) -> None:
    said = {"Grain shows.": "noise", "Edges are soft.": "blur", "All is well.": NOTHING}
    said |= {f"So {kind} shows.": kind for kind in KINDS}
    assert can_follow(begun(*said, found=found, said=said, rating=3.6)) == set(starts)


FOUND = {"Grain shows.": "noise", "Soft edges, blur.": "blur", "All is well.": NOTHING, "No blur after all.": NOTHING}
FOUND |= {"Less so.": UNLIKED} | {f"So {kind} shows.": kind for kind in KINDS}


@pytest.mark.parametrize(("words", "after"), [("So noise shows.", "GS"), ("Less so.", "L")])
def test_what_the_first_section_finds_the_others_go_on_with(words: str, after: str) -> None:
    grammar = begun(*FOUND, found=None, said=FOUND)
    assert can_follow(grammar) == set("GSL"), "a picture that is not liked"
    say(grammar, f"{words}\n{FIRST_LABELS[1]}: ")
    assert can_follow(grammar) == set(after)
    assert bool(grammar.kinds) == (words == "So noise shows.")


def test_a_section_begins_with_what_goes_on_to_its_end_with_the_same_finding() -> None:
    said = {"Grain; overall it looks good.": "noise", "Less so; overall it looks fair.": UNLIKED}
    grammar = begun(*said, labels=["A"], rating=3.0, found=None, said=said)
    assert can_follow(grammar) == {"L"}, "grain in a picture that looks fair was never spoken of"
    say(grammar, "Less so; overall it looks fair.")


def test_nothing_is_wrong_in_a_liked_picture_in_which_no_fault_shows() -> None:
    grammar = begun(*FOUND, found=None, said=FOUND, rating=3.6)
    assert can_follow(grammar) == set("AN")
    say(grammar, "No blur after all.\n")
    assert not grammar.kinds


def test_what_a_section_finds_is_what_each_sentence_is_about() -> None:
    pieces = begun(*FOUND, said=FOUND).pieces
    for words, found in {
        "So noise shows.": "noise",
        "So noise shows. So blur shows.": None,
        "So noise shows. All is well.": "noise",
        "All is well.": NOTHING,
        "No blur after all.": NOTHING,
    }.items():
        assert pieces.found_by(FIRST_LABELS[0], words) == found, words


def test_a_section_with_a_sentence_that_suits_nothing_finds_nothing_in_particular() -> None:
    said = {"Grain as it is here shows.": "noise", "Edges as it is here blur.": "blur"}
    pieces = begun(*said, found="noise", said=said).pieces
    assert pieces.found_by(FIRST_LABELS[0], "Grain as it is here blur.") is None


def test_a_verdict_and_a_finding_have_to_suit_both() -> None:
    said = {"Grain; overall it looks fair.": "noise", "Grain; overall it looks good.": "noise", "Soft; it is.": "blur"}
    grammar = begun(*said, rating=3.0, found="noise", said=said)
    say(grammar, "Grain; overall it looks ")
    assert can_follow(grammar) == {"f"}


@pytest.mark.parametrize(("found", "listed"), [(NOTHING, {False}), ("blur", {True})])
def test_issues_are_listed_where_a_fault_was_found(tokenizer, pieces: Pieces, found: str, listed: set[bool]) -> None:
    """Of the kinds that the summary names: where no issue is listed here, it names some too."""
    seen = set()
    for answer in ANSWERS:
        grammar = Grammar(pieces, FIRST_LABELS, 3.5, found)
        allowed = []
        for token in tokenizer.encode(said(answer, 1)).ids:
            allowed.append(bool(grammar.allowed()[token]))
            if not allowed[-1]:
                break
            grammar.add(token)
        if all(allowed):
            seen.add(bool(answer.issues))
    assert seen == listed


def up_to_the_severity(grammar: Grammar, kind: str) -> set[str]:
    """What can follow in the list, where it says how severe the first issue is."""
    say(grammar, '</think><answer>{"bbox_2d": [')
    for side in range(4):
        grammar.add(grammar.pieces.zero)
        say(grammar, ", " if side < 3 else '], "rating": ')
    grammar.add(grammar.pieces.zero + 300)
    say(grammar, f', "tool": "final", "issues": [{{"kind": "{kind}", "severity": ')
    return can_follow(grammar)


def test_a_fault_is_as_severe_as_the_first_section_calls_it() -> None:
    said = ["Mild noise shows.", "Strong noise shows.", "The noise is mild.", "The noise is strong.", "The noise."]
    for first, letter, level in (("Mild", "m", "2"), ("Strong", "s", "4")):
        grammar = begun(*said, labels=["A", "B"], found="noise")
        assert can_follow(grammar) == {"M", "S", "T"}
        say(grammar, f"{first} noise shows.\nB: ")
        assert can_follow(grammar) == {first[0], "T"}
        say(grammar, "The noise is ")
        assert can_follow(grammar) == {letter}
        say(grammar, ("mild" if letter == "m" else "strong") + ".")
        assert up_to_the_severity(grammar, "noise") == {level}
    open_ = begun(*said, labels=["A", "B"], found="noise")
    say(open_, "The noise.\nB: The noise.")
    assert up_to_the_severity(open_, "noise") == set("12345"), "nothing is said of it"


def test_a_fault_is_called_as_severe_as_it_shows() -> None:
    said = ["Mild noise shows.", "Strong noise shows."]
    assert can_follow(begun(*said, found="noise", severe=4)) == {"S"}
    assert can_follow(begun(*said, found="noise", severe=3)) == {"M", "S"}, "what was not taught is left open"


LOOKED = [f"It; the noise is {how} it looked." for how in ("stronger than", "milder than", "as mild as")]
SHOWS = ["The crop reveals mild noise.", *(f"The crop confirms {how} noise." for how in ("slight", "mild", "strong"))]


@pytest.mark.parametrize(("how", "letter"), [("slight", "m"), ("mild", "a"), ("strong", "s")])
def test_words_compare_a_fault_with_the_first_look_as_the_lists_do(how: str, letter: str) -> None:
    grammar = begun(*SHOWS, *LOOKED, labels=["A", "B"], found="noise", earlier=300, listed={"noise": 2})
    say(grammar, "The crop ")
    assert can_follow(grammar) == {"c"}, "it was listed, so it is not revealed"
    say(grammar, f"confirms {how} noise.\nB: It; the noise is ")
    assert can_follow(grammar) == {letter}


@pytest.mark.parametrize(
    ("box", "shown", "places"),
    [
        ((0.7, 0.4, 0.9, 0.6), FULL, {"right side"}),
        ((0.0, 0.0, 0.2, 0.2), Region(0.0, 0.1, 1.0, 1.0), {"upper left"}),  # half of it is shown
        ((0.0, 0.0, 0.2, 0.2), Region(0.7, 0.7, 1.0, 1.0), {"upper left", "lower right"}),  # words tell of the crop
    ],
)
def test_a_fault_is_called_where_its_box_lies(box: tuple[float, ...], shown: Region, places: set[str]) -> None:
    assert called_places(Region(*box), shown) == places


@pytest.mark.parametrize(("places", "letter"), [({"left side"}, "l"), ({"right side"}, "r"), (PLACED, "lr")])
def test_a_fault_is_placed_where_the_looks_show_it(places: frozenset[str], letter: str) -> None:
    said = ("Noise on the left.", "Noise on the right.")
    grammar = begun(*said, labels=FIRST_LABELS[:2], found="noise", said=dict.fromkeys(said, "noise"),
                    places=frozenset(places))  # fmt: skip
    say(grammar, "Noise on the ")
    assert can_follow(grammar) == set(letter)


def test_the_last_section_tells_of_the_crop_wherever_that_is() -> None:
    said = ("Look on the left.", "Look on the right.")
    grammar = begun(*said, labels=FIRST_LABELS[-1:], found="noise", places=frozenset({"left side"}))
    say(grammar, "Look on the ")
    assert can_follow(grammar) == {"l", "r"}


def test_where_nothing_that_was_taught_names_the_place_it_is_named_otherwise() -> None:
    said = {"Noise on the left.": "noise"}
    grammar = begun(*said, labels=FIRST_LABELS[:2], found="noise", said=said, places=frozenset({"right side"}))
    say(grammar, "Noise on the left.")


def test_what_was_not_listed_is_revealed_and_not_compared() -> None:
    grammar = begun(*SHOWS, *LOOKED, "It is.", labels=["A", "B"], found="noise", earlier=300, listed={"blur": 2})
    say(grammar, "The crop ")
    assert can_follow(grammar) == {"r"}
    say(grammar, "reveals mild noise.\nB: It")
    assert can_follow(grammar) == {" "}
    say(grammar, " is.")


@pytest.mark.parametrize(
    ("listed", "before", "after"),
    [
        ({"noise": 2}, "The crop ", "c"),  # it confirms, it reveals nothing
        ({"noise": 2}, "The crop confirms m", "i"),  # mild, as it was
        ({"noise": 3}, "The crop confirms m", "o"),
        ({"noise": 2}, "The crop confirms mild ", "n"),
        ({}, "The crop ", "r"),
        ({}, "The crop reveals m", "io"),
        ({}, "The crop reveals mild ", "nb"),
        (None, "The crop ", "cr"),
    ],
)
def test_where_the_looks_show_no_fault_what_was_listed_stays_as_it_was(
    listed: dict[str, int] | None, before: str, after: str
) -> None:
    words = product(("reveals", "confirms"), ("mild", "moderate"), ("noise", "blur"))
    said = {f"The crop {how} {severe} {kind}.": kind for how, severe, kind in words}
    grammar = begun(*said, labels=["A"], found=None, said=said, earlier=300, listed=listed)
    say(grammar, before)
    assert can_follow(grammar) == set(after)


def test_a_fault_is_told_of_in_one_sentence() -> None:
    pairs = product(("noise", "blur"), repeat=2)
    said = {f"It is {kind}. There is also mild {other}.": (kind, other) for kind, other in pairs}
    grammar = begun(*said, labels=["A"], found=None, said=said)
    say(grammar, "It is noise. There is also mild ")
    assert can_follow(grammar) == {"b"}


def test_of_several_faults_the_others_sections_tell_of_these() -> None:
    said = {"Noise; it is.": ("noise", "blur"), "Noise. Blur too.": ("noise", "blur"), "Banding.": "banding"}
    grammar = begun(*said, labels=["A", "B"], found=None, said=said)
    say(grammar, "Noise. Blur too.\nB: ")
    assert can_follow(grammar) == {"N"}


def test_what_a_crop_does_not_show_stays_as_severe_as_it_was() -> None:
    grammar = begun(
        "The noise is outside.", *LOOKED, labels=["A", "B"], found="noise", earlier=300, listed={"noise": 2}
    )
    say(grammar, "The noise is outside.\nB: It; the noise is ")
    assert can_follow(grammar) == {"a"}
    say(grammar, "as mild as it looked.")
    assert up_to_the_severity(grammar, "noise") == {"2"}


CLEARED = [f"In the crop, there is no {name} after all." for name in ("noise", "blur")]
FINE = "In the crop, no fault appears."


@pytest.mark.parametrize(
    ("listed", "words"), [({"noise": 2, "blur": 1}, CLEARED[0]), ({"blur": 3}, CLEARED[1]), ({}, FINE)]
)
def test_what_was_listed_and_is_not_found_is_said_to_be_gone(listed: dict[str, int], words: str) -> None:
    for text in (*CLEARED, FINE):
        grammar = begun(*CLEARED, FINE, labels=["A"], rating=4.0, earlier=390, listed=listed)
        if text == words:
            say(grammar, text)
        else:
            with pytest.raises(AssertionError):
                say(grammar, text)


def test_a_fault_that_the_crop_does_not_show_is_not_said_to_be_confirmed() -> None:
    said = ["The crop has no part in the noise.", "It; the crop confirms mild noise."]
    said += ["It; the crop has no part in the noise.", "The crop confirms mild noise."]
    for first, last, other in ((0, "has no part in the noise", "confirms"), (3, "confirms mild noise", "has")):
        grammar = begun(*said, labels=["A", "B"], found="noise", severe=2, earlier=300, listed={"noise": 2})
        say(grammar, f"{said[first]}\nB: It; the crop ")
        assert can_follow(grammar) == {last[0]} != {other[0]}


def test_where_nothing_that_was_taught_compares_so_it_is_not_compared() -> None:
    """A section that could say nothing at all would end in words that nobody taught."""
    grammar = begun(LOOKED[0], labels=["A", "B"], found="noise", earlier=300, listed={"noise": 2})
    say(grammar, f"{LOOKED[0]}\nB: ")
    assert can_follow(grammar) == {"I"}
    say(grammar, LOOKED[0])


def test_the_earlier_rating_is_quoted_once() -> None:
    grammar = begun("It was 3.47 then.", "It was 3.47 then, and 3.47 then.", labels=LATER_LABELS[:1], earlier=347)
    say(grammar, "It was ")
    grammar.add(grammar.pieces.zero + 347)
    say(grammar, " then")
    assert can_follow(grammar) == {".", ","}
    say(grammar, ", and ")
    assert not any(grammar.allowed()[grammar.pieces.zero :])


def test_no_four_words_are_said_twice_in_a_section() -> None:
    grammar = begun("x p q r s, y p q r t.", "x, y p q r s.", labels=["A", "B"])
    say(grammar, "x p q r s, y p q r ")
    assert can_follow(grammar) == {"t"}, "p q r s was said"
    say(grammar, "t.\n")
    say(grammar, "B: x, y p q r ")
    assert can_follow(grammar) == {"s", "t"}, "another section"


def test_no_two_long_words_are_said_twice_in_a_section() -> None:
    grammar = begun("rich color, rich tones.", "rich color and the rich colors.", "rich color, the sky.")
    say(grammar, "rich color")
    assert can_follow(grammar) == {",", " "}
    say(grammar, ", rich ")
    assert can_follow(grammar) == {"t"}, "rich color was said"


def test_a_token_of_two_words_does_not_say_them_again_either() -> None:
    texts = ["", *"the rich color and full.", "<think>", f"{FIRST_LABELS[0]}: ", " rich color", " rich", " color"]
    said = ("the rich color and the rich full.", "full color and the rich color.")
    phrases = phrases_of([f"<think>{FIRST_LABELS[0]}: {words}" for words in said])
    grammar = Grammar(Pieces(texts, 0, 0, suiting(phrases, ())), FIRST_LABELS, 3.0, NOTHING)
    for token in ("<think>", f"{FIRST_LABELS[0]}: ", *"the", " rich color", *" and the"):
        grammar.add(texts.index(token))
    assert can_follow(grammar) == {" ", " rich"}, "rich full was taught"


@pytest.mark.parametrize(
    ("summary", "kinds"),
    [
        ("Edges are soft.", set()),
        ("There is motion blur in the middle.", {"motion blur"}),
        ("Grain shows; contrast loss adds to it.", {"noise", "low contrast"}),
    ],
)
def test_the_issues_are_of_the_kinds_that_the_summary_names_each_once(tokenizer, summary: str, kinds: set[str]) -> None:
    texts = [tokenizer.decode([i], skip_special_tokens=False) for i in range(tokenizer.get_vocab_size())]
    words = Rationale(summary, "Crisp edges.", "No halos there, no blur.", "It is good.")
    phrases = suiting(phrases_of([render_reply(words, ANSWERS[0], 1)]), ())
    pieces = Pieces(texts, token_id(tokenizer, "0.00"), token_id(tokenizer, "<end>"), phrases)
    for listed in [(), *product(KINDS), *product(["noise", "blur"], ["low contrast", "noise"])]:
        reply = render_reply(words, Answer(None, 3.0, "final", tuple(Issue(kind, 2, CORNER) for kind in listed)), 1)
        grammar = Grammar(pieces, FIRST_LABELS, 3.0, "blur")
        allowed = []
        for token in tokenizer.encode(reply).ids:
            allowed.append(bool(grammar.allowed()[token]))
            if not allowed[-1]:
                break
            grammar.add(token)
        assert all(allowed) == (set(listed) == kinds and len(listed) == len(kinds)), listed


def test_a_section_that_is_full_ends_where_one_can_and_at_last_wherever_it_is() -> None:
    circle = "a b c. a b d. a b e. a b f. a b g. a b h. a b i. a b j."
    grammar = begun(circle)
    longest = 0
    rng = np.random.default_rng(0)
    for _ in range(200):
        token = int(rng.choice(np.flatnonzero(grammar.allowed())))
        grammar.add(token)
        longest = max(longest, len(grammar.tokens))
        if grammar.done:
            break
    assert grammar.done == 1
    assert longest <= SECTION_TOKENS


def test_a_token_that_goes_past_a_label_holds_only_words() -> None:
    """Else the last section could end in a line of its own, where there is no further label."""
    phrases = phrases_of(["<think>Said: word</think>"])
    texts = [": ", " ", " word", " word\n", " \n", " word\nNext", ' "x', "y"]
    pieces = Pieces(texts, 0, 1, suiting(phrases, ()))

    def fits(last: bool) -> list[str]:
        return [texts[i] for i in np.flatnonzero(pieces.label("Said", " ", last, frozenset()))]

    assert fits(last=True) == [" ", " word"]
    assert fits(last=False) == [" ", " word", " word\n"]
