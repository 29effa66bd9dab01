"""Checks of who may ask (names of the host, origins, bearer tokens), and the headers that keep a page to itself."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.apps.web.error import WebError

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""A page takes scripts and styles from files of its own server only: none inline, none from elsewhere."""

RESPONSE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of every response. Cache-Control is `no-store` unless the response has its own."""

OPEN_PATHS = ("/", "/healthz")
"""Paths that need no token, beside all below /static/."""


class Guard:
    """ASGI middleware: refuses foreign hosts, foreign origins and missing tokens, and adds `RESPONSE_HEADERS`.

    A page of another site cannot send requests through a visitor's browser: what changes or computes something needs
    an Origin of this server, or none (programs send none). Names of the host are checked against DNS rebinding.

    Args:
        app: the application.
        hosts: names in the header Host that are served; empty for any.
        tokens: bearer tokens; empty where none is needed.
        origins: other origins that may ask, as with CORS.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str] = (),
        tokens: Iterable[str] = (),
        origins: Collection[str] = (),
    ) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)
        self.origins = frozenset(origins)
        self._tokens = [_digest(token) for token in tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, or answer with the refusal."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in RESPONSE_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (self.app if refusal is None else refusal.response())(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> WebError | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if self.hosts and _without_port(host) not in self.hosts:
            return WebError(421, "wrong_host", "this server has another name", "start it with --allowed-host NAME")
        origin = headers.get("origin")
        own = origin is None or origin in self.origins or urlsplit(origin).netloc.lower() == host
        if not own and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            remedy = "send the request from a page of this server, or start it with --cors-origin"
            return WebError(403, "wrong_origin", "the request comes from a page of another site", remedy)
        if self._tokens and scope["method"] != "OPTIONS" and not _is_open(scope["path"]):
            return self._token_refusal(headers.get("authorization", ""))
        return None

    def _token_refusal(self, authorization: str) -> WebError | None:
        kind, _, token = authorization.partition(" ")
        given = _digest(token.strip())
        # every token is compared, in constant time, so that the time of an answer reveals nothing of them
        if sum(hmac.compare_digest(given, one) for one in self._tokens) and kind.lower() == "bearer":
            return None
        remedy = "send the header Authorization: Bearer TOKEN"
        return WebError(
            401, "wrong_token", "no valid token came with the request", remedy, {"WWW-Authenticate": "Bearer"}
        )


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith("/static/")


def _digest(token: str) -> bytes:
    """Return a digest, so that tokens of all lengths are compared in the same time."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _without_port(host: str) -> str:
    """Return the name in a header Host: `[::1]` of `[::1]:8000`."""
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0]
