"""Reading of a multipart form with pictures: in memory, within limits, no file is written."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from snellen.apps.web.error import WebError
from snellen.usage import visible

logging.getLogger("python_multipart").addHandler(logging.NullHandler())
# it logs what it also raises; a logger without a handler prints on standard error

FIELD_BYTES = 64 * 1024
"""Most bytes of a field that is no file."""
MOST_FIELDS = 64
NAME_LENGTH = 200
"""A file name is cut to its last so many characters."""


@dataclass(frozen=True)
class Upload:
    """One file. name: what the client calls it, without folders; only ever shown. data: its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Form:
    """A form. files: in the order of the request, whatever their fields are called. fields: the other fields."""

    files: tuple[Upload, ...]
    fields: Mapping[str, tuple[str, ...]]


class _InMemory(MultiPartParser):
    spool_max_size = 2**62  # the body is limited before; nothing goes to a temporary file
    ended = False

    def on_end(self) -> None:
        self.ended = True


async def read_form(request: Request, most_files: int) -> Form:
    """Read the form of a request.

    Raises:
        WebError: it is no multipart form (415), malformed (400), or has more than `most_files` files (413).
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        problem = "the body is no multipart form"
        raise WebError(415, "wrong_content_type", problem, "send pictures as multipart/form-data, as curl -F does")
    parser = _InMemory(
        request.headers, request.stream(), max_files=most_files, max_fields=MOST_FIELDS, max_part_size=FIELD_BYTES
    )
    try:
        parsed = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise too_many_pictures(most_files) from error
        raise WebError(400, "bad_form", error.message.rstrip("."), "send a well-formed multipart form") from error
    except FormParserError as error:  # newer versions of Starlette turn it into the other
        raise WebError(400, "bad_form", "invalid multipart data", "send a well-formed multipart form") from error
    if not parser.ended:  # a file may be missing, or half of one
        raise WebError(400, "bad_form", "the form is cut off before its end", "send it again")
    files: list[Upload] = []
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in parsed.multi_items():
        if isinstance(value, UploadFile):
            files.append(Upload(shown_name(value.filename, len(files)), await value.read()))
        else:
            fields[name] = (*fields.get(name, ()), value)
    await parsed.close()
    return Form(tuple(files), fields)


def too_many_pictures(most: int) -> WebError:
    """Return the error of a request with more than `most` pictures."""
    return WebError(413, "too_many_pictures", f"more than {most} pictures in one request", "send fewer at a time")


def shown_name(name: str | None, index: int) -> str:
    """Return a client's file name without folders and control characters; "picture N" where nothing is left."""
    last = re.split(r"[\\/]", name or "")[-1]
    return visible(last)[-NAME_LENGTH:].strip() or f"picture {index + 1}"
