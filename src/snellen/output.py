"""Files and standard streams that are written to: errors that name them, and files that are whole or not there."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snellen.usage import is_stream, target


class OutputError(Exception):
    """A file that cannot be written. The text names it and the remedy."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an OutputError that names the file: one of a full disk does not."""
    try:
        yield
    except OSError as error:
        problem = f"{path} cannot be written ({error.strerror or error})"
        raise OutputError(f"{problem}; free some space, or write to another place") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a file to write; it replaces `path` when the block succeeds, at once or not at all.

    A link stays, and what it leads to is replaced; permissions are kept. A device or a pipe (/dev/null, /dev/stdout) is
    never replaced: the block writes into it. Raises OutputError.
    """
    if is_stream(path):
        with writing(path):
            yield path
        return
    path = target(path)
    unfinished = path.with_name(f"{path.name[:40]}.{os.urandom(6).hex()}.tmp")  # another run may write the same file
    with writing(path):
        try:
            yield unfinished
            if path.exists():
                shutil.copymode(path, unfinished)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


def open_closed_streams() -> None:
    """Open the standard streams that are closed (`snellen ... >&-`), so that no other file gets their descriptors.

    Writing to standard output then fails as it should; what goes to standard error is dropped.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor < 2 else os.O_WRONLY)  # takes the lowest that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def drop_output() -> None:
    """Drop what is still to be written to standard output, which fails: the interpreter would try once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
