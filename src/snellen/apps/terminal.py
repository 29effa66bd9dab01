"""Assessments and features as text for a terminal, and the progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from snellen.draw import place
from snellen.features import hue_name

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from snellen.assessor import Assessment, Assessor, Step
    from snellen.features import Features
    from snellen.reply import Issue

WIDEST = 100
"""Lines longer than this are hard to read, however wide the terminal."""
GAUGE = 33
"""Characters of the 1..5 scale: one for every eighth of a point."""

_VERDICT_STYLES = {"bad": "bold red", "poor": "red", "fair": "yellow", "good": "green", "excellent": "bold green"}
_SEVERITY_STYLES = ("yellow", "yellow", "bright_yellow", "red", "bold red")
_SECTIONS = ("Quality", "Improve", "Avoid", "Decision")
_MAPS_ABREAST = 3


def open_console(stream: Any = None) -> Console:
    """A console on standard output, or on `stream`: no wider than `WIDEST`, no colours unless it is a terminal."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDEST)
    return console


def assessment_text(assessment: Assessment, ascii_only: bool = False) -> RenderableType:
    """The whole story of a picture that has a score: result, issues, then every round."""
    rounds = assessment.steps
    parts: list[RenderableType] = [_title(assessment), _result(assessment, ascii_only)]
    parts += [Text(f"  note: {note}", style="dim") for note in assessment.notes]
    if rounds[-1].parsed is not None:
        parts.append(_issues(assessment.issues, ascii_only))
    for number, step in enumerate(rounds, start=1):
        parts.append(_round(number, step, rounds[number - 2] if number > 1 else None, ascii_only))
    return Group(*parts, Text())


def model_text(assessor: Assessor) -> Text:
    """Which model it was, exactly."""
    backend = assessor.backend
    return Text(f"{backend.name} {backend.version}, protocol {assessor.protocol.name}", style="dim")


def brief_text(assessment: Assessment) -> Text:
    """One line: score, interval, verdict word, name. It is never cut, so that a program can read it."""
    low, high = assessment.interval or (None, None)
    interval = f"{low:.2f}-{high:.2f}" if low is not None else "-"
    line = Text(f"{assessment.score:.2f}  {interval:<9}  ", no_wrap=True, overflow="ignore")
    line.append(f"{assessment.label:<9}", _VERDICT_STYLES[str(assessment.label)])
    return line.append(f"  {assessment.name}")


def gauge(score: float, interval: tuple[float, float] | None, ascii_only: bool = False) -> str:
    """The scale from 1 to 5 with the score and its interval on it, `GAUGE` characters wide."""
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
    line.add_row(Text(assessment.name, style="bold", overflow="fold"), Text(shown, style="dim"))
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
            table.add_row(label, Text(section))
        parts.append(Padding(table, (0, 0, 0, 4)))
    if step.note is not None:
        parts.append(Text(f"    {step.note}", style="dim"))
    if step.zoom is not None:
        arrow = "->" if ascii_only else "→"
        parts.append(Text(f"    {arrow} looks closer: {place(step.zoom)}", style="cyan"))
    return Group(*parts)


def features_text(name: str, features: Features, ascii_only: bool = False) -> RenderableType:
    """The global values in a table, and the maps in shades from their lowest to their highest value."""
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "left"):
        table.add_column(justify=justify, no_wrap=justify == "right")
    for key, feature in features.values.items():
        hue = f" (nearest: {hue_name(feature.value)})" if key == "color_cast_hue" else ""
        unit = Text(f"{feature.unit}{hue}", style="dim")
        table.add_row(key.replace("_", " "), f"{feature.value:.4g}", unit)
    maps = Table.grid(padding=(1, 3, 0, 0))
    shown = [key for key in features.maps if key != "color_cast_hue"]  # a circle has no lowest and highest
    for start in range(0, len(shown), _MAPS_ABREAST):
        maps.add_row(*(_map_text(key, features.maps[key], ascii_only) for key in shown[start : start + _MAPS_ABREAST]))
    indent = (0, 0, 0, 2)
    return Group(Text(name, style="bold"), Padding(table, indent), Padding(maps, indent), Text())


def _map_text(key: str, values: npt.NDArray[np.float32], ascii_only: bool) -> Text:
    shades = " .:*#" if ascii_only else " ░▒▓█"
    low, high = float(values.min()), float(values.max())
    text = Text(key.replace("_", " "), style="bold")
    for row in values:
        steps = [min(4, int(5 * (float(v) - low) / (high - low))) if high > low else 0 for v in row]
        text.append("\n" + "".join(2 * shades[step] for step in steps), "not bold")
    return text.append(f"\n{low:.3g} to {high:.3g}", "not bold dim")


class Progress:
    """A bar on standard error with count, rate and remaining time, shown where there is more than one picture and
    standard error is a terminal. A context manager."""

    def __init__(self, total: int, done: int = 0, quiet: bool = False) -> None:
        from rich import progress

        class Rate(progress.ProgressColumn):
            """Pictures per second, or seconds per picture where that is more than one."""

            def render(self, task: progress.Task) -> Text:
                speed = task.finished_speed or task.speed
                if not speed:
                    return Text("")
                return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each")

        self._bar = progress.Progress(
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            Rate(),
            progress.TextColumn("remaining"),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=quiet or total < 2 or not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("", total=total, completed=done)

    def advance(self) -> None:
        """One more is done."""
        self._bar.advance(self._task)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Out of the way while something else is printed: both may share a terminal."""
        self._stop()
        yield
        self._bar.start()

    def _stop(self) -> None:
        if not self._bar.disable:  # it would print an empty line
            self._bar.stop()

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
