"""Numbers as tables and figures that a page, a terminal and a Markdown file can all show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Triple = tuple[float, float, float]
"""A value with the lower and upper end of its 95 % interval."""


@dataclass(frozen=True)
class Table:
    """A titled table of text; numbers are put into words by `number`, `spread` and `percent`. note: one line below."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        """As GitHub's Markdown."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        return f"### {self.title}\n\n{body}\n" + (f"\n{self.note}\n" if self.note else "")


@dataclass(frozen=True)
class Figure:
    """A titled drawing: `svg` is one whole <svg> element, see `snellen.evaluate.report.plot`. note: one line below."""

    title: str
    svg: str
    note: str = ""


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table; a dash where it is not defined."""
    if value is None or math.isnan(value):
        return "-"
    text = f"{value:.{digits}f}"
    return text if float(text) else text.removeprefix("-")


def spread(value: Sequence[float], digits: int = 3) -> str:
    """A value with its interval: (value, low, high)."""
    if math.isnan(value[0]):
        return "-"
    return f"{number(value[0], digits)} [{number(value[1], digits)}, {number(value[2], digits)}]"


def percent(value: float | Sequence[float] | None) -> str:
    """A share (0..1) in percent, with its interval where there is one."""
    if isinstance(value, (int, float)) or value is None:
        return "-" if value is None or math.isnan(value) else f"{number(100 * value, 1)} %"
    if math.isnan(value[0]):
        return "-"
    return f"{percent(value[0])} [{number(100 * value[1], 1)}, {number(100 * value[2], 1)}]"
