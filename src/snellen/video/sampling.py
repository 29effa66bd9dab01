"""Choice of the frames that are scored: evenly in time, the first of each scene, within a number or a time budget."""

from __future__ import annotations

FRAMES = 60
"""Frames scored by default."""
UNKNOWN_STEP = 1.0
"""Seconds between scored frames where the duration is unknown."""


class Sampler:
    """Chooses the frames that are scored.

    Every `interval` s, at most `frames` over the duration, and the first frame of each scene unless one was scored less
    than a quarter of the interval ago. With a budget in seconds the interval grows, so that the rest fits.

    duration: of the video, s, None where unknown.
    """

    def __init__(self, duration: float | None, frames: int = FRAMES, budget: float | None = None) -> None:
        self.interval = UNKNOWN_STEP if not duration else duration / frames
        self._duration, self._budget = duration, budget
        self._next, self._last = 0.0, -float("inf")
        self._spent, self._count = 0.0, 0

    def wants(self, time: float, cut: bool) -> bool:
        """Return whether the frame at `time` is scored; if so, count it."""
        if self._budget is not None and self._spent >= self._budget:
            return False
        if time < self._next - 1e-6 and not (cut and time - self._last >= self.interval / 4):
            return False
        self._last = time
        self._next = time + self.interval if cut else max(self._next + self.interval, time)
        return True

    def spent(self, seconds: float) -> None:
        """Count the seconds that scoring the last frame took."""
        self._spent += seconds
        self._count += 1
        if self._budget is None or not self._duration:
            return
        left = max(1e-9, self._budget - self._spent)
        rest = max(0.0, self._duration - self._last)
        self.interval = max(self.interval, rest * (self._spent / self._count) / left)
        self._next = max(self._next, self._last + self.interval)
