"""The procedural writer of grounded rationales: from what is known about a picture to the conversation about it.

Round 1 says what can be seen at a glance and rates it by an out-of-fold prediction from the small view; round 2, on
the crop that round 1 asks for, tells the truth and rates it by the label. So a model learns to look closer where the
first look was unsure, and to move its rating for a reason. Every claim is true: faults are known or measured, and
what is said to be seen is checked against the measured maps (`snellen.rationale.evidence`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from snellen.data.sample import Fault
from snellen.features import Features
from snellen.rationale import patterns as wording
from snellen.rationale.evidence import derived_issues, evidence, informative_region, strengths, tint, traits
from snellen.rationale.lexicon import EVIDENCE, KIND_WORDS, SEVERITY, STRENGTHS, TRAITS, name_of, say, sentence, where
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, Rationale, to_grid
from snellen.vocabulary import LIKED, STEADY, VERDICTS, direction, verdict

UNSURE_ERROR, UNSURE_STD = 0.35, 0.45
"""The first look was unsure when it missed the label by more, or its own standard deviation is larger, in MOS."""

_LOCAL = 0.6  # regions of less area are local
_COMMON = ("blur", "noise", "compression", "oversharpening", "color cast")  # to avoid where nothing is wrong
_TRAIT_KIND = {
    "soft": "blur",
    "grainy": "noise",
    "blocky": "compression",
    "burnt": "overexposure",
    "blocked": "underexposure",
    "dark": "underexposure",
    "flat": "low contrast",
    "dull": "saturation",
}


@dataclass(frozen=True)
class Known:
    """What is known about one picture.

    label: MOS 1..5. first_rating: prediction from the small view by a model that did not learn from this picture,
    1..5; first_std: its standard deviation. faults: what was applied, empty for clean and for real pictures.
    measured: features of the whole picture. width, height: px. real: rated as found, so its faults are not known and
    issues come from the measurements. crop: what the second look shows; None lets the writer choose.
    """

    label: float
    first_rating: float
    measured: Features
    width: int
    height: int
    first_std: float = 0.3
    faults: tuple[Fault, ...] = ()
    real: bool = False
    crop: Region | None = None

    def __post_init__(self) -> None:
        for name in ("label", "first_rating"):
            if not 1.0 <= getattr(self, name) <= 5.0:
                raise ValueError(f"{name} {getattr(self, name)} is outside 1..5")

    @property
    def issues(self) -> tuple[Issue, ...]:
        """The truth: applied faults, or for real pictures what the measurements justify; the worst first."""
        if self.real:
            return derived_issues(self.measured, self.label)
        found = [Issue(fault.kind, int(fault.severity + 0.5), to_grid(fault.region)) for fault in self.faults]
        return tuple(sorted(found, key=lambda issue: (-issue.severity, -issue.region.area)))

    @property
    def unsure(self) -> bool:
        """Whether the first look was unsure: wrong by more than UNSURE_ERROR, or not confident."""
        return abs(self.first_rating - self.label) > UNSURE_ERROR or self.first_std > UNSURE_STD


def at_a_glance(issue: Issue) -> str:
    """How an issue shows in a small view: "visible", "hinted" or "hidden"; by severity and extent."""
    if issue.severity >= 3 or (issue.severity == 2 and issue.region.area >= _LOCAL):
        return "visible"
    return "hinted" if issue.severity == 2 else "hidden"


def crop_region(known: Known, rng: np.random.Generator) -> Region:
    """What a good second look shows: the worst local fault with a margin of 5 to 15 %, else the most telling part."""
    if known.crop is not None:
        return to_grid(known.crop)
    local = [issue.region for issue in known.issues if issue.region.area < _LOCAL]
    if not local:
        return to_grid(informative_region(known.measured, rng))
    box = local[0]
    left, top, right, bottom = rng.uniform(0.05, 0.15, 4) * [box.width, box.height, box.width, box.height]
    return to_grid(
        Region(max(0.0, box.x0 - left), max(0.0, box.y0 - top), min(1.0, box.x1 + right), min(1.0, box.y1 + bottom))
    )


def write(known: Known, rng: np.random.Generator) -> list[tuple[Rationale, Answer]]:
    """The conversation: one round when the first look settles it, else two. The same `rng` state writes the same.

    A crop is asked for when a fault is local, or the first look was unsure. The rating of a last round is the label.
    """
    truth = known.issues
    glance = _glance(known, truth, rng)
    if not (known.unsure or any(issue.region.area < _LOCAL for issue in truth)):
        final = Answer(None, known.label, "final", glance)
        return [(_first_text(known, truth, glance, None, rng), final)]
    crop = crop_region(known, rng)
    first = Answer(crop, known.first_rating, "crop", glance)
    last = Answer(None, known.label, "final", truth)
    return [
        (_first_text(known, truth, glance, crop, rng), first),
        (_later_text(known, truth, glance, crop, rng), last),
    ]


def second(known: Known, said: Answer, rng: np.random.Generator) -> tuple[Rationale, Answer]:
    """The last round after a first round that a model wrote itself, `said`, on the crop `known.crop`.

    What a model says at a glance is not always so: from the truth alone it would learn to believe every word of its
    first round, and at inference repeat its own mistakes with more conviction.
    """
    seen = replace(known, first_rating=said.rating)
    last = Answer(None, known.label, "final", known.issues)
    return _later_text(seen, known.issues, said.issues, crop_region(known, rng), rng), last


def quick(known: Known) -> Answer:
    """The answer of one look without text: the label, and the issues that a glance can see."""
    return Answer(None, known.label, "final", tuple(i for i in known.issues if at_a_glance(i) == "visible"))


def _glance(known: Known, truth: Sequence[Issue], rng: np.random.Generator) -> tuple[Issue, ...]:
    """The issues of round 1: those not hidden; if unsure, half of the time one severity off, as the rating was."""
    seen = []
    for issue in truth:
        if at_a_glance(issue) == "hidden":
            continue
        if known.unsure and rng.random() < 0.5:
            step = -1 if known.first_rating > known.label else 1
            issue = replace(issue, severity=int(np.clip(issue.severity + step, 1, 5)))
        seen.append(issue)
    return tuple(seen)


class _Pen:
    """Draws wordings about one picture."""

    def __init__(self, known: Known, rng: np.random.Generator) -> None:
        self.known, self.rng = known, rng
        kinds = tuple(issue.kind for issue in known.issues)
        self.strong = self._shuffled(strengths(known.measured, kinds))
        if "vivid" in self.strong and "neutral" in self.strong:
            self.strong.remove("neutral")  # one word on color is enough
        self.weak = self._shuffled(traits(known.measured))

    def _shuffled(self, keys: list[str]) -> list[str]:
        return [keys[i] for i in self.rng.permutation(len(keys))]

    def pick(self, patterns: Sequence[str]) -> str:
        return patterns[int(self.rng.integers(len(patterns)))]

    def write(self, patterns: Sequence[str], **values: str) -> str:
        return sentence(self.pick(patterns), self.rng, **values)

    def clause(self, patterns: Sequence[str], **values: str) -> str:
        return say(self.pick(patterns), self.rng, **values)

    def good(self, region: Region = FULL) -> dict[str, str]:
        """What is measured to be right in `region`, as one clause and as one or two; content that is complete speaks
        where the numbers do not."""
        keys = self.strong if region == FULL else self._shuffled(strengths(self.known.measured, (), region))
        clauses = [say(STRENGTHS[key][0], self.rng) for key in (keys or ["whole"])]
        return {"good": clauses[0], "goods": self._one_or_two(clauses)}

    def keep(self) -> dict[str, str]:
        """The same as noun phrases."""
        nouns = [say(STRENGTHS[key][1], self.rng) for key in (*self.strong, "whole")]
        return {"keep": nouns[0], "keeps": self._one_or_two(nouns, " the")}

    def _one_or_two(self, phrases: list[str], article: str = "") -> str:
        return phrases[0] if len(phrases) == 1 or self.rng.random() < 0.2 else f"{phrases[0]} and{article} {phrases[1]}"

    def _two(self, first: str, second: str) -> dict[str, str]:
        """Two different wordings of negative phrases."""
        one = two = say(first, self.rng)
        while one == two:
            two = say(second, self.rng)
        return {"shun": one, "shun2": two}

    def about(self, issue: Issue) -> dict[str, str]:
        """Values for patterns about one issue. `proof` is measured where the maps bear something out."""
        words = KIND_WORDS[issue.kind]
        proofs = evidence(issue.kind, issue.region, self.known.measured)
        seen = words.seen
        if proofs and self.rng.random() < 0.75:
            seen = EVIDENCE[proofs[int(self.rng.integers(len(proofs)))]]
        name, sev = name_of(issue.kind, self.rng), SEVERITY[issue.severity]
        there = " there" if issue.region.area < _LOCAL else ""
        return {
            "name": name,
            "sev": sev,
            "thing": words.article + name,
            "fault": f"{words.article}{sev} {name}",
            "maybe": say(words.maybe, self.rng),
            "goal": say(words.goal, self.rng),
            **self._two(words.shun, words.shun),
            "proof": say(seen, self.rng, there=there, hue=tint(issue.region, self.known.measured)),
            "where": where(issue.region.place, self.rng),
        }

    def with_verdict(self, summary: str, rating: float, issues: Sequence[Issue]) -> str:
        """The summary and the verdict of the rating; "even so" where it does not follow."""
        word = verdict(rating)
        index = [name for _, name in VERDICTS].index(word)
        worst = max((issue.severity for issue in issues), default=0)
        patterns: Sequence[str]
        if worst + index >= 7 or (index <= 1 and worst == 0):
            patterns = wording.VERDICT_EVEN_SO
        else:
            patterns = wording.VERDICT if self.rng.random() < 0.1 else wording.VERDICT_JOINED
        closing = self.write(patterns, verdict=word)
        return f"{summary} {closing}" if closing[0].isalpha() else summary[:-1] + closing

    def advice(self, issue: Issue | None, rating: float) -> tuple[str, str]:
        """Directions (positive) and what to avoid (negative): about the issue, else about what is measured to be weak
        in a picture rated low, else to keep it so."""
        if issue is None and self.weak and rating < LIKED:
            issue = Issue(_TRAIT_KIND[self.weak[0]], 2, FULL)
        about = None if issue is None else self.about(issue)
        return self._directions(about), self._avoid(about)

    def _directions(self, about: dict[str, str] | None) -> str:
        """Positive words only: the opposite of the worst issue, or what to keep."""
        if about is None:
            return self.write(wording.DIRECTIONS_CLEAN, **self.keep())
        return self.write(wording.DIRECTIONS if self.strong else wording.DIRECTIONS_NO_KEEP, **about, **self.keep())

    def _avoid(self, about: dict[str, str] | None) -> str:
        """Negative words only: how the worst issue looks, or faults that are not there yet."""
        if about is None:
            one, two = self.rng.choice(_COMMON, 2, replace=False)
            return self.write(wording.AVOID_CLEAN, **self._two(KIND_WORDS[one].shun, KIND_WORDS[two].shun))
        return self.write(wording.AVOID, **about)


def _first_text(
    known: Known, truth: Sequence[Issue], glance: Sequence[Issue], crop: Region | None, rng: np.random.Generator
) -> Rationale:
    pen = _Pen(known, rng)
    rating = known.label if crop is None else known.first_rating
    issue = glance[0] if glance else None
    state = "hidden" if truth and not glance else at_a_glance(truth[0]) if truth else "none"
    about = pen.about(issue) if issue else None
    if about is not None and state == "visible":
        summary = pen.write(wording.GLANCE_VISIBLE, **about)
    elif about is not None and issue is not None:
        whole = issue.region.area >= _LOCAL
        summary = pen.write(wording.GLANCE_HINTED_ALL if whole else wording.GLANCE_HINTED, **about)
    elif rating < LIKED and not truth:
        summary = _plain_summary(pen)
    else:
        summary = pen.write(wording.GLANCE_HIDDEN if truth else wording.GLANCE_CLEAN, **pen.good())
    if len(glance) > 1:
        summary += " " + pen.write(wording.SECOND_ISSUE, **pen.about(glance[1]))
    summary = pen.with_verdict(summary, rating, glance)
    directions, avoid = pen.advice(issue, rating)
    return Rationale(summary, directions, avoid, _first_decision(pen, about, state, crop, truth))


def _plain_summary(pen: _Pen) -> str:
    """For a picture that is not liked, with no fault known: what is measured to be weak in it."""
    if not pen.weak:
        return pen.write(wording.GLANCE_PLAIN)
    trait = say(TRAITS[pen.weak[0]], pen.rng)
    if not pen.strong:
        return pen.write(wording.GLANCE_TRAIT_ONLY, trait=trait)
    return pen.write(wording.GLANCE_TRAIT, trait=trait, **pen.good())


def _first_decision(
    pen: _Pen, about: dict[str, str] | None, state: str, crop: Region | None, truth: Sequence[Issue]
) -> str:
    if crop is None:
        return pen.write(wording.FINAL_FAULT, **about) if about else pen.write(wording.FINAL_CLEAN, **pen.good())
    place = where(crop.place, pen.rng)
    local = bool(truth) and truth[0].region.area < _LOCAL and in_sight(crop, truth[0])
    if about is None or not local:
        patterns = wording.CROP_HIDDEN if local else wording.CROP_UNSURE
        return pen.write(patterns, place=place, where=place)
    return pen.write(wording.CROP_VISIBLE if state == "visible" else wording.CROP_HINTED, **about)


def _later_text(
    known: Known, truth: Sequence[Issue], glance: Sequence[Issue], crop: Region, rng: np.random.Generator
) -> Rationale:
    pen = _Pen(known, rng)
    issue = truth[0] if truth else None
    about = pen.about(issue) if issue else None
    summary = _close_summary(pen, about, issue, glance, crop)
    if len(truth) > 1:
        summary += " " + pen.write(wording.SECOND_ISSUE, **pen.about(truth[1]))
    summary = pen.with_verdict(summary, known.label, truth)
    directions, avoid = pen.advice(issue, known.label)
    # what was printed is what the reader compares
    move = round(known.label, 2) - round(known.first_rating, 2)
    reason, explains = _reason(pen, about, issue, glance, crop, move)
    earlier = pen.clause(wording.EARLIER, first=f"{known.first_rating:.2f}")
    decision = sentence(f"{earlier}; {reason}, {_outcome(pen, move, explains)}.", rng)
    return Rationale(summary, directions, avoid, decision)


def _close_summary(
    pen: _Pen, about: dict[str, str] | None, issue: Issue | None, glance: Sequence[Issue], crop: Region
) -> str:
    """What the crop shows of the worst issue, or of nothing wrong."""
    known, place = pen.known, where(crop.place, pen.rng)
    if issue is not None and about is not None:
        if not in_sight(crop, issue):
            beside = crop.intersect(issue.region) is None
            return pen.write(wording.CLOSE_ELSEWHERE if beside else wording.CLOSE_PARTLY, place=place, **about)
        listed = any(seen.kind == issue.kind for seen in glance)
        return pen.write(wording.CLOSE_CONFIRM if listed else wording.CLOSE_REVEAL, **about)
    weak = traits(known.measured, crop)
    if glance:
        doubted = {"place": place, "name": name_of(glance[0].kind, pen.rng), **pen.good(crop)}
        if not known.real:
            return pen.write(wording.CLOSE_CLEARED, **doubted)
        if weak and known.label < LIKED:  # of a real picture nobody knows that a fault is not there
            return pen.write(wording.CLOSE_OPEN_TRAIT, trait=say(TRAITS[weak[0]], pen.rng), **doubted)
        return pen.write(wording.CLOSE_OPEN, **doubted)
    if known.label >= LIKED:
        crisp = "sharp" in strengths(known.measured, (), crop)
        return pen.write(wording.CLOSE_CRISP if crisp else wording.CLOSE_CLEAN, place=place, **pen.good(crop))
    if not weak:
        return pen.write(wording.CLOSE_PLAIN, place=place)
    return pen.write(wording.CLOSE_TRAIT, place=place, trait=say(TRAITS[weak[0]], pen.rng))


def _reason(
    pen: _Pen, about: dict[str, str] | None, issue: Issue | None, glance: Sequence[Issue], crop: Region, move: float
) -> tuple[str, int]:
    """A clause on what the crop showed, and the direction that it explains: -1 lower, 1 higher, 0 none."""
    known = pen.known
    if issue is None or about is None:
        if glance:
            doubted = name_of(glance[0].kind, pen.rng)
            return pen.clause(wording.WHY_OPEN if known.real else wording.WHY_CLEARED, name=doubted), 1 - known.real
        weak = traits(known.measured, crop)
        if known.label < LIKED:
            if not weak:
                return pen.clause(wording.WHY_NOTHING), 0
            return pen.clause(wording.WHY_TRAIT, trait=say(TRAITS[weak[0]], pen.rng)), -1
        if "sharp" in strengths(known.measured, (), crop):
            return pen.clause(wording.WHY_CRISP), 1
        return pen.clause(wording.WHY_CLEAN), 0 if known.real else 1
    before = next((seen for seen in glance if seen.kind == issue.kind), None)
    patterns: tuple[str, ...]
    explains: int
    if not in_sight(crop, issue):
        beside = crop.intersect(issue.region) is None
        patterns, explains = wording.WHY_ELSEWHERE if beside else wording.WHY_PARTLY, 0
    elif before is None:
        patterns, explains = wording.WHY_REVEAL, -1
    elif before.severity < issue.severity:
        patterns, explains = wording.WHY_WORSE, -1
    elif before.severity > issue.severity:
        patterns, explains = wording.WHY_MILDER, 1
    elif move > STEADY and issue.region.area < _LOCAL and not known.real:
        patterns, explains = wording.WHY_CONFINED, 1
    else:
        patterns, explains = wording.WHY_WEIGHS if move < -STEADY else wording.WHY_CONFIRM, -1
    return pen.clause(patterns, **about), explains


def in_sight(crop: Region, issue: Issue) -> bool:
    """Whether a crop shows enough of an issue to judge it: half of it, or half of what it shows is that."""
    return crop.covers(issue.region) >= 0.5 or issue.region.covers(crop) >= 0.5


def _outcome(pen: _Pen, move: float, explains: int) -> str:
    """Where the rating goes, in proportion; a direction is named only where the crop explains it."""
    way = direction(move)
    return pen.clause(wording.MOVES[way] if way == "same" or move * explains > 0 else wording.OPEN)
