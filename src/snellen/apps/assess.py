"""`snellen assess`: score, issues and reasoning of pictures, as text, JSON or an HTML report."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from snellen.assessment import Assessment, Step
from snellen.assessor import Assessor
from snellen.draw import place
from snellen.options import add_assessor_arguments, assessor_arguments
from snellen.report import Report
from snellen.terminal import Progress, is_ascii, open_console
from snellen.usage import FAILED, OK, announce, check_writable, complain, visible, wrong_usage

if TYPE_CHECKING:
    from snellen.reply import Issue

GAUGE = 33
"""Characters of the 1..5 scale: one for every eighth of a point."""

_VERDICT_STYLES = {"bad": "bold red", "poor": "red", "fair": "yellow", "good": "green", "excellent": "bold green"}
_SEVERITY_STYLES = ("yellow", "yellow", "bright_yellow", "red", "bold red")
_SECTIONS = ("Quality", "Improve", "Avoid", "Decision")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen assess`."""
    parser.add_argument("paths", metavar="PICTURE", nargs="+", help="file of a picture")
    parser.add_argument("--json", action="store_true", help="print one JSON object per picture and line")
    parser.add_argument("--report", metavar="FILE", type=Path, help="also write a report to open in a browser")
    parser.add_argument("--quiet", action="store_true", help="one line per picture, no progress bar")
    add_assessor_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Assess and print; return the exit code."""
    if args.report:
        check_writable(args.report)
    with wrong_usage():
        assessor = Assessor(args.model, **assessor_arguments(args))
    console = open_console()
    report = Report()
    failed = 0
    with Progress(len(args.paths), quiet=args.quiet) as progress:
        for assessment in assessor.stream(args.paths):
            with progress.aside():
                _show(assessment, args, console)
            progress.advance()
            failed += assessment.error is not None
            if args.report:
                report.add(assessment)
    if args.report:
        report.write(args.report)
    if not args.quiet:
        if not args.json:
            console.print(model_text(assessor))
        if args.report:
            announce(args.report)
    return FAILED if failed else OK


def _show(assessment: Assessment, args: argparse.Namespace, console: Console) -> None:
    if args.json:
        print(json.dumps(assessment.to_dict()), flush=True)
    if assessment.error is not None:
        complain(f"{assessment.name}: {assessment.error.problem}; {assessment.error.remedy}")
    elif args.json:
        return
    elif args.quiet or args.score_only:
        console.print(brief_text(assessment), soft_wrap=True)
    else:
        console.print(assessment_text(assessment, is_ascii(console)))


def assessment_text(assessment: Assessment, ascii_only: bool = False) -> RenderableType:
    """Render an assessment with a score: result, issues, then every round. ascii_only: no other characters."""
    rounds = assessment.steps
    parts: list[RenderableType] = [_title(assessment), _result(assessment, ascii_only)]
    parts += [Text(f"  note: {visible(note)}", style="dim") for note in assessment.notes]
    if rounds[-1].parsed is not None:
        parts.append(_issues(assessment.issues, ascii_only))
        if possible := assessment.possible_faults:
            named = ", ".join(f"{kind} {100 * value:.0f} %" for kind, value in possible.items())
            parts.append(Text(f"    possible: {named}", style="dim"))
    for number, step in enumerate(rounds, start=1):
        parts.append(_round(number, step, rounds[number - 2] if number > 1 else None, ascii_only))
    return Group(*parts, Text())


def model_text(assessor: Assessor) -> Text:
    """Render name and version of the model, and the protocol."""
    backend = assessor.backend
    return Text(visible(f"{backend.name} {backend.version}, protocol {assessor.protocol.name}"), style="dim")


def brief_text(assessment: Assessment) -> Text:
    """Render one line: score, interval, verdict, name. It is never wrapped or cut, so that a program can read it."""
    low, high = assessment.interval or (None, None)
    interval = f"{low:.2f}-{high:.2f}" if low is not None else "-"
    line = Text(f"{assessment.score:.2f}  {interval:<9}  ", no_wrap=True, overflow="ignore")
    line.append(f"{assessment.label:<9}", _VERDICT_STYLES[str(assessment.label)])
    return line.append(f"  {visible(assessment.name)}")


def gauge(score: float, interval: tuple[float, float] | None, ascii_only: bool = False) -> str:
    """Return the scale from 1 to 5, `GAUGE` characters wide, with marks for the score and its interval."""
    rail, span, mark = "-=|" if ascii_only else "─━●"

    def at(value: float) -> int:
        return round((value - 1) / 4 * (GAUGE - 1))

    cells = [rail] * GAUGE
    if interval is not None:
        first, last = at(interval[0]), at(interval[1])
        cells[first : last + 1] = [span] * (last + 1 - first)
    cells[at(score)] = mark
    return "".join(cells)


def _title(assessment: Assessment) -> RenderableType:
    size = (assessment.provenance or {}).get("picture")
    line = Table.grid(expand=True)
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    shown = f"{size['width']} x {size['height']} px" if size else ""
    line.add_row(Text(visible(assessment.name), style="bold", overflow="fold"), Text(shown, style="dim"))
    return line


def _result(assessment: Assessment, ascii_only: bool) -> RenderableType:
    assert assessment.score is not None and assessment.label is not None
    style = _VERDICT_STYLES[assessment.label]
    line = Text("  ")
    line.append(f"{assessment.score:.2f} {assessment.label:<9}", style)
    line.append("  1 ", "dim").append(gauge(assessment.score, assessment.interval, ascii_only), style)
    line.append(" 5", "dim")
    if assessment.interval is not None:
        line.append(f"   {assessment.interval[0]:.2f} to {assessment.interval[1]:.2f}")
    return line


def _issues(issues: Iterable[Issue], ascii_only: bool) -> RenderableType:
    full, empty = "#." if ascii_only else "■□"
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(no_wrap=True)
    for issue in sorted(issues, key=lambda issue: -issue.severity):
        style = _SEVERITY_STYLES[issue.severity - 1]
        table.add_row(
            Text(full * issue.severity + empty * (5 - issue.severity), style),
            Text(issue.kind),
            Text(f"severity {issue.severity}", style="dim"),
            Text(place(issue.region)),
        )
    body: RenderableType = table if table.row_count else Text("none found", style="dim")
    return Group(Text("  Issues", style="bold"), Padding(body, (0, 0, 0, 4)))


def _round(number: int, step: Step, before: Step | None, ascii_only: bool) -> RenderableType:
    title = Text(f"  Round {number}", style="bold").append(f"  {place(step.region, fractions=False)}", "not bold")
    if step.score is not None:
        title.append("   rating ", "not bold dim").append(f"{step.score:.2f}")
        if step.distribution is not None:
            title.append(f" {'+-' if ascii_only else '±'} {step.distribution.std:.2f}", "not bold dim")
        if before is not None and before.score is not None:
            title.append(f"  ({step.score - before.score:+.2f})", "not bold")
    parts: list[RenderableType] = [title]
    if step.parsed is not None and step.parsed.rationale is not None:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=8, style="dim")
        table.add_column(ratio=1)
        for label, section in zip(_SECTIONS, step.parsed.rationale.sections, strict=True):
            table.add_row(label, Text(visible(section)))
        parts.append(Padding(table, (0, 0, 0, 4)))
    if step.note is not None:
        parts.append(Text(f"    {visible(step.note)}", style="dim"))
    if step.zoom is not None:
        arrow = "->" if ascii_only else "→"
        parts.append(Text(f"    {arrow} zooms in: {place(step.zoom)}", style="cyan"))
    return Group(*parts)
