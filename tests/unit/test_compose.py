from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snellen.claims import kinds_in
from snellen.features import Features, measure
from snellen.rationale import Facts, compose
from snellen.rationale.compose import MOST_ISSUES
from snellen.rationale.evidence import strengths, traits
from snellen.rationale.facts import changes
from snellen.rationale.lexicon import (
    BAND_WORDS,
    CROP_WORDS,
    KIND_WORDS,
    PLACE_WORDS,
    SAME_PART,
    SAME_WHOLE,
    STRENGTHS,
    TRAITS,
    say,
    sentence,
    unmarked,
    wordings,
)
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, Rationale, parse_reply, render_reply
from snellen.vocabulary import KINDS, NAMES, SEVERITIES, VERDICTS, direction, verdict

CORNER = Region(0.1, 0.1, 0.4, 0.4)
KIND_OF = {name: kind for kind, several in NAMES.items() for name in several}
NAME = re.compile(rf"\b(?:{'|'.join(sorted(KIND_OF, key=len, reverse=True))})\b", re.I)
MOVES = {
    "same": "hardly changes|stays about the same",
    "up a little": "(goes up|rises) a little",
    "up": "goes up|rises",
    "up far": "goes up clearly|rises clearly|is much higher",
    "down a little": "(goes down|drops) a little",
    "down": "goes down|drops",
    "down far": "goes down clearly|drops clearly|is much lower",
}

# words that may not stand in "Issues to Avoid"
POSITIVE_WORDS = frozenset(
    (
        "balanced", "bring", "clean", "clear", "complete", "crisp", "depth", "even", "faithful", "firm", "full",
        "gentle", "good", "intact", "keep", "lifelike", "lively", "natural", "neutral", "open", "preserve", "restore",
        "rich", "seamless", "sharp", "smooth", "steady", "true", "well",
    )
)  # fmt: skip
# words that may not stand in "Directions for Improvement"
NEGATIVE_WORDS = frozenset(
    (
        "artifacts", "avoid", "bad", "banding", "blocked", "blocks", "blur", "blurred", "blurry", "broken", "burnt",
        "cast", "clipped", "compression", "corruption", "damage", "darkness", "dots", "dull", "error", "false", "fault",
        "faults", "flat", "flaw", "flaws", "free", "fringes", "gaudy", "glare", "grain", "grainy", "gray", "halos",
        "hard", "harsh", "haze", "jagged", "lacking", "less", "lost", "low", "misplaced", "missing", "mosquito",
        "motion", "murky", "never", "no", "noise", "none", "not", "overexposure", "oversharpening", "pixelation",
        "poor", "prevent", "reduce", "remove", "ringing", "ripples", "shifted", "smeared", "soft", "softness",
        "speckle", "steps", "streaks", "tinted", "torn", "trails", "underexposure", "unnatural", "washed", "weak",
        "without", "wrong",
    )
)  # fmt: skip


def named(text: str) -> set[str]:
    """Kinds that a text names; "motion blur" does not name blur."""
    return {KIND_OF[name.lower()] for name in NAME.findall(text)}


def phrases(table: dict[str, str]) -> dict[str, str]:
    """Every wording of a table of phrases -> its key, longest first."""
    found = {" ".join(text.split()): key for key, phrase in table.items() for text in wordings(phrase)}
    return dict(sorted(found.items(), key=lambda one: -len(one[0])))


PLACES = phrases(PLACE_WORDS) | phrases(BAND_WORDS)
CROPS = phrases(CROP_WORDS)
BACK = (SAME_PART, SAME_WHOLE)
MARK = re.compile(
    rf"\b(?:(?P<sev>{'|'.join(SEVERITIES)}) (?P<name>{'|'.join(sorted(KIND_OF, key=len, reverse=True))})"
    rf"|(?P<place>{'|'.join((*PLACES, *BACK))}))\b",
    re.I,
)


