"""Whether the words of a reply say what its list says, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from evaluate_rows import one_round

from snellen.evaluate.rows import Row
from snellen.evaluate.stats.text import agreement, kinds_in, severities_in, table
from snellen.region import Region
from snellen.reply import Answer, Issue, Rationale, render_reply

LEFT = Region(0.1, 0.4, 0.3, 0.6)


def said(summary: str, *issues: Issue, decision: str = "It stays.", rounds: int = 1) -> Row:
    words = Rationale(summary, "Keep it sharp.", "Avoid noise.", decision)
    text = render_reply(words, Answer(None, 3.0, "final", issues), rounds)
    looks = [one_round(3.0)] * (rounds - 1) + [one_round(3.0, issues, text=text)]
    return Row("grounding", "a", "", "two rounds", "scripted 1", 3.0, rounds=tuple(looks))


def test_words_that_say_what_is_listed() -> None:
    found = agreement([said("There is mild noise on the left.", Issue("noise", 2, LEFT), rounds=2)])
    assert found["looks"] == found["looks with a place"] == 1
    assert found["kinds named"][0] == found["severity as listed"][0] == found["place near the box"][0] == 1.0


@pytest.mark.parametrize(
    ("summary", "measure"),
    [
        ("There is mild noise in the upper right.", "place near the box"),
        ("There is mild noise on the left, or in the upper right.", "place near the box"),
        ("There is severe noise on the left.", "severity as listed"),
    ],
)
def test_words_that_say_something_else(summary: str, measure: str) -> None:
    found = agreement([said(summary, Issue("noise", 2, LEFT))])
    shares = {name: found[name][0] for name in ("kinds named", "severity as listed", "place near the box")}
    assert shares == {name: float(name != measure) for name in shares}


def test_a_kind_that_is_listed_and_not_told_of() -> None:
    found = agreement([said("All is well.", Issue("noise", 2, LEFT), Issue("banding", 2, LEFT))])
    assert found["kinds named"][0] == 0.5, "noise is named under what to avoid"
    assert math.isnan(found["severity as listed"][0]) and math.isnan(found["place near the box"][0])


def test_the_last_section_may_name_another_place_and_of_two_faults_nobody_knows_which_is_where() -> None:
    crop = said("There is mild noise on the left.", Issue("noise", 2, LEFT), decision="Look in the upper right.")
    two = said("There is mild noise in the centre.", Issue("noise", 2, LEFT), Issue("blur", 1, LEFT))
    found = agreement([crop, two])
    assert found["looks"] == 2 and found["looks with a place"] == 1 and found["place near the box"][0] == 1.0


@pytest.mark.parametrize(
    ("decision", "share"),
    [("The crop shows mild noise.", 1.0), ("The blur is not borne out.", 1.0), ("The crop reveals banding.", 0.0)],
)
def test_the_last_section_decides_on_what_was_listed_by_one_of_the_looks(decision: str, share: float) -> None:
    row = said("There is mild noise.", Issue("noise", 2, LEFT), decision=decision, rounds=2)
    before = replace(row.rounds[0], issues=(Issue("blur", 1, LEFT),))
    found = agreement([replace(row, rounds=(before, row.rounds[1]))])
    assert found["decided on what is listed"][0] == share
    assert math.isnan(
        agreement([said("There is mild noise.", Issue("noise", 2, LEFT))])["decided on what is listed"][0]
    )


def test_what_lists_nothing_or_has_no_text_or_no_score_is_not_counted() -> None:
    silent = Row("grounding", "a", "", "two rounds", "m", 3.0, rounds=(one_round(3.0, [Issue("noise", 2, LEFT)]),))
    failed = Row("grounding", "a", "", "two rounds", "m", rounds=(one_round(None),), error="unparsable_reply")
    found = agreement([said("All is well."), silent, failed])
    assert found["looks"] == 0
    assert "Last looks that list something: 0" in table(found).note


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("There is mild blur, and the noise proves strong.", {"blur": 2, "noise": 4}),
        ("What spoils it is moderate grain in the centre.", {"noise": 3}),
        ("The weak point is strong motion blur.", {"motion blur": 4}),
        ("Banding is as mild as it looked.", {"banding": 2}),
        ("The severe softness is slight here.", {"blur": 5}),  # what it calls it first
        ("It is strong.", {}),
        ("Noise can be seen.", {}),
    ],
)
def test_severities_that_a_text_states(text: str, how: dict[str, int]) -> None:
    assert severities_in(text) == how


def test_motion_blur_is_not_blur() -> None:
    assert kinds_in("Motion blur, and compression damage.") == {"motion blur", "compression"}
