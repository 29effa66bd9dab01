"""The writer's words for a difference between two pictures: which faults one has and the other lacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snellen.comparison.change import Change
from snellen.rationale.lexicon import KIND_WORDS, SEVERITY, say, sentence, where
from snellen.reply import Issue

MOST = 4
"""A text names at most so many changes, the most severe ones."""
_PATTERNS = {
    "appeared": "The second [has|shows] {after}, which the first does not [have|show]: {look}.",
    "vanished": "The second is free of {before}, which the first [has|shows].",
    "grew": "{name} {place} is [stronger|more severe] in the second: {was} in the first, {now} in the second.",
    "shrank": "{name} {place} is [milder|less severe] in the second: {was} in the first, {now} in the second.",
    "wider": "{name} covers more of the second.",
    "narrower": "{name} covers less of the second.",
    "same": "Both [have|show] {after}.",
}

_AGAINST = (
    "[Against|Compared with] the reference the picture [has|shows] {fault}: {look}.",
    "[It also has|There is also] {fault}: {look}.",
)


def contrast(changes: Sequence[Change], seed: int = 0) -> str:
    """Return sentences on the changes from the first picture to the second, most severe first.

    The same changes give the same text. What both share comes last.
    """
    if not changes:
        return "No fault was found in either."
    rng = np.random.default_rng(seed)
    ordered = sorted(changes, key=lambda change: (change.what == "same", -change.issue.severity))
    return " ".join(_say(change, rng) for change in ordered[:MOST])


def against_reference(issues: Sequence[Issue], seed: int = 0) -> str:
    """Return sentences on the faults that a picture has and its reference has not. The same issues, the same text."""
    if not issues:
        return "Nothing that people would mind sets the picture apart from its reference."
    rng = np.random.default_rng(seed)
    said = []
    for number, issue in enumerate(issues[:MOST]):
        words = KIND_WORDS[issue.kind]
        said.append(sentence(_AGAINST[min(number, 1)], rng, fault=_fault(issue, rng), look=words.look))
    return " ".join(said)


def _say(change: Change, rng: np.random.Generator) -> str:
    before, after = change.before, change.after
    words = KIND_WORDS[change.issue.kind]
    pattern: str = change.what
    if change.what in ("grew", "shrank") and before and after and before.severity == after.severity:
        pattern = "wider" if change.what == "grew" else "narrower"
    return sentence(
        _PATTERNS[pattern], rng, look=words.look, name=say(words.name, rng), place=where(change.issue.region),
        before=_fault(before, rng), after=_fault(after, rng),
        was=SEVERITY[before.severity] if before else "", now=SEVERITY[after.severity] if after else "",
    )  # fmt: skip


def _fault(issue: Issue | None, rng: np.random.Generator) -> str:
    if issue is None:
        return ""
    words = KIND_WORDS[issue.kind]
    return say(f"{words.article}{SEVERITY[issue.severity]} {words.name} {where(issue.region)}", rng)
