"""Agreement of rationale and issue list, and diversity of replies, by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluate_rows import TEXT, one_round, reply, row

from snellen.checks import Check, Verdict
from snellen.data.sample import Sample
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.rows import Row, row_from_dict
from snellen.evaluate.stats.text import TextAgreement, compare_with_list, severities_in
from snellen.evaluate.suites import text
from snellen.region import Region
from snellen.reply import Answer, Issue, Rationale, render_reply

LEFT = Region(0.1, 0.4, 0.3, 0.6)


def rationale(summary: str, decision: str = "It stays.") -> Rationale:
    return Rationale(summary, "Keep it sharp.", "Avoid noise.", decision)


@pytest.mark.parametrize(
    ("sentence", "severities"),
    [
        ("Mild blur and severe noise.", {"blur": 2, "noise": 5}),
        ("The blur is slight; it is strong elsewhere.", {"blur": 1}),
        ("Blur shows.", {}),
        ("It is severe.", {}),
        ("The banding is mild noise.", {"noise": 2}),
        ("There is mild blur, and the noise proves strong.", {"blur": 2, "noise": 4}),
        ("Banding is as mild as it looked.", {"banding": 2}),
        ("The severe softness is slight here.", {"blur": 5}),  # the first statement counts
    ],
)
def test_severities_belong_to_the_kind_they_stand_with(sentence: str, severities: dict[str, int]) -> None:
    assert severities_in(sentence) == severities


def test_a_text_that_agrees_with_its_list() -> None:
    found = compare_with_list(rationale("There is mild noise on the left."), [Issue("noise", 2, LEFT)])
    assert found == TextAgreement(kinds=(True,), decision=(), severities=(True,), place=(True,))


@pytest.mark.parametrize(
    ("summary", "measure"),
    [
        ("There is mild noise in the upper right.", "place"),
        ("There is mild noise on the left, or in the upper right.", "place"),
        ("There is severe noise on the left.", "severities"),
    ],
)
def test_each_contradiction_is_found_by_its_measure(summary: str, measure: str) -> None:
    found = compare_with_list(rationale(summary), [Issue("noise", 2, LEFT)])
    hits = {"kinds": found.kinds, "severities": found.severities, "place": found.place}
    assert hits == {name: (name != measure,) for name in hits}


def test_kinds_that_the_text_leaves_out() -> None:
    found = compare_with_list(rationale("All is well."), [Issue("noise", 2, LEFT), Issue("banding", 2, LEFT)])
    assert found.kinds == (True, False), "noise is named under issues to avoid"
    assert found.severities == found.place == ()


def test_the_last_section_may_name_another_place_and_several_faults_have_no_place() -> None:
    crop = rationale("There is mild noise on the left.", "Look in the upper right.")
    assert compare_with_list(crop, [Issue("noise", 2, LEFT)]).place == (True,)
    two = [Issue("noise", 2, LEFT), Issue("blur", 1, LEFT)]
    assert compare_with_list(rationale("There is mild noise in the centre."), two).place == ()


@pytest.mark.parametrize(
    ("decision", "agrees"),
    [("The crop shows mild noise.", True), ("The blur is not confirmed.", True), ("The crop reveals banding.", False)],
)
def test_the_last_section_decides_on_issues_of_this_round_or_an_earlier_one(decision: str, agrees: bool) -> None:
    one = rationale("There is mild noise.", decision)
    assert compare_with_list(one, [Issue("noise", 2, LEFT)], [Issue("blur", 1, LEFT)]).decision == (agrees,)


def test_the_last_section_may_name_exactly_what_is_listed() -> None:
    one = rationale("There is mild noise.", "The noise is confirmed.")
    assert compare_with_list(one, [Issue("noise", 2, LEFT)]).decision == (True,)


def answered(key: str, summary: str, *issues: Issue, score: float = 3.0) -> Row:
    reply_text = render_reply(rationale(summary), Answer(None, score, "final", issues), 1)
    return Row("scores", key, "", "two rounds", "m", score, rounds=(one_round(score, issues, text=reply_text),))


def test_only_replies_with_a_score_a_text_and_an_issue_are_compared() -> None:
    silent = Row("scores", "d/a", "", "two rounds", "m", 3.0, rounds=(one_round(3.0, [Issue("noise", 2, LEFT)]),))
    failed = Row("scores", "d/b", "", "two rounds", "m", rounds=(one_round(None),), error="unparsable_reply")
    found = text.agreement([answered("d/c", "All is well."), silent, failed])
    assert found["replies"] == 0 and math.isnan(found["kinds"].value)


def test_the_suite_counts_over_replies() -> None:
    data = DataSet("d", {f"d/{name}": Sample(f"{name}.png", 3.0, split="test") for name in "ab"})
    rows = [
        answered("d/a", "There is mild noise on the left.", Issue("noise", 2, LEFT)),
        answered("d/b", "There is severe noise on the left.", Issue("noise", 2, LEFT)),
    ]
    summary = text.summarise(rows, [data])
    assert summary["d"]["agreement"]["severities"].value == 0.5 and summary["d"]["agreement"]["replies"] == 2
    tables = text.show(summary, rows, [data])
    assert ["stated severities equal to the listed one", "50.0 % [9.5, 90.5]"] in [list(r) for r in tables[0].rows]
    assert text.SUITE.jobs([data], ("two rounds",), Path("unused"))[0].suite == "scores"


def test_checks_of_all_rounds_are_counted() -> None:
    def check(about: str, verdict: Verdict) -> Check:
        return Check("summary", "Text.", about, "blur", verdict, "why")

    first = replace(one_round(3.0), checks=(check("kind", "supported"), check("kind", "contradicted")))
    second = replace(one_round(3.0), checks=(check("kind", "contradicted"), check("place", "not checkable")))
    one = Row("scores", "d/a", "", "two rounds", "m", 3.0, rounds=(first, second))
    assert row_from_dict(one.to_dict()) == one
    counts = {
        "kind": {"supported": 1, "contradicted": 2, "not checkable": 0},
        "place": {"supported": 0, "contradicted": 0, "not checkable": 1},
    }
    assert text.checks([one]) == counts
    data = DataSet("d", {"d/a": Sample("a.png", 3.0, split="test")})
    (table,) = [
        t for t in text.show(text.summarise([one], [data]), [one], [data]) if "claims" in getattr(t, "title", "")
    ]
    assert [list(line) for line in table.rows] == [["kind", "3", "1", "2", "0"], ["place", "1", "0", "0", "1"]]


def test_diversity_and_length_of_replies() -> None:
    replies = [reply(3.0), reply(3.0), reply(4.0), "nothing to read"]
    rows = [
        replace(row("scores", str(i), score), rounds=(one_round(score, text=one),))
        for i, (score, one) in enumerate(zip([3.0, 3.0, 4.0, None], replies, strict=True))
    ]
    found = text.variety(rows)
    assert found["different ratings"] == 2
    assert found["entropy of the ratings"] == pytest.approx(-(2 / 3) * np.log2(2 / 3) - (1 / 3) * np.log2(1 / 3))
    assert found["texts"] == 3
    assert found["different texts"] == pytest.approx(1 / 3)
    assert found["tokens per picture"] == 10.0
    assert found["words"] == [9.0, 9.0, 9.0]


@pytest.mark.parametrize("number", [1, 2])
def test_think_text_has_no_labels(number: int) -> None:
    assert text.think_text(reply(3.0, number=number)) == " ".join(TEXT.sections)
    assert text.think_text("<answer>{}</answer>") == ""
