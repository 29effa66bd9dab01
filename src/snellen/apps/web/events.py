"""Server-sent events: a response that is written while the work goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from snellen.apps.web.error import WebError

BEAT = 15.0
"""Seconds between comments that keep a silent connection open."""


@dataclass(frozen=True)
class Event:
    """One event. name: its type. data: JSON-able."""

    name: str
    data: Any

    def encode(self) -> bytes:
        """Return its bytes: a line with the name, one with the data as JSON, an empty one."""
        return f"event: {self.name}\ndata: {json.dumps(self.data)}\n\n".encode()


class EventResponse(Response):
    """A response of content type text/event-stream.

    Args:
        events: yields events, and None where nothing happened for `BEAT` seconds; it is closed when the client goes
            away. A WebError that it raises is sent as the last event, `error`.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[Event | None, None]) -> None:
        self.status_code = 200
        self.background = None
        self.events = events
        self.body = b""
        self.init_headers({"X-Accel-Buffering": "no"})  # reverse proxies pass events on at once
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client goes away."""
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            with suppress(ConnectionError):  # the client takes nothing more
                await self._send_all(send)
            tasks.cancel_scope.cancel()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self.events) as events:
            try:
                async for event in events:
                    data = b": waiting\n\n" if event is None else event.encode()
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            except WebError as error:
                data = Event("error", error.to_dict()).encode()
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
