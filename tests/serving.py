"""Servers of `snellen serve` for tests, in this process and without a network."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from starlette.testclient import TestClient

from snellen.apps.serve.app import service_app
from snellen.apps.serve.batcher import Batcher
from snellen.apps.serve.service import Service
from snellen.apps.serve.settings import Settings
from snellen.apps.web.options import WebOptions
from snellen.backend import Backend, Conversation
from snellen.backends.scripted import ScriptedBackend

FINAL = (
    '<think></think><answer>{"bbox_2d": [0.00, 0.00, 0.00, 0.00], "rating": 2.50, "tool": "final", '
    '"issues": [{"kind": "noise", "severity": 2, "bbox_2d": [0.10, 0.20, 0.60, 0.70]}]}</answer>'
)
CROP = (
    '<think></think><answer>{"bbox_2d": [0.10, 0.20, 0.60, 0.70], "rating": 3.50, "tool": "crop", "issues": []}'
    "</answer>"
)


class Gate:
    """A script that answers FINAL once its gate is open; `entered` is set when it is asked for the first time."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()

    def __call__(self, conversation: Conversation) -> str:
        """Wait for the gate, then answer."""
        self.entered.set()
        assert self.open.wait(60), "nobody opened the gate"
        return FINAL


@contextmanager
def service(backend: Backend, *, most: int = 8, wait: float = 0.0, room: int = 64, **changes: Any) -> Iterator[Service]:
    """Give a service with one judge; changes: fields of `Service`."""
    batcher = Batcher([backend], most, wait, room)
    try:
        yield replace(Service(backend, batcher, Settings()), **changes)
    finally:
        batcher.close()


@contextmanager
def client(backend: Backend | None = None, options: WebOptions | None = None, **changes: Any) -> Iterator[TestClient]:
    """Give a client of a server. backend: by default one that asks for a crop, then rates 2.50."""
    with service(backend or ScriptedBackend([CROP, FINAL]), **changes) as one:
        app = service_app(one, options or WebOptions())
        with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as found:
            yield found


def files(*pictures: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    """Return pictures (name, bytes) as httpx takes the files of a form."""
    return [("picture", one) for one in pictures]


def events(text: str) -> list[tuple[str, str]]:
    """Return name and data of the events of a stream."""
    found = []
    for block in text.strip().split("\n\n"):
        if not block.startswith(":"):
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), data.removeprefix("data: ")))
    return found


def errors(values: Sequence[dict[str, Any]]) -> list[str | None]:
    """Return the code of each picture's error, None for none."""
    return [value["error"] and value["error"]["code"] for value in values]
