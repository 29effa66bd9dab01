"""Tables and figures in a form that a page, a terminal and a Markdown file can all show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Triple = Sequence[float]
"""(value, lower end, upper end) of an estimate with its 95 % interval, see `snellen.evaluate.stats.bootstrap`."""


@dataclass(frozen=True)
class Table:
    """A titled table of text; `number`, `estimate` and `percent` format its numbers. note: a remark below it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        """Return the table in GitHub's Markdown, below a heading of level 3."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        return f"### {self.title}\n\n{body}\n" + (f"\n{self.note}\n" if self.note else "")


@dataclass(frozen=True)
class Figure:
    """A titled drawing. svg: one <svg> element, see `snellen.evaluate.report.plot`. note: a remark below it."""

    title: str
    svg: str
    note: str = ""


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as text; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return "-"
    text = f"{value:.{digits}f}"
    return text if float(text) else text.removeprefix("-")


def estimate(value: Triple, digits: int = 3) -> str:
    """Return an estimate as "value [low, high]"; a dash where the value is NaN."""
    if math.isnan(value[0]):
        return "-"
    return f"{number(value[0], digits)} [{number(value[1], digits)}, {number(value[2], digits)}]"


def percent(value: float | Triple | None) -> str:
    """Return a share (0..1), or the estimate of one, in percent."""
    if isinstance(value, (int, float)) or value is None:
        return "-" if value is None or math.isnan(value) else f"{number(100 * value, 1)} %"
    if math.isnan(value[0]):
        return "-"
    return f"{percent(value[0])} [{number(100 * value[1], 1)}, {number(100 * value[2], 1)}]"