@pytest.fixture(scope="module")
def pictures() -> list[Features]:
    """Features of twelve generated pictures: coarse or fine, dark or bright, flat or lively, clean or noisy."""
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        side = int(rng.integers(6, 60))
        base = rng.normal(rng.uniform(20, 230), rng.uniform(5, 70), (side, side, 3))
        small = Image.fromarray(base.clip(0, 255).astype(np.uint8))
        pixels = np.asarray(
            small.resize((192, 160), Image.Resampling.BICUBIC if seed % 2 else Image.Resampling.NEAREST)
        )
        noisy = pixels + rng.normal(0, float(rng.choice([0.1, 1.0, 8.0])), pixels.shape)
        found.append(measure(noisy.clip(0, 255).astype(np.uint8)))
    return found


def random_region(rng: np.random.Generator, whole: float = 0.4) -> Region:
    if rng.random() < whole:
        return FULL
    width, height = (float(side) for side in rng.uniform(0.1, 0.9, 2))
    x, y = float(rng.uniform(0, 1 - width)), float(rng.uniform(0, 1 - height))
    return Region(x, y, min(1.0, x + width), min(1.0, y + height))


def random_issues(rng: np.random.Generator) -> tuple[Issue, ...]:
    count = int(rng.choice([0, 1, 1, 2, 3, 4]))
    kinds = rng.permutation(KINDS)[:count]
    issues = [Issue(str(kind), int(rng.integers(1, 6)), random_region(rng)) for kind in kinds]
    return tuple(sorted(issues, key=lambda issue: -issue.severity))


def random_facts(seed: int, pictures: list[Features]) -> Facts:
    """Any round of any picture; later rounds keep, change, drop and add issues of the round before."""
    rng = np.random.default_rng(seed)
    number = int(rng.choice([1, 1, 2, 2, 3]))
    rating, issues = float(rng.uniform(1, 5)), random_issues(rng)
    measured = pictures[int(rng.integers(len(pictures)))]
    crop = random_region(rng, 0.0) if rng.random() < 0.5 else None
    if number == 1:
        return Facts(1, rating, issues, measured, FULL, crop, unsure=bool(rng.random() < 0.5))
    kept = [one for one in issues if rng.random() < 0.7]
    added = [one for one in random_issues(rng) if one.kind not in {issue.kind for issue in kept}]
    now = [replace(one, severity=int(np.clip(one.severity + rng.integers(-1, 2), 1, 5))) for one in kept] + added[:1]
    now = sorted(now, key=lambda issue: -issue.severity)[:MOST_ISSUES]
    later = float(np.clip(rating + rng.normal(0, 0.5), 1, 5))
    return Facts(number, later, tuple(now), measured, random_region(rng, 0.0), crop, rating, issues)


@pytest.fixture(scope="module")
def written(pictures: list[Features]) -> list[tuple[Facts, Rationale]]:
    """A thousand random facts with their texts."""
    every = [random_facts(seed, pictures) for seed in range(1000)]
    return [(facts, compose(facts)) for facts in every]


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[a-z])\. ", text.rstrip("."))


def faults_in(summary: str) -> list[tuple[str, int, str]]:
    """Kind, severity and place of each fault that a summary states, in its order."""
    found: list[tuple[str, int, str]] = []
    place = ""
    for text in sentences(summary):
        fault = None
        for match in MARK.finditer(text):
            if match["place"] and match["place"].lower() not in BACK:
                place = PLACES[match["place"].lower()]
            if match["place"] and fault:
                found.append((KIND_OF[fault["name"].lower()], 1 + SEVERITIES.index(fault["sev"].lower()), place))
                fault = None
            fault = match if match["name"] else fault
        if fault:  # the place came first
            found.append((KIND_OF[fault["name"].lower()], 1 + SEVERITIES.index(fault["sev"].lower()), place))
    return found


def test_faults_in_the_summary_are_those_of_the_facts(written: list[tuple[Facts, Rationale]]) -> None:
    for facts, text in written:
        stated = faults_in(text.summary)
        listed = [(issue.kind, issue.severity, issue.region.place) for issue in facts.issues]
        assert sorted(stated) == sorted(listed), facts
        assert stated[:1] == listed[:1]  # the worst first
        assert facts.number > 1 or stated == listed


