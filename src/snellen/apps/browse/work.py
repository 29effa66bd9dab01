"""Background work on an album: thumbnails for the groups, and scores of pictures without one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from snellen.apps.browse.album import Album
from snellen.apps.browse.thumbnail import Thumbnail
from snellen.apps.browse.thumbnails import Thumbnails
from snellen.assessment import Assessment, Step
from snellen.assessor import Assessor
from snellen.backend import BackendError
from snellen.reading import ImageError
from snellen.rows import to_row
from snellen.table import ScoreRow
from snellen.usage import complain

STEP = 500
"""Pictures between two reports of progress."""
NICENESS = 10
"""Of the threads that work in the background: the page is drawn, and its requests are answered, before them."""


def step_back() -> None:
    """Lower the priority of this thread, and of those that it starts. Only Linux knows one for a thread."""
    if sys.platform == "linux":
        with suppress(OSError):
            thread = threading.get_native_id()
            now = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, max(now, NICENESS))


def row_of(assessment: Assessment) -> ScoreRow:
    """Return the row of an assessment, without its settings but `score_only`: whether faults were not looked for."""
    steps = assessment.steps
    return replace(to_row(assessment), score_only=bool(steps) and steps[-1].parsed is None)


class Judge:
    """The model of an album, opened when it is needed first; one picture, or one batch, at a time.

    Args:
        opener: opens the model with its settings.
    """

    def __init__(self, opener: Callable[[], Assessor]) -> None:
        self._opener = opener
        self._assessor: Assessor | None = None
        self._lock = threading.Lock()

    def batch_size(self) -> int:
        """Return the number of pictures of a batch. Raises as the opener."""
        with self._lock:
            return self._open().batch_size

    def assess(self, files: Sequence[str], watch: Callable[[int, Step], None] | None = None) -> list[Assessment]:
        """Return the assessments of files; `watch` is called for each round. Raises BackendError and UsageError."""
        with self._lock:
            return list(self._open().stream(files, watch))

    def _open(self) -> Assessor:
        if self._assessor is None:
            self._assessor = self._opener()
        return self._assessor


class Work:
    """Threads that work on an album until they are done or `close` is called."""

    def __init__(self, album: Album, thumbnails: Thumbnails, judge: Judge | None) -> None:
        """judge: scores the pictures that have no score; None leaves them."""
        self.album, self.thumbnails, self.judge = album, thumbnails, judge
        self._failure = ""  # the reason why there are no more scores
        self._ended = threading.Event()
        jobs = [self._survey, *([self._score] if judge is not None else [])]
        self._threads = [threading.Thread(target=job, daemon=True, name=job.__name__) for job in jobs]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Let the threads end after the picture, or the batch, that they are at."""
        self._ended.set()

    def join(self) -> None:
        """Wait until the threads have ended."""
        for thread in self._threads:
            thread.join()

    def _survey(self) -> None:
        count = len(self.thumbnails.files)
        made: list[Thumbnail | None] = []
        with ThreadPoolExecutor(2, initializer=step_back) as pool:
            for start in range(0, count, STEP):
                made += pool.map(self._thumbnail, range(start, min(start + STEP, count)))
                if self._ended.is_set():
                    return
                if len(made) < count:
                    self._progress(f"Looking for near-duplicates: {len(made):,} of {count:,}")
        self.album.set_thumbnails(made)
        self._progress("")

    def _thumbnail(self, place: int) -> Thumbnail | None:
        if self._ended.is_set():
            return None
        try:
            made = self.thumbnails.make(place)
            return replace(made, jpeg=b"")
        except ImageError:  # the row of the picture says so
            return None

    def _score(self) -> None:
        assert self.judge is not None
        step_back()
        todo = [place for place, row in enumerate(self.album.rows) if row is None]
        if not todo:
            return
        try:
            size = self.judge.batch_size()
            for start in range(0, len(todo), size):
                if self._ended.is_set():
                    return
                places = todo[start : start + size]
                found = self.judge.assess([str(self.album.files[place]) for place in places])
                self.album.set_rows({place: row_of(one) for place, one in zip(places, found, strict=True)})
        except (BackendError, ValueError) as error:
            complain(str(error))
            self._failure = f"No more scores: {error}"
            self._progress("")

    def _progress(self, text: str) -> None:
        self.album.set_progress(text or self._failure)
