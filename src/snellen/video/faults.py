"""Temporal faults of a sequence, from the measurements of its frames. Plain functions: series in, spans out.

A series has one value for each frame; the first frame of a sequence has no change. Times are in seconds.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snellen.video.motion import STILL

Series = NDArray[np.float64]

LIMITS: dict[str, tuple[str, tuple[float, float, float, float]]] = {
    "black": ("seconds", (0.5, 1.0, 2.0, 4.0)),
    "freeze": ("seconds", (0.7, 1.0, 2.0, 4.0)),
    "dropped frames": ("motion of the largest step over that of its neighbours", (2.5, 3.5, 5.0, 8.0)),
    "repeated frames": ("frames in the longest repeat", (2, 3, 5, 8)),
    "judder": ("irregular steps per second", (5, 7, 9, 12)),
    "shake": ("root mean square of the position, % of the long side", (0.7, 1.2, 2.0, 3.5)),
    "flicker": ("median change of brightness, %", (4, 8, 15, 30)),
    "exposure pumping": ("median change of brightness, %", (10, 16, 25, 40)),
    "banding": ("root mean square of the rows' brightness between frames, %", (4, 6, 10, 16)),
    "popping": ("change of a part of the picture over that of its neighbours in time", (5, 8, 12, 20)),
}
"""Kind of temporal fault -> what its `value` is, and the values from which severity is 2, 3, 4 and 5.

The limits are ours: no opinions of people on temporal faults went into them. `banding` means stripes that roll through
the picture; contours in smooth gradients are a kind of fault of a still picture.
"""
TEMPORAL_KINDS = tuple(LIMITS)

BLACK_SECONDS, FREEZE_SECONDS = 0.2, 0.4
JUDDER_RATE = 4
"""Irregular steps within a second from which they are judder."""
FLICKER_SWING, PUMPING_SWING = 0.03, 0.08
"""Smallest swing of brightness, log2 of gamma-coded luminance: 2 % and 6 %."""
FASTEST_PUMPING, SLOWEST_PUMPING = 0.2, 2.5
"""Seconds of a swing, from dark to bright or back: shorter ones are flicker, longer ones the scene itself."""
FEWEST_SWINGS = 4
LEAST_SHAKE = 0.004
LEAST_STRIPES = 0.03
JUMP = 1.7
"""Motion of a step over that of its neighbours from which frames are missing: 2 where one is."""
LEAST_MOTION = 0.002
"""Motion between frames, as a share of the long side, below which missing frames do not show."""
UNSTEADY = 0.3
"""Median deviation of the neighbours' motion, over their motion, from which a jump is not told from shake."""
_TRUST = 0.05
_AROUND = 0.4