def test_no_section_names_another_kind(written: list[tuple[Facts, Rationale]]) -> None:
    for facts, text in written:
        listed = {issue.kind for issue in facts.issues}
        withdrawn = {change.issue.kind for change in changes(facts) if change.what == "withdrawn"}
        assert kinds_in(text.summary) == listed | withdrawn, text
        assert kinds_in(text.directions) | kinds_in(text.avoid) <= listed, text
        assert kinds_in(text.decision) <= listed | withdrawn, text


def test_the_verdict_is_that_of_the_printed_rating(written: list[tuple[Facts, Rationale]]) -> None:
    words = "|".join(word for _, word in VERDICTS)
    for facts, text in written:
        last = sentences(text.summary)[-1]
        assert re.findall(rf"\b({words})\b", last) == [verdict(round(facts.rating, 2))], last


def test_the_decision_states_direction_earlier_rating_and_tool(written: list[tuple[Facts, Rationale]]) -> None:
    for facts, text in written:
        decision = text.decision
        asks = re.search(r"\b(?:zoom in on|look closer at) ", decision, re.I)
        assert (asks is not None) == (facts.crop is not None), decision
        settles = re.search("final|no crop|no further crop|would add little|settles", decision, re.I)
        assert (settles is None) == (facts.crop is not None), decision
        if asks is not None and facts.crop is not None:
            place = next(place for words, place in CROPS.items() if decision[asks.end() :].startswith(words))
            assert place == facts.crop.place
        numbers = re.findall(r"\d\.\d\d", decision)
        assert numbers == ([] if facts.earlier_rating is None else [f"{facts.earlier_rating:.2f}"])
        ways = {way for way, words in MOVES.items() if re.search(rf"\b({words})\b(?! (a little|clearly))", decision)}
        assert ways == (set() if facts.number == 1 else {direction(facts.move)}), decision


def test_the_direction_is_that_of_the_printed_ratings(pictures: list[Features]) -> None:
    # 3.50 - 3.20 is 0.30, no longer "a little", though the floats differ by less.
    facts = Facts(2, 3.5, (), pictures[0], CORNER, None, 3.2)
    assert facts.move == 0.3 and direction(facts.move) == "up"
    # 3.396 is printed as 3.40, which is good, and 3.394 as 3.39, which is fair.
    assert [replace(facts, rating=rating).liked for rating in (3.396, 3.394)] == [True, False]


def test_directions_are_positive_and_issues_to_avoid_negative(written: list[tuple[Facts, Rationale]]) -> None:
    for _, text in written:
        assert not NEGATIVE_WORDS & set(re.findall("[a-z]+", text.directions.lower())), text.directions
        assert not POSITIVE_WORDS & set(re.findall("[a-z]+", text.avoid.lower())), text.avoid


def test_no_sentence_stands_twice_in_a_reply_and_first_sentences_vary(written: list[tuple[Facts, Rationale]]) -> None:
    firsts = set()
    for _, text in written:
        stated = [one for section in text.sections for one in sentences(section)]
        assert len(set(stated)) == len(stated)
        firsts.add(stated[0])
    assert len(firsts) >= 300


def test_no_section_repeats_a_pair_of_words(written: list[tuple[Facts, Rationale]]) -> None:
    """Names of kinds, severities and places may stand twice, "soft edges" may not."""
    for _, text in written:
        for section in text.sections:
            parts = [re.findall("[a-z]{4,}", part) for part in re.split("[|.,;:]", unmarked(section.lower()))]
            pairs = [pair for words in parts for pair in zip(words, words[1:], strict=False)]
            assert len(set(pairs)) == len(pairs), section


def test_replies_parse_back(written: list[tuple[Facts, Rationale]]) -> None:
    for facts, text in written:
        answer = Answer(facts.crop, facts.rating, "final" if facts.crop is None else "crop", facts.issues)
        parsed = parse_reply(render_reply(text, answer, facts.number), facts.number)
        assert parsed.rationale == text
        assert (parsed.answer.tool, len(parsed.answer.issues)) == (answer.tool, len(answer.issues))


