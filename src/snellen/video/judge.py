"""Assessment of a video or a sequence of views: scores of frames, temporal faults, assessments of worst moments."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.image import ImageError, Picture
from snellen.video.decode import Video, VideoInfo
from snellen.video.faults import TemporalFault, Track, find_faults
from snellen.video.frame import Frame
from snellen.video.moments import Moment, Worst
from snellen.video.pooling import Pooled, pool
from snellen.video.sampling import FRAMES, Sampler
from snellen.video.track import Tracker
from snellen.video.views import Views
from snellen.vocabulary import verdict

VIEW_RATE = 24.0
"""Views per second of a folder."""

Watch = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Plan:
    """Settings of a video's assessment.

    Attributes:
        frames: frames that are scored, evenly in time; the first frames of scenes come on top.
        budget: seconds that scoring may take, None for no limit.
        moments: worst moments that are assessed in full.
        rate: views per second of a folder.
        max_megapixels: larger videos are refused.
    """

    frames: int = FRAMES
    budget: float | None = None
    moments: int = 3
    rate: float = VIEW_RATE
    max_megapixels: float = 100.0


@dataclass(frozen=True)
class Scored:
    """Score of one frame. time in s; score 1..5, None with an error."""

    time: float
    score: float | None
    interval: tuple[float, float] | None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict: time, score, interval, label, error."""
        return {
            "time": round(self.time, 3),
            "score": None if self.score is None else round(self.score, 4),
            "interval": [round(end, 4) for end in self.interval] if self.interval else None,
            "label": None if self.score is None else verdict(self.score),
            "error": self.error,
        }


@dataclass(frozen=True, eq=False)
class VideoResult:
    """Result for a video.

    Attributes:
        info: what its header says; `seconds`, `frames`: what was decoded.
        pooled: None where no frame has a score.
        scored: the scores of frames, by time.
        faults: temporal faults, by start.
        moments: the worst moments, worst first, each with its full assessment.
        track: the measurements of all frames.
        notes: what was done to the frames.
        problems: what is wrong with the data; a result with problems is of what could be read.
    """

    info: VideoInfo
    seconds: float
    frames: int
    pooled: Pooled | None
    scored: tuple[Scored, ...]
    faults: tuple[TemporalFault, ...]
    moments: tuple[tuple[Moment, Assessment], ...]
    track: Track
    notes: tuple[str, ...]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict of the whole video, without the scores of frames and the assessments."""
        pooled = self.pooled
        return {
            "name": self.info.name,
            "codec": self.info.codec,
            "width": self.info.width,
            "height": self.info.height,
            "rate": round(self.info.rate, 3),
            "seconds": round(self.seconds, 3),
            "frames": self.frames,
            "scored": len(self.scored),
            "scenes": int(self.track.cut.sum()),
            "score": round(pooled.score, 4) if pooled else None,
            "interval": [round(pooled.low, 4), round(pooled.high, 4)]
            if pooled and pooled.low is not None and pooled.high is not None
            else None,
            "label": verdict(pooled.score) if pooled else None,
            "worst": round(pooled.worst, 4) if pooled else None,
            "faults": [fault.to_dict() for fault in self.faults],
            "notes": list(self.notes),
            "problems": list(self.problems),
        }


def open_sequence(source: str, plan: Plan) -> Video | Views:
    """Open a video file, an address, standard input ("-") or a folder of views. Raises ImageError."""
    if source != "-" and "://" not in source and Path(source).is_dir():
        return Views(Path(source), plan.rate, plan.max_megapixels)
    return Video(source, max_megapixels=plan.max_megapixels)


def judge(sequence: Video | Views, scorer: Assessor, full: Assessor | None, plan: Plan, watch: Watch) -> VideoResult:
    """Assess a sequence that was opened.

    scorer: gives the scores of frames (`score_only`); full: assesses the worst moments, None for none.
    `watch(kind, values)` is called on the way: "read" {time} for each decoded frame, "frame" for each score, "fault"
    for each temporal fault, "moment" {time, assessment} for each full assessment.

    Every frame is decoded and measured small; only the newest frame and the worst moments are kept in full.
    """
    tracker, worst = Tracker(), Worst(plan.moments)
    scored: list[Scored] = []
    problems: list[str] = []
    for frame in _until_broken(sequence, tracker, scorer, plan, scored, worst, problems):
        watch("read", {"time": frame.time})
        if scored and scored[-1].time == frame.time:
            watch("frame", scored[-1].to_dict())
    track = tracker.track()
    faults = find_faults(track, views=isinstance(sequence, Views))
    for fault in faults:
        watch("fault", fault.to_dict())
    moments = [(moment, full.assess([moment.picture])[0]) for moment in worst.moments()] if full else []
    for moment, assessment in moments:
        watch("moment", {"time": round(moment.time, 3), "assessment": assessment.to_dict()})
    seconds = float(track.time[-1]) + track.step if len(track.time) else 0.0
    good = [one for one in scored if one.score is not None]
    pooled = None
    if good:
        values = [one.score for one in good if one.score is not None]
        pooled = pool([one.time for one in good], values, [one.interval for one in good], seconds)
    return VideoResult(
        sequence.info, seconds, len(track.time), pooled, tuple(scored), tuple(faults), tuple(moments), track,
        sequence.notes, (*sequence.problems, *problems),
    )  # fmt: skip


def _until_broken(
    sequence: Video | Views, tracker: Tracker, scorer: Assessor, plan: Plan, scored: list[Scored], worst: Worst,
    problems: list[str],
) -> Iterator[Frame]:  # fmt: skip
    """Yield the frames, measured and, where they are due, scored."""
    sampler = Sampler(sequence.info.duration, plan.frames, plan.budget)
    for frame in sequence:
        cut = tracker.add(frame)
        if sampler.wants(frame.time, cut):
            began = clock.monotonic()
            picture, one = score_frame(frame, scorer)
            sampler.spent(clock.monotonic() - began)
            scored.append(one)
            if one.error is not None:
                problems.append(f"no score at {one.time:.2f} s: {one.error}")
            if one.score is not None and picture is not None:
                worst.add(Moment(frame.time, one.score, picture))
        yield frame


def score_frame(frame: Frame, scorer: Assessor) -> tuple[Picture | None, Scored]:
    """Return the picture of a frame and its score."""
    try:
        picture = frame.picture()
    except ImageError as error:
        return None, Scored(frame.time, None, None, error.problem)
    assessment = scorer.assess([picture])[0]
    if assessment.error is not None:
        return picture, Scored(frame.time, None, None, assessment.error.problem)
    return picture, Scored(frame.time, assessment.score, assessment.interval)