@dataclass(frozen=True)
class TemporalFault:
    """A fault with a time span. kind: see `TEMPORAL_KINDS`; severity 1..5; start, end in s; value: see `LIMITS`."""

    kind: str
    severity: int
    start: float
    end: float
    value: float

    def to_dict(self) -> dict[str, str | int | float]:
        """Return a JSON-able dict: kind, severity, start, end, value, unit."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "value": round(self.value, 3),
            "unit": LIMITS[self.kind][0],
        }


@dataclass(frozen=True, eq=False)
class Track:
    """Measurements of the frames of a sequence, each (N,); see `motion.Change`. Row 0 of the changes is 0.

    Attributes:
        time: of each frame, increasing.
        x, y, trust, change, local, gain, stripes: against the frame before.
        bright: 99th percentile of the small frame's luminance, 0..255.
        cut: 1 where a scene begins, the first frame included.
    """

    time: Series
    x: Series
    y: Series
    trust: Series
    change: Series
    local: Series
    gain: Series
    stripes: Series
    bright: Series
    cut: Series

    @property
    def step(self) -> float:
        """Median time between frames, s."""
        return float(np.median(np.diff(self.time))) if len(self.time) > 1 else 0.0


def find_faults(track: Track, *, views: bool = False) -> list[TemporalFault]:
    """Return the temporal faults, by start. views: rendered views, where popping is looked for too."""
    if len(track.time) < 3:
        return []
    still = (track.change < STILL) & (track.cut == 0)
    dark = black_frames(track)
    found = [*_black(track, dark), *_frozen(track, still & ~dark)]
    frozen = [(fault.start, fault.end) for fault in found]
    events = [one for one in irregular_steps(track, still) if not _inside(track.time[one.index], frozen, track.step)]
    found += cadence_faults(track, events)
    found += _shake(track, still, {event.index for event in events})
    found += _brightness(track)
    found += _banding(track, dark)
    found += _popping(track) if views else []
    return sorted(found, key=lambda fault: (fault.start, fault.kind))


def fault(kind: str, start: float, end: float, value: float) -> TemporalFault:
    """Return a fault with the severity that its value has by `LIMITS`."""
    return TemporalFault(kind, 1 + bisect.bisect_right(LIMITS[kind][1], value), float(start), float(end), float(value))


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last index of each run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(first), int(end) - 1) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def local_median(values: Series, time: Series, usable: NDArray[np.bool_], around: float = _AROUND) -> Series:
    """Return, for each frame, the median of the usable values within `around` s of it, itself left out; else NaN."""
    medians = np.full(len(values), np.nan)
    first, end = np.searchsorted(time, time - around), np.searchsorted(time, time + around, side="right")
    for i in range(len(values)):
        near = np.arange(first[i], end[i])
        near = near[usable[near] & (near != i)]
        if len(near):
            medians[i] = np.median(values[near])
    return medians


def black_frames(track: Track) -> NDArray[np.bool_]:
    """Return which frames are black: 99 % of the picture below 24 of 255, which leaves room for coding noise."""
    return track.bright < 24.0


def _black(track: Track, dark: NDArray[np.bool_]) -> list[TemporalFault]:
    spans = [(track.time[a], track.time[b] + track.step) for a, b in runs(dark)]
    return [fault("black", a, b, b - a) for a, b in spans if b - a >= BLACK_SECONDS]


def _frozen(track: Track, still: NDArray[np.bool_]) -> list[TemporalFault]:
    spans = [(track.time[a - 1], track.time[b] + track.step) for a, b in runs(still) if a > 0]
    return [fault("freeze", a, b, b - a) for a, b in spans if b - a >= FREEZE_SECONDS]


def _inside(time: float, spans: Iterable[tuple[float, float]], margin: float) -> bool:
    return any(a - margin <= time <= b + margin for a, b in spans)


@dataclass(frozen=True)
class IrregularStep:
    """A step between frames that breaks the motion. value: frames of a repeat; a jump over its neighbours.

    index: its last frame; first: its first. kind: "repeated frames" or "dropped frames".
    """

    index: int
    first: int
    kind: str
    value: float


def irregular_steps(track: Track, still: NDArray[np.bool_]) -> list[IrregularStep]:
    """Return repeats and jumps among moving frames, by time.

    A repeat: the change is below 15 % of its neighbours', and they change by twice STILL or more. A jump: the motion is
    JUMP times its neighbours', which is steady, and has their direction; or time and change both jump. A repeat with a
    jump behind it is one step, of dropped frames: the frame that was lost was filled with the one before.
    """
    inner = track.cut == 0
    usual = local_median(track.change, track.time, inner & ~still)
    repeat = inner & (track.change < 0.15 * usual) & (usual > 2 * STILL)
    moving = inner & ~repeat & ~still & (track.trust > _TRUST)
    mx, my = (local_median(axis, track.time, moving) for axis in (track.x, track.y))
    near, length = np.hypot(mx, my), np.hypot(track.x, track.y)
    unsteady = local_median(np.hypot(track.x - mx, track.y - my), track.time, moving)
    with np.errstate(invalid="ignore", divide="ignore"):
        along = (track.x * mx + track.y * my) / np.maximum(length * near, 1e-12)
        jump = moving & (near > LEAST_MOTION) & (length > JUMP * near) & (along > 0.8)
        jump &= unsteady < UNSTEADY * near
        late = np.concatenate(([0.0], np.diff(track.time))) > JUMP * max(track.step, 1e-9)
        jump |= inner & late & (track.change > 1.5 * usual) & (usual > 2 * STILL)
        excess = np.where(near > LEAST_MOTION, length / near, track.change / usual)
    found = []
    for first, last in runs(repeat):
        caught_up = last + 1 < len(jump) and jump[last + 1]
        if caught_up:
            jump[last + 1] = False
            found.append(IrregularStep(last + 1, first, "dropped frames", float(excess[last + 1])))
        else:
            found.append(IrregularStep(last, first, "repeated frames", float(last - first + 1)))
    found += [IrregularStep(int(i), int(i), "dropped frames", float(excess[i])) for i in np.flatnonzero(jump)]
    return sorted(found, key=lambda event: event.index)


def cadence_faults(track: Track, events: Sequence[IrregularStep]) -> list[TemporalFault]:
    """Return judder where JUDDER_RATE steps or more are irregular within a second; the other steps by themselves."""
    times = np.array([track.time[event.index] for event in events])
    juddering = np.zeros(len(events), bool)
    for i in range(len(events)):
        end = int(np.searchsorted(times, times[i] + 1.0))
        if end - i >= JUDDER_RATE:
            juddering[i:end] = True
    found = []
    for a, b in runs(juddering):
        span = max(1.0, float(times[b] - times[a]))
        found.append(fault("judder", track.time[events[a].first - 1], times[b], (b - a + 1) / span))
    for event in (event for event, part in zip(events, juddering, strict=True) if not part):
        start, end = track.time[event.first - 1], track.time[event.index]
        last = found[-1] if found else None
        if last is not None and last.kind == event.kind and start - last.end < _AROUND:
            found[-1] = fault(event.kind, last.start, end, max(last.value, event.value))
        else:
            found.append(fault(event.kind, start, end, event.value))
    return found


def moving_mean(values: Series, time: Series, around: float) -> Series:
    """Return the mean of the values within `around` s of each frame; near the ends of the series, of fewer, evenly."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    index = np.arange(len(values))
    before = index - np.searchsorted(time, time - around)
    after = np.searchsorted(time, time + around, side="right") - 1 - index
    reach = np.minimum(before, after)
    mean: Series = (sums[index + reach + 1] - sums[index - reach]) / (2 * reach + 1)
    return mean


