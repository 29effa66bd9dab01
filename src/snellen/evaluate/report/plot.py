"""Plots as SVG: arrays in, one <svg> element out, with the colours of the page's style sheet (`page.css`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from snellen.report import resource

SIDE, LEFT, BOTTOM, TOP, RIGHT = 380, 46, 42, 12, 14
"""Side of a square plot and margins around its frame, SVG units."""
BAR_ROW, BAR_NAME, BAR_WIDTH = 24, 190, 620
"""Height of a row of a bar chart, width of its names, width of the chart, SVG units."""
MAX_POINTS = 4000
"""Largest number of points in a scatter plot; of more, evenly spaced ones are drawn."""


@dataclass(frozen=True)
class Axes:
    """Frame of a square plot. x, y: (low, high) of each axis; x_name, y_name: their labels."""

    x: tuple[float, float]
    y: tuple[float, float]
    x_name: str
    y_name: str

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the position of a point in SVG units."""
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1.0)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1.0)
        return LEFT + across * (SIDE - LEFT - RIGHT), SIDE - BOTTOM - up * (SIDE - BOTTOM - TOP)

    def path(self, xs: npt.ArrayLike, ys: npt.ArrayLike) -> str:
        """Return a line through points (N,), (N,) as the attribute `d` of a path."""
        points = zip(np.asarray(xs, float), np.asarray(ys, float), strict=True)
        return "M" + "L".join("{:.1f} {:.1f}".format(*self.at(float(x), float(y))) for x, y in points)

    def draw(self, inside: Sequence[str], label: str) -> str:
        """Return the <svg> with frame, ticks, labels and the elements `inside`. label: text for screen readers."""
        parts = []
        for value in ticks(*self.x):
            x, y = self.at(value, self.y[0])
            parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{y:.1f}"/>')
            parts.append(f'<text class="tick" x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle">{value:g}</text>')
        for value in ticks(*self.y):
            x, y = self.at(self.x[0], value)
            parts.append(f'<path class="grid" d="M{x:.1f} {y:.1f}H{SIDE - RIGHT}"/>')
            parts.append(f'<text class="tick" x="{x - 7:.1f}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        middle_x, middle_y = (LEFT + SIDE - RIGHT) / 2, (TOP + SIDE - BOTTOM) / 2
        names = (
            f'<text class="name" x="{middle_x}" y="{SIDE - 6}" text-anchor="middle">{escape(self.x_name)}</text>'
            f'<text class="name" transform="translate(13 {middle_y}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_name)}</text>"
        )
        return _svg(SIDE, SIDE, [*parts, *inside, names], label)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return about `most` tick values in low..high, at steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(power * next(m for m in (1, 2, 5, 10) if m * power >= rough - 1e-12))
    first = int(np.ceil(low / step - 1e-9))
    last = int(np.floor(high / step + 1e-9))
    return [round(i * step, 10) for i in range(first, last + 1)]


def span(values: npt.ArrayLike, least: tuple[float, float] | None = None) -> tuple[float, float]:
    """Return the ends of an axis that holds all values with 4 % of room, and `least` too; 0..1 for no values."""
    flat = np.asarray(values, float).ravel()
    if not len(flat):
        return least or (0.0, 1.0)
    low, high = float(flat.min()), float(flat.max())
    room = 0.04 * (high - low) or 0.5
    ends = (low - room, high + room)
    return ends if least is None else (min(least[0], ends[0] + room), max(least[1], ends[1] - room))


def scatter(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    axes: Axes,
    *,
    curve: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    identity: bool = True,
) -> str:
    """Return a scatter plot of (N,), (N,) with the identity line, dashed, and a curve (xs, ys) over it."""
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    if len(xs) > MAX_POINTS:
        chosen = np.linspace(0, len(xs) - 1, MAX_POINTS).astype(int)
        xs, ys = xs[chosen], ys[chosen]
    size = 1.4 if len(xs) > 800 else 2.2
    dots = "".join("M{:.1f} {:.1f}h0".format(*axes.at(float(a), float(b))) for a, b in zip(xs, ys, strict=True))
    parts = [f'<path class="dots" stroke-width="{2 * size}" d="{dots}"/>'] if dots else []
    if identity:
        low, high = max(axes.x[0], axes.y[0]), min(axes.x[1], axes.y[1])
        parts.append(f'<path class="ideal" d="{axes.path([low, high], [low, high])}"/>')
    if curve is not None:
        parts.append(f'<path class="fit" d="{axes.path(*curve)}"/>')
    return axes.draw(parts, f"{axes.y_name} against {axes.x_name}, {len(xs)} points")


def lines(
    curves: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]], axes: Axes, *, identity: bool = False, dots: bool = False
) -> str:
    """Return a plot of named curves (xs, ys), at most six, with a legend where there are several."""
    parts = []
    if identity:
        low, high = max(axes.x[0], axes.y[0]), min(axes.x[1], axes.y[1])
        parts.append(f'<path class="ideal" d="{axes.path([low, high], [low, high])}"/>')
    for number, (name, (xs, ys)) in enumerate(curves.items(), start=1):
        parts.append(f'<path class="line c{number}" d="{axes.path(xs, ys)}"/>')
        if dots:
            points = zip(np.asarray(xs, float), np.asarray(ys, float), strict=True)
            marks = "".join("M{:.1f} {:.1f}h0".format(*axes.at(float(x), float(y))) for x, y in points)
            parts.append(f'<path class="marks c{number}" d="{marks}"/>')
        if len(curves) > 1:
            y = TOP + 16 * number
            parts.append(f'<path class="line c{number}" d="M{LEFT + 10} {y - 4}h18"/>')
            parts.append(f'<text class="tick" x="{LEFT + 34}" y="{y}">{escape(name)}</text>')
    return axes.draw(parts, f"{axes.y_name} against {axes.x_name}")


