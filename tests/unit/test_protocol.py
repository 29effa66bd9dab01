from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snellen.backends.box_units import box_scale
from snellen.image import Picture, View
from snellen.protocol import DEFAULT_QUESTION, Turn, first_prompt, later_prompt, open_protocol
from snellen.region import FULL, Region
from snellen.reply import (
    RATING_PREFIX,
    REPAIRS,
    REPLY_ERROR_CODES,
    VIEW_MARK,
    Answer,
    Issue,
    Parsed,
    Rationale,
    ReplyError,
    parse_reply,
    render_box,
    render_reply,
    to_grid,
)
from snellen.vocabulary import KINDS
from snellen.zoomiqa_reply import parse_zoomiqa

GOLDEN = Path(__file__).parent / "golden"
RATIONALE = Rationale("Soft at a glance.", "Crisp leaves.", "Blur in the corner.", "Unsure of the corner.")
BOX = Region(0.1, 0.2, 0.6, 0.8)


@st.composite
def grid_regions(draw: st.DrawFn) -> Region:
    def side() -> tuple[float, float]:
        low = draw(st.integers(0, 99))
        return low / 100, draw(st.integers(low + 1, 100)) / 100

    (x0, x1), (y0, y1) = side(), side()
    return Region(x0, y0, x1, y1)


sections = (
    st.text(min_size=1)
    .map(lambda text: " ".join(text.split()))
    .filter(
        lambda text: text and not any(tag in text for tag in ("<think", "</think", "<answer", "</answer", "<image"))
    )
)
awkward = st.sampled_from(
    [
        "Directions for Improvement: more.",
        "(a): b",
        "2) Issues to Avoid:",
        '{"rating": 7}',
        "Final Decision & Rationale:",
    ]
)
rationales = st.builds(Rationale, *[sections | awkward] * 4)
issues = st.builds(Issue, st.sampled_from(KINDS), st.integers(1, 5), grid_regions())
ratings = st.integers(100, 500).map(lambda cents: cents / 100)
issue_lists = st.lists(issues, max_size=4).map(tuple)
answers = st.builds(Answer, grid_regions(), ratings, st.just("crop"), issue_lists) | st.builds(
    Answer, st.none(), ratings, st.just("final"), issue_lists
)


def code_of(text: str, number: int = 1, *, official: bool = False) -> str:
    with pytest.raises(ReplyError) as caught:
        parse(text, number, official)
    assert caught.value.code in REPLY_ERROR_CODES
    assert str(caught.value).startswith(caught.value.code)
    return caught.value.code


def parse(text: str, number: int, official: bool) -> Parsed:
    return parse_zoomiqa(text, number, (640, 480)) if official else parse_reply(text, number)


def answer(**changed: object) -> str:
    """A reply whose answer's keys are replaced, or left out where the new value is ..."""
    value: dict[str, object] = {"bbox_2d": [0.1, 0.2, 0.6, 0.8], "rating": 3.47, "tool": "crop", "issues": []}
    value |= changed
    payload = json.dumps({key: item for key, item in value.items() if item is not ...})
    return f"<think></think><answer>{payload}</answer>"


def test_rendered_reply_is_exactly_this() -> None:
    issue = Issue("blur", 3, BOX)
    assert render_reply(RATIONALE, Answer(BOX, 3.47, "crop", (issue,)), 1) == (
        "<think>Image Quality Summary: Soft at a glance.\n"
        "Directions for Improvement: Crisp leaves.\n"
        "Issues to Avoid: Blur in the corner.\n"
        "Decision & Rationale: Unsure of the corner.</think>"
        '<answer>{"bbox_2d": [0.10, 0.20, 0.60, 0.80], "rating": 3.47, "tool": "crop", '
        '"issues": [{"kind": "blur", "severity": 3, "bbox_2d": [0.10, 0.20, 0.60, 0.80]}]}</answer>'
    )
    assert render_reply(RATIONALE, Answer(None, 3.0, "final"), 2) == (
        "<think>Crop Inspection Summary: Soft at a glance.\n"
        "Directions for Improvement: Crisp leaves.\n"
        "Issues to Avoid: Blur in the corner.\n"
        "Final Decision & Rationale: Unsure of the corner.</think>"
        '<answer>{"bbox_2d": [0.00, 0.00, 0.00, 0.00], "rating": 3.00, "tool": "final", "issues": []}</answer>'
    )


