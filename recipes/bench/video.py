"""Video on clips with known truth: codec ladders beside PSNR, and temporal faults with known spans.

    python recipes/bench/video.py PHOTOGRAPHS --clips 4                # a folder of photographs
    python recipes/bench/video.py PHOTOGRAPHS --only faults --strength 0.5 --kbits 200

    python recipes/bench/video.py PHOTOGRAPHS --only ladders --ffmpeg FFMPEG_WITH_LIBVMAF

Each photograph becomes a clip by a slow camera move, 640 x 360 px, 30 frames per second. Ladders: x264, x265, SVT-AV1
and VP9 at several bit rates; score (one round, frames evenly in time), PSNR of luminance and, by an FFmpeg that has
libvmaf (the one in the package imageio-ffmpeg does), VMAF at the size of the clip. Faults: each is injected
into each clip at a known span, the clip is encoded by x264 at CRF 23 or at a bit rate; a found fault is right where
kind and time agree. --strength scales how strong the faults are; --first leaves out photographs that were used before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from snellen import Assessor
from snellen.video.decode import Video
from snellen.video.faults import TEMPORAL_KINDS, TemporalFault, find_faults
from snellen.video.judge import Plan, judge
from snellen.video.track import Tracker

Pixels = NDArray[np.uint8]
WIDTH, HEIGHT, RATE = 640, 360, 30
RATES = (60, 150, 400, 1200)
"""Bit rates of the ladders, kbit/s."""
CODECS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "10"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}
SPAN = (45, 75)
"""First and last frame of an injected fault that has a span."""


def camera_move(photo: Image.Image, count: int, seed: int) -> list[Pixels]:
    """Return frames of a smooth move over a photograph, about 1.5 px a frame, sampled at fractions of a pixel."""
    rng = np.random.default_rng(seed)
    scale = max((WIDTH + 1.6 * count) / photo.width, (HEIGHT + 1.0 * count) / photo.height)
    wide = photo.resize((round(photo.width * scale) + 2, round(photo.height * scale) + 2), Image.Resampling.LANCZOS)
    sx, sy = 1.5, float(rng.uniform(0.1, 0.8))
    return [
        np.asarray(
            wide.transform(
                (WIDTH, HEIGHT), Image.Transform.AFFINE, (1, 0, sx * i, 0, 1, sy * i), Image.Resampling.BICUBIC
            )
        )
        for i in range(count)
    ]


def encode(path: Path, frames: list[Pixels], codec: str, kbits: int | None) -> None:
    """Write frames with a codec at a bit rate, or at CRF 23; ffv1 without loss."""
    options = dict(CODECS.get(codec, {})) | ({} if kbits or codec == "ffv1" else {"crf": "23"})
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if kbits:
            stream.bit_rate = kbits * 1000
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if hasattr(os, "sched_setscheduler"):  # SVT-AV1, run by root, leaves the process at real-time priority 99
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def psnr(path: Path, frames: list[Pixels]) -> float:
    """Return the PSNR of the luminance of a coded clip, dB, over all frames together."""
    with av.open(str(path)) as container:
        coded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    weights = np.array([0.299, 0.587, 0.114])
    errors = [
        float((((one.astype(np.float64) - two) @ weights) ** 2).mean()) for one, two in zip(frames, coded, strict=True)
    ]
    return float(10 * np.log10(255**2 / max(float(np.mean(errors)), 1e-9)))


def vmaf(path: Path, reference: Path, ffmpeg: str) -> float:
    """Return the mean VMAF (default model, v0.6.1) of a coded clip over its frames."""
    log = path.with_suffix(".json")
    graph = f"[0:v]settb=AVTB,setpts=N[a];[1:v]settb=AVTB,setpts=N[b];[a][b]libvmaf=log_fmt=json:log_path={log}"
    command = [ffmpeg, "-loglevel", "error", "-i", str(path), "-i", str(reference), "-lavfi", graph, "-f", "null", "-"]
    subprocess.run(command, check=True)
    return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])


def ladders(
    clips: dict[str, list[Pixels]], folder: Path, codecs: list[str], ffmpeg: str | None
) -> list[dict[str, Any]]:
    """Return score, PSNR and, with an FFmpeg that has libvmaf, VMAF of each clip, codec and bit rate."""
    scorer = Assessor(score_only=True)
    rows = []
    for name, frames in clips.items():
        reference = folder / "reference.mkv"
        encode(reference, frames[:60], "ffv1", None)
        for codec in codecs:
            for kbits in RATES:
                path = folder / "ladder.mkv"
                encode(path, frames[:60], codec, kbits)
                plan = Plan(frames=2, moments=0)
                with Video(str(path)) as video:
                    result = judge(video, scorer, None, plan, lambda kind, values: None)
                assert result.pooled is not None
                row = {
                    "clip": name, "codec": codec, "asked": kbits, "kbits": path.stat().st_size * 8 / 2000,
                    "score": result.pooled.score, "psnr": psnr(path, frames[:60]), "faults": len(result.faults),
                }  # fmt: skip
                if ffmpeg:
                    row["vmaf"] = vmaf(path, reference, ffmpeg)
                rows.append(row)
                print(json.dumps(row), flush=True)
    return rows


def monotone(rows: list[dict[str, Any]], key: str) -> tuple[int, int]:
    """Return how many pairs of neighbouring bit rates rise in `key`, and how many there are."""
    rising = total = 0
    for first, second in zip(rows, rows[1:], strict=False):
        if (first["clip"], first["codec"]) == (second["clip"], second["codec"]):
            total += 1
            rising += second[key] > first[key]
    return rising, total


def agreement(rows: list[dict[str, Any]], keys: Sequence[str]) -> dict[str, list[float]]:
    """Return the rank correlation of the score with each key over all encodings of a clip, clip by clip."""
    clips = sorted({row["clip"] for row in rows})
    groups = [[row for row in rows if row["clip"] == clip] for clip in clips]
    return {
        key: [round(float(spearmanr([r["score"] for r in g], [r[key] for r in g])[0]), 2) for g in groups]
        for key in keys
    }


def _gain(frames: list[Pixels], gain: Callable[[int], float]) -> list[Pixels]:
    a, b = SPAN
    return [
        np.clip(frame * gain(i), 0, 255).astype(np.uint8) if a <= i <= b else frame for i, frame in enumerate(frames)
    ]


def _rolled(frames: list[Pixels], strength: float) -> list[Pixels]:
    rows = np.arange(HEIGHT)[:, None, None] / (HEIGHT / 2)
    a, b = SPAN
    return [
        np.clip(frame * (1 + 0.1 * strength * np.sin(2 * np.pi * (rows + i / 7))), 0, 255).astype(np.uint8)
        if a <= i <= b
        else frame
        for i, frame in enumerate(frames)
    ]


def _shaken(frames: list[Pixels], rng: np.random.Generator, strength: float) -> list[Pixels]:
    a, b = SPAN
    shaken = list(frames)
    for i in range(a, b + 1):
        down, right = (int(move) for move in rng.normal(0, 8 * strength, 2))
        shaken[i] = np.roll(frames[i], (down, right), (0, 1))
    return shaken


def injected(
    frames: list[Pixels], seed: int, strength: float
) -> Iterator[tuple[str, list[Pixels], tuple[int, int] | None]]:
    """Yield a kind, a clip of 120 frames with that fault, and its first and last frame; "none": the clip itself."""
    rng, (a, b) = np.random.default_rng(seed), SPAN
    clean = frames[:120]
    yield "none", clean, None
    yield "black", [*clean[:a], *[np.full_like(clean[0], 2)] * (b - a + 1), *clean[b + 1 :]], SPAN
    yield "freeze", [*clean[:a], *[clean[a]] * (b - a + 1), *clean[b + 1 :]], SPAN
    lost = max(1, round(2 * strength))
    yield "repeated frames", [*clean[: a + 1], *[clean[a]] * lost, *clean[a + 1 : -lost]], (a, a + lost)
    yield "dropped frames", [*frames[: a + 1], *frames[a + 1 + lost : 120 + lost]], (a, a + 1)
    uneven = [i - 1 if a <= i <= b and i % 4 == 0 else i for i in range(120)]
    yield "judder", [clean[i] for i in uneven], SPAN
    yield "shake", _shaken(clean, rng, strength), SPAN
    yield "flicker", _gain(clean, lambda i: 1.0 if i % 2 else 1 - 0.08 * strength), SPAN
    yield "exposure pumping", _pumping(clean, strength), (15, 105)
    yield "banding", _rolled(clean, strength), SPAN


def _pumping(frames: list[Pixels], strength: float) -> list[Pixels]:
    return [
        np.clip(frame * (1 - 0.15 * strength * (1 - np.cos(2 * np.pi * (i - 15) / 30)) / 2), 0, 255).astype(np.uint8)
        if 15 <= i <= 105
        else frame
        for i, frame in enumerate(frames)
    ]


def found_in(path: Path) -> list[TemporalFault]:
    """Return the temporal faults of a coded clip."""
    tracker = Tracker()
    with Video(str(path)) as video:
        for frame in video:
            tracker.add(frame)
    return find_faults(tracker.track())


def overlaps(fault: TemporalFault, span: tuple[int, int], slack: float = 0.2) -> bool:
    """Return whether a fault's time meets the injected frames, give or take `slack` s."""
    return fault.start <= span[1] / RATE + slack and fault.end >= span[0] / RATE - slack