def shake_strength(x: Series, y: Series, time: Series) -> Series:
    """Return the root mean square, within 0.5 s of each frame, of the position around the path smoothed over 0.5 s.

    x, y: motion since the frame before, as a share of the long side.
    """
    wobble = np.zeros(len(x))
    for moves in (x, y):
        place = np.cumsum(moves)
        wobble += (place - moving_mean(place, time, 0.25)) ** 2
    return np.sqrt(np.maximum(moving_mean(wobble, time, 0.5), 0.0))


def _shake(track: Track, still: NDArray[np.bool_], irregular: set[int]) -> list[TemporalFault]:
    """Return shake: positions leave their smoothed path and turn back several times. Irregular steps are left out."""
    found = []
    for first, end in scenes(track):
        keep = np.array([i for i in range(first, end) if i == first or not (still[i] or i in irregular)])
        x, y = (np.where(track.trust[keep] > _TRUST, axis[keep], 0.0) for axis in (track.x, track.y))
        x[0] = y[0] = 0.0
        time = track.time[keep]
        strength = shake_strength(x, y, time)
        turns = _turns(x) + _turns(y)
        for a, b in runs(strength > LEAST_SHAKE):
            turned = a + np.flatnonzero(turns[a : b + 1])
            seconds = time[turned[-1]] - time[turned[0]] if len(turned) else 0.0
            if seconds >= 0.3 and turns[turned].sum() >= max(3.0, 3.0 * seconds):
                level = 100 * float(np.median(strength[turned[0] : turned[-1] + 1]))
                found.append(fault("shake", time[turned[0]], time[turned[-1]], level))
    return found


def _turns(moves: Series) -> Series:
    """Return 1 where the motion along an axis turns round between a frame and the next, by a thousandth or more."""
    turned = (moves[:-1] * moves[1:] < 0) & (np.abs(moves[1:] - moves[:-1]) > 0.002)
    return np.concatenate((turned.astype(np.float64), [0.0]))


def scenes(track: Track) -> list[tuple[int, int]]:
    """Return first and end index (exclusive) of each scene."""
    starts = [int(i) for i in np.flatnonzero(track.cut)]
    return list(zip(starts, [*starts[1:], len(track.cut)], strict=True))