@given(st.none() | rationales, answers, st.integers(1, 3))
def test_parse_is_the_inverse_of_render(rationale: Rationale | None, answer: Answer, number: int) -> None:
    text = render_reply(rationale, answer, number)
    assert parse_reply(text, number) == Parsed(rationale, answer)
    if number < 3:
        of_round = answer if number == 1 else replace(answer, region=None, tool="final")
        assert parse_zoomiqa(text, number) == Parsed(rationale, of_round)


@given(rationales, answers, st.data())
def test_no_shortened_reply_is_read(rationale: Rationale, answer: Answer, data: st.DataObject) -> None:
    text = render_reply(rationale, answer, 1)
    stop = data.draw(st.integers(0, len(text) - 1))
    assert code_of(text[:stop]) == "no_answer"


pieces = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<answer>",
            "</answer>",
            "{",
            "}",
            '"rating"',
            ": 3.5",
            ", ",
            '"bbox_2d": ',
            "[0, 0, 0, 0]",
        ]
        + ['"tool": "final"', "Image Quality Summary: ", "NaN", "[", "\n"]
    )
    | st.text(max_size=5)
).map("".join)


@given(pieces, st.integers(1, 2), st.booleans())
def test_any_text_is_read_or_refused_with_a_code(text: str, number: int, official: bool) -> None:
    try:
        parse(text, number, official)
    except ReplyError as error:
        assert error.code in REPLY_ERROR_CODES


