"""Options of a web application: address, tokens, limits. Needs no extra, so that --help works without."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from snellen.usage import UsageError, complain, port, positive

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine to itself."""

MEGABYTE = 10**6


@dataclass(frozen=True)
class Limits:
    """Limits of a web application.

    Attributes:
        body: bytes of one request's body.
        bodies: bytes of all bodies that are held at a time.
        seconds: time for sending a body, and for taking each part of a response.
    """

    body: int = 64 * MEGABYTE
    bodies: int = 512 * MEGABYTE
    seconds: float = 60.0


@dataclass(frozen=True)
class WebOptions:
    """Address, guards and limits of a web application.

    Attributes:
        host, port: address to listen on; port 0 takes a free one.
        hosts: names in the header Host that are served; empty for any.
        tokens: bearer tokens; empty where none is needed.
        origins: pages of other sites that may ask (CORS).
        limits: of bodies.
        drain: seconds that running requests have to end after SIGTERM.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = LOOPBACK
    tokens: tuple[str, ...] = field(default=(), repr=False)
    origins: tuple[str, ...] = ()
    limits: Limits = Limits()
    drain: int = 60


def add_web_options(parser: argparse.ArgumentParser, number: int) -> None:
    """Add the options of `WebOptions`. number: the default port."""
    group = parser.add_argument_group("server")
    group.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on")
    group.add_argument("--port", metavar="N", type=port, default=number, help="port; 0 for a free one")
    group.add_argument(
        "--allowed-host",
        metavar="NAME",
        action="append",
        default=[],
        help="host name by which clients reach the server; repeat for more",
    )
    group.add_argument("--token-file", metavar="FILE", type=Path, help="bearer tokens, one per line: clients need one")
    group.add_argument(
        "--cors-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="origin whose pages may send requests (CORS); repeat for more",
    )
    group.add_argument("--max-body-mb", metavar="N", type=positive, default=64, help="most MB of one request")
    group.add_argument(
        "--drain", metavar="S", type=positive, default=60, help="seconds that running requests get after SIGTERM"
    )


def web_options(args: argparse.Namespace) -> WebOptions:
    """Return what `add_web_options` read.

    Raises:
        UsageError: the file of tokens cannot be read.
    """
    tokens = tuple(read_tokens(args.token_file)) if args.token_file else ()
    loopback = args.host in ("127.0.0.1", "localhost", "::1")
    hosts = (*args.allowed_host, *LOOPBACK) if loopback or args.allowed_host else ()
    if not loopback and not tokens:
        complain(f"anybody who reaches {args.host} can use this server; --token-file asks for a token")
    limits = Limits(body=args.max_body_mb * MEGABYTE, bodies=8 * args.max_body_mb * MEGABYTE)
    return WebOptions(args.host, args.port, hosts, tokens, tuple(args.cors_origin), limits, args.drain)


def read_tokens(path: Path) -> list[str]:
    """Return the tokens in a file, one per line; lines that begin with # and empty ones are left out.

    Raises:
        UsageError: the file cannot be read, holds no token, or one of fewer than 16 characters.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); write one token per line into it") from error
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        raise UsageError(f"{path} holds no token; write one per line, for example of: openssl rand -hex 32")
    if any(len(token) < 16 or not token.isascii() for token in tokens):
        raise UsageError(f"{path} holds a token of fewer than 16 ASCII characters; make one with: openssl rand -hex 32")
    return tokens