def iou(fault: TemporalFault, span: tuple[int, int]) -> float:
    """Return the intersection over union of a fault's time and the injected one."""
    start, end = span[0] / RATE, (span[1] + 1) / RATE
    shared = max(0.0, min(fault.end, end) - max(fault.start, start))
    return shared / (max(fault.end, end) - min(fault.start, start))


def faults(
    clips: dict[str, list[Pixels]], folder: Path, strength: float, kbits: int | None
) -> dict[str, dict[str, float]]:
    """Return, for each kind: injected, found, right and wrong alarms of that kind over all clips, mean IoU in time."""
    columns = ("injected", "found", "right", "wrong", "iou")
    counts = {kind: dict.fromkeys(columns, 0.0) for kind in TEMPORAL_KINDS if kind != "popping"}
    for number, (name, frames) in enumerate(clips.items()):
        for kind, spoiled, span in injected(frames, number, strength):
            path = folder / "fault.mp4"
            encode(path, spoiled, "libx264", kbits)
            found = found_in(path)
            right = [one for one in found if one.kind == kind and span is not None and overlaps(one, span)]
            if kind != "none":
                counts[kind]["injected"] += 1
                counts[kind]["found"] += bool(right)
                if span is not None and right:
                    counts[kind]["iou"] += max(iou(one, span) for one in right)
            for one in found:
                counts[one.kind]["right" if one in right else "wrong"] += 1
            print(json.dumps({"clip": name, "injected": kind, "found": [one.to_dict() for one in found]}), flush=True)
    for row in counts.values():
        row["iou"] = round(row["iou"] / max(1.0, row["found"]), 2)
    return counts


def main() -> None:
    """Run both parts and print JSON lines, then two summaries."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--kbits", type=int)
    parser.add_argument("--only", choices=("ladders", "faults"))
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=list(CODECS))
    parser.add_argument("--ffmpeg", help="an ffmpeg with libvmaf: ladders beside VMAF too")
    args = parser.parse_args()
    paths = sorted(path for path in args.photographs.iterdir() if path.suffix.lower() in (".png", ".jpg"))
    paths = paths[args.first : args.first + args.clips]
    clips = {path.name: camera_move(Image.open(path).convert("RGB"), 124, n) for n, path in enumerate(paths)}
    with tempfile.TemporaryDirectory() as place:
        if args.only != "ladders":
            print(json.dumps({"faults": faults(clips, Path(place), args.strength, args.kbits)}), flush=True)
        if args.only != "faults":
            rows = ladders(clips, Path(place), args.codecs, args.ffmpeg)
            keys = [key for key in ("score", "psnr", "vmaf") if key in rows[0]]
            print(json.dumps({"rising": {key: monotone(rows, key) for key in keys}}), flush=True)
            print(json.dumps({"rank correlation of score with": agreement(rows, keys[1:])}), flush=True)


if __name__ == "__main__":
    main()