THINK = "<think></think>"
GOOD = answer()
JSON = GOOD.removeprefix(THINK + "<answer>").removesuffix("</answer>")
FENCED = f"```json\n{JSON}\n```"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no_answer"),
        (THINK, "no_answer"),
        (GOOD.removesuffix("</answer>"), "no_answer"),
        (GOOD + GOOD.removeprefix(THINK), "two_answers"),
        (GOOD.removesuffix("</answer>") + "</answer", "no_answer"),
        ("<think>" + FENCED, "no_answer"),  # cut off inside the think text
        (f"{JSON} or rather {JSON}", "two_answers"),
        ('I say {"quality": 3.47}.', "no_answer"),
        (JSON[:-1], "no_answer"),
        ('{"a":' * 3000, "no_answer"),
        (THINK + JSON.replace("3.47", "7.5"), "bad_rating"),
        (THINK + GOOD, "two_thinks"),
        (GOOD.removeprefix(THINK) + THINK, "bad_order"),
        ("<answer>{}<think></think></answer>", "bad_order"),
        ("</answer><think></think><answer>", "bad_order"),
        ("</think><think><answer>{}</answer>", "bad_order"),
        (GOOD.replace(THINK, "<think>It is soft.</think>"), "bad_sections"),
        (THINK + "<answer>{'rating': 3.5}</answer>", "bad_json"),
        (THINK + "<answer></answer>", "bad_json"),
        (THINK + "<answer>```json\n{}\n```</answer>", "missing_key"),
        (THINK + "<answer>```json {}</answer>", "bad_json"),
        (THINK + '<answer>{"rating": 3.5,}</answer>', "bad_json"),
        (GOOD.replace('"rating": 3.47', '"rating": 3.47, "rating": 1.0'), "bad_json"),
        (GOOD.replace("3.47", "1" * 5000), "bad_json"),
        (THINK + "<answer>" + "[" * 100_000 + "</answer>", "bad_json"),
        (THINK + "<answer>[1, 2]</answer>", "not_object"),
        (THINK + "<answer>3.5</answer>", "not_object"),
        (answer(bbox_2d=...), "missing_key"),
        (answer(rating=...), "missing_key"),
        (answer(tool=...), "missing_key"),
        (answer(rating=float("nan")), "bad_rating"),
        (answer(rating=float("inf")), "bad_rating"),
        (answer(rating=7), "bad_rating"),
        (answer(rating=0.99), "bad_rating"),
        (answer(rating=10**400), "bad_rating"),
        (answer(rating="7.00"), "bad_rating"),
        (answer(rating="good"), "bad_rating"),
        (answer(rating="3.47 of 5"), "bad_rating"),
        (answer(rating=True), "bad_rating"),
        (answer(rating=None), "bad_rating"),
        (answer(tool="zoom"), "bad_tool"),
        (answer(tool=["crop"]), "bad_tool"),
        (answer(tool={}), "bad_tool"),
        (answer(bbox_2d=[0.6, 0.2, 0.1, 0.8]), "bad_bbox"),
        (answer(bbox_2d=[0.1, 0.8, 0.6, 0.2]), "bad_bbox"),
        (answer(bbox_2d=[0.1, 0.2, 0.1, 0.8]), "bad_bbox"),
        (answer(bbox_2d=[0.1, 0.2, 0.6, 1.2]), "bad_bbox"),
        (answer(bbox_2d=[-0.1, 0.2, 0.6, 0.8]), "bad_bbox"),
        (answer(bbox_2d=[64, 48, 320, 240]), "bad_bbox"),
        (answer(bbox_2d=[0, 0, 10**400, 1]), "bad_bbox"),
        (answer(bbox_2d=[0.1, 0.2, 0.6]), "bad_bbox"),
        (answer(bbox_2d=[0.1, 0.2, 0.6, "0.8"]), "bad_bbox"),
        (answer(bbox_2d=[0.1, 0.2, 0.6, float("nan")]), "bad_bbox"),
        (answer(bbox_2d=[0.1, 0.2, 0.6, True]), "bad_bbox"),
        (answer(bbox_2d=None), "bad_bbox"),
        (answer(bbox_2d="[0.1, 0.2, 0.6, 0.8]"), "bad_bbox"),
        (answer(bbox_2d=[0, 0, 0, 0]), "bad_bbox"),  # a crop without a box
        (answer(issues={}), "bad_issues"),
        (answer(issues=None), "bad_issues"),
        (answer(issues=["blur"]), "bad_issues"),
        (answer(issues=[{"kind": "blur", "severity": 3}]), "bad_issues"),
        (answer(issues=[{"kind": "ugly", "severity": 3, "bbox_2d": [0, 0, 1, 1]}]), "bad_issues"),
        (answer(issues=[{"kind": [], "severity": 3, "bbox_2d": [0, 0, 1, 1]}]), "bad_issues"),
        (answer(issues=[{"kind": "blur", "severity": 0, "bbox_2d": [0, 0, 1, 1]}]), "bad_issues"),
        (answer(issues=[{"kind": "blur", "severity": 6, "bbox_2d": [0, 0, 1, 1]}]), "bad_issues"),
        (answer(issues=[{"kind": "blur", "severity": 2.5, "bbox_2d": [0, 0, 1, 1]}]), "bad_issues"),
        (answer(issues=[{"kind": "blur", "severity": True, "bbox_2d": [0, 0, 1, 1]}]), "bad_issues"),
        (answer(issues=[{"kind": "blur", "severity": 3, "bbox_2d": [0, 0, 0, 0]}]), "bad_issues"),
        (answer(issues=[{"kind": "blur", "severity": 3, "bbox_2d": [0.5, 0, 0.2, 1]}]), "bad_issues"),
    ],
)
def test_malformed_replies_have_their_code(text: str, code: str) -> None:
    assert code_of(text) == code


CROP = Answer(BOX, 3.47, "crop")


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        (GOOD, ()),
        (f"```xml\n{GOOD}\n```", ("code fence",)),
        (f"Sure!\n```\n{GOOD}\n```\nThank you.", ("code fence", "text around the reply")),
        (GOOD + " Thank you.", ("text around the reply",)),
        (GOOD.replace("<answer>", "so <answer>"), ("text around the reply",)),
        (GOOD.replace("<answer>", "<answer>```json\n").replace("</answer>", "\n```</answer>"), ("code fence",)),
        (answer(rating="3.47"), ("quoted rating",)),
        (f"Sure! {answer(rating=' 3.47 ')}", ("text around the reply", "quoted rating")),
        (GOOD.removeprefix(THINK), ("missing tags",)),
        (GOOD.removeprefix("<think>"), ("missing tags",)),
        (GOOD.replace("</think>", ""), ("missing tags",)),
        (JSON, ("missing tags",)),
        (THINK + JSON, ("missing tags",)),
        (FENCED, ("missing tags", "code fence")),
        (f"Here is my answer:\n{FENCED}", ("missing tags", "code fence", "text around the reply")),
        (f"Here is my answer: {JSON} Thank you.", ("missing tags", "text around the reply")),
    ],
)
def test_repairs_of_form_are_listed(text: str, repaired: tuple[str, ...]) -> None:
    parsed = parse_reply(text, 1)
    assert parsed == Parsed(None, CROP, parsed.repaired)
    assert set(parsed.repaired) == set(repaired) <= set(REPAIRS)


