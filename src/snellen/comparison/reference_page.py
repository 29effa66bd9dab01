"""HTML page of a comparison with a reference: slider with the difference map, measures, faults. Loads nothing."""

from __future__ import annotations

from html import escape

import numpy as np
import numpy.typing as npt

from snellen.comparison.measures import MEASURES
from snellen.comparison.page import boxes, models, slider
from snellen.comparison.reference import MAP_TOP, Against, ReferenceComparison
from snellen.draw import place
from snellen.report import header, page, resource


def reference_page(comparison: ReferenceComparison) -> str:
    """Return the page."""
    true = comparison.reference
    shown = [one for one in comparison.pictures if one.shown is not None]
    facts = [f"{len(comparison.pictures)} picture{'s' * (len(comparison.pictures) != 1)}"]
    facts.append(
        f"reference {true.name}" if true is not None else "no true reference: pseudo-references were generated"
    )
    known = models([one.assessment for one in shown if one.assessment is not None])
    body = header("Comparison with a reference", facts, known) + slider(_layers(comparison, shown))
    if shown:
        body += (
            f'<p class="facts legend"><i class="ramp"></i> difference map: black is the same, white '
            f"{MAP_TOP:.0f} CIELAB units or more; 2.3 are just noticeable. Levels below are those "
            "of 8 bits, 0 to 255</p>\n"
        )
    body += "".join(_article(comparison, number) for number in range(len(comparison.pictures)))
    style, script = resource("comparison/compare.css"), resource("comparison/compare.js")
    return page("Comparison with a reference", body, style, script)


def _layers(comparison: ReferenceComparison, shown: list[Against]) -> list[tuple[str, npt.NDArray[np.uint8], str]]:
    """Return the layers of the slider: reference, picture and map; one reference for all where it is the true one."""
    layers: list[tuple[str, npt.NDArray[np.uint8], str]] = []
    for one in shown:
        assert one.shown is not None
        reference, picture, differences = one.shown
        if comparison.reference is None:
            layers.append((f"pseudo-reference of {one.name}", reference, ""))
        elif not layers:
            layers.append(("reference", reference, ""))
        over = boxes(picture, [found.issue for found in one.differences])
        layers += [(one.name, picture, over), (f"difference map of {one.name}", differences, over)]
    return layers


def _article(comparison: ReferenceComparison, number: int) -> str:
    one = comparison.pictures[number]
    facts = " · ".join(escape(note) for note in one.notes)
    head = f'<header><h2>{escape(one.name)}</h2><p class="facts">{facts}</p></header>'
    if one.problem is not None:
        problem = f'<p class="error">{escape(one.problem)}; {escape(one.remedy or "")}</p>'
        return f'<article class="pair">{head}{problem}{_judge(comparison, one)}</article>\n'
    warning = ""
    if comparison.reference is None:
        warning = (
            '<p class="note">The reference is the restored picture, not the original: what the repairs did not undo, '
            "it has too.</p>"
        )
    return (
        f'<article class="pair">{head}{warning}<p>{escape(one.text)}</p>{_measures(one)}{_differences(one)}'
        f"{_judge(comparison, one)}</article>\n"
    )


def measure_words(one: Against) -> list[tuple[str, str, str]]:
    """Return name, value and unit of each measure, as text."""
    rows = []
    for measure in MEASURES:
        value = (one.measures or {}).get(measure.name)
        if value is None:
            text = f"only from {measure.least_side} px a side to {measure.most_megapixels:g} megapixels"
        else:
            text = "the same" if value == float("inf") else f"{value:.{measure.decimals}f}"
        rows.append((measure.name, text, measure.unit))
    return rows


def _measures(one: Against) -> str:
    cells = "".join(
        f"<li><span>{escape(name)}</span><b>{escape(value)}</b><i>{escape(unit)}</i></li>"
        for name, value, unit in measure_words(one)
    )
    return f'<ul class="measures">{cells}</ul>'


def _differences(one: Against) -> str:
    rows = "".join(
        f"<tr><td>{escape(found.issue.kind)}</td><td data-head='severity'>{found.issue.severity}</td>"
        f"<td>{escape(place(found.issue.region, fractions=False))}</td><td>{escape(found.evidence)}</td></tr>"
        for found in one.differences
    )
    head = "<tr><th>Fault</th><th>Severity</th><th>Where</th><th>Measured</th></tr>"
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>' if rows else ""


def _judge(comparison: ReferenceComparison, one: Against) -> str:
    return f'<p class="facts">{escape(judge_words(comparison, one))}</p>' if one.assessment is not None else ""


def judge_words(comparison: ReferenceComparison, one: Against) -> str:
    """Return the judge's result in words, of the picture alone: score, faults, distance with its interval."""
    assert one.assessment is not None
    if one.assessment.score is None:
        return "the judge gives no score"
    listed = ", ".join(f"{issue.kind} {issue.severity}" for issue in one.assessment.issues) or "no fault"
    text = f"the judge, shown the picture alone: {one.assessment.score:.2f}, {listed}"
    if one.distance is not None:
        named = "reference" if comparison.reference is not None else "pseudo-reference"
        (low, high), distance = one.distance[1], one.distance[0]
        side = "higher" if distance >= 0 else "lower"
        text += f"; it rates the {named} {abs(distance):.2f} MOS {side} (90 %: {low:+.2f} to {high:+.2f})"
    return text
