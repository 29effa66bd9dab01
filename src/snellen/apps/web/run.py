"""Building a web application, and running it on one address until a signal ends it."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from snellen.apps.web.error import HANDLERS
from snellen.apps.web.guard import LOOPBACK, Guard, read_tokens
from snellen.apps.web.limits import MEGABYTE, LimitBodies, Limits
from snellen.usage import OK, UsageError, complain, positive

HEADER_BYTES = 32 * 1024
"""Most bytes of a request's head."""


@dataclass(frozen=True)
class WebOptions:
    """How a web application is reached.

    Attributes:
        host, port: address to listen on; port 0 takes a free one.
        hosts: names in the header Host that are served; empty for any.
        tokens: bearer tokens; empty where none is needed.
        origins: pages of other sites that may ask (CORS).
        limits: of bodies.
        drain: seconds that running requests have to end after SIGTERM.
        connections: most connections at a time; further ones get 503.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = LOOPBACK
    tokens: tuple[str, ...] = field(default=(), repr=False)
    origins: tuple[str, ...] = ()
    limits: Limits = Limits()
    drain: int = 60
    connections: int = 512


def add_web_options(parser: argparse.ArgumentParser, port: int) -> None:
    """Add the options of `WebOptions`, with a default port."""
    group = parser.add_argument_group("server")
    group.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    group.add_argument("--port", metavar="N", type=int, default=port, help=f"port, 0 for a free one ({port})")
    group.add_argument(
        "--allowed-host", metavar="NAME", action="append", default=[], help="name that clients call the server by"
    )
    group.add_argument("--token-file", metavar="FILE", type=Path, help="clients need one of these bearer tokens")
    group.add_argument(
        "--cors-origin", metavar="ORIGIN", action="append", default=[], help="let pages of this origin ask (CORS)"
    )
    group.add_argument("--max-body-mb", metavar="N", type=positive, default=64, help="most MB of one request (64)")
    group.add_argument(
        "--drain", metavar="S", type=positive, default=60, help="seconds to end running requests after SIGTERM (60)"
    )


def web_options(args: argparse.Namespace) -> WebOptions:
    """Return what `add_web_options` read.

    Raises:
        UsageError: the file of tokens cannot be read, or the port is none.
    """
    if not 0 <= args.port <= 65535:
        raise UsageError(f"--port is from 0 to 65535, not {args.port}")
    tokens = tuple(read_tokens(args.token_file)) if args.token_file else ()
    loopback = args.host in ("127.0.0.1", "localhost", "::1")
    hosts = (*args.allowed_host, *LOOPBACK) if loopback or args.allowed_host else ()
    if not loopback and not tokens:
        complain(f"anybody who reaches {args.host} can use this server; --token-file asks for a token")
    limits = Limits(body=args.max_body_mb * MEGABYTE, bodies=8 * args.max_body_mb * MEGABYTE)
    return WebOptions(args.host, args.port, hosts, tokens, tuple(args.cors_origin), limits, args.drain)


def web_app(
    routes: Sequence[BaseRoute],
    options: WebOptions,
    lifespan: Any = None,
    open_paths: Collection[str] = ("/", "/healthz", "/static/"),
) -> Starlette:
    """Return an application with the limits, the guard and the form of errors that all web applications have.

    Args:
        routes: its routes.
        options: how it is reached.
        lifespan: what runs around it, as Starlette takes it.
        open_paths: paths that need no token, see `Guard`.
    """
    middleware = [
        Middleware(Guard, hosts=options.hosts, tokens=options.tokens, origins=options.origins, open_paths=open_paths),
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
        limit_concurrency=options.connections,
        h11_max_incomplete_event_size=HEADER_BYTES,
        http="h11",
        ws="none",
        lifespan="on",
    )
    name = f"[{options.host}]" if ":" in options.host else options.host
    print(f"{what} at http://{name}:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    # uvicorn raises the signal again when it is done: a drained server has ended as it should, with code 0
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    uvicorn.Server(config).run(sockets=[listener])
    return OK