def swings(values: Series, least: float) -> list[tuple[int, int]]:
    """Return the swings of a series: pairs of indices (turning point, next turning point), each of `least` or more.

    A turning point is final once the series has gone back by `least` (zigzag). The part before the first turning point
    and the part behind the last are swings too, if they are large enough.
    """
    turning, low, high, way = [], 0, 0, 0
    for i in range(1, len(values)):
        if values[i] > values[high]:
            high = i
        if values[i] < values[low]:
            low = i
        if way >= 0 and values[high] - values[i] >= least:
            turning.append(high)
            way, low, high = -1, i, i
        elif way <= 0 and values[i] - values[low] >= least:
            turning.append(low)
            way, low, high = 1, i, i
    if turning and way != 0:
        turning.append(high if way > 0 else low)
    return [(a, b) for a, b in zip(turning, turning[1:], strict=False) if abs(values[b] - values[a]) >= least]


def departure(values: Series, turn: int, other: int) -> int:
    """Return the last index, on the way from a turning point to the other, at which the series is still near the first.

    Near: within a tenth of the swing. A level stretch before a swing is thus no part of it.
    """
    way = np.arange(turn, other, 1 if other > turn else -1)
    near = np.abs(values[way] - values[turn]) <= 0.1 * abs(values[other] - values[turn])
    return int(way[np.flatnonzero(near)[-1]])


def _brightness(track: Track) -> list[TemporalFault]:
    """Return flicker and exposure pumping: swings of the brightness path, fast and slow."""
    path = np.cumsum(np.where(track.cut == 0, track.gain, 0.0))
    smooth = moving_mean(path, track.time, 0.1)
    found = _swinging("flicker", path, track, FLICKER_SWING, (0.0, FASTEST_PUMPING))
    slow = _swinging("exposure pumping", smooth, track, PUMPING_SWING, (FASTEST_PUMPING, SLOWEST_PUMPING))
    return found + slow


def _swinging(kind: str, path: Series, track: Track, least: float, seconds: tuple[float, float]) -> list[TemporalFault]:
    """Return spans of FEWEST_SWINGS or more swings, each of a duration between the given ones, one after another."""
    found = []
    cuts = np.cumsum(track.cut)
    group: list[tuple[int, int]] = []

    def close() -> None:
        if len(group) >= FEWEST_SWINGS:
            sizes = [abs(path[b] - path[a]) for a, b in group]
            value = 100 * (2 ** float(np.median(sizes)) - 1)
            first, last = departure(path, *group[0]), departure(path, *group[-1][::-1])
            found.append(fault(kind, track.time[first], track.time[last], value))
        group.clear()

    for a, b in swings(path, least):
        fits = seconds[0] < track.time[b] - track.time[a] <= seconds[1] and cuts[a] == cuts[b]
        if not fits or (group and group[-1][1] != a):
            close()
        if fits:
            group.append((a, b))
    close()
    return found


def _banding(track: Track, dark: NDArray[np.bool_]) -> list[TemporalFault]:
    strength = np.where((track.cut == 0) & ~dark, track.stripes, 0.0)
    smooth = np.sqrt(np.maximum(moving_mean(strength**2, track.time, 0.25), 0.0))
    often = moving_mean((strength > LEAST_STRIPES / 2).astype(np.float64), track.time, 0.25) > 0.6
    found = []
    for a, b in runs((smooth > LEAST_STRIPES) & often):
        if track.time[b] - track.time[a] >= 0.3:
            value = 100 * (2 ** float(np.median(smooth[a : b + 1])) - 1)
            found.append(fault("banding", track.time[a], track.time[b], value))
    return found


def _popping(track: Track) -> list[TemporalFault]:
    """Return steps at which a part of the picture changes 3 times as much as in the steps around, beyond its motion."""
    inner = track.cut == 0
    usual = np.maximum(local_median(track.local, track.time, inner), 0.5)
    pops = inner & (track.local > 4.0) & (track.local > 3.0 * usual)
    return [
        fault("popping", track.time[max(0, a - 1)], track.time[b], float((track.local / usual)[a : b + 1].max()))
        for a, b in runs(pops)
    ]
