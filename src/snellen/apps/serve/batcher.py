"""Batches of what arrives together: a bounded queue of pictures, and threads that assess them."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from snellen.assessment import Step
from snellen.backend import Backend, BackendError

log = logging.getLogger("snellen.serve")

REMEMBERED = 0.1
"""Weight of the newest batch in the mean time for a picture."""


class QueueFull(Exception):
    """The queue has no room. after: seconds in which it will probably have some."""

    def __init__(self, after: int) -> None:
        super().__init__(f"the queue is full for about {after} s")
        self.after = after


class Work(Protocol):
    """Work that is done with jobs, such as assessing pictures; jobs whose work is equal share a batch."""

    def run(self, backend: Backend, jobs: Sequence[Job]) -> Iterator[Any]:
        """Yield the result of each job, in order. Raises BackendError where the model does not answer."""


@dataclass(eq=False)
class Job:
    """One picture, or one conversation, on its way. Cancel `done` to drop it.

    Attributes:
        name: for the log.
        data: what the work takes.
        work: what is done with it.
        watch: is called with the number of each round and its step, in the thread of a judge.
        done: the result; BackendError where the model does not answer.
    """

    name: str
    data: Any
    work: Work
    watch: Callable[[int, Step], None] | None = None
    done: Future[Any] = field(default_factory=Future)


class Batcher:
    """Threads with a model each, and the queue before them. A picture's score does not depend on its batch.

    Args:
        backends: the model, opened once for each thread.
        most: pictures of a batch at most; all with the same work.
        wait: seconds that a batch waits for more pictures.
        room: pictures that wait at most.
        seen: is called with each batch's number of pictures.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        most: int,
        wait: float,
        room: int,
        seen: Callable[[int], None] | None = None,
    ) -> None:
        self.most, self.wait, self.room = most, wait, room
        self._seen = seen
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._seconds = 0.3  # for a picture; a guess before the first batch
        self._threads = [
            threading.Thread(target=self._work, args=(backend,), name=f"judge {number}", daemon=True)
            for number, backend in enumerate(backends, start=1)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Pictures that wait."""
        with self._changed:
            self._drop_cancelled()
            return len(self._jobs)

    def put(self, jobs: Sequence[Job]) -> None:
        """Add jobs, all or none; raises QueueFull."""
        with self._changed:
            if len(self._jobs) + len(jobs) > self.room:
                self._drop_cancelled()
            if len(self._jobs) + len(jobs) > self.room:
                after = self._seconds * len(self._jobs) / len(self._threads)
                raise QueueFull(min(60, max(1, math.ceil(after))))
            self._jobs.extend(jobs)
            self._changed.notify_all()

    def close(self, seconds: float = 10.0) -> None:
        """Let the threads end what waits, and end them; give up on one that takes longer than `seconds`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        ends = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def _drop_cancelled(self) -> None:
        if any(job.done.cancelled() for job in self._jobs):
            self._jobs = deque(job for job in self._jobs if not job.done.cancelled())

    def _take(self) -> list[Job]:
        """Return the jobs of the next batch, all with the work of the first; none when it is closed."""
        with self._changed:
            while not self._jobs:
                if self._closing:
                    return []
                self._changed.wait()
            batch = [self._jobs.popleft()]
            ends = time.monotonic() + self.wait
            while True:
                others: deque[Job] = deque()
                while self._jobs and len(batch) < self.most:
                    job = self._jobs.popleft()
                    (batch if job.work == batch[0].work else others).append(job)
                self._jobs.extendleft(reversed(others))
                left = ends - time.monotonic()
                if len(batch) == self.most or left <= 0 or self._closing:
                    return batch
                self._changed.wait(left)

    def _work(self, backend: Backend) -> None:
        while batch := self._take():
            live = [job for job in batch if job.done.set_running_or_notify_cancel()]
            if not live:
                continue
            began = time.monotonic()
            if self._seen is not None:
                self._seen(len(live))
            self._run(backend, live)
            seconds = (time.monotonic() - began) / len(live)
            self._seconds += REMEMBERED * (seconds - self._seconds)
            del batch, live  # the pictures are not kept until the next ones come

    def _run(self, backend: Backend, batch: Sequence[Job]) -> None:
        """Do the work of a batch; where that fails for no reason of the model's, each job by itself."""
        try:
            for job, result in zip(batch, batch[0].work.run(backend, batch), strict=True):
                job.done.set_result(result)
        except Exception as error:  # whatever it is, the thread goes on
            left = [job for job in batch if not job.done.done()]
            if len(left) > 1 and not isinstance(error, BackendError):
                for job in left:
                    self._run(backend, [job])
                return
            if not isinstance(error, BackendError):
                log.exception("%s failed", left[0].name if left else "a batch")
            for job in left:
                job.done.set_exception(error)
