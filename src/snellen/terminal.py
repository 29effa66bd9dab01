"""Console on standard output and progress bar on standard error, shared by the commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from rich import progress
from rich.console import Console
from rich.table import Column
from rich.text import Text

WIDEST = 100
"""Characters in a line at most: longer lines are hard to read, however wide the terminal."""


def open_console(stream: Any = None) -> Console:
    """Return a console on standard output, or on `stream`: at most `WIDEST` wide, colours only on a terminal."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    console.width = min(console.width, WIDEST)
    return console


def is_ascii(console: Console) -> bool:
    """Return True where the console's encoding is not Unicode."""
    return not console.encoding.lower().startswith("utf")


class Rate(progress.ProgressColumn):
    """Column of the rate: pictures per second, or seconds per picture where that is above one."""

    def render(self, task: progress.Task) -> Text:
        """Return the text of the column."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each")


class Progress:
    """Progress bar on standard error: count, rate, remaining time. A context manager.

    The bar is drawn only for two pictures or more, and only where standard error is a terminal.
    """

    def __init__(self, total: int, done: int = 0, quiet: bool = False) -> None:
        self._bar = progress.Progress(
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            Rate(),
            progress.TextColumn("remaining"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=quiet or total < 2 or not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("", total=total, completed=done)

    def advance(self) -> None:
        """Count one more picture."""
        self._bar.advance(self._task)

    def note(self, text: str) -> None:
        """Show a text behind the bar, in place of the one before."""
        self._bar.update(self._task, description=text)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Hide the bar while the block prints something else: both may share a terminal."""
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


class Bars:
    """Progress bars of a job that learns its total as it runs, one after the other. A context manager."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet, self._done, self._total = quiet, 0, -1
        self._open = ExitStack()

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` are there; another total than before begins a new bar."""
        if total != self._total:
            self._open.close()
            self._bar = self._open.enter_context(Progress(total, done, self._quiet))
            self._done, self._total = done, total
        for _ in range(done - self._done):
            self._bar.advance()
        self._done = done

    def aside(self) -> AbstractContextManager[None]:
        """See `Progress.aside`; after the first `update`."""
        return self._bar.aside()

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
