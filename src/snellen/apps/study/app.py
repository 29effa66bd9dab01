"""The rating page's server: a rater opens a link, sees pictures, sends answers, and learns nothing of other raters."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from snellen.apps.web.error import WebError
from snellen.apps.web.options import WebOptions
from snellen.apps.web.page import page_routes
from snellen.apps.web.run import web_app
from snellen.study.plan import PICTURES
from snellen.study.session import AnswerError, Study
from snellen.study.store import UnknownLink, UsedLink

DAYS = 90
"""Lifetime of the cookie that holds a rater's session."""
NEW_LINK = "ask the person who invited you for a new link"


def study_app(study: Study, options: WebOptions) -> Starlette:
    """Return the application of a study."""
    return web_app(routes(study), options)


def routes(study: Study) -> list[BaseRoute]:
    """Return the routes: the page, a rater's state and steps, pictures."""

    def step(path: str, work: Callable[[Study, str, dict[str, Any]], dict[str, Any]]) -> Route:
        async def endpoint(request: Request) -> Response:
            body = await _body(request)
            code = await _rater(request, study)
            found = await run_sync(work, study, code, body)
            return JSONResponse({**found, "state": await run_sync(study.state, code)})

        return Route(path, endpoint, methods=["POST"])

    async def state(request: Request) -> Response:
        code = await _rater(request, study)
        return JSONResponse({"rubric": study.rubric(), "state": await run_sync(study.state, code)})

    async def open_link(request: Request) -> Response:
        return await _open_link(request, study)

    async def picture(request: Request) -> Response:
        await _rater(request, study)
        found = study.plan.by_key.get(request.path_params["key"])
        if found is None:
            raise WebError(404, "not_found", "there is no such picture", "reload the page")
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return FileResponse(study.folder / PICTURES / found.file, headers=headers)

    return [
        *page_routes("snellen.apps.study.page"),
        Route("/api/state", state),
        Route("/api/open", open_link, methods=["POST"]),
        step("/api/consent", _consent),
        step("/api/screen", _screen),
        step("/api/answer", _answer),
        Route("/picture/{key}", picture),
    ]


async def _body(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.body())
    except ValueError as error:
        raise WebError(400, "bad_json", "the body is no JSON", "reload the page") from error
    if not isinstance(found, dict):
        raise WebError(400, "bad_json", "the body is no object", "reload the page")
    return found


def _cookie(study: Study) -> str:
    """Return the name of the cookie: of this study, because cookies do not tell the ports of one host apart."""
    return f"snellen_study_{study.plan.id}"


async def _rater(request: Request, study: Study) -> str:
    """Return the code of the rater whose session the cookie holds."""
    session = request.cookies.get(_cookie(study), "")
    code = await run_sync(study.store.rater_of, session) if session else None
    if code is None:
        raise WebError(401, "no_session", "this browser has opened no invitation", "open your invitation link")
    return code


async def _open_link(request: Request, study: Study) -> Response:
    token = (await _body(request)).get("token")
    if not isinstance(token, str):
        raise WebError(400, "bad_token", "no token came with the request", "open your invitation link")
    try:
        code, session = await run_sync(study.store.open_link, token, request.cookies.get(_cookie(study)))
    except UnknownLink as error:
        raise WebError(404, "unknown_link", "this invitation does not exist", NEW_LINK) from error
    except UsedLink as error:
        problem = "this invitation has been opened in another browser"
        raise WebError(409, "used_link", problem, f"go on there, or {NEW_LINK}") from error
    response = JSONResponse({"rubric": study.rubric(), "state": await run_sync(study.state, code)})
    secure = request.url.scheme == "https"
    response.set_cookie(_cookie(study), session, DAYS * 86400, httponly=True, samesite="strict", secure=secure)
    return response


def _consent(study: Study, code: str, body: dict[str, Any]) -> dict[str, Any]:
    if body.get("agreed") is not True:
        raise WebError(422, "no_consent", "agreed is not true", "agree, or close the page")
    study.store.note(code, consented=True)
    return {}


def _screen(study: Study, code: str, body: dict[str, Any]) -> dict[str, Any]:
    view, wanted = body.get("view"), study.plan.rubric.screen
    if not isinstance(view, dict) or len(json.dumps(body)) > 1000:
        raise WebError(422, "bad_screen", "view is a small object", "reload the page")
    small = [name for name in ("width", "height") if not _at_least(view.get(name), getattr(wanted, name))]
    if small and wanted.required:
        problem = f"the window is smaller than {wanted.width} x {wanted.height}"
        raise WebError(422, "small_window", problem, "enlarge the window or use a larger screen")
    study.store.note(code, screen={"view": view, "chart": body.get("chart"), "small": bool(small)})
    return {}


def _at_least(value: Any, least: int) -> bool:
    return isinstance(value, (int, float)) and value >= least


def _answer(study: Study, code: str, body: dict[str, Any]) -> dict[str, Any]:
    rater = study.store.rater(code)
    if rater.consented is None or rater.screen is None:
        raise WebError(409, "too_early", "consent and the screen check come first", "reload the page")
    try:
        return study.answer(code, body)
    except AnswerError as error:
        raise WebError(422, "bad_answer", str(error), "reload the page and answer again") from error
