"""Routes that assess uploaded pictures: /v1/assess, /v1/score."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from snellen.apps.serve.service import Service
from snellen.apps.web.events import EventResponse
from snellen.assessment import Assessment


async def assess(request: Request, service: Service) -> Response:
    """POST /v1/assess: everything about each picture, at once or as events."""
    pictures, fields = await service.read(request)
    settings = service.settings.changed(fields)
    if "text/event-stream" in request.headers.get("accept", ""):
        return EventResponse(await service.follow(pictures, settings))
    assessments = await service.assess(request, pictures, settings)
    return JSONResponse({"assessments": [one.to_dict() for one in assessments]})


async def score(request: Request, service: Service) -> Response:
    """POST /v1/score: score, interval and issues of each picture."""
    pictures, fields = await service.read(request)
    assessments = await service.assess(request, pictures, service.settings.changed(fields))
    return JSONResponse({"scores": [score_dict(one) for one in assessments]})


SCORE_KEYS = ("name", "score", "interval", "label", "issues", "error")


def score_dict(assessment: Assessment) -> dict[str, object]:
    """Return the part of `Assessment.to_dict` without rounds and texts."""
    whole = assessment.to_dict()
    return {key: whole[key] for key in SCORE_KEYS}
