"""The writer: facts about one round -> the four sections of its rationale.

The text repeats the facts and adds two things only: measured strengths and weaknesses (`snellen.rationale.evidence`)
and how a kind of fault looks by its nature. Kinds, severities, places, verdict, direction and tool are those of the
facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snellen.rationale import patterns
from snellen.rationale.evidence import evidence, strengths, tint, traits
from snellen.rationale.facts import Facts, changes, in_view
from snellen.rationale.lexicon import (
    CROP_WORDS,
    EVIDENCE,
    KIND_WORDS,
    SEVERITY,
    STRENGTHS,
    TRAITS,
    same_place,
    sentence,
    unmarked,
    where,
)
from snellen.reply import Issue, Rationale
from snellen.vocabulary import VERDICTS, direction, verdict

MOST_ISSUES = 4
"""The text names at most so many issues, the first ones."""
_TRIES = 10  # draws before one that repeats words is accepted
_TOKENS = re.compile("[a-z]{4,}|[|.,;:]")
# what a crop showed -> the direction of the rating that it explains
_EFFECT = {"new": -1, "worse": -1, "confirmed": -1, "trait": -1, "milder": 1, "withdrawn": 1, "clean": 1}
_PLAIN_GOALS = ("blur", "overexposure", "noise", "color cast")  # what lifts most pictures without a single fault


def compose(facts: Facts) -> Rationale:
    """Write the four sections of a round. The same facts give the same text in every process."""
    pen = _Pen(facts)
    first = facts.number == 1
    summary = (_first_summary if first else _later_summary)(pen)
    return Rationale(
        summary=f"{summary} {_verdict(pen)}",
        directions=_directions(pen),
        avoid=_avoid(pen),
        decision=(_first_decision if first else _later_decision)(pen),
    )


@dataclass(frozen=True)
class _Draw:
    """One wording of a pattern, its pairs of words, and how much of it is repeated."""

    text: str
    pattern: str
    pairs: list[tuple[str, str]]
    repeated: int


class _Pen:
    """Draws wordings about one round and remembers the patterns and pairs of words that it has used."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.issues = facts.issues[:MOST_ISSUES]
        self.rng = np.random.default_rng(facts.seed())
        kinds = (*(issue.kind for issue in facts.issues), *facts.possible)
        self.strong = self._shuffled(strengths(facts.measured, kinds))
        self.strong_in_view = self._shuffled(strengths(facts.measured, kinds, facts.shown))
        earlier = {issue.kind for issue in facts.earlier_issues}
        weak = traits(facts.measured, facts.shown) if not (facts.issues or facts.liked) else []
        self.trait = next((TRAITS[key] for key in self._shuffled(weak) if TRAITS[key].kind not in earlier), None)
        self._patterns: set[str] = set()
        self._pairs: set[tuple[str, str]] = set()

    def _shuffled(self, keys: Sequence[str]) -> list[str]:
        chosen = [keys[i] for i in self.rng.permutation(len(keys))]
        if "vivid" in chosen and "neutral" in chosen:
            chosen.remove("neutral")  # one word on color is enough
        return chosen

    def write(self, choices: str | Sequence[str], **values: str) -> str:
        """Draw sentences, and again while they repeat words; the draw that repeats least is kept."""
        options = (choices,) if isinstance(choices, str) else choices
        best = self._draw(options, values)
        for _ in range(_TRIES):
            if best.repeated == 0:
                break
            best = min(best, self._draw(options, values), key=lambda draw: draw.repeated)
        self._patterns.add(best.pattern)
        self._pairs.update(best.pairs)
        return best.text

    def _draw(self, choices: Sequence[str], values: Mapping[str, str]) -> _Draw:
        pattern = choices[int(self.rng.integers(len(choices)))]
        text = sentence(pattern, self.rng, **values)
        words, pairs = _content(text)
        repeated = len(words) - len(set(words)) + len(pairs) - len(set(pairs))
        repeated += sum(pair in self._pairs for pair in pairs) + (pattern in self._patterns)
        return _Draw(text, pattern, pairs, repeated)

    def about(self, issue: Issue) -> dict[str, str]:
        """Return the values of patterns about one issue; its look is measured more often than taken from its kind."""
        words = KIND_WORDS[issue.kind]
        hue = tint(issue.region, self.facts.measured)
        proofs = [EVIDENCE[key].format(hue=hue) for key in evidence(issue.kind, issue.region, self.facts.measured)]
        return {
            "name": words.name,
            "sev": SEVERITY[issue.severity],
            "fault": _fault(issue),
            "shows": patterns.SHOWS[issue.severity],
            "look": f"[{'|'.join([*proofs, *proofs, words.look])}]",
            "where": where(issue.region),
        }

    def about_several(self, issues: Sequence[Issue], withdrawn: bool = False) -> dict[str, str]:
        """Return the values of patterns about all issues but the first, which the sentence before is about."""
        listed = [
            f"{f'the suspected {KIND_WORDS[issue.kind].name}' if withdrawn else _fault(issue)} "
            f"{same_place(issue.region, before.region)}"
            for before, issue in zip(issues, issues[1:], strict=False)
        ]
        single = len(listed) == 1
        return {"faults": _joined(listed), "be": "is" if single else "are", "s": "s" if single else ""}


