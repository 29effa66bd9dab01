"""Comparison of pictures: shared regions, changes of faults, questions in both orders, words and page."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from pictures import noise_picture, spread

from snellen.assessor import Assessor
from snellen.backend import Calibration, Conversation, Reply
from snellen.backends.scripted import ScriptedBackend
from snellen.comparison.change import agreed, changes
from snellen.comparison.contrast import contrast
from snellen.comparison.judge import Comparison, compare
from snellen.comparison.page import boxes, comparison_page
from snellen.comparison.question import parse_choice
from snellen.image import Picture
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, ReplyError, render_reply

LEFT, RIGHT = Region(0.0, 0.0, 0.5, 0.5), Region(0.5, 0.5, 1.0, 1.0)
BLUR = Issue("blur", 2, LEFT)
GOOD, BAD = noise_picture(seed=1, name="good"), noise_picture(seed=2, name="bad")


class Silent(ScriptedBackend):
    """Reads no prompt, so that no question about pairs is asked."""

    reads_prompts = False


def choice(better: str, sure: float = 0.9) -> str:
    return f'<think>Seen.</think><answer>{{"better": "{better}", "probability": {sure}}}</answer>'


def is_question(turns: Conversation) -> bool:
    return "two pictures" in turns[-1].text


def rated(means: dict[str, float], zoomed: dict[str, Region] | None = None) -> Callable[[Conversation], Reply]:
    """Return a script that rates pictures by name and asks for a crop of those in `zoomed`."""

    def answer(turns: Conversation) -> Reply:
        name, number = turns[-1].views[0].picture.name, sum(turn.role == "user" for turn in turns)
        crop = (zoomed or {}).get(name) if number == 1 else None
        issues = (BLUR,) if name == "bad" else ()
        reply = Answer(crop, means[name], "crop" if crop else "final", issues)
        return Reply(render_reply(None, reply, number), rating=spread(means[name]))

    return answer


def one_pair(script: Callable[[Conversation], Reply | str], *pictures: Picture) -> Comparison:
    return compare(Assessor(ScriptedBackend(script)), pictures or (GOOD, BAD))


def test_the_better_picture_comes_first_whatever_the_order() -> None:
    backend = Silent(rated({"good": 4.0, "bad": 2.5}))
    for pictures in ((GOOD, BAD), (BAD, GOOD)):
        comparison = compare(Assessor(backend), pictures)
        (pair,) = comparison.pairs
        assert [comparison.pictures[at].name for at in (pair.first, pair.second)] == ["good", "bad"]
        assert pair.probability == 1.0 and pair.source == "ratings"
        assert pair.difference == pytest.approx(1.5)
        assert [(one.what, one.issue) for one in pair.changes] == [("appeared", BLUR)]
        assert comparison.to_dict()["pairs"][0]["better"] == "good"


def test_a_region_that_one_picture_is_zoomed_into_is_looked_at_in_the_other() -> None:
    shown: list[tuple[str, Region]] = []
    script = rated({"good": 4.0, "bad": 2.5}, {"bad": RIGHT})

    def watching(turns: Conversation) -> Reply:
        shown.append((turns[-1].views[0].picture.name, turns[-1].views[0].region))
        return script(turns)

    comparison = compare(Assessor(Silent(watching)), (GOOD, BAD))
    assert comparison.regions == (shown[2][1],)
    assert comparison.regions[0].covers(RIGHT) == 1.0
    assert {name for name, region in shown if region == comparison.regions[0]} == {"good", "bad"}
    assert [len(one.readings) for one in comparison.pictures] == [1, 1]


def test_two_ratings_that_overlap_are_a_tie() -> None:
    # 2.5 or 3.5 against 2.4 or 3.4: better in three of four cases; as sure as 0.75, not as 0.8
    backend = Silent(rated({"good": 3.0, "bad": 2.9}))
    tied = compare(Assessor(backend), (GOOD, BAD), sure=0.8)
    assert tied.pairs[0].probability == pytest.approx(0.75)
    assert tied.ranks == ((1, 2), (1, 2)) and tied.to_dict()["pairs"][0]["better"] is None
    assert compare(Assessor(backend), (GOOD, BAD), sure=0.75).ranks == ((1, 1), (2, 2))


def test_the_calibrated_interval_widens_the_distribution() -> None:
    backend = Silent(rated({"good": 3.0, "bad": 2.9}))
    backend.calibration = Calibration(q=1.6448536269514722 * 2, floor=0.0)
    comparison = compare(Assessor(backend), (GOOD, BAD))
    assert [one.std for one in comparison.pictures] == pytest.approx([1.0, 1.0])
    assert [one.score for one in comparison.pictures] == pytest.approx([3.0, 2.9])


def test_a_model_that_reads_prompts_is_asked_in_both_orders_and_the_bias_is_stated() -> None:
    script = rated({"good": 3.0, "bad": 3.0})

    def answer(turns: Conversation) -> Reply | str:
        if not is_question(turns):
            return script(turns)
        first = turns[0].views[0].picture.name
        return choice("first", 0.9) if first == "good" else choice("first", 0.6)

    (pair,) = one_pair(answer).pairs
    # good: 0.9 shown first, 0.4 shown second
    assert pair.source == "question" and pair.preference is not None
    assert pair.preference.orders == pytest.approx((0.9, 0.4))
    assert pair.probability == pytest.approx(0.65) and pair.preference.bias == pytest.approx(0.25)


def test_the_bias_stays_when_the_pair_is_turned() -> None:
    script = rated({"good": 3.0, "bad": 3.0})

    def answer(turns: Conversation) -> Reply | str:
        if not is_question(turns):
            return script(turns)
        return choice("first", 0.9) if turns[0].views[0].picture.name == "good" else choice("first", 0.6)

    comparison = one_pair(answer, BAD, GOOD)
    (pair,) = comparison.pairs
    assert pair.preference is not None and pair.preference.orders == pytest.approx((0.9, 0.4))
    assert comparison.bias == pytest.approx(0.25)


def test_an_answer_that_cannot_be_read_is_said_and_the_ratings_count() -> None:
    (pair,) = one_pair(rated({"good": 4.0, "bad": 2.5})).pairs  # answers a question with an assessment
    assert pair.source == "ratings" and pair.probability == 1.0
    assert pair.problem is not None and "cannot be read" in pair.problem


def test_without_distribution_and_question_there_is_no_probability() -> None:
    def written(turns: Conversation) -> str:
        return render_reply(None, Answer(None, 3.0, "final"), 1)

    comparison = compare(Assessor(Silent(written)), (GOOD, BAD))
    assert comparison.pairs[0].probability is None and "no rating distribution" in str(comparison.pairs[0].problem)
    assert comparison.ranks == ((1, 2), (1, 2))


@pytest.mark.parametrize(
    "text",
    [
        "The first.",
        choice("both"),
        choice("first", 0.3),
        '<think></think><answer>{"better": "first"}</answer>',
        '<think></think><answer>{"better": "first", "probability": true}</answer>',
        "<think></think><answer>[]</answer>",
    ],
)
def test_a_choice_is_never_guessed(text: str) -> None:
    with pytest.raises(ReplyError):
        parse_choice(text)


def test_a_choice_is_a_probability_of_the_first() -> None:
    assert [parse_choice(choice(*one)).first for one in (("first", 0.8), ("second", 0.8), ("same", 0.5))] == (
        pytest.approx([0.8, 0.2, 0.5])
    )


def test_faults_appear_vanish_grow_and_shrink() -> None:
    def fault(kind: str, severity: int, region: Region = LEFT) -> Issue:
        return Issue(kind, severity, region)

    wide = Region(0.0, 0.0, 1.0, 0.5)
    before = [fault("blur", 2), fault("noise", 3), fault("banding", 2), fault("compression", 2), fault("saturation", 1)]
    after = [
        fault("blur", 4), fault("noise", 1), fault("compression", 2, wide), fault("saturation", 1),
        fault("banding", 2, RIGHT),
    ]  # fmt: skip
    assert [(one.issue.kind, one.what) for one in changes(before, after)] == [
        ("blur", "grew"),
        ("noise", "shrank"),
        ("compression", "grew"),  # twice the area
        ("saturation", "same"),
        ("banding", "appeared"),  # elsewhere, so another fault
        ("banding", "vanished"),
    ]


def test_half_of_the_readings_make_a_fault() -> None:
    noise, other = Issue("noise", 2, FULL), Issue("noise", 4, RIGHT)
    assert agreed([[BLUR, noise], [other], []]) == (noise,)
    assert agreed([[BLUR], []]) == (BLUR,)


def test_the_words_name_kind_severity_and_place_of_each_change() -> None:
    text = contrast(changes([Issue("noise", 3, FULL)], [Issue("compression", 4, LEFT)]))
    assert "strong compression" in text and "upper left" in text and "moderate" in text
    assert contrast(changes([Issue("noise", 3, FULL)], [Issue("compression", 4, LEFT)])) == text
    assert contrast([]) == "No fault was found in either."


def test_an_unreadable_picture_takes_part_in_no_pair() -> None:
    comparison = compare(Assessor(Silent(rated({"good": 4.0, "bad": 2.5}))), [GOOD, "missing.png", BAD])
    assert len(comparison.pairs) == 1 and comparison.order == (0, 2)
    assert comparison.pictures[1].assessment.error is not None
    assert "missing.png" in comparison_page(comparison)


def test_a_comparison_needs_two_pictures() -> None:
    with pytest.raises(ValueError, match="two pictures"):
        compare(Assessor(Silent(rated({}))), [GOOD])


def test_the_page_holds_both_pictures_a_slider_and_no_request() -> None:
    evil = Picture(np.array(GOOD.pixels), "<script>alert(1)</script>")
    comparison = compare(Assessor(Silent(rated({evil.name: 4.0, "bad": 2.5}))), [evil, BAD])
    page = comparison_page(comparison)
    assert page.count("data:image/jpeg;base64,") == 2 and 'type="range"' in page
    assert "http" not in page.replace("http-equiv", "") and "alert(1)</script>" not in page


def test_a_fault_of_the_whole_picture_is_a_name_without_a_box_and_names_stand_apart() -> None:
    issues = [Issue("noise", 3, FULL), Issue("blur", 2, FULL), Issue("compression", 4, Region(0.5, 0.5, 1, 1))]
    over = boxes(np.zeros((100, 200, 3), np.uint8), issues)
    assert re.findall(r'<rect class="over" x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', over) == [
        ("100", "50", "100", "50")
    ]
    names = re.findall(r'<text x="(\d+)" y="(\d+)" font-size="6">([^<]*)<', over)  # a line is 0.028 * 200 = 5.6 px
    assert names == [("2", "7", "noise 3"), ("2", "13", "blur 2"), ("102", "57", "compression 4")]
