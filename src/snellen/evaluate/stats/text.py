"""Agreement of a reply's rationale with its issue list: kinds, severities and places, found by pattern matching.

A rationale that is composed from the list (snellen-1) agrees by construction; the measure is for models that write
freely. It misses paraphrases: a kind counts only where it is called by a name of `snellen.vocabulary.NAMES`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from snellen.claims import kinds_in
from snellen.rationale.lexicon import places_in
from snellen.reply import Issue, Rationale
from snellen.vocabulary import KIND_OF, SEVERITIES

_NAMES = "|".join(sorted(KIND_OF, key=len, reverse=True))  # the longer first: "motion blur" is not "blur"
_SEVERITIES = "|".join(SEVERITIES)
_SEVERITY = re.compile(
    rf"\b(?:(?P<before>{_SEVERITIES}) )?(?P<name>{_NAMES})\b"
    rf"|\b(?:is|proves|as) (?P<after>{_SEVERITIES})\b(?! (?:{_NAMES}))",
    re.IGNORECASE,
)


def severities_in(text: str) -> dict[str, int]:
    """Return the severity, 1..5, of each kind whose severity the text states: "mild blur", "the blur is mild"."""
    severities: dict[str, int] = {}
    kind = None
    for match in _SEVERITY.finditer(text):
        kind = KIND_OF[match["name"].lower()] if match["name"] else kind
        word = match["before"] or match["after"]
        if kind and word:
            severities.setdefault(kind, 1 + SEVERITIES.index(word.lower()))
    return severities


@dataclass(frozen=True)
class TextAgreement:
    """Comparisons of one rationale with its issue list; each tuple holds one bool for each comparison.

    kinds: for each listed issue, whether the text names its kind. decision: where the last section names kinds,
    whether all of them were listed in this round or before. severities: for each listed issue whose severity the first
    section states, whether it is the listed one. place: with one listed issue and a place in the text, whether the text
    names no place but those of its box or of one moved by 0.1 (`Region.places`). The last section is not searched for
    places, because it describes the crop.
    """

    kinds: tuple[bool, ...]
    decision: tuple[bool, ...]
    severities: tuple[bool, ...]
    place: tuple[bool, ...]


def compare_with_list(rationale: Rationale, issues: Sequence[Issue], earlier: Sequence[Issue] = ()) -> TextAgreement:
    """Return the comparisons of a rationale with the issues listed beside it; earlier: those of the rounds before."""
    mentioned = kinds_in(" ".join(rationale.sections))
    stated = severities_in(rationale.summary)
    decided = kinds_in(rationale.decision)
    listed = {issue.kind for issue in (*issues, *earlier)}
    places = places_in(" ".join(rationale.sections[:-1]))
    return TextAgreement(
        kinds=tuple(issue.kind in mentioned for issue in issues),
        decision=(decided <= listed,) if decided else (),
        severities=tuple(stated[issue.kind] == issue.severity for issue in issues if issue.kind in stated),
        place=(places <= issues[0].region.places,) if len(issues) == 1 and places else (),
    )