@pytest.mark.parametrize(
    ("change", "repaired"),
    [
        (lambda text: text.removeprefix("<think>"), ("missing tags",)),
        (lambda text: text.removeprefix("<think>").replace("</think>", "\n"), ("missing tags",)),
        (lambda text: "Gladly.\n" + text.replace("<think>", "").replace("</think>", "\n"),
         ("missing tags", "text around the reply")),
        (lambda text: text.replace("<answer>", "\n```json\n").replace("</answer>", "\n```"),
         ("missing tags", "code fence")),
        (lambda text: re.sub(r"(?m)^(<think>)?([^:\n]+):", r"\1**\2:**", text, count=4), ("marked-up labels",)),
        (lambda text: re.sub(r"(?m)^(<think>)?([^:\n]+):", r"\1### 1. \2:", text, count=4), ("marked-up labels",)),
        (lambda text: re.sub(r"(?m)^(<think>)?([^:\n]+):", r"\1- \2:", text, count=4), ("marked-up labels",)),
    ],
)  # fmt: skip
def test_the_rationale_of_a_repaired_reply_is_kept(change: Callable[[str], str], repaired: tuple[str, ...]) -> None:
    text = change(render_reply(RATIONALE, CROP, 1))
    parsed = parse_reply(text, 1)
    assert (parsed.rationale, parsed.answer, set(parsed.repaired)) == (RATIONALE, CROP, set(repaired)), text


def test_boxes_in_other_units_are_scaled_where_the_unit_is_known() -> None:
    blur = {"kind": "blur", "severity": 3, "bbox_2d": [100, 200, 600, 800]}
    thousandths = answer(bbox_2d=[100, 200, 600, 800], issues=[blur])
    expected = Answer(BOX, 3.47, "crop", (Issue("blur", 3, BOX),))
    assert parse_reply(thousandths, 1, box_scale=(1000, 1000)) == Parsed(None, expected, ("box units",))
    pixels = answer(bbox_2d=[64, 96, 384, 384])
    assert parse_reply(pixels, 1, box_scale=(640, 480)) == Parsed(None, CROP, ("box units",))
    assert parse_reply(GOOD, 1, box_scale=(640, 480)) == Parsed(None, CROP)  # fractions stay fractions
    over = parse_reply(answer(bbox_2d=[64, 96, 384, 490]), 1, box_scale=(640, 480)).answer.region
    assert over == Region(0.1, 0.2, 0.6, 1.0), "a box may leave the picture by 3 %"
    assert code_of(thousandths) == "bad_bbox"
    for box in ([64, 96, 384, 500], [0, 0, 660, 100], [-1, 0, 100, 100], [384, 96, 64, 384]):
        with pytest.raises(ReplyError, match="bad_bbox"):
            parse_reply(answer(bbox_2d=box), 1, box_scale=(640, 480))


@pytest.mark.parametrize(
    ("model", "scale"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", (640, 480)),
        ("qwen2_5_vl", (640, 480)),
        ("qwen3_vl", (1000, 1000)),
        ("OpenGVLab/InternVL3-8B", (1000, 1000)),
        ("llava", None),
    ],
)
def test_box_units_of_model_families(model: str, scale: tuple[float, float] | None) -> None:
    assert box_scale(model, (640, 480)) == scale


FULL_REPLY = render_reply(RATIONALE, Answer(BOX, 3.47, "crop"), 1)


@pytest.mark.parametrize(
    "text",
    [
        FULL_REPLY.replace("Issues to Avoid: Blur in the corner.\n", ""),
        FULL_REPLY.replace("Issues to Avoid: Blur in the corner.", "Issues to Avoid:"),
        FULL_REPLY.replace("Issues to Avoid", "Directions for Improvement"),
        FULL_REPLY.replace("<think>", "<think>Let me see.\n"),
        FULL_REPLY.replace("Decision & Rationale", "Final Decision & Rationale"),
        render_reply(RATIONALE, Answer(BOX, 3.47, "crop"), 2),  # the labels of another round
        FULL_REPLY.replace("leaves.", "leaves. <image>"),
    ],
)
def test_sections_are_all_there_once_and_in_order(text: str) -> None:
    assert code_of(text) == "bad_sections"
    assert parse_zoomiqa(text, 1).rationale is None