def bars(values: Mapping[str, Sequence[float] | float], most: float = 1.0, digits: int = 2) -> str:
    """Return horizontal bars from 0 to `most`; a triple is (value, low, high) with a whisker. NaN has no bar."""
    width = BAR_WIDTH - BAR_NAME - 60
    parts = []
    for row, (name, value) in enumerate(values.items()):
        triple = (value, value, value) if isinstance(value, (int, float)) else tuple(value)
        y = row * BAR_ROW + 4
        middle = y + (BAR_ROW - 8) / 2
        parts.append(
            f'<text class="tick" x="{BAR_NAME - 8}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="rail" x="{BAR_NAME}" y="{y}" width="{width}" height="{BAR_ROW - 8}"/>'
        )
        if not np.isfinite(triple[0]):
            parts.append(f'<text class="tick" x="{BAR_NAME + width + 8}" y="{middle + 4}">-</text>')
            continue
        ends = [BAR_NAME + width * min(1.0, max(0.0, end / most)) for end in triple]
        parts.append(
            f'<rect class="bar" x="{BAR_NAME}" y="{y}" width="{ends[0] - BAR_NAME:.1f}" height="{BAR_ROW - 8}"/>'
            f'<text class="tick" x="{BAR_NAME + width + 8}" y="{middle + 4}">{triple[0]:.{digits}f}</text>'
        )
        if ends[2] > ends[1]:
            parts.append(f'<path class="whisker" d="M{ends[1]:.1f} {middle}H{ends[2]:.1f}"/>')
    return _svg(BAR_WIDTH, max(1, len(values)) * BAR_ROW, parts, f"bars: {', '.join(values)}")


def _svg(width: int, height: int, parts: Sequence[str], label: str) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def standalone(svg: str, title: str) -> str:
    """Return a plot as an SVG file of its own: on white, with the light colours of a report and a title."""
    colours = re.search(r":root \{.*?\}", resource("report.css"), re.S)
    assert colours is not None
    rules = [line for line in resource("evaluate/report/page.css").splitlines() if line.startswith(".plot ")]
    style = "\n".join([colours[0], "text { font-family: system-ui, sans-serif; }", *rules])
    inside = f'<title>{escape(title)}</title><style>{style}</style><rect width="100%" height="100%" fill="#fff"/>'
    opened = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return opened.replace(">", f">{inside}", 1) + "\n"
