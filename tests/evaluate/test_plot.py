from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest

from snellen.evaluate.report.plot import (
    BOTTOM,
    LEFT,
    RIGHT,
    SIDE,
    TOP,
    Axes,
    bars,
    lines,
    scatter,
    span,
    standalone,
    ticks,
)

AXES = Axes((1.0, 5.0), (1.0, 5.0), "score", "MOS")


def paths(svg: str, kind: str) -> list[str]:
    """The `d` of every path of a class; the drawing must be well-formed."""
    return [path.get("d", "") for path in ElementTree.fromstring(svg).iter("path") if path.get("class") == kind]


def test_points_lie_where_their_values_say() -> None:
    assert AXES.at(1.0, 1.0) == (LEFT, SIDE - BOTTOM) and AXES.at(5.0, 5.0) == (SIDE - RIGHT, TOP)
    assert AXES.at(3.0, 2.0) == ((LEFT + SIDE - RIGHT) / 2, SIDE - BOTTOM - (SIDE - BOTTOM - TOP) / 4)


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(1, 5, [1, 2, 3, 4, 5]), (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-30, 90, [-20, 0, 20, 40, 60, 80]), (2, 2, [2])],
)
def test_ticks_are_round(low: float, high: float, wanted: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(wanted)


def test_an_axis_holds_its_values() -> None:
    assert span([1.5, 4.0], (1.0, 5.0)) == (1.0, 5.0)
    low, high = span([-40.0, 10.0])
    assert low < -40 and high > 10
    assert span([]) == (0.0, 1.0) and span([3.0])[0] < 3.0 < span([3.0])[1]


def test_a_scatter_has_its_points_its_identity_line_and_its_curve() -> None:
    svg = scatter([1.0, 3.0], [5.0, 2.0], AXES, curve=([1.0, 5.0], [2.0, 4.0]))
    (dots,), (ideal,), (fit,) = paths(svg, "dots"), paths(svg, "ideal"), paths(svg, "fit")
    assert dots == "M46.0 12.0h0M206.0 256.5h0" and fit.startswith("M46.0 256.5L366.0 93.5")
    assert ideal == "M46.0 338.0L366.0 12.0"
    many = paths(scatter(np.full(9000, 3.0), np.full(9000, 3.0), AXES), "dots")[0]
    assert many.count("M") == 4000


def test_lines_have_a_key_where_there_are_several() -> None:
    one = lines({"a": ([1, 2], [1, 2])}, AXES)
    two = lines({"a < b": ([1, 2], [1, 2]), "c": ([1, 2], [2, 1])}, AXES, identity=True, dots=True)
    assert len(paths(one, "line c1")) == 1 and len(paths(two, "line c1")) == 2
    assert "a &lt; b" in two and len(paths(two, "marks c2")) == 1


def test_bars_end_at_their_values() -> None:
    svg = bars({"jpeg": (0.5, 0.25, 0.75), "blur": 1.0, "none": math.nan})
    root = ElementTree.fromstring(svg)
    widths = [float(rect.get("width", "")) for rect in root.iter("rect") if rect.get("class") == "bar"]
    assert widths == [185.0, 370.0]
    assert paths(svg, "whisker") == ["M282.5 12.0H467.5"]
    assert [text.text for text in root.iter("text")] == ["jpeg", "0.50", "blur", "1.00", "none", "-"]


def test_a_file_of_its_own_brings_its_colours() -> None:
    svg = standalone(bars({"blur": 0.5}), "monotony < all")
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert [part.text for part in root.iter("{http://www.w3.org/2000/svg}title")] == ["monotony < all"]
    assert "--bars: #7d93ad" in svg and ".plot .bar { fill: var(--bars); }" in svg