OFFICIAL = """
<think>
1) Image Quality Summary: A little soft.
   Fair overall.
2) Directions for Improvement (positive-only, grounded): Crisp fur.
3) Issues to Avoid (negative-only, grounded): Blur on the fur.

4) Decision & Rationale: 3.2, but the fur needs a look.
</think>
<answer>{"bbox_2d":[0.1,0.2,0.6,0.8],"rating":3.2,
 "tool":"crop"}</answer>
"""


@pytest.mark.parametrize("official", [False, True])
def test_official_replies_are_read(official: bool) -> None:
    parsed = parse(OFFICIAL, 1, official)
    assert parsed.answer == Answer(BOX, 3.2, "crop", ())
    assert parsed.rationale == Rationale(
        "A little soft. Fair overall.", "Crisp fur.", "Blur on the fur.", "3.2, but the fur needs a look."
    )
    one_line = " ".join(OFFICIAL.split())
    assert parse(one_line, 1, official) == parsed
    later = OFFICIAL.replace("Image Quality", "Crop Inspection").replace("Decision &", "Final Decision &")
    again = parse(later.replace("Rationale", "Rationale ").replace("&", "and"), 2, official)
    assert again.rationale == parsed.rationale
    assert again.answer == (Answer(None, 3.2, "final") if official else parsed.answer)


def official_answer(**changed: object) -> Parsed:
    return parse_zoomiqa(answer(**changed), 1, (640, 480))


def test_official_replies_may_be_as_odd_as_the_authors_take_them() -> None:
    assert official_answer(bbox_2d=[0, 0, 0, 0]) == Parsed(None, Answer(None, 3.47, "final"))
    assert official_answer(rating="4.2") == Parsed(None, Answer(BOX, 4.2, "crop"), ("quoted rating",))
    assert official_answer(rating=7, tool="final") == Parsed(None, Answer(None, 5.0, "final"), ("clipped rating",))
    assert official_answer(rating="bad") == Parsed(None, Answer(BOX, None, "crop"), ("unusable rating",))
    assert official_answer(tool="zoom") == Parsed(None, CROP, ("unknown tool",))
    assert official_answer(tool=...) == Parsed(None, Answer(None, 3.47, "final"), ("missing key",))
    assert official_answer(bbox_2d=None) == Parsed(None, Answer(None, 3.47, "final"), ("missing key",))
    assert official_answer(issues={}) == Parsed(None, CROP, ("issues left out",), listed=False)
    two = parse_zoomiqa(GOOD + answer(rating=1), 1)
    assert two == Parsed(None, CROP, ("first of several answers", "text around the reply"))
    relaxed = "<answer>{'bbox_2d': [.1, .2, .6, .8], rating: 3.47, 'tool': 'crop',}</answer>"
    assert parse_zoomiqa(relaxed, 1) == Parsed(None, CROP, ("relaxed JSON",), listed=False)
    assert set(two.repaired) <= set(REPAIRS)


def test_official_boxes_are_fractions_or_pixels_in_any_order() -> None:
    for box in ([0.6, 0.8, 0.1, 0.2], [64, 96, 384, 384], [384, 96, 64, 384], ["0.1", 0.2, 0.6, 0.8]):
        assert official_answer(bbox_2d=box) == Parsed(None, CROP), box
    assert official_answer(bbox_2d=[-5, 96, 9000, 384]).answer.region == Region(0, 0.2, 1, 0.8)
    assert official_answer(bbox_2d=[0.5, 0, 0.5, 1]).answer.region == Region(0.5, 0, 321 / 640, 1), "one pixel wide"
    assert official_answer(bbox_2d=[1, 0, 1, 1]).answer.region == Region(639 / 640, 0, 1, 1)
    for invalid in ([0.1, 0.2, 0.6], "none", ["a", 0, 1, 1], ["0", "0", "0", "0"]):
        assert official_answer(bbox_2d=invalid) == Parsed(None, Answer(None, 3.47, "crop"), ("invalid box",)), invalid
    assert parse_zoomiqa(answer(bbox_2d=[64, 96, 384, 384]), 1).repaired == ("invalid box",), "of unknown size"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<think></think>", "no_answer"),
        ("</answer><answer>", "no_answer"),
        (f"<answer>{FENCED}</answer>", "no_answer"),
        (JSON, "no_answer"),
        ("<answer>{a b c}</answer>", "bad_json"),
        (f"<answer>[{JSON}]</answer>", "no_answer"),
        (answer(rating="bad", tool="final"), "bad_rating"),
        (answer(rating=float("nan"), tool="final"), "bad_rating"),
        (answer(rating=..., tool="final"), "bad_rating"),
        (answer(bbox_2d=[0, 0, 10**400, 1]), "bad_bbox"),
    ],
)
def test_official_replies_that_the_authors_refuse_are_refused(text: str, code: str) -> None:
    assert code_of(text, official=True) == code


