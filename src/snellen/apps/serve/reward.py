"""/v1/reward: one number for each picture, for the training of restoration and generation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from snellen.apps.serve.service import Service
from snellen.apps.web.error import WebError

SCALES: Mapping[str, Callable[[float], float]] = {"mos": lambda score: score, "unit": lambda score: (score - 1.0) / 4.0}
"""Scales of a reward: "mos" is the score, 1 (bad) to 5 (excellent); "unit" is (score - 1) / 4, 0 to 1."""


async def reward(request: Request, service: Service) -> Response:
    """POST /v1/reward: the score of each picture in score-only mode; null where there is none."""
    pictures, fields = await service.read(request)
    (scale, *more) = fields.pop("scale", ("mos",))
    if scale not in SCALES or more:
        raise WebError(422, "bad_option", f"scale is {scale[:40]!r}", f"give one of {', '.join(SCALES)}")
    settings = replace(service.settings.changed(fields), score_only=True)
    assessments = await service.assess(request, pictures, settings)
    rewards = [None if one.score is None else round(SCALES[scale](one.score), 4) for one in assessments]
    errors = [
        {"index": index, "code": one.error.code, "problem": one.error.problem, "remedy": one.error.remedy}
        for index, one in enumerate(assessments)
        if one.error is not None
    ]
    return JSONResponse({"rewards": rewards, "scale": scale, "errors": errors})
