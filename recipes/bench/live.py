"""Live assessment of a file that is looped, with a fault switched on and off: alarms, latency, and the rate at 720p.

    python recipes/bench/live.py PHOTOGRAPH --loops 3 --below 3.4

The clip: 6 s of a slow camera move over the photograph at 1280 x 720 px, 30 frames per second, then 6 s of the same
move out of focus (Gaussian blur of 8 px), and again. The alarm: below a score for 2 s, one between
those of the two parts, which differ from photograph to photograph. Prints JSON lines.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageFilter

from snellen import Assessor
from snellen.video.decode import Video
from snellen.video.frame import Frame
from snellen.video.judge import score_frame
from snellen.video.live import Alarm, LiveCounts, looped, watch_live

WIDTH, HEIGHT, RATE, PART = 1280, 720, 30, 6.0
SECONDS = 2.0


def make_clip(photo: Path, path: Path) -> None:
    """Write the clip: sharp for PART s, blurred for PART s."""
    count = round(PART * RATE)
    wide = Image.open(photo).convert("RGB").resize((WIDTH + 2 * count, HEIGHT + 4), Image.Resampling.LANCZOS)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for blurred, source in enumerate((wide, wide.filter(ImageFilter.GaussianBlur(8)))):
            for i in range(count):
                pixels = np.ascontiguousarray(np.asarray(source)[:HEIGHT, 2 * i : 2 * i + WIDTH])
                frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
                frame.pts, frame.time_base = blurred * count + i, Fraction(1, RATE)
                container.mux(stream.encode(frame))
        container.mux(stream.encode())


def speed(path: Path, scorer: Assessor, count: int = 10) -> dict[str, float]:
    """Return processor and clock seconds for scoring one frame, and processor seconds for decoding one."""
    with Video(str(path)) as video:
        frames = iter(video)
        for _ in range(3):
            score_frame(next(frames), scorer)
        wall, cpu = time.monotonic(), time.process_time()
        for _ in range(count):
            score_frame(next(frames), scorer)
        wall, cpu = (time.monotonic() - wall) / count, (time.process_time() - cpu) / count
        began = time.process_time()
        for _ in range(count):
            next(frames)
        return {"score_cpu": cpu, "score_wall": wall, "decode_cpu": (time.process_time() - began) / count}


def main() -> None:
    """Make the clip, measure the speed, play it, print the alarms with their delays and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("--loops", type=int, default=3)
    parser.add_argument("--below", type=float, default=2.6, help="score from which an alarm counts down (2.6)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "live.mp4"
        make_clip(args.photograph, path)
        scorer = Assessor(score_only=True)
        print(json.dumps(speed(path, scorer)), flush=True)

        def source() -> Iterator[Frame]:
            with Video(str(path)) as video:
                yield from video

        counts, stop, alarm = LiveCounts(), threading.Event(), Alarm(args.below, SECONDS)
        latencies, false = [], 0
        began = time.monotonic()
        for live in watch_live(looped(source, args.loops, stop), scorer, counts, paced=True, stop=stop):
            one = live.scored
            assert one.score is not None
            latencies.append(live.latency)
            event = alarm.update(one.time, one.score)
            if event is None:
                continue
            into = one.time % (2 * PART)
            faulty = into >= PART
            false += event == "alarm" and not faulty
            print(json.dumps({"event": event, "time": one.time, "after": into - PART if faulty else into}), flush=True)
        seconds = time.monotonic() - began
        print(
            json.dumps(
                {
                    "false_alarms": false,
                    "arrived": counts.arrived,
                    "scored": counts.scored,
                    "late": counts.late,
                    "dropped": counts.dropped,
                    "scored_per_s": counts.scored / seconds,
                    "latency_median": float(np.median(latencies)),
                    "latency_max": max(latencies),
                }
            )
        )


if __name__ == "__main__":
    main()