def test_relaxed_json_without_dirtyjson_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dirtyjson", None)
    with pytest.raises(ReplyError, match=r'bad_json: .*pip install "snellen\[zoom-iqa\]"'):
        parse_zoomiqa("<answer>{'rating': 3}</answer>", 1)


def test_a_final_answer_asks_for_no_region() -> None:
    assert parse_reply(answer(tool="final"), 1).answer == Answer(None, 3.47, "final")
    for box in ([0, 0, 0, 0], [5, 5, 2, 2], [0, 0, 640, 480], None):
        assert parse_reply(answer(tool="final", bbox_2d=box), 1) == Parsed(None, Answer(None, 3.47, "final"))


def test_unknown_keys_are_ignored() -> None:
    assert parse_reply(answer(confidence=0.5), 1) == parse_reply(GOOD, 1)


@given(
    st.tuples(*[st.floats(0, 1)] * 4).filter(lambda b: b[0] < b[2] and b[1] < b[3]),
)
@example((0.0, 0.78515625, 1.0, 0.7890625))
def test_a_rendered_box_is_the_nearest_on_the_grid_and_never_empty(box: tuple[float, float, float, float]) -> None:
    region = Region(*box)
    snapped = to_grid(region)
    assert json.loads(render_box(region)) == snapped.to_list()
    assert all(abs(a - b) <= 0.0101 for a, b in zip(box, snapped.to_list(), strict=True))
    assert to_grid(snapped) == snapped


def test_a_thin_region_keeps_one_hundredth() -> None:
    assert render_box(Region(0.101, 0.996, 0.104, 1.0)) == "[0.10, 0.99, 0.11, 1.00]"
    assert render_box(None) == "[0.00, 0.00, 0.00, 0.00]"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Issue("ugly", 3, FULL),
        lambda: Issue("blur", 0, FULL),
        lambda: Answer(None, 5.01, "final"),
        lambda: Answer(None, float("nan"), "final"),
        lambda: Answer(FULL, 3.0, "final"),
        lambda: Answer(None, None, "final"),
        lambda: Answer(BOX, None, "crop").stated,
        lambda: render_reply(RATIONALE, Answer(BOX, None, "crop"), 1),
        lambda: Answer(FULL, 3.0, "zoom"),  # type: ignore[arg-type]
        lambda: Rationale("a", "b", "c", ""),
        lambda: Rationale("a", "b", "c", "two\nlines"),
        lambda: Rationale("a", "b", "c", "</think>"),
        lambda: render_reply(None, Answer(None, 3.0, "crop"), 1),
        lambda: render_reply(RATIONALE, Answer(None, 3.0, "final"), 0),
        lambda: open_protocol("other"),
    ],
)
def test_inconsistent_values_are_refused(make: object) -> None:
    with pytest.raises(ValueError):
        make()  # type: ignore[operator]


def test_the_rating_prefix_begins_a_reply() -> None:
    assert render_reply(None, Answer(None, 3.47, "final"), 1).startswith(RATING_PREFIX + "3.47,")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("first_prompt.txt", first_prompt(DEFAULT_QUESTION)),
        ("later_prompt.txt", later_prompt(DEFAULT_QUESTION, BOX)),
    ],
)
def test_prompts_are_the_golden_ones(name: str, text: str) -> None:
    """Changing a prompt changes what every model is asked: do it on purpose, and write the file anew."""
    assert text + "\n" == (GOLDEN / name).read_text(encoding="utf-8")


