"""The application behind the page of a folder: its pictures, scores and groups; decisions and sidecars."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from operator import index
from typing import Any

import anyio
import anyio.to_thread
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from snellen.apps.browse.album import Album
from snellen.apps.browse.thumbnails import Thumbnails
from snellen.apps.browse.work import Judge, Work, row_of
from snellen.apps.web.error import WebError
from snellen.apps.web.events import BEAT, Event, EventResponse
from snellen.apps.web.options import WebOptions
from snellen.apps.web.page import page_routes
from snellen.apps.web.run import web_app
from snellen.assessment import Step
from snellen.backend import BackendError
from snellen.image import load, resample
from snellen.output import OutputError
from snellen.reading import ImageError
from snellen.region import FULL
from snellen.sidecar import Change, Decision, Naming

SIDES = (64, 32768)
"""Least and largest long side of a picture that is sent, in px."""


@dataclass(frozen=True)
class Browser:
    """State that the routes share. judge: assesses pictures on request; work: runs in the background."""

    album: Album
    thumbnails: Thumbnails
    judge: Judge
    work: Work
    naming: Naming
    model: str


def browse_app(browser: Browser, options: WebOptions) -> Starlette:
    """Return the application."""
    routes = [
        *page_routes("snellen.apps.web.viewer", marks={'data-source="uploads"': 'data-source="folder"'}),
        Route("/api/album", _bound(browser, album)),
        Route("/api/changes", _bound(browser, follow)),
        Route("/api/thumbnail/{place:int}", _bound(browser, thumbnail)),
        Route("/api/picture/{place:int}", _bound(browser, picture)),
        Route("/api/assess/{place:int}", _bound(browser, assess), methods=["POST"]),
        Route("/api/decisions", _bound(browser, decide), methods=["PUT"]),
        Route("/api/sidecars", _bound(browser, sidecars), methods=["POST"]),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        browser.work.start()
        try:
            yield
        finally:
            browser.work.close()
            await anyio.to_thread.run_sync(browser.work.join)

    return web_app(routes, options, lifespan)


def _bound(browser: Browser, handler: Any) -> Any:
    async def endpoint(request: Request) -> Response:
        response: Response = await handler(request, browser)
        return response

    return endpoint


async def album(request: Request, browser: Browser) -> Response:
    """GET /api/album: all pictures with their scores, and the groups."""

    def read() -> dict[str, Any]:
        known = browser.album
        version = known.version  # first: what happens while the rest is read comes again as an event
        return {
            "version": version,
            "folder": known.folder.resolve().name,
            "model": browser.model,
            "naming": browser.naming,
            "decisions": None if known.file is None else known.file.name,
            "pictures": [known.picture(place) for place in range(len(known.names))],
            "groups": known.groups,
        }

    return JSONResponse(await anyio.to_thread.run_sync(read))


async def follow(request: Request, browser: Browser) -> Response:
    """GET /api/changes?since=VERSION: events rows, groups and progress, as they happen."""
    return EventResponse(changes(browser.album, request.query_params.get("since", "")))


async def changes(album: Album, since: str) -> AsyncGenerator[Event | None, None]:
    """Yield the events of an album after version `since`; where that is not its last, first all rows and groups."""
    loop = asyncio.get_running_loop()
    happened: asyncio.Queue[Event] = asyncio.Queue()

    def post(name: str, data: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(happened.put_nowait, Event(name, data))

    end = album.listen(post)
    try:
        if since != str(album.version):  # something happened between the page's reading of the album and now
            yield Event("rows", [{"id": place, **album.picture(place)} for place in range(len(album.names))])
            yield Event("groups", album.groups)
        if album.progress:
            yield Event("progress", {"text": album.progress})
        while True:
            event = None
            with anyio.move_on_after(BEAT):
                event = await happened.get()
            yield event
    finally:
        end()


async def thumbnail(request: Request, browser: Browser) -> Response:
    """GET /api/thumbnail/N: a small JPEG."""
    place = _place(request, browser)
    try:
        jpeg = await anyio.to_thread.run_sync(browser.thumbnails.jpeg, place)
    except ImageError as error:
        raise _unreadable(error) from error
    return Response(jpeg, media_type="image/jpeg")


async def picture(request: Request, browser: Browser) -> Response:
    """GET /api/picture/N?side=1600: the picture as JPEG, its long side at most `side` px."""
    place = _place(request, browser)
    text = request.query_params.get("side", "1600")
    if not text.isdecimal() or len(text) > 6:
        raise WebError(422, "bad_option", "side is a number of px", "correct it")
    side = min(max(int(text), SIDES[0]), SIDES[1])

    def read() -> bytes:
        found = load(browser.album.files[place], max_megapixels=browser.thumbnails.max_megapixels, allow_damaged=True)
        file = io.BytesIO()
        Image.fromarray(resample(found, FULL, side)).save(file, "JPEG", quality=92)
        return file.getvalue()

    try:
        return Response(await anyio.to_thread.run_sync(read), media_type="image/jpeg")
    except ImageError as error:
        raise _unreadable(error) from error


async def assess(request: Request, browser: Browser) -> Response:
    """POST /api/assess/N: the events round and assessment of one picture."""
    return EventResponse(_assessment(browser, _place(request, browser)))


async def _assessment(browser: Browser, place: int) -> AsyncGenerator[Event | None, None]:
    loop = asyncio.get_running_loop()
    happened: asyncio.Queue[Event] = asyncio.Queue()

    def post(number: int, step: Step) -> None:
        event = Event("round", {"round": number, "step": step.to_dict()})
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(happened.put_nowait, event)

    def run() -> Event:
        (found,) = browser.judge.assess([str(browser.album.files[place])], post)
        browser.album.set_rows({place: row_of(found)})
        return Event("assessment", {"assessment": found.to_dict()})

    task = asyncio.ensure_future(asyncio.to_thread(run))
    while not task.done():
        waiting = asyncio.ensure_future(happened.get())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=BEAT)
        if waiting.done():
            yield waiting.result()
        else:
            waiting.cancel()
            if not task.done():
                yield None
    while not happened.empty():
        yield happened.get_nowait()
    try:
        yield task.result()
    except (BackendError, ValueError) as error:
        raise WebError(503, "model_unavailable", str(error), "correct the options of snellen browse") from error


async def decide(request: Request, browser: Browser) -> Response:
    """PUT /api/decisions with [{id, pick, stars}, ...]: set decisions."""
    try:
        given = {
            index(one["id"]): Decision(one["pick"], index(one["stars"]))
            for one in await request.json()
            if 0 <= one["id"] < len(browser.album.names)
        }
    except (ValueError, TypeError, KeyError) as error:
        problem = f"this is no list of decisions ({error})"
        raise WebError(422, "bad_decision", problem, "send [{id, pick, stars}, ...]") from error
    try:
        await anyio.to_thread.run_sync(browser.album.decide, given)
    except OutputError as error:
        raise WebError(507, "not_written", str(error), "decide again") from error
    return JSONResponse({"decided": len(given)})


async def sidecars(request: Request, browser: Browser) -> Response:
    """POST /api/sidecars with {naming, write}: the changes that saving would make; with write true, those it made."""
    try:
        given = await request.json()
        naming, save = given["naming"], given.get("write", False)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WebError(422, "bad_request", "this is no request for sidecars", "send {naming, write}") from error
    if naming not in ("base", "full") or not isinstance(save, bool):
        raise WebError(422, "bad_option", "naming is base or full, write true or false", "correct it")
    made = await anyio.to_thread.run_sync(browser.album.sidecars, naming, save)
    return JSONResponse([change_dict(change, browser.album) for change in made])


def change_dict(change: Change, album: Album) -> dict[str, str]:
    """Return a change as the page shows it: sidecar, what, before, after, problem."""
    return {
        "sidecar": change.sidecar.relative_to(album.folder).as_posix(),
        "what": change.what,
        "before": str(change.before),
        "after": str(change.after),
        "problem": change.problem,
    }


def _place(request: Request, browser: Browser) -> int:
    place: int = request.path_params["place"]
    if place >= len(browser.album.names):
        raise WebError(404, "not_found", f"no picture {place}", "reload the page")
    return place


def _unreadable(error: ImageError) -> WebError:
    return WebError(404, error.code, error.problem, error.remedy)
