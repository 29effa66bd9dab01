"""Limits on what a client sends, and on how long it takes for it."""

from __future__ import annotations

import time

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.apps.web.error import WebError
from snellen.apps.web.options import MEGABYTE, Limits


class LimitBodies:
    """ASGI middleware that keeps `Limits`: 413 for too large a body, 408 for a slow one, 429 where all are too much.

    A Content-Length above the limit is refused before a byte is read; a body without one while it is read.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with limits around its `receive` and `send`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self.limits.body:
            await self._too_large().response()(scope, receive, send)
            return
        request = _Request(self, receive, send)
        try:
            await self.app(scope, request.receive, request.send)
        except Stalled:
            pass
        finally:
            self.held -= request.held

    def _too_large(self) -> WebError:
        problem = f"the body is larger than {self.limits.body / MEGABYTE:g} MB"
        return WebError(413, "body_too_large", problem, "send fewer or smaller pictures at a time")

    def take(self, request: _Request, count: int) -> None:
        """Count `count` bytes of a request; raises WebError where a limit is passed."""
        request.held += count
        self.held += count
        if request.held > self.limits.body:
            raise self._too_large()
        if self.held > self.limits.bodies:
            problem = "the server holds as many bytes of uploads as it may"
            raise WebError(429, "busy", problem, "send the request again later", {"Retry-After": "1"})


class Stalled(ConnectionError):
    """The client does not take the response."""


class _Request:
    """`receive` and `send` of one request, within the limits. held: bytes of its body."""

    def __init__(self, owner: LimitBodies, receive: Receive, send: Send) -> None:
        self.owner = owner
        self.held = 0
        self._receive, self._send = receive, send
        self._ends = time.monotonic() + owner.limits.seconds
        self._complete = False

    async def receive(self) -> Message:
        if self._complete:  # now it waits for the client to go away
            return await self._receive()
        try:
            with anyio.fail_after(max(0.0, self._ends - time.monotonic())):
                message = await self._receive()
        except TimeoutError as error:
            problem = f"the body did not arrive within {self.owner.limits.seconds:g} s"
            raise WebError(408, "body_too_slow", problem, "send fewer or smaller pictures at a time") from error
        if message["type"] == "http.request":
            self.owner.take(self, len(message.get("body", b"")))
        self._complete = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        try:
            with anyio.fail_after(self.owner.limits.seconds):
                await self._send(message)
        except TimeoutError as error:
            raise Stalled from error