def test_the_prompt_names_every_kind_and_fills_every_place() -> None:
    text = first_prompt("Is it {sharp}?")
    assert all(kind in text for kind in KINDS)
    assert "{sharp}" in text and "{question}" not in text
    assert text.count(VIEW_MARK) == later_prompt("Why?", BOX).count(VIEW_MARK) == 1


@pytest.fixture(scope="module")
def views() -> list[View]:
    picture = Picture(np.zeros((600, 800, 3), np.uint8), "black")
    return [picture.view(), picture.view(BOX), picture.view(Region(0.2, 0.2, 0.4, 0.4))]


def test_our_conversation_holds_the_whole_history(views: list[View]) -> None:
    protocol = open_protocol("snellen")
    said = [Turn("assistant", "one", (), (1, 2), (-0.5, -1.0)), Turn("assistant", "two")]
    turns = protocol.conversation("Sharp?", views, said)
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "assistant", "user"]
    assert [turn.views for turn in turns if turn.role == "user"] == [(view,) for view in views]
    assert (turns[1], turns[3]) == (said[0], said[1])
    assert turns[0].text == first_prompt("Sharp?")
    assert "[0.10, 0.20, 0.60, 0.80]" in turns[2].text
    assert turns[0].parts()[0] is views[0]
    assert protocol.conversation("Sharp?", views[:1], []) == turns[:1]
    with pytest.raises(ValueError, match="3 views need 2 replies"):
        protocol.conversation("Sharp?", views, said[:1])
    with pytest.raises(ValueError, match="tag"):
        protocol.conversation("What is in <image>?", views[:1], [])


def test_parts_are_in_reading_order(views: list[View]) -> None:
    one, two = views[:2]
    assert Turn("user", "A <image> B <image>", (one, two)).parts() == ["A ", one, " B ", two]
    assert Turn("user", "A", (one,)).parts() == [one, "A"]
    assert Turn("assistant", "I see <image>.").parts() == ["I see <image>."]
    with pytest.raises(ValueError, match="shows 1 views but marks 2"):
        Turn("user", "<image><image>", (one,)).parts()


@pytest.mark.usefixtures("authors_package")
def test_zoom_iqa_asks_as_the_authors_do(views: list[View]) -> None:
    protocol = open_protocol("zoom-iqa")
    assert (protocol.name, protocol.max_rounds) == ("zoom-iqa", 2)
    (first,) = protocol.conversation("Sharp?", views[:1], [])
    text, whole = first.parts()
    assert text == "Rate it: {json}. Sharp?"
    assert isinstance(whole, View) and (whole.region, whole.fit) == (FULL, (800, 600))
    said = Turn("assistant", GOOD)
    turns = protocol.conversation("<|image|>Sharp?", views[:2], [said])
    shown = [replace(view, fit=(800, 600)) for view in views[:2]]
    later = "Look again: {{json}}. {question}\nOriginal image: "
    assert [turn.text for turn in turns[:2]] == ["<|image|>Sharp?", GOOD]
    assert [(p.region, p.fit) if isinstance(p, View) else p for p in turns[2].parts()] == [
        later, (FULL, (800, 600)), "Cropped Image: ", (shown[1].region, (800, 600)),
    ]  # fmt: skip
    assert protocol.conversation("<|image|>Sharp?", views[:1], [])[0].text.endswith("Sharp?<image>")
    unusable = Turn("assistant", answer(bbox_2d="none"))
    crop = protocol.conversation("Sharp?", views[:2], [unusable])[2].views[1]
    assert crop.fit == (400, 360), "the central crop is shown as it is: 0.5 x 800 by 0.6 x 600 px"
    with pytest.raises(ValueError, match="two rounds"):
        protocol.conversation("Sharp?", views, [said, said])
    assert protocol.parse(f"Sure. {answer(bbox_2d='none')}", 1).answer == Answer(None, 3.47, "crop")


@pytest.mark.skipif(importlib.util.find_spec("zoomiqa") is not None, reason="the authors' package is installed")
def test_zoom_iqa_without_the_authors_package_says_what_to_do() -> None:
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps .*Zoom-IQA"):
        open_protocol("zoom-iqa")