def _fault(issue: Issue) -> str:
    """Return the phrase that names an issue with its severity: "a mild color cast"."""
    return f"{KIND_WORDS[issue.kind].article}{SEVERITY[issue.severity]} {KIND_WORDS[issue.kind].name}"


def _content(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the words of four letters or more, and the pairs of neighbours among them.

    Names of kinds, severities and places are left out, and like punctuation they separate neighbours.
    """
    tokens = _TOKENS.findall(unmarked(text.lower()))
    pairs = [pair for pair in zip(tokens, tokens[1:], strict=False) if pair[0].isalpha() and pair[1].isalpha()]
    return [token for token in tokens if token.isalpha()], pairs


def _joined(phrases: Sequence[str], last: str = "and") -> str:
    """Return phrases as a list in words."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} {last} {phrases[-1]}"


def _goods(keys: Sequence[str]) -> str:
    return _joined([STRENGTHS[key].clause for key in keys])


def _placed(issues: Sequence[Issue], phrases: Sequence[str]) -> str:
    """Return one phrase per issue as a list, grouped by place; no place where all concern the whole picture."""
    groups: dict[str, list[str]] = {}
    for issue, phrase in zip(issues, phrases, strict=True):
        groups.setdefault(where(issue.region), []).append(phrase)
    if len(groups) == 1 and issues[0].region.place == "whole picture":
        return _joined(phrases)
    last = "and" if len(groups) == len(issues) else ", and"  # a comma where a group holds an "and" of its own
    return _joined([f"{_joined(group)} {place}" for place, group in groups.items()], last)


def _first_summary(pen: _Pen) -> str:
    facts = pen.facts
    if not pen.issues:
        return _clean_summary(pen)
    main = pen.issues[0]
    doubted = facts.crop is not None and main.severity <= 2 and in_view(facts.crop, main)
    lines = [pen.write(patterns.FAULT_DOUBTED if doubted else patterns.FAULT, **pen.about(main))]
    if len(pen.issues) > 1:
        lines.append(pen.write(patterns.FAULT_MORE, **pen.about_several(pen.issues)))
    if pen.strong and facts.rating >= 2.0 and len(pen.issues) <= 2:
        lines.append(pen.write(patterns.STRENGTH, good=_goods([pen.strong.pop()])))  # the directions name others
    return " ".join(lines)


def _clean_summary(pen: _Pen) -> str:
    if pen.trait is not None:
        return pen.write(patterns.PLAIN_TRAIT, trait=pen.trait.clause)
    if not pen.facts.liked:
        return pen.write(patterns.PLAIN)
    if not pen.strong:
        return pen.write(patterns.CLEAN_BARE)
    return pen.write(patterns.CLEAN, goods=_goods(pen.strong[:3]))


def _later_summary(pen: _Pen) -> str:
    facts = pen.facts
    found = [one for one in changes(facts) if one.what == "withdrawn" or one.issue in pen.issues]
    lines = [pen.write(patterns.CHANGED[one.what], **pen.about(one.issue)) for one in found[:1]]
    last = found[:1]
    for what in dict.fromkeys(one.what for one in found[1:]):  # one sentence for all of which the same became
        group = [one for one in found[1:] if one.what == what]
        values = pen.about_several([one.issue for one in last[-1:] + group], withdrawn=what == "withdrawn")
        lines.append(pen.write(patterns.CHANGED_MORE[what], **values))
        last = group
    if not lines:
        return _close_clean(pen)
    if pen.strong_in_view and all(change.what in ("outside", "withdrawn") for change in found):
        lines.append(pen.write(patterns.WITHIN, goods=_goods(pen.strong_in_view[:2])))
    if pen.trait is not None:
        lines.append(pen.write(patterns.LEFT_TRAIT, trait=pen.trait.clause))
    elif not facts.issues:
        lines.append(pen.write(patterns.LEFT_PLAIN))
    return " ".join(lines)


def _close_clean(pen: _Pen) -> str:
    place = where(pen.facts.shown)
    if pen.trait is not None:
        return pen.write(patterns.CLOSE_TRAIT, where=place, trait=pen.trait.clause)
    if not pen.facts.liked:
        return pen.write(patterns.CLOSE_PLAIN, where=place)
    if not pen.strong_in_view:
        return pen.write(patterns.CLOSE_CLEAN_BARE, where=place)
    return pen.write(patterns.CLOSE_CLEAN, where=place, goods=_goods(pen.strong_in_view[:2]))


def _verdict(pen: _Pen) -> str:
    """Write the verdict of the printed rating; "still" where the faults would not let one expect it."""
    word = verdict(round(pen.facts.rating, 2))
    index = [name for _, name in VERDICTS].index(word)
    worst = max((issue.severity for issue in pen.issues), default=0)
    surprising = worst + index >= 7 or (index == 0 and worst <= 2) or (index == 1 and worst == 0)
    article = "an " if word[0] in "aeiou" else "a "
    return pen.write(patterns.VERDICT_STILL if surprising else patterns.VERDICT, verdict=word, article=article)


def _directions(pen: _Pen) -> str:
    keeps = [STRENGTHS[key].noun for key in pen.strong[:2]]
    if pen.issues:
        goals = _placed(pen.issues[:2], [KIND_WORDS[issue.kind].goal for issue in pen.issues[:2]])
    elif pen.trait is not None:
        goals = KIND_WORDS[pen.trait.kind].goal
    elif not pen.facts.liked:
        chosen = pen.rng.permutation(len(_PLAIN_GOALS))[:2]
        return pen.write(patterns.DIRECTIONS_PLAIN, goals=_joined([KIND_WORDS[_PLAIN_GOALS[i]].goal for i in chosen]))
    elif keeps:
        several = len(keeps) > 1
        return pen.write(patterns.DIRECTIONS_KEEP if several else patterns.DIRECTIONS_KEEP_ONE, keeps=_joined(keeps))
    else:
        return pen.write(patterns.DIRECTIONS_BARE)
    if not keeps:
        return pen.write(patterns.DIRECTIONS_ALONE, goals=goals)
    return pen.write(patterns.DIRECTIONS, goals=goals, keeps=_joined(keeps))


def _avoid(pen: _Pen) -> str:
    if pen.issues:
        shuns = _placed(pen.issues, [KIND_WORDS[issue.kind].shun for issue in pen.issues])
        worst = max(issue.severity for issue in pen.issues)
        return pen.write(patterns.AVOID, shuns=shuns, harmed=patterns.HARMED[worst])
    if pen.trait is not None:
        return pen.write(patterns.AVOID, shuns=KIND_WORDS[pen.trait.kind].shun, harmed=patterns.HARMED[2])
    if not pen.facts.liked:
        return pen.write(patterns.AVOID_PLAIN)
    spoils = [STRENGTHS[key].spoil for key in pen.strong[:2]] or [patterns.OVERWORK]
    return pen.write(patterns.AVOID_CLEAN, spoil=_joined(spoils, "or"))


def _first_decision(pen: _Pen) -> str:
    facts = pen.facts
    if facts.crop is not None:
        zoom = patterns.ZOOM.format(crop=CROP_WORDS[facts.crop.place])
        inside = [issue for issue in pen.issues if in_view(facts.crop, issue)]
        if inside:
            choices = patterns.CROP_FAULT_UNSURE if facts.unsure else patterns.CROP_FAULT
            return pen.write(choices, zoom=zoom, name=KIND_WORDS[inside[0].kind].name)
        return pen.write(patterns.CROP_UNSURE if facts.unsure else patterns.CROP_CHECK, zoom=zoom)
    if pen.issues:
        return pen.write(patterns.FINAL_FAULT, name=KIND_WORDS[pen.issues[0].kind].name)
    return pen.write(patterns.FINAL_CLEAN if facts.liked else patterns.FINAL_PLAIN)


def _later_decision(pen: _Pen) -> str:
    facts = pen.facts
    reason, values = _reason(pen)
    way = direction(facts.move)
    explained = way == "same" or facts.move * _EFFECT.get(reason, 0) > 0
    patterns_of = patterns.EARLIER_FIRST if facts.number == 2 else patterns.EARLIER
    outcome = (patterns.EXPLAINED if explained else patterns.WEIGHED).format(move=patterns.MOVES[way])
    text = [f"{start}; {clause}, {outcome}." for start in patterns_of for clause in patterns.REASON[reason]]
    decision = pen.write(text, earlier=f"{facts.earlier_rating:.2f}", **values)
    if facts.crop is None:
        return f"{decision} {pen.write(patterns.SETTLED)}"
    return f"{decision} {pen.write(patterns.AGAIN, zoom=patterns.ZOOM.format(crop=CROP_WORDS[facts.crop.place]))}"


def _reason(pen: _Pen) -> tuple[str, dict[str, str]]:
    """Return what the crop showed that explains the move of the rating best, and the values of its pattern."""
    found = changes(pen.facts)
    if found:
        explaining = [one for one in found if pen.facts.move * _EFFECT.get(one.what, 0) > 0]
        chosen = (explaining or found)[0]
        return chosen.what, pen.about(chosen.issue)
    if pen.trait is not None:
        return "trait", {"trait": pen.trait.clause}
    return "clean" if pen.facts.liked else "nothing", {}
