"""Live assessment: the newest frame is scored, older ones are dropped and counted; alarms on low scores."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from snellen.assessor import Assessor
from snellen.image import ImageError
from snellen.video.frame import Frame
from snellen.video.judge import Scored, score_frame

LATENCY = 0.5
"""Seconds behind its time from which a frame is dropped unscored."""


class Alarm:
    """Alarm that is raised when scores stay below a line for some seconds, and cleared when they stay above as long."""

    def __init__(self, line: float, seconds: float) -> None:
        self.raised = False
        self._line, self._seconds = line, seconds
        self._since: float | None = None

    def update(self, time: float, score: float) -> str | None:
        """Return "alarm" or "clear" where this score changes the state, else None. time in s, increasing."""
        crossed = (score < self._line) != self.raised
        if not crossed:
            self._since = None
            return None
        self._since = time if self._since is None else self._since
        if time - self._since < self._seconds:
            return None
        self._since, self.raised = None, not self.raised
        return "alarm" if self.raised else "clear"


class Newest:
    """A place for one frame. Putting another one in drops the one that nobody took; both are counted."""

    def __init__(self) -> None:
        self.arrived = self.dropped = 0
        self._waiting: tuple[Frame, float] | None = None
        self._ended = False
        self._change = threading.Condition()

    def put(self, frame: Frame, due: float) -> None:
        """Leave a frame. due: the clock's time, s, at which it is shown."""
        with self._change:
            self.arrived += 1
            self.dropped += self._waiting is not None
            self._waiting = frame, due
            self._change.notify()

    def end(self) -> None:
        """Say that no frame follows."""
        with self._change:
            self._ended = True
            self._change.notify()

    def take(self) -> tuple[Frame, float] | None:
        """Wait for a frame and return it with its due time; None at the end."""
        with self._change:
            self._change.wait_for(lambda: self._waiting is not None or self._ended)
            taken, self._waiting = self._waiting, None
            return taken


class Pace:
    """Due times of frames: the earliest that a frame can be shown sets the clock for all; late ones do not move it."""

    def __init__(self) -> None:
        self._origin: float | None = None

    def due(self, time: float, now: float) -> float:
        """Return the clock's time at which a frame with a time of the source is due."""
        if self._origin is None or now - time < self._origin:
            self._origin = now - time
        return self._origin + time


@dataclass(frozen=True)
class LiveScore:
    """A score of a live frame. latency: seconds from the time that the frame was due to its score."""

    scored: Scored
    latency: float


@dataclass
class LiveCounts:
    """Counts of a live run. dropped: frames that were not scored; late: scores that came after LATENCY."""

    arrived: int = 0
    scored: int = 0
    dropped: int = 0
    late: int = 0


def watch_live(
    frames: Iterator[Frame], scorer: Assessor, counts: LiveCounts, *, paced: bool, stop: threading.Event
) -> Iterator[LiveScore]:
    """Yield scores of the newest frames until the source ends or `stop` is set; `counts` grows on the way.

    A thread decodes. paced: frames are held back until they are due, as a file is played; a source that sends in its
    own time is not. Only the newest frame waits; one that is LATENCY behind when its turn comes is dropped, so a score
    is at most LATENCY and the time of one scoring behind. Errors of the source end the run and are raised here.
    """
    newest, failure = Newest(), []

    def decode() -> None:
        try:
            _feed(frames, newest, paced, stop)
        except Exception as error:  # raised again where the scores are read
            failure.append(error)
        finally:
            newest.end()

    thread = threading.Thread(target=decode, name="decoder", daemon=True)
    thread.start()
    try:
        while (taken := newest.take()) is not None:
            frame, due = taken
            counts.arrived = newest.arrived
            if clock.monotonic() - due > LATENCY:
                counts.dropped = newest.arrived - counts.scored
                continue
            _, scored = score_frame(frame, scorer)
            latency = clock.monotonic() - due
            counts.scored += 1
            counts.late += latency > LATENCY
            counts.arrived, counts.dropped = newest.arrived, newest.arrived - counts.scored
            yield LiveScore(scored, latency)
    finally:
        stop.set()
        thread.join(timeout=LATENCY)
    counts.arrived, counts.dropped = newest.arrived, newest.arrived - counts.scored
    if failure:
        raise failure[0]


def _feed(frames: Iterator[Frame], newest: Newest, paced: bool, stop: threading.Event) -> None:
    """Put frames, at their times where paced, until the source ends or `stop` is set."""
    pace = Pace()
    began = clock.monotonic()
    for frame in frames:
        due = began + frame.time if paced else pace.due(frame.time, clock.monotonic())
        if stop.wait(max(0.0, due - clock.monotonic()) if paced else 0.0):
            return
        newest.put(frame, due)


def looped(open_source: Callable[[], Iterator[Frame]], loops: int | None, stop: threading.Event) -> Iterator[Frame]:
    """Yield the frames of a source again and again, their times going on. loops: None for ever.

    Raises ImageError where the source cannot be read.
    """
    offset, done = 0.0, 0
    while not stop.is_set() and (loops is None or done < loops):
        last, before = offset, offset
        for frame in open_source():
            before, last = last, offset + frame.time
            yield Frame(last, frame.small, frame.picture)
        offset = last + max(last - before, 0.001)
        done += 1
        if last == before and loops is None:
            raise ImageError("unreadable", "the source", "has one frame only", "give a video")
