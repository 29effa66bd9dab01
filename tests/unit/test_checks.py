"""Claims of a free text and their checks against issues, boxes and measurements."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from snellen.assessor import Assessor
from snellen.backends.scripted import ScriptedBackend
from snellen.checks import SUBJECTS, USED, VERDICTS, check_reply
from snellen.claims import Claim, claims_in, kinds_in
from snellen.features import Features, measure
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, Parsed, Rationale, render_reply
from snellen.report import Report

CORNER = Region(0.05, 0.05, 0.35, 0.35)
BLUR, NOISE = Issue("blur", 4, CORNER), Issue("noise", 2, FULL)


def gray(level: int) -> Features:
    return measure(np.full((64, 64, 3), level, np.uint8), USED)


def checked(summary: str, *issues: Issue, measured: Features | None = None, avoid: str = "Bad light.") -> set[str]:
    """The verdicts as "about claim: verdict"."""
    parsed = Parsed(Rationale(summary, "No blur, no noise.", avoid, "It stays."), Answer(None, 3.0, "final", issues))
    return {f"{one.about} {one.claim}: {one.verdict}" for one in check_reply(parsed, (), measured)}


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("There is mild blur.", [("blur", True, (2, 2), ())]),
        ("The blur is severe.", [("blur", True, (5, 5), ())]),
        ("Heavy JPEG artifacts in the lower left.", [("compression", True, (4, 5), ("lower left",))]),
        ("No noise, banding or blur.", [("noise", False, None, ()), ("banding", False, None, ()),
                                        ("blur", False, None, ())]),
        ("It is free of visible grain.", [("noise", False, None, ())]),
        ("The suspected motion blur is not confirmed.", [("motion blur", False, None, ())]),
        ("No noise, but mild banding.", [("noise", False, None, ()), ("banding", True, (2, 2), ())]),
        ("Mild blur at the top and strong noise on the right.",
         [("blur", True, (2, 2), ("top centre",)), ("noise", True, (4, 4), ("right side",))]),
        ("In the middle, moderate banding shows.", [("banding", True, (3, 3), ("centre",))]),
        ("There may be some blur.", []),
        ("Avoid oversharpening.", []),
        ("Pleasing background blur.", []),
        ("No severe noise.", []),
        ("The image is very dark.", [("dark", True, None, ())]),
        ("The dark jacket is crisp.", []),
        ("Zoom in on the upper left.", [("crop", True, None, ("upper left",))]),
    ],
)  # fmt: skip
def test_claims_of_a_text(text: str, claims: list[tuple[str, bool, tuple[int, int] | None, tuple[str, ...]]]) -> None:
    found = [(one.what, one.present, one.severity, one.places) for one in claims_in(text)]
    assert found == claims


def test_names_of_kinds_are_whole_words_and_the_longest_counts() -> None:
    assert kinds_in("Motion blur and some grain.") == {"motion blur", "noise"}
    assert kinds_in("A blurry thing") == frozenset()


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("There is strong blur in the upper left.",
         {"kind blur: supported", "severity strong blur: supported", "place blur: upper left: supported"}),
        ("There is moderate blur.", {"kind blur: supported", "severity moderate blur: supported"}),
        ("There is mild blur.", {"kind blur: supported", "severity mild blur: contradicted"}),
        ("Blur in the lower right.", {"kind blur: supported", "place blur: lower right: contradicted"}),
        ("Blur in the middle.", {"kind blur: supported", "place blur: centre: not checkable"}),
        ("Blur throughout the frame.", {"kind blur: supported", "place blur: whole picture: contradicted"}),
        ("There is no blur.", {"kind no blur: contradicted"}),
        ("There is no blur in the lower right.", {"kind no blur: not checkable"}),
        ("There is no motion blur.", {"kind no motion blur: not checkable"}),
        ("There is no banding.", {"kind no banding: supported"}),
        ("There is banding.", {"kind banding: not checkable"}),
        ("There is moderate banding.", {"kind banding: contradicted"}),
        ("The wood has a fine grain.", {"kind noise: not checkable"}),
        ("It suffers from noise.", {"kind noise: contradicted"}),
    ],
)  # fmt: skip
def test_claims_against_a_list_with_one_strong_blur_in_the_upper_left(text: str, verdicts: set[str]) -> None:
    # the middle, 0.2 to 0.8, holds 0.15 x 0.15 of the box of 0.3 x 0.3: a quarter, neither right nor wrong
    assert checked(text, BLUR) == verdicts


def test_a_reply_without_a_list_is_compared_with_measurements_only() -> None:
    rationale = Rationale("The image is underexposed.", "Light.", "Dark.", "It stays.")
    parsed = Parsed(rationale, Answer(None, 3.0, "final"), listed=False)
    found = [(one.about, one.verdict) for one in check_reply(parsed, (), gray(200))]
    assert found == [("kind", "not checkable"), ("measurement", "contradicted")]


def test_measurements_contradict_only_what_is_clearly_otherwise() -> None:
    # luminance of gray n is n / 255: 0.20, 0.39, 0.78
    for level, verdict in ((50, "supported"), (100, "not checkable"), (200, "contradicted")):
        assert checked("The image is very dark.", measured=gray(level)) == {f"measurement dark: {verdict}"}
    dark_corner = np.full((640, 640, 3), 200, np.uint8)
    dark_corner[:224, :224] = 20
    shadow = Issue("underexposure", 3, CORNER)
    text = "Underexposure shows in the upper left."
    assert "measurement underexposure: supported" in checked(text, shadow, measured=measure(dark_corner))
    moved = replace(shadow, region=Region(0.6, 0.6, 0.9, 0.9))
    assert "measurement underexposure: contradicted" in checked(text, moved, measured=measure(dark_corner))


def test_wishes_are_no_claims_and_the_last_section_may_name_earlier_issues() -> None:
    assert checked("Well.", BLUR) == set()
    parsed = Parsed(Rationale("Well.", "Sharp.", "Bad.", "The strong banding was worse."), Answer(None, 3.0, "final"))
    earlier = Issue("banding", 4, FULL)
    assert {one.verdict for one in check_reply(parsed, [earlier], None)} == {"supported"}
    assert {one.verdict for one in check_reply(parsed, [], None)} == {"contradicted"}
    assert check_reply(Parsed(None, Answer(None, 3.0, "final", (BLUR,))), (), None) == ()


def test_the_crop_that_the_text_asks_for_is_the_one_of_the_answer() -> None:
    text = Rationale("Well.", "Sharp.", "Bad.", "Unsure, so zoom in on the upper left.")
    for region, verdict in ((CORNER, "supported"), (Region(0.6, 0.6, 0.9, 0.9), "contradicted")):
        (found,) = check_reply(Parsed(text, Answer(region, 3.0, "crop")), (), None)
        assert (found.about, found.verdict) == ("crop", verdict)


LYING = render_reply(
    Rationale("There is no blur. The image is very dark.", "Crisp.", "Soft edges.", "It stays."),
    Answer(None, 3.0, "final", (BLUR,)), 1,
)  # fmt: skip


def test_checks_are_in_the_result_and_the_report_and_change_neither_score_nor_text() -> None:
    bright = np.full((640, 640, 3), 200, np.uint8)
    (freely,) = Assessor(ScriptedBackend([LYING])).assess([bright])
    backend = ScriptedBackend([LYING])
    backend.writes_freely = False
    (other,) = Assessor(backend).assess([bright])
    (step,) = freely.to_dict()["steps"]
    assert [(one["about"], one["claim"], one["verdict"]) for one in step["checks"]] == [
        ("kind", "no blur", "contradicted"), ("measurement", "dark", "contradicted"),
    ]  # fmt: skip
    assert step | {"checks": []} == other.to_dict()["steps"][0]
    assert (freely.score, freely.issues) == (other.score, other.issues) == (3.0, (BLUR,))
    assert {one["verdict"] for one in step["checks"]} <= set(VERDICTS)
    assert {one["about"] for one in step["checks"]} <= set(SUBJECTS)
    json.dumps(freely.to_dict())
    report = Report()
    report.add(freely)
    assert "Claims: 2 contradicted" in report.html() and "blur is listed with severity 4" in report.html()
    silent = Report()
    silent.add(other)
    assert "Claims:" not in silent.html()


def test_a_claim_is_plain_with_a_severity_or_words_for_a_fault() -> None:
    assert claims_in("Fine grain.") == [Claim("Fine grain.", "noise", clear=False, plain=False)]
    assert claims_in("Slight grain.") == [Claim("Slight grain.", "noise", severity=(1, 1), plain=False)]
    assert claims_in("Mild grain.") == [Claim("Mild grain.", "noise", severity=(2, 2))]
    assert claims_in("It suffers from banding.") == [Claim("It suffers from banding.", "banding")]


@pytest.mark.parametrize(
    "text",
    [
        "The strong grain of the oak gives the table character.",
        "Moderate banding of the rock is typical of sandstone.",
        "A heavy blur of the wheels shows how fast they turn.",
        "He suffers from the noise of the engine.",
        "No blur of the wheels is seen.",
        "Everything but the moving arm is free of blur.",
        "There is no blur except in the corner.",
        "The poster shows no blur.",
        "It is very dark inside the box.",
        "The image is very dark in the window only.",
        "The details are sharp on the cut glass.",
    ],
)
def test_what_may_be_said_of_a_thing_contradicts_nothing(text: str) -> None:
    assert not {one for one in checked(text, BLUR, measured=gray(200)) if one.endswith(": contradicted")}


@pytest.mark.parametrize(
    "text",
    [
        "On closer inspection, there is strong banding in the sky.",
        "Overall, the picture suffers from mild blur and severe noise.",
        "Severe noise degrades the picture across the entire frame.",
        "In the lower left, strong pixelation stands out.",
        "Strong grain at the top and moderate banding on the right are visible.",
        "The picture is free of any blur.",
        "I found no signs of blur.",
        "Blur is not present.",
        "Overall, the image is very dark.",
    ],
)
def test_what_is_said_of_the_picture_is_contradicted(text: str) -> None:
    assert {one for one in checked(text, BLUR, measured=gray(200)) if one.endswith(": contradicted")}
