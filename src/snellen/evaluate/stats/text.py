"""Do the words of a reply say what its list says? What a program can read in both: kinds, severities, places."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from snellen.evaluate.report.tables import Table, percent
from snellen.evaluate.rows import Row
from snellen.evaluate.stats import correlation as metrics
from snellen.rationale.lexicon import places_in
from snellen.reply import Issue, Rationale, ReplyError, parse_reply
from snellen.vocabulary import NAMES, SEVERITIES

_KIND_OF = {name: kind for kind, names in NAMES.items() for name in names}
_NAMES = "|".join(sorted(_KIND_OF, key=len, reverse=True))
_SEVERITIES = "|".join(SEVERITIES)
_NAME = re.compile(rf"\b(?:{_NAMES})\b", re.IGNORECASE)
_SEVERITY_OF_NAME = re.compile(
    rf"\b(?:(?P<before>{_SEVERITIES}) )?(?P<name>{_NAMES})\b"
    rf"|\b(?:is|proves|as) (?P<after>{_SEVERITIES})\b(?! (?:{_NAMES}))",
    re.IGNORECASE,
)


def kinds_in(text: str) -> frozenset[str]:
    """Return the kinds of fault that a text names; "motion blur" does not count as blur."""
    return frozenset(_KIND_OF[name.lower()] for name in _NAME.findall(text))


def severities_in(text: str) -> dict[str, int]:
    """Return the severity, 1..5, of each kind whose severity a text states: "mild blur", "the blur is mild"."""
    found: dict[str, int] = {}
    kind = None
    for match in _SEVERITY_OF_NAME.finditer(text):
        kind = _KIND_OF[match["name"].lower()] if match["name"] else kind
        word = match["before"] or match["after"]
        if kind and word:
            found.setdefault(kind, 1 + SEVERITIES.index(word.lower()))
    return found


def told(row: Row) -> tuple[Rationale, tuple[Issue, ...]] | None:
    """The words of the last look and what it lists; None where there is no score, no text or no list."""
    if not row.issues:
        return None
    try:
        rationale = parse_reply(row.rounds[-1].reply, len(row.rounds)).rationale
    except ReplyError:  # of a protocol that reads more than ours
        return None
    return None if rationale is None else (rationale, row.issues)


def agreement(rows: Iterable[Row]) -> dict[str, Any]:
    """Shares, with their intervals, over the last looks that list something.

    kinds named: of the issues, those whose kind the words call by name. decided on what is listed: of the looks whose
    last section names kinds of fault, those where each is listed, or was by a look before. severity as listed: of the
    issues that the first section calls slight to severe, those listed so. place near the box: of the looks with one
    issue whose words name a place, those that name none but what its box, or one moved by a tenth, is called
    (`Region.places`). The last section is not read for places: it tells of the crop.
    """
    kinds: list[bool] = []
    decided: list[bool] = []
    severities: list[bool] = []
    places: list[bool] = []
    looks = [(row, found) for row in rows if (found := told(row)) is not None]
    for row, (words, issues) in looks:
        text = " ".join(words.sections)
        how = severities_in(words.summary)
        kinds += [issue.kind in kinds_in(text) for issue in issues]
        if at_last := kinds_in(words.decision):
            decided.append(at_last <= {issue.kind for look in row.rounds for issue in look.issues})
        severities += [how[issue.kind] == issue.severity for issue in issues if issue.kind in how]
        where = places_in(" ".join(words.sections[:-1]))
        if len(issues) == 1 and where:
            places.append(where <= issues[0].region.places)
    return {
        "looks": len(looks),
        "kinds named": metrics.share(kinds),
        "decided on what is listed": metrics.share(decided),
        "severity as listed": metrics.share(severities),
        "place near the box": metrics.share(places),
        "looks with a place": len(places),
    }


def table(found: Mapping[str, Any], of: str = "") -> Table:
    """What `agreement` found; of: what ends the title."""
    rows = [[name, percent(value)] for name, value in found.items() if not isinstance(value, int)]
    note = (
        f"Last looks that list something: {found['looks']}; one fault and a place in {found['looks with a place']}. "
        "Near: what the box, or one moved by a tenth of the picture, is called."
    )
    return Table(f"Do the words say what the list says{of}", ["what", "share"], rows, note)
