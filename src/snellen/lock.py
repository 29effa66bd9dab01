"""Lock of a file: only one run at a time writes it. Works on file systems without flock."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snellen.output import writing
from snellen.usage import UsageError


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold `path` + ".lock" during the block: a file that is created exclusively, with process id and host in it.

    The lock of a process of this host that no longer runs is taken over. The start of the process distinguishes it from
    a later one with its id, as every run in a container may have id 1. Raises UsageError, naming the lock and the
    remedy, when another run holds it, and OutputError when it cannot be created.
    """
    file = path.with_name(path.name + ".lock")
    owner = f"{os.getpid()} {socket.gethostname()} {_began(os.getpid())}\n"
    if not _create(file, owner):
        _remove_stale(file)
        if not _create(file, owner):
            raise UsageError(
                f"{file}: another run writes {path.name} ({_holder(file)}); "
                "wait for it or name another table; if no run does, delete the lock"
            )
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _create(file: Path, owner: str) -> bool:
    """Create the lock; return False where there is one."""
    with writing(file):
        return _create_exclusively(file, owner)


def _create_exclusively(file: Path, owner: str) -> bool:
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as text:
            text.write(owner)
    except OSError:  # the disk is full
        file.unlink()
        raise
    return True


def _holder(file: Path) -> str:
    process, host, _ = _read(file)
    return f"process {process} on {host}" if process else "process unknown"


def _read(file: Path) -> tuple[int, str, str]:
    """Return process id, host and start of the process of a lock; 0 and "" where it cannot be read or is empty."""
    try:
        process, host, *began = file.read_text(encoding="utf-8").split()
        return int(process), host, began[0] if began else ""
    except (OSError, ValueError):
        return 0, "", ""


def _remove_stale(file: Path) -> None:
    """Remove the lock of a process of this host that no longer runs.

    The lock is renamed first and read again: another run may have taken it over in between, and gets its lock back.
    """
    found = _read(file)
    process, host, began = found
    if not process or host != socket.gethostname():
        return
    if _runs(process) and began in ("", _began(process)):
        return
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        os.rename(file, aside)
    except OSError:  # another run was faster
        return
    if _read(aside) == found:
        aside.unlink()
    else:
        os.rename(aside, file)


def _began(process: int) -> str:
    """Return when a process started, in ticks since the system did; "" where /proc does not have it."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _runs(process: int) -> bool:
    """Return False when no process of this host has the id. On Windows there is no harmless test: always True."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # of another user
        return True
    return True
