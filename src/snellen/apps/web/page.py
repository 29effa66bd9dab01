"""A page from the package: index.html at `/`, its style sheet, script and pictures below `/static/`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snellen.apps.web.error import WebError

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Suffixes of the files that a page consists of, and their content types."""
SHARED = ("theme.css", "eye.svg")
"""Files that all pages have."""


def page_routes(package: str, marks: Mapping[str, str] | None = None) -> list[Route]:
    """Return the routes of a page: its index.html at /, the other files of its folder and SHARED in /static/.

    Args:
        package: dotted name of the folder in the package, such as "snellen.apps.web.viewer".
        marks: texts of index.html that are replaced, for a page that several applications have.
    """
    content = {name: (files("snellen.apps.web") / name).read_bytes() for name in SHARED}
    for file in files(package).iterdir():
        if file.is_file() and file.name[file.name.rfind(".") :] in TYPES:
            content[file.name] = file.read_bytes()

    for mark, text in (marks or {}).items():
        content["index.html"] = content["index.html"].replace(mark.encode(), text.encode())

    async def index(request: Request) -> Response:
        return _file(request, "index.html", content["index.html"])

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in content:
            raise WebError(404, "not_found", f"no file {name}", "reload the page")
        return _file(request, name, content[name])

    return [Route("/", index), Route("/static/{name}", static)]


def _file(request: Request, name: str, data: bytes) -> Response:
    """Return a file, or 304 where the browser has it; the browser asks each time, so that an update is seen."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers | {"Content-Type": TYPES[name[name.rfind(".") :]]})