FIXED = """
from snellen.features import Feature, Features
from snellen.rationale import Facts, compose
from snellen.region import Region
from snellen.reply import Issue
import numpy as np
names = ("sharpness noise blockiness clipped_shadows clipped_highlights luminance contrast colorfulness color_cast "
         "color_cast_hue").split()
cells = np.full((10, 10), 0.5, np.float32)
measured = Features({n: Feature(0.5, "", (0.0, None)) for n in names}, {n: cells for n in names})
part = Region(0.1, 0.1, 0.4, 0.4)
print(compose(Facts(2, 3.1, (Issue("blur", 3, part),), measured, part, None, 3.4, (Issue("blur", 2, part),))))
"""


def test_the_same_facts_give_the_same_text_in_every_process() -> None:
    texts = {
        subprocess.run(
            [sys.executable, "-c", FIXED], env=os.environ | {"PYTHONHASHSEED": str(seed)}, capture_output=True,
            text=True, check=True,
        ).stdout
        for seed in (1, 2)
    }  # fmt: skip
    assert len(texts) == 1
    assert "Rationale(summary=" in texts.pop()


def rounds(pictures: list[Features], count: int = 40, **fixed: object) -> list[Rationale]:
    """Texts of facts that differ in the rating by hundredths, so that wordings vary."""
    base = Facts(1, 3.0, (), pictures[0])
    return [compose(replace(base, **{"rating": 3.0 + i / 100} | fixed)) for i in range(count)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "shown", "what"),
    [
        (Issue("blur", 3, CORNER), CORNER, "confirmed"),
        (Issue("blur", 4, CORNER), CORNER, "worse"),
        (Issue("blur", 2, CORNER), CORNER, "milder"),
        (Issue("blur", 3, Region(0.6, 0.6, 0.9, 0.9)), Region(0.5, 0.5, 1.0, 1.0), "new"),  # the corner's is another
        (Issue("noise", 3, CORNER), CORNER, "new"),
        (Issue("blur", 3, CORNER), Region(0.3, 0.3, 0.9, 0.9), "partly"),
        (Issue("blur", 3, CORNER), Region(0.5, 0.5, 0.9, 0.9), "outside"),
    ],
)
def test_what_became_of_an_issue_follows_from_both_lists_and_the_view(
    pictures: list[Features], now: Issue, shown: Region, what: str
) -> None:
    before = Issue("blur", 3, CORNER)
    found = changes(Facts(2, 3.0, (now,), pictures[0], shown, None, 3.0, (before,)))
    assert (found[0].issue, found[0].what) == (now, what)
    matched = now.kind == "blur" and now.region == CORNER
    assert [change.what for change in found[1:]] == ([] if matched else ["withdrawn"])


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("confirmed", "confirm"),
        ("worse", r"(worse|stronger) than it"),
        ("milder", r"(milder|weaker) than it"),
        ("partly", "part|beyond"),
        ("outside", "outside|not reach"),
    ],
)
def test_the_summary_says_what_became_of_an_issue(pictures: list[Features], what: str, says: str) -> None:
    severity = {"worse": 4, "milder": 2}.get(what, 3)
    shown = {"partly": Region(0.3, 0.3, 0.9, 0.9), "outside": Region(0.5, 0.5, 0.9, 0.9)}.get(what, CORNER)
    fixed: dict[str, Any] = {"number": 2, "issues": (Issue("blur", severity, CORNER),), "shown": shown}
    fixed |= {"earlier_rating": 3.0}
    for text in rounds(pictures, earlier_issues=(Issue("blur", 3, CORNER),), **fixed):
        assert re.search(says, text.summary), text.summary
    if what == "confirmed":
        for text in rounds(pictures, **fixed):
            assert re.search("reveals|uncovers|brings out|appears|comes to light", text.summary), text.summary


