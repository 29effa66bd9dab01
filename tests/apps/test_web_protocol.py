"""Connections whose clients do not complete the head of a request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from snellen.apps.web import protocol
from snellen.apps.web.protocol import HastyProtocol


class Wire(asyncio.Transport):
    """A connection without a network: `written` is set when something was sent, `closed` when it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()
        self.closed = asyncio.Event()

    def write(self, data: Any) -> None:
        """Note that something is sent."""
        self.written.set()

    def close(self) -> None:
        """Close."""
        self.closed.set()

    def is_closing(self) -> bool:
        """Return whether it is closed."""
        return self.closed.is_set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return nothing: there are no addresses."""
        return default


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 204."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT"])
def test_a_head_that_does_not_end_is_given_up(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)

    async def connect() -> Wire:
        config = uvicorn.Config(app, http=HastyProtocol, lifespan="off", log_level="critical")
        config.load()
        wire = Wire()
        one = HastyProtocol(config, ServerState(), {})
        one.connection_made(wire)
        complete, end, half = sent.partition(b"\r\n\r\n")
        if end:
            one.data_received(complete + end)
            await asyncio.wait_for(wire.written.wait(), 20)
        if half or complete:  # no bytes at all would be the end of the connection
            one.data_received(half or complete)
        await asyncio.wait_for(wire.closed.wait(), 20)
        return wire

    wire = asyncio.run(connect())
    assert wire.written.is_set() is (b"\r\n\r\n" in sent)


def test_a_request_that_is_answered_slowly_keeps_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.0)

    async def connect() -> Wire:
        answered = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await answered.wait()
            await app(scope, receive, send)

        config = uvicorn.Config(slow, http=HastyProtocol, lifespan="off", log_level="critical")
        config.load()
        wire = Wire()
        one = HastyProtocol(config, ServerState(), {})
        one.connection_made(wire)
        one.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0)  # the time is over at once
        await asyncio.sleep(0)
        assert not wire.is_closing()
        answered.set()
        await asyncio.wait_for(wire.written.wait(), 20)
        return wire

    asyncio.run(connect())
