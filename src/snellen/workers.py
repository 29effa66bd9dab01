"""Batches of work in one process or several, and the journal from which a killed run continues."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from io import FileIO
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from snellen.backend import BackendError
from snellen.output import writing
from snellen.usage import UsageError

LONGEST_WAIT = 0.2
"""Seconds until an interrupt is noticed while all workers are busy."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def check_workers(model: str, workers: int) -> None:
    """Raise UsageError where several processes would each load a large model, or write the files of one job."""
    if workers > 1 and model.startswith("hf:"):
        raise UsageError(
            f"--workers {workers} would load {workers} copies of {model}; leave it out and use --batch-size, which "
            "runs pictures together, and --device-map auto for several GPUs"
        )
    if workers > 1 and model.startswith("openai-batch:"):
        raise UsageError(f"one process writes the requests of {model}; leave --workers out")


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

    Ctrl-C ends it at once, with one worker within a batch too, but never while the caller has a batch that is done:
    KeyboardInterrupt is raised when the caller asks for the next, and batches that are done are given to it before.
    """
    if not batches:
        return
    with _interrupts_held() as held:
        if workers == 1:
            start(*arguments)
            for batch in batches:
                with held.released():
                    result = work(batch)
                yield batch, result
                held.raise_interrupt()
        else:
            yield from _run_in_processes(work, batches, workers, (start, arguments), held)


def _run_in_processes(
    work: Callable[[Sequence[Item]], Result],
    batches: Sequence[Sequence[Item]],
    workers: int,
    arguments: tuple[Callable[..., None], tuple[Any, ...]],
    held: _Interrupts,
) -> Iterator[tuple[Sequence[Item], Result]]:
    context = get_context("spawn")
    end, ours = context.Pipe(duplex=False)  # workers end when it closes: when it is closed here, or this process ends
    pool = ProcessPoolExecutor(min(workers, len(batches)), context, _start, (end, *arguments))
    try:
        left = iter(batches)
        futures: dict[Future[Result], Sequence[Item]] = {}
        while True:
            for batch in islice(left, 2 * workers - len(futures)):  # a few ahead: a folder may hold many thousands
                futures[pool.submit(work, batch)] = batch
            if not futures:
                break
            done = wait(futures, LONGEST_WAIT, FIRST_COMPLETED).done
            for future in sorted(done, key=lambda one: one.exception() is not None):  # an error ends it: results first
                yield futures.pop(future), future.result()
            held.raise_interrupt()
        pool.shutdown()
    except BrokenProcessPool as error:
        raise BackendError("a worker process died, perhaps for want of memory; use fewer --workers") from error
    finally:
        ours.close()
        pool.shutdown(cancel_futures=True)
        end.close()


def _start(end: Connection, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Prepare a worker process, which ends when the other end of the pipe closes, whatever it is doing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them; the parent stops the others

    def wait_for_end() -> None:
        end.poll(None)
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()
    start(*arguments)


class _Interrupts:
    """Ctrl-C that waits until what is done has been handed over."""

    def __init__(self, before: Any = None) -> None:
        self.came = False
        self._before = before
        """The handler that Ctrl-C has otherwise; None where it is not held, as outside of the main thread."""

    def note(self, *_: object) -> None:
        """Handle Ctrl-C."""
        self.came = True

    def raise_interrupt(self) -> None:
        """Raise KeyboardInterrupt if there was one."""
        if self.came:
            raise KeyboardInterrupt

    @contextmanager
    def released(self) -> Iterator[None]:
        """Let Ctrl-C interrupt the block."""
        if self._before is None:
            yield
            return
        signal.signal(signal.SIGINT, self._before)
        try:
            self.raise_interrupt()
            yield
        finally:
            signal.signal(signal.SIGINT, self.note)


@contextmanager
def _interrupts_held() -> Iterator[_Interrupts]:
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN):
        yield _Interrupts()
        return
    held = _Interrupts(before)
    signal.signal(signal.SIGINT, held.note)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, before)


def append_lines(file: FileIO, lines: Iterable[str]) -> None:
    """Write lines to the end of a journal that was opened with ``"ab", buffering=0``; OutputError where that fails."""
    with writing(Path(file.name)):
        for line in lines:
            left = memoryview(line.encode("utf-8") + b"\n")
            while left:  # a disk that is nearly full takes a part
                left = left[file.write(left) :]


def cut_off_last_line(journal: Path) -> list[bytes]:
    """Return the lines of a journal. An incomplete last line is cut off the file."""
    data = journal.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(journal, len(whole))
    return whole.splitlines()
