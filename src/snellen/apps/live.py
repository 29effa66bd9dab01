"""`snellen live`: scores of a stream's newest frames, and alarms when the score stays below a line."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator
from pathlib import Path

from snellen.assessor import Assessor
from snellen.options import add_vlm_options, assessor_options
from snellen.usage import (
    FAILED,
    OK,
    UsageError,
    add_max_megapixels,
    add_model_options,
    complain,
    positive,
    visible,
    wrong_usage,
)
from snellen.video.decode import Video
from snellen.video.frame import Frame
from snellen.video.live import Alarm, LiveCounts, LiveScore, looped, watch_live


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen live`."""
    parser.add_argument(
        "source", metavar="SOURCE", help="a video file, a URL or device that FFmpeg opens, or - for standard input"
    )
    parser.add_argument("--below", metavar="SCORE", type=float, default=2.6, help="alarm below this score")
    parser.add_argument("--seconds", metavar="S", type=float, default=2.0, help="after so long below it")
    parser.add_argument("--loop", metavar="N", type=positive, default=1, help="play a file N times")
    parser.add_argument(
        "--format", metavar="NAME", help="FFmpeg's name of the input format, for a device or raw data: v4l2, x11grab"
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    parser.add_argument("--quiet", action="store_true", help="print alarms only")
    add_model_options(parser)
    add_max_megapixels(parser)
    add_vlm_options(parser)


def run(args: argparse.Namespace) -> int:
    """Watch the stream and print; return the exit code."""
    if not 1.0 < args.below <= 5.0 or args.seconds < 0:
        raise UsageError("--below is above 1 and at most 5, --seconds is 0 or more")
    file = args.source != "-" and "://" not in args.source and args.format is None and Path(args.source).is_file()
    if args.loop > 1 and not file:
        raise UsageError("--loop plays a file again; a stream plays once")
    with wrong_usage():
        scorer = Assessor(args.model, args.protocol, 1, 1, True, **assessor_options(args))
    stop, counts, alarm = threading.Event(), LiveCounts(), Alarm(args.below, args.seconds)
    problems: list[str] = []

    def frames() -> Iterator[Frame]:
        with Video(args.source, max_megapixels=args.max_megapixels, format=args.format) as video:
            yield from video
            problems.extend(problem for problem in video.problems if problem not in problems)

    for live in watch_live(looped(frames, args.loop, stop), scorer, counts, paced=file, stop=stop):
        one = live.scored
        if one.error is not None:
            complain(f"{args.source} at {one.time:.2f} s: no score ({one.error})")
            continue
        assert one.score is not None
        event = alarm.update(one.time, one.score)
        _show(live, event, args)
    summary = {"arrived": counts.arrived, "scored": counts.scored, "dropped": counts.dropped, "late": counts.late}
    if args.json:
        print(json.dumps({"type": "end", **summary, "problems": problems}), flush=True)
    elif not args.quiet:
        print(visible(", ".join(f"{count} {name}" for name, count in summary.items())), flush=True)
    for problem in problems:
        complain(f"{args.source}: {problem}")
    return FAILED if problems or not counts.scored else OK


def _show(live: LiveScore, event: str | None, args: argparse.Namespace) -> None:
    one = live.scored
    if args.json:
        values = {**one.to_dict(), "latency": round(live.latency, 3)}
        if not args.quiet:
            print(json.dumps({"type": "frame", **values}), flush=True)
        if event is not None:
            print(json.dumps({"type": event, **values}), flush=True)
        return
    if not args.quiet:
        print(f"{one.time:8.2f} s  {one.score:.2f}  {live.latency:.2f} s behind", flush=True)
    if event is not None:
        said = "below" if event == "alarm" else "not below"
        print(f"{event.upper()} at {one.time:.2f} s: score {said} {args.below:g} for {args.seconds:g} s", flush=True)
