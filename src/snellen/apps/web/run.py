"""Building a web application, and running it on one address until a signal ends it."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from snellen.apps.web.error import HANDLERS
from snellen.apps.web.guard import Guard
from snellen.apps.web.limits import LimitBodies
from snellen.apps.web.options import WebOptions
from snellen.apps.web.protocol import HastyProtocol
from snellen.usage import OK, UsageError

HEADER_BYTES = 32 * 1024
"""Most bytes of a request's head."""
CONNECTIONS = 512
"""Most connections at a time; further ones get 503."""


def web_app(routes: Sequence[BaseRoute], options: WebOptions, lifespan: Any = None) -> Starlette:
    """Return an application with the limits, the guard and the form of errors that all web applications have.

    Args:
        routes: its routes.
        options: how it is reached.
        lifespan: what runs around it, as Starlette takes it.
    """
    middleware = [
        Middleware(Guard, hosts=options.hosts, tokens=options.tokens, origins=options.origins),
        Middleware(LimitBodies, limits=options.limits),
    ]
    if options.origins:
        middleware.insert(
            0,
            Middleware(
                CORSMiddleware,
                allow_origins=options.origins,
                allow_methods=("GET", "POST"),
                allow_headers=("Authorization", "Content-Type"),
            ),
        )
    return Starlette(routes=routes, middleware=middleware, exception_handlers=HANDLERS, lifespan=lifespan)


def run_app(app: Starlette, options: WebOptions, what: str) -> int:
    """Listen and answer until SIGTERM or Ctrl-C; running requests are ended first. Returns the exit code.

    The address is printed on standard error once it is open: connections from then on are answered.

    Args:
        app: the application.
        options: how it is reached.
        what: what is served, for the line that is printed.

    Raises:
        UsageError: the address cannot be listened on.
    """
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        listener = socket.create_server((options.host, options.port), family=family, backlog=256)
    except OSError as error:
        problem = f"{options.host}:{options.port} cannot be listened on ({error.strerror or error})"
        raise UsageError(f"{problem}; choose another --port or --host") from error
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=options.drain,
        limit_concurrency=CONNECTIONS,
        h11_max_incomplete_event_size=HEADER_BYTES,
        http=HastyProtocol,
        ws="none",
        lifespan="on",
    )
    name = f"[{options.host}]" if ":" in options.host else options.host
    print(f"{what} at http://{name}:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    # uvicorn raises the signal again when it is done: a drained server has ended as it should, with code 0
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    uvicorn.Server(config).run(sockets=[listener])
    return OK
