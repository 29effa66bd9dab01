"""Batches of work in one process or several, and the journal from which a killed run continues."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

from snellen.backend import BackendError

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_batches(
    work: Callable[[Sequence[Item]], Result],
    batches: Sequence[Sequence[Item]],
    workers: int,
    start: Callable[..., None],
    arguments: tuple[Any, ...],
) -> Iterator[tuple[Sequence[Item], Result]]:
    """Yield each batch with `work(batch)` as it is done; in order with one worker, which is this process.

    `start(*arguments)` is called once in each process before its first batch. With several workers all of these must
    be functions of a module, and what they take and give must pickle. Raises BackendError when a process dies.
    """
    if not batches:
        return
    if workers == 1:
        start(*arguments)
        for batch in batches:
            yield batch, work(batch)
        return
    pool = ProcessPoolExecutor(min(workers, len(batches)), get_context("spawn"), _start, (start, arguments))
    try:
        futures = {pool.submit(work, batch): batch for batch in batches}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()
    except BrokenProcessPool as error:
        raise BackendError("a worker process died, perhaps for want of memory; use fewer --workers") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Prepare a worker process, which ends with its parent, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them; the parent stops the others

    def follow_parent() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=follow_parent, daemon=True).start()
    start(*arguments)


def cut_off_last_line(journal: Path) -> list[bytes]:
    """Return the lines of a journal. An incomplete last line is cut off the file."""
    data = journal.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(journal, len(whole))
    return whole.splitlines()
