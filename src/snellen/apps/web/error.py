"""Errors of a web application, and the JSON that they become."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from snellen.usage import visible


class WebError(Exception):
    """A request that cannot be met.

    Attributes:
        status: HTTP status.
        code: one word for programs, such as "too_large".
        problem: what is wrong.
        remedy: what to do.
        headers: of the response, such as Retry-After.
    """

    def __init__(
        self, status: int, code: str, problem: str, remedy: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.status, self.code, self.problem, self.remedy = status, code, problem, remedy
        self.headers = dict(headers or {})

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the response: {"error": {code, problem, remedy}}."""
        return {"error": {"code": self.code, "problem": visible(self.problem), "remedy": visible(self.remedy)}}

    def response(self) -> Response:
        """Return the response."""
        return JSONResponse(self.to_dict(), self.status, self.headers)


def client_gone() -> WebError:
    """Return the error of a request whose client went away; nobody receives it, but it is counted."""
    return WebError(499, "client_gone", "the client closed the connection", "keep it open until the response")


def internal_error() -> WebError:
    """Return the error of a request that the server failed at; its reason is for the log, not for the client."""
    return WebError(500, "internal", "the server failed at this request", "see its log")


async def respond_web_error(request: Request, error: Exception) -> Response:
    """Return the response of a WebError."""
    assert isinstance(error, WebError)
    return error.response()


async def respond_http_error(request: Request, error: Exception) -> Response:
    """Return the response of an error that Starlette raises: no such path, a method that a path does not have."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    remedy = {404: "see GET /openapi.json for the paths", 405: "see the header Allow"}
    code = status.phrase.lower().replace(" ", "_")
    return WebError(status, code, error.detail, remedy.get(status, "correct the request"), error.headers).response()


async def respond_internal_error(request: Request, error: Exception) -> Response:
    """Return the response of a fault of the server's own; the log has the traceback, the client does not get it."""
    return internal_error().response()


async def respond_gone(request: Request, error: Exception) -> Response:
    """Return a response for a client that went away while it sent its request; nobody receives it."""
    return client_gone().response()


HANDLERS: dict[Any, Any] = {
    WebError: respond_web_error,
    ClientDisconnect: respond_gone,
    HTTPException: respond_http_error,
    Exception: respond_internal_error,
}
"""The handlers of exceptions, for `starlette.applications.Starlette`."""
