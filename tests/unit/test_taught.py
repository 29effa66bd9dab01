"""What phrases there are in what was taught, and what each suits."""

from __future__ import annotations

import pytest

from snellen.backends.taught import (
    FAULT,
    NOTHING,
    phrases_of,
    read_phrases,
    suiting,
    suiting_findings,
    suiting_severities,
    suits,
    write_phrases,
)
from snellen.vocabulary import KINDS


def test_a_phrase_is_five_words_and_what_follows_four() -> None:
    assert phrases_of(["<think>Said: Soft edges, 3.40.\nAlso: It is.</think><answer>no</answer>"]) == {
        ("Said", "", "", "", "", "Soft"),
        ("Said", "", "", "", "Soft", " edges"),
        ("Said", "", "", "Soft", " edges", ","),
        ("Said", "", "Soft", " edges", ",", " 0"),
        ("Said", "Soft", " edges", ",", " 0", "."),
        ("Said", " edges", ",", " 0", ".", ""),
        ("Also", "", "", "", "", "It"),
        ("Also", "", "", "", "It", " is"),
        ("Also", "", "", "It", " is", "."),
        ("Also", "", "It", " is", ".", ""),
    }


def test_what_all_occasions_say_suits_each() -> None:
    groups = [{"a": ["so it is so.", "so it was so."], "b": ["so it is so.", "so it can be."]}]
    found = suiting([("Said", "so", " it", f" {verb}", " so", ".") for verb in ("is", "was", "has")], groups)
    assert list(found.values()) == [frozenset(), frozenset({"a"}), frozenset()]


def test_what_few_findings_say_suits_these_and_what_no_clean_picture_says_a_fault() -> None:
    said = {"<think>Said: it is off.</think>": ["blur"], "<think>Said: it is fine.</think>": [NOTHING]}
    said |= {
        f"<think>Said: it shows {letter} now.</think>": [kind] for letter, kind in zip("abcd", KINDS, strict=False)
    }
    said |= {"<think>Also: it lies elsewhere.</think>": ["noise", "blur"]}
    found = suiting_findings(said)
    assert found["Said", "", "it", " is", " off", "."] == {"blur"}
    assert found["Said", "", "it", " is", " fine", "."] == {NOTHING}
    assert found["Said", "", "", "it", " is", " off"] == {"blur"}
    assert found["Said", "", "", "", "it", " is"] == {"blur", NOTHING}
    assert found["Said", "", "", "", "it", " shows"] == {FAULT}, "four kinds are many"
    assert found["Said", "", "", "", "", "it"] == frozenset(), "a clean picture among many"


def test_where_several_were_found_a_sentence_tells_of_what_it_names_and_the_last_section_of_the_worst() -> None:
    sections = (
        "Said: The weak point is grain. Blur adds to it. All is poor.",
        "Also: Keep it as is.",
        "Last: It is so.",
    )
    both = f"<think>{chr(10).join(sections)}</think>"
    found = suiting_findings({both: ["noise", "blur"], "<think>Said: The weak point is rain.</think>": ["corruption"]})
    assert found["Said", "The", " weak", " point", " is", " grain"] == {"noise"}
    assert found["Said", "", "The", " weak", " point", " is"] == {"noise", "corruption"}
    assert found["Said", " Blur", " adds", " to", " it", "."] == {"blur"}
    assert found["Said", " grain", ".", " Blur", " adds", " to"] == {FAULT}, "from one to the other"
    assert found["Said", ".", " All", " is", " poor", "."] == {FAULT}
    assert found["Also", "", "Keep", " it", " as", " is"] == {FAULT}
    assert found["Last", "It", " is", " so", ".", ""] == {"noise"}


@pytest.mark.parametrize(
    ("phrase", "how"),
    [
        ((" shows", " mild", " grain", " in", " the"), {"mild"}),
        ((" the", " noise", " is", " strong", " here"), {"strong"}),
        ((" a", " mild", " evening", " light", "."), set()),
    ],
)
def test_phrases_suit_how_severe_they_call_a_fault(phrase: tuple[str, ...], how: set[str]) -> None:
    assert suiting_severities([("Said", *phrase)]) == {("Said", *phrase): how}


def test_something_of_each_group_that_is_wanted_has_to_be_there() -> None:
    occasion = frozenset({"fair", "noise", "mild"})
    assert suits(frozenset(), occasion) and suits(frozenset({"fair", "noise", "blur"}), occasion)
    assert not suits(frozenset({"fair", "blur"}), occasion) and not suits(frozenset({"good"}), occasion)


def test_phrases_are_read_as_they_were_written(tmp_path) -> None:
    taught = {
        ("Said", "", "", "", "", "It"): frozenset[str](),
        ("Said", "", "", "", "It", " is"): frozenset({"fair", "up a little"}),
    }
    write_phrases(taught, tmp_path)
    assert read_phrases(tmp_path) == taught
