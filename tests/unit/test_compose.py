from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from snellen.data.sample import Fault
from snellen.features import CELLS, Feature, Features
from snellen.rationale import patterns as wording
from snellen.rationale.compose import Known, at_a_glance, crop_region, quick, second, write
from snellen.rationale.lexicon import KIND_WORDS, NEGATIVE_WORDS, POSITIVE_WORDS, SEVERITY, say, sentence, where
from snellen.region import FULL, Region
from snellen.reply import RATING_PREFIX, Answer, Issue, Rationale, parse_reply, render_reply, to_grid
from snellen.vocabulary import KINDS, VERDICTS, verdict

TYPICAL = {
    "sharpness": 0.55, "noise": 0.4, "blockiness": 0.4, "clipped_shadows": 0.0, "clipped_highlights": 0.0,
    "luminance": 0.45, "contrast": 0.21, "colorfulness": 36.0, "color_cast": 0.0, "color_cast_hue": 60.0,
}  # fmt: skip
CORNER = Region(0.1, 0.1, 0.4, 0.4)
DIRECTION = re.compile(r"\b(lowers?|higher|lifts|drops|falls|rises|climbs|(goes|moves) (up|down))\b")
VERDICT_AT_END = re.compile(rf"\b({'|'.join(word for _, word in VERDICTS)})( overall| on the whole| as a picture)?\.$")


def measured(rng: np.random.Generator | None = None, **values: float) -> Features:
    """Features of a typical picture, with values of your choice; random ones when `rng` is given."""
    table = dict(TYPICAL)
    if rng is not None:
        table |= {
            "sharpness": float(rng.uniform(0.25, 0.7)), "noise": float(rng.gamma(1.0, 1.0)),
            "blockiness": float(rng.uniform(0.1, 1.2)), "luminance": float(rng.uniform(0.08, 0.9)),
            "clipped_shadows": float(max(0, rng.normal(0, 0.05))), "contrast": float(rng.uniform(0.05, 0.3)),
            "clipped_highlights": float(max(0, rng.normal(0, 0.05))), "colorfulness": float(rng.uniform(2, 110)),
            "color_cast": float(max(0, rng.normal(0, 20))), "color_cast_hue": float(rng.uniform(0, 360)),
        }  # fmt: skip
    table |= values
    maps = {}
    for name, value in table.items():
        spread = rng.uniform(0.6, 1.4, (CELLS, CELLS)) if rng is not None else np.ones((CELLS, CELLS))
        maps[name] = (value * spread).astype(np.float32)
    return Features({name: Feature(value, "", (0.0, None)) for name, value in table.items()}, maps)


def known(**changes: object) -> Known:
    base = Known(4.4, 4.3, measured(), 2000, 1500)
    return replace(base, **changes)  # type: ignore[arg-type]


def faulty(kind: str = "blur", level: int = 4, region: Region = CORNER, **changes: object) -> Known:
    return known(**{"label": 3.0, "first_rating": 3.1, "faults": (Fault("x", kind, level, region),)} | changes)


def random_known(seed: int) -> tuple[Known, np.random.Generator]:
    """Any picture: real or made, clean or with any kind of fault, anywhere."""
    rng = np.random.default_rng(seed)
    label = float(rng.uniform(1, 5))
    first = float(np.clip(label + rng.normal(0, 0.5), 1, 5))
    faults: tuple[Fault, ...] = ()
    real = bool(rng.random() < 0.4)
    if not real and rng.random() < 0.8:
        region = FULL
        if rng.random() < 0.7:
            (width, height), place = rng.uniform(0.15, 0.5, 2), rng.uniform(0, 1, 2)
            x, y = place * (1 - np.array([width, height]))
            region = Region(float(x), float(y), float(x + width), float(y + height))
        faults = (Fault("x", KINDS[int(rng.integers(len(KINDS)))], int(rng.integers(1, 6)), region),)
    return Known(label, first, measured(rng), 1200, 900, float(rng.uniform(0.2, 0.5)), faults, real), rng


