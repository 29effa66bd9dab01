"""Rows of a table of scores, from assessments."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.features import measure
from snellen.image import ImageError, Picture
from snellen.table import ScoreRow

if TYPE_CHECKING:
    from snellen.assessor import Source


def settings_of(assessor: Assessor) -> dict[str, Any]:
    """Return the values of the columns `SETTINGS`."""
    return {
        "model": f"{assessor.backend.name} {assessor.backend.version}",
        "protocol": assessor.protocol.name,
        "max_rounds": assessor.max_rounds,
        "score_only": assessor.score_only,
        "options": json.dumps(assessor.settings, sort_keys=True) if assessor.settings else None,
    }


def to_row(assessment: Assessment) -> ScoreRow:
    """Return the row of one picture, without the columns of `SETTINGS`."""
    size = (assessment.provenance or {}).get("picture", {})
    row = ScoreRow(
        assessment.name, rounds=len(assessment.steps), width=size.get("width"), height=size.get("height"),
        notes="; ".join(assessment.notes) or None,
    )  # fmt: skip
    if assessment.error is not None:
        problem = f"{assessment.error.problem}; {assessment.error.remedy}"
        return replace(row, error=assessment.error.code, problem=problem)
    assert assessment.score is not None
    spread = assessment.steps[-1].distribution
    low, high = assessment.interval or (None, None)
    known = assessment.fault_probabilities
    return replace(
        row,
        score=round(assessment.score, 4),
        low=None if low is None else round(low, 4),
        high=None if high is None else round(high, 4),
        label=assessment.label,
        std=None if spread is None else round(spread.std, 4),
        main_kind=assessment.issues[0].kind if assessment.issues else None,
        fault_probabilities=None if known is None else {kind: round(value, 4) for kind, value in known.items()},
        issues=[issue.to_dict() for issue in assessment.issues],
    )


def score_rows(assessor: Assessor, sources: Iterable[Source], features: bool = False) -> Iterator[ScoreRow]:
    """Yield the row of each picture, in order, without the columns of `SETTINGS`. features: measure them too."""
    measured: deque[dict[str, float] | None] = deque()

    def loaded() -> Iterator[Picture | ImageError]:
        for source in sources:
            picture = assessor.load(source)
            values = measure(picture).values if isinstance(picture, Picture) else {}
            measured.append({name: round(one.value, 5) for name, one in values.items()} or None)
            yield picture

    for assessment in assessor.stream(loaded() if features else sources):
        yield replace(to_row(assessment), features=measured.popleft() if features else None)
