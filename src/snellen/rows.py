"""Rows of a table of scores, from assessments."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.table import ScoreRow


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
    row = ScoreRow(assessment.name, rounds=len(assessment.steps), width=size.get("width"), height=size.get("height"))
    if assessment.error is not None:
        problem = f"{assessment.error.problem}; {assessment.error.remedy}"
        return replace(row, error=assessment.error.code, problem=problem)
    assert assessment.score is not None
    spread = assessment.steps[-1].distribution
    low, high = assessment.interval or (None, None)
    return replace(
        row,
        score=round(assessment.score, 4),
        low=None if low is None else round(low, 4),
        high=None if high is None else round(high, 4),
        label=assessment.label,
        std=None if spread is None else round(spread.std, 4),
        issues=[
            {"kind": issue.kind, "severity": issue.severity, "region": issue.region.to_list()}
            for issue in assessment.issues
        ],
    )