def conversations(count: int, start: int = 0) -> Iterator[tuple[Known, list[tuple[Rationale, Answer]]]]:
    for seed in range(start, start + count):
        one, rng = random_known(seed)
        yield one, write(one, rng)


def test_directions_are_positive_and_issues_to_avoid_negative() -> None:
    for _, rounds in conversations(400):
        for rationale, _ in rounds:
            assert not NEGATIVE_WORDS & set(re.findall("[a-z]+", rationale.directions.lower())), rationale.directions
            assert not POSITIVE_WORDS & set(re.findall("[a-z]+", rationale.avoid.lower())), rationale.avoid


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_named_with_its_severity_and_place(kind: str) -> None:
    rng = np.random.default_rng(0)
    for level, word in SEVERITY.items():
        last, _ = write(faulty(kind, level), rng)[-1]
        assert re.search(rf"\b{word}\b", last.summary + last.decision)
        assert "upper left" in last.summary
        assert "upper left" in last.avoid


@pytest.mark.parametrize("kind", KINDS)
def test_goals_are_positive_and_looks_to_shun_negative(kind: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        goal, shun = say(KIND_WORDS[kind].goal, rng), say(KIND_WORDS[kind].shun, rng)
        assert not NEGATIVE_WORDS & set(re.findall("[a-z]+", goal)), goal
        assert not POSITIVE_WORDS & set(re.findall("[a-z]+", shun)), shun


def test_places_are_named_by_where_the_fault_is() -> None:
    for place, region in {
        "upper right": Region(0.7, 0.0, 1.0, 0.3),
        "left": Region(0.0, 0.4, 0.2, 0.6),
        "bottom": Region(0.4, 0.8, 0.6, 1.0),
        "lower right": Region(0.7, 0.7, 1.0, 1.0),
    }.items():
        first, last = write(faulty("noise", 5, region), np.random.default_rng(2))
        assert place in first[0].summary
        assert place in last[0].summary
    whole = write(faulty("noise", 5, FULL), np.random.default_rng(2))[0][0]
    assert re.search("(whole|entire) (picture|image|frame)", whole.summary)
    assert where("centre", np.random.default_rng(0)) in ("in the centre", "in the middle")


def test_replies_parse_back() -> None:
    for _, rounds in conversations(300):
        for number, (rationale, answer) in enumerate(rounds, 1):
            parsed = parse_reply(render_reply(rationale, answer, number), number)
            assert parsed.rationale == rationale
            assert parsed.answer.rating == pytest.approx(answer.rating, abs=0.0051)
            assert parsed.answer.region == answer.region
            assert parsed.answer.tool == answer.tool
            assert [(i.kind, i.severity) for i in parsed.answer.issues] == [(i.kind, i.severity) for i in answer.issues]


def test_no_rating_of_the_round_is_in_its_text() -> None:
    for one, rounds in conversations(300):
        assert not re.search(r"\d", " ".join(rounds[0][0].sections))
        for rationale, _ in rounds[1:]:
            assert re.findall(r"[\d.]*\d", " ".join(rationale.sections)) == [f"{one.first_rating:.2f}"]


def test_the_same_seed_writes_the_same_and_another_writes_differently() -> None:
    assert list(conversations(20))[7][1] == list(conversations(20))[7][1]
    one, _ = random_known(3)
    assert write(one, np.random.default_rng(1)) == write(one, np.random.default_rng(1))
    assert write(one, np.random.default_rng(1)) != write(one, np.random.default_rng(2))


def test_sections_are_short() -> None:
    lengths = [
        sum(len(section.split()) for section in rationale.sections)
        for _, rounds in conversations(300)
        for rationale, _ in rounds
    ]
    assert max(lengths) <= 100
    assert 45 <= float(np.mean(lengths)) <= 80


def variety(count: int) -> tuple[int, int, int, float]:
    """Distinct sentences, sentences, words of the vocabulary, distinct word pairs over word pairs (distinct-2)."""
    sentences: Counter[str] = Counter()
    words: set[str] = set()
    pairs: Counter[tuple[str, str]] = Counter()
    for _, rounds in conversations(count):
        for rationale, _ in rounds:
            for section in rationale.sections:
                sentences.update(part for part in re.split(r"(?<=[a-z])\.\s*", section) if part)
                tokens = re.findall("[a-z]+", section.lower())
                words.update(tokens)
                pairs.update(zip(tokens, tokens[1:], strict=False))
    return len(sentences), sum(sentences.values()), len(words), len(pairs) / sum(pairs.values())


def test_wording_varies_within_a_small_vocabulary() -> None:
    distinct, total, words, distinct_2 = variety(500)
    assert distinct > 0.8 * total
    assert words < 600
    assert distinct_2 > 0.05


@pytest.mark.slow
def test_ten_thousand_samples_hold_fifty_thousand_sentences() -> None:
    distinct, _, words, _ = variety(10_000)
    assert distinct >= 50_000
    assert words < 900


def test_a_crop_is_asked_for_when_a_fault_is_local_or_the_first_look_unsure() -> None:
    def rounds(one: Known) -> int:
        return len(write(one, np.random.default_rng(0)))

    assert rounds(known()) == 1
    assert rounds(faulty(region=FULL)) == 1
    assert rounds(faulty(region=CORNER)) == 2
    assert rounds(known(first_rating=4.0)) == 2
    assert rounds(known(first_std=0.6)) == 2


def test_the_crop_holds_the_fault_with_a_margin() -> None:
    for seed in range(20):
        crop = crop_region(faulty(), np.random.default_rng(seed))
        assert crop.covers(CORNER) == pytest.approx(1.0)
        assert 0.32 <= crop.width <= 0.40
    wanted = Region(0.5, 0.5, 0.9, 0.9)
    assert crop_region(faulty(crop=wanted), np.random.default_rng(0)) == wanted
    answer = write(faulty(crop=wanted), np.random.default_rng(0))[0][1]
    assert answer.region == wanted


def test_without_a_local_fault_the_crop_goes_where_there_is_detail() -> None:
    features = measured()
    features.maps["contrast"][6:9, 1:4] = 0.4
    crop = crop_region(known(measured=features, first_rating=3.5), np.random.default_rng(0))
    assert crop.covers(Region(0.1, 0.6, 0.4, 0.9)) > 0.9
    assert 0.34 <= crop.width <= 0.61


def test_ratings_go_from_the_prediction_to_the_label() -> None:
    first, last = write(faulty(label=2.5, first_rating=3.4), np.random.default_rng(0))
    assert (first[1].rating, last[1].rating) == (3.4, 2.5)
    assert (first[1].tool, last[1].tool) == ("crop", "final")
    only = write(known(label=4.4, first_rating=4.2), np.random.default_rng(0))[0][1]
    assert (only.rating, only.tool) == (4.4, "final")


def test_the_last_round_tells_the_truth_and_the_first_is_at_most_one_severity_off() -> None:
    for one, rounds in conversations(300):
        truth = one.issues
        if len(rounds) == 2:
            assert rounds[1][1].issues == truth
        for seen in rounds[0][1].issues:
            match = next(issue for issue in truth if (issue.kind, issue.region) == (seen.kind, seen.region))
            assert abs(match.severity - seen.severity) <= (1 if one.unsure else 0)


def test_what_a_glance_sees() -> None:
    assert at_a_glance(Issue("blur", 3, CORNER)) == "visible"
    assert at_a_glance(Issue("blur", 2, FULL)) == "visible"
    assert at_a_glance(Issue("blur", 2, CORNER)) == "hinted"
    assert at_a_glance(Issue("blur", 1, FULL)) == "hidden"
    assert write(faulty(level=1), np.random.default_rng(0))[0][1].issues == ()


def decisions(one: Known, count: int = 30) -> list[str]:
    return [write(one, np.random.default_rng(seed))[-1][0].decision for seed in range(count)]


def test_a_direction_is_named_only_where_the_crop_explains_it() -> None:
    # A good picture whose label is lower, or a real one with nothing measured to be wrong: label noise.
    for one in (known(label=4.0, first_rating=4.6), known(label=2.9, first_rating=3.6, real=True)):
        assert not any(DIRECTION.search(text) for text in decisions(one))
    # A fault that was found explains a lower rating, never a higher one.
    found = faulty("noise", 1, label=3.0, first_rating=3.6)
    assert all(re.search("lower|down", text) for text in decisions(found))
    assert not any(DIRECTION.search(text.split(";")[1]) for text in decisions(replace(found, first_rating=2.4)))
    # Nothing wrong explains a higher one.
    assert all(re.search("higher|lifts|up", text) for text in decisions(known(label=4.5, first_rating=4.0)))


def test_the_last_decision_states_the_earlier_rating_and_moves_in_proportion() -> None:
    assert all("4.10" in text for text in decisions(faulty(label=3.8, first_rating=4.1)))
    little, much = faulty(label=3.9, first_rating=4.1), faulty(label=2.5, first_rating=4.1)
    assert all("little" in text for text in decisions(little) if "than it looked" not in text)
    assert all(re.search("clearly|far|much", text) for text in decisions(much))
    kept = faulty(label=3.05, first_rating=3.1)
    assert all(re.search("stays close|hardly moves|holds|stands", text) for text in decisions(kept))


def test_a_crop_beside_the_fault_says_so() -> None:
    one = faulty(crop=Region(0.5, 0.5, 0.95, 0.95), label=3.0, first_rating=3.6)
    for seed in range(20):
        last = write(one, np.random.default_rng(seed))[-1][0]
        assert "outside" in last.summary
        assert not DIRECTION.search(last.decision)
        partly = write(replace(one, crop=Region(0.3, 0.3, 0.9, 0.9)), np.random.default_rng(seed))[-1][0]
        assert "part" in partly.summary and "outside" not in partly.summary
        assert not DIRECTION.search(partly.decision)


REVEALS = re.compile(r"reveals|brings out|uncovers|appears|comes out|missed at first|that the small view hid")


@pytest.mark.parametrize("level", [1, 2, 4])
def test_only_what_was_not_listed_is_revealed(level: int) -> None:
    for seed in range(40):
        (_, first), (last, _) = write(faulty("noise", level, first_rating=3.6), np.random.default_rng(seed))
        said = bool(REVEALS.search(last.summary)), bool(REVEALS.search(last.decision))
        assert said == (not first.issues,) * 2, last
        assert (level == 1) == (not first.issues)


def test_a_place_stands_last_in_its_clause() -> None:
    patterns = [text for group in vars(wording).values() if isinstance(group, tuple) for text in group]
    placed = [text for text in patterns if isinstance(text, str) and re.search("{where}|{place}", text)]
    assert len(placed) > 40
    for text in placed:
        assert not re.search(r"({where}|{place})(?![.,;:\[])", text), text


@pytest.mark.parametrize("rating", [1.79, 1.8, 2.61, 3.39, 3.4, 4.2])
def test_the_verdict_is_that_of_the_rating(rating: float) -> None:
    for seed in range(20):
        for rationale, answer in write(known(label=rating, first_rating=rating), np.random.default_rng(seed)):
            found = VERDICT_AT_END.search(rationale.summary)
            assert found, rationale.summary
            assert found[1] == verdict(answer.rating)


def test_real_pictures_get_issues_from_measurements_only_when_rated_low() -> None:
    soft = measured(sharpness=0.3)
    assert [issue.kind for issue in known(real=True, label=2.0, measured=soft).issues] == ["blur"]
    assert known(real=True, label=4.0, measured=soft).issues == ()
    assert known(real=True, label=2.0).issues == ()
    assert faulty(real=True, label=4.0).issues == ()


def test_what_is_said_to_be_weak_is_measured() -> None:
    for one, rounds in conversations(400, start=1000):
        value = one.measured.values
        for rationale, _ in rounds:
            if re.search("even (smooth areas|plain surfaces|flat areas)", rationale.summary):
                assert one.measured.maps["noise"].max() > 1.9
            if re.search("block edges|square blocks|square grid", rationale.summary.lower()):
                assert one.measured.maps["blockiness"].max() > 0.8
        if re.search("highlights are clipped|brightest parts are clipped", rounds[0][0].summary):
            assert one.measured.maps["clipped_highlights"].max() > 0.03
        if re.search("(edges|details|contours) are (crisp|sharp)", rounds[0][0].summary.lower()):
            assert value["sharpness"].value > 0.5
        if re.search("(smooth areas|plain surfaces) are clean", rounds[0][0].summary.lower()):
            assert value["noise"].value < 0.5


def test_no_strength_is_praised_that_a_fault_spoils() -> None:
    for seed in range(40):
        first = write(faulty("color cast", 4), np.random.default_rng(seed))[0][0]
        assert not re.search("keep the (natural|neutral|rich|lively) color", first.directions)
    praised = [write(faulty("blur", 4), np.random.default_rng(seed))[0][0].directions for seed in range(40)]
    assert any(re.search("keep the (natural|neutral) color", text) for text in praised)


def test_quick_is_one_final_answer_with_the_label() -> None:
    answer = quick(faulty(level=4, label=2.7))
    assert (answer.rating, answer.tool, answer.region) == (2.7, "final", None)
    assert [(issue.kind, issue.severity) for issue in answer.issues] == [("blur", 4)]
    assert render_reply(None, answer, 1).startswith(RATING_PREFIX)
    assert quick(faulty(level=1)).issues == ()


def test_boxes_are_on_the_grid_that_two_decimals_can_say() -> None:
    for one, rounds in conversations(50):
        assert all(issue.region == to_grid(issue.region) for issue in one.issues)
        assert all(answer.region in (None, to_grid(answer.region or FULL)) for _, answer in rounds)


def test_phrases_expand_choices_and_values() -> None:
    rng = np.random.default_rng(0)
    drawn = {say("[a|b[c|d]] {x}[|!]", rng, x="e") for _ in range(100)}
    assert drawn == {"a e", "a e!", "bc e", "bc e!", "bd e", "bd e!"}
    assert sentence("one  two. three ;four", rng) == "One two. Three;four"


def test_what_is_known_is_checked() -> None:
    with pytest.raises(ValueError, match="label 5.5"):
        known(label=5.5)
    with pytest.raises(ValueError, match="first_rating 0.5"):
        known(first_rating=0.5)


def test_a_second_round_contradicts_a_fault_that_is_not_there() -> None:
    said = Answer(CORNER, 3.2, "crop", (Issue("noise", 3, CORNER),))
    clean = known(label=4.5, crop=CORNER)
    decisions = set()
    for seed in range(30):
        rationale, answer = second(clean, said, np.random.default_rng(seed))
        assert answer == Answer(None, 4.5, "final")
        assert "3.20" in rationale.decision
        assert "noise" in rationale.summary or "grain" in rationale.summary
        decisions.add(rationale.decision)
    assert any(re.search(r"\b(higher|lifts|rises|climbs|up)\b", decision) for decision in decisions)
    assert not any(re.search(r"\b(lower|lowers|drops|falls|down)\b", decision) for decision in decisions)


def test_a_second_round_tells_of_a_fault_that_the_first_missed() -> None:
    said = Answer(CORNER, 4.4, "crop", ())
    rationale, answer = second(faulty(level=4, crop=CORNER), said, np.random.default_rng(0))
    assert [issue.kind for issue in answer.issues] == ["blur"]
    assert "4.40" in rationale.decision


def test_a_real_picture_is_not_cleared_of_what_nobody_knows() -> None:
    said = Answer(CORNER, 3.2, "crop", (Issue("noise", 3, CORNER),))
    for seed in range(20):
        rationale, _ = second(known(label=4.5, crop=CORNER, real=True), said, np.random.default_rng(seed))
        assert "after all" not in rationale.summary and "suspicion" not in rationale.summary