def test_a_withdrawn_issue_is_not_called_confirmed(pictures: list[Features]) -> None:
    fixed: dict[str, Any] = {"number": 2, "shown": CORNER, "earlier_rating": 3.0}
    fixed |= {"earlier_issues": (Issue("blur", 3, CORNER),)}
    for text in rounds(pictures, **fixed):
        assert re.search("blur|softness", text.summary.lower())
        assert re.search("not confirmed|does not confirm|not borne out", text.summary), text.summary


def test_a_good_picture_is_told_what_is_good_and_that_nothing_needs_removing(pictures: list[Features]) -> None:
    for i, measured in enumerate(pictures):
        text = compose(Facts(1, 4 + i / 100, (), measured))
        assert re.search("no(thing)? .*remov", text.avoid.lower()), text.avoid
        assert re.search("do not|never", text.avoid), text.avoid


def test_strengths_and_weaknesses_are_measured(written: list[tuple[Facts, Rationale]]) -> None:
    praise = {one: key for key, words in STRENGTHS.items() for one in wordings(words.clause)}
    blame = {one: key for key, words in TRAITS.items() for one in wordings(words.clause)}
    for facts, text in written:
        every = " ".join(text.sections).lower()
        strong = {*strengths(facts.measured), *strengths(facts.measured, (), facts.shown)}
        assert {key for words, key in praise.items() if words in every} <= strong, text
        weak = {key for words, key in blame.items() if words in every}
        if not facts.issues:  # the look of a fault is worded alike
            assert weak <= (set() if facts.liked else set(traits(facts.measured, facts.shown))), text


@pytest.mark.parametrize("number", [1, 2])
def test_what_a_possible_fault_would_spoil_is_not_praised(pictures: list[Features], number: int) -> None:
    earlier = None if number == 1 else 4.0
    sharp = set(wordings(STRENGTHS["sharp"].clause))
    praised = 0
    for measured in pictures:
        facts = Facts(number, 4.2, (), measured, earlier_rating=earlier)
        praised += any(words in compose(facts).summary.lower() for words in sharp)
        text = " ".join(compose(replace(facts, possible=("oversharpening",))).sections).lower()
        assert not [words for words in sharp if words in text], text
    assert praised  # else nothing was shown


def test_a_weakness_that_the_directions_mend_stands_in_the_summary(pictures: list[Features]) -> None:
    weak = [one for one in pictures if "soft" in traits(one)]
    assert weak
    for number, earlier in ((1, ()), (2, ()), (2, (Issue("corruption", 3, CORNER),))):
        rating = None if number == 1 else 2.5
        for measured in weak:
            text = compose(Facts(number, 2.3, (), measured, earlier_rating=rating, earlier_issues=earlier))
            stated = [key for key, words in TRAITS.items() for one in wordings(words.clause) if one in text.summary]
            assert set(stated) & set(traits(measured)), text


@pytest.mark.parametrize("kind", KINDS)
def test_goals_are_positive_and_effects_negative(kind: str) -> None:
    for goal in wordings(KIND_WORDS[kind].goal):
        assert not NEGATIVE_WORDS & set(re.findall("[a-z]+", goal)), goal
    for shun in wordings(KIND_WORDS[kind].shun):
        assert not POSITIVE_WORDS & set(re.findall("[a-z]+", shun)), shun
        assert not kinds_in(shun) - {kind}, shun


def test_phrases_expand_values_and_choices() -> None:
    rng = np.random.default_rng(0)
    drawn = {say("[a|b[c|d]] {x}[|!]", rng, x="[e|f]") for _ in range(200)}
    assert drawn == {f"{one} {two}{end}" for one in ("a", "bc", "bd") for two in "ef" for end in ("", "!")}
    assert sentence("one  two. three ;four", rng) == "One two. Three;four"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"number": 0}, "rounds count from 1"),
        ({"rating": 5.1}, "from 1 to 5"),
        ({"number": 2}, "round before"),
        ({"earlier_rating": 3.0}, "round before"),
    ],
)
def test_impossible_facts_are_refused(pictures: list[Features], wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(Facts(1, 3.0, (), pictures[0]), **wrong)  # type: ignore[arg-type]
