"""`snellen video`: scores over time, temporal faults and worst moments of a video or a folder of rendered views."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from snellen.assessor import Assessor
from snellen.draw import headline
from snellen.options import add_vlm_options, assessor_options
from snellen.terminal import Progress, is_ascii, open_console
from snellen.usage import (
    FAILED,
    OK,
    UsageError,
    above_zero,
    add_max_megapixels,
    add_max_rounds,
    add_model_options,
    add_quiet,
    add_score_only,
    announce,
    check_writable,
    complain,
    positive,
    visible,
    wrong_usage,
)
from snellen.video.judge import VIEW_RATE, Plan, VideoResult, judge, open_sequence
from snellen.video.report import write_report
from snellen.video.sampling import FRAMES
from snellen.vocabulary import verdict

CURVE = 60
"""Characters of the curve on a terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen video`."""
    parser.add_argument(
        "source", metavar="FILE", help="a video file, a URL, a folder of rendered views, or - for standard input"
    )
    parser.add_argument("--frames", metavar="N", type=positive, default=FRAMES, help="most frames to score")
    parser.add_argument("--budget", metavar="S", type=above_zero, help="most seconds for scoring frames")
    parser.add_argument("--moments", metavar="N", type=int, default=3, help="worst moments to assess in full")
    parser.add_argument(
        "--rate", metavar="FPS", type=above_zero, default=VIEW_RATE, help="frames per second of a folder of views"
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines while it runs")
    parser.add_argument("--report", metavar="FILE", type=Path, help="also write a report to open in a browser")
    add_model_options(parser)
    add_score_only(parser)
    add_max_rounds(parser)
    add_max_megapixels(parser)
    add_quiet(parser)
    add_vlm_options(parser)


def run(args: argparse.Namespace) -> int:
    """Assess the video and print; return the exit code."""
    if args.report:
        check_writable(args.report)
    if args.moments < 0:
        raise UsageError("--moments is 0 or more")
    scorer, full = _assessors(args)
    plan = Plan(args.frames, args.budget, args.moments, args.rate, args.max_megapixels)
    with open_sequence(args.source, plan) as sequence, ExitStack() as closing:
        progress = closing.enter_context(Progress(int(sequence.info.duration or 0), quiet=args.quiet or args.json))
        shown = 0

        def watch(kind: str, values: dict[str, Any]) -> None:
            nonlocal shown
            if kind == "read":
                while shown < int(values["time"]):
                    progress.advance()
                    shown += 1
            elif args.json:
                print(json.dumps({"type": kind, **values}), flush=True)

        result = judge(sequence, scorer, full, plan, watch)
    if args.json:
        print(json.dumps({"type": "video", **result.to_dict()}), flush=True)
    else:
        console = open_console()
        console.print(result_text(result, is_ascii(console)))
    if args.report:
        write_report(result, args.source, args.report)
        if not args.quiet:
            announce(args.report)
    for problem in result.problems:
        complain(f"{result.info.name}: {problem}; the result is of what could be read")
    return FAILED if result.problems or result.pooled is None else OK


def _assessors(args: argparse.Namespace) -> tuple[Assessor, Assessor | None]:
    """Return the assessor of single frames and that of the worst moments, with one model."""
    with wrong_usage():
        scorer = Assessor(args.model, args.protocol, 1, 1, True, **assessor_options(args))
        if args.score_only or args.moments == 0:
            return scorer, None
        options = {key: value for key, value in assessor_options(args).items() if key != "options"}
        return scorer, Assessor(scorer.backend, args.protocol, args.max_rounds, 1, **options)


def result_text(result: VideoResult, ascii_only: bool = False) -> RenderableType:
    """Render a result: score, curve, temporal faults, worst moments. ascii_only: no other characters."""
    info, pooled = result.info, result.pooled
    parts: list[RenderableType] = [
        Text(visible(info.name), style="bold"),
        Text(
            f"  {info.codec}, {result.frames} frames, {result.seconds:.2f} s, {len(result.scored)} scored", style="dim"
        ),
        *(Text(f"  note: {visible(note)}", style="dim") for note in result.notes),
    ]
    if pooled is None:
        return Group(*parts, Text("  no score"))
    interval = (pooled.low, pooled.high) if pooled.low is not None and pooled.high is not None else None
    parts.append(Text(f"  {headline(pooled.score, verdict(pooled.score), interval)}", style="bold"))
    parts.append(Text(f"  worst tenth of the time: {pooled.worst:.2f}"))
    parts.append(Text(f"  1 {curve(result, ascii_only)} 5", style="cyan"))
    parts.append(Text("  Temporal faults", style="bold"))
    table = Table.grid(padding=(0, 2))
    for fault in result.faults:
        table.add_row("   ", f"{fault.start:.2f}-{fault.end:.2f} s", fault.kind, f"severity {fault.severity}")
    parts.append(table if table.row_count else Text("    none found", style="dim"))
    if result.moments:
        parts.append(Text("  Worst moments", style="bold"))
    moments = Table.grid(padding=(0, 2))
    for moment, assessment in result.moments:
        score = "no score" if assessment.score is None else f"{assessment.score:.2f}"
        issues = ", ".join(f"{issue.kind} {issue.severity}" for issue in assessment.issues) or "no issues"
        moments.add_row("   ", f"{moment.time:.2f} s", score, Text(visible(issues)))
    return Group(*parts, moments, Text())


def curve(result: VideoResult, ascii_only: bool = False) -> str:
    """Return the scores over time as one line of shades from 1 to 5: the lowest score of each part."""
    shades = "_.-=+*#@" if ascii_only else "▁▂▃▄▅▆▇█"
    cells: list[float | None] = [None] * CURVE
    for one in result.scored:
        if one.score is not None:
            cell = min(CURVE - 1, int(one.time / max(result.seconds, 1e-9) * CURVE))
            before = cells[cell]
            cells[cell] = one.score if before is None else min(before, one.score)
    return "".join(
        " " if value is None else shades[min(len(shades) - 1, int((value - 1) / 4 * len(shades)))] for value in cells
    )
