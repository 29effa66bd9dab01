"""HTML page of a comparison: a slider between two pictures, the ranking, the pairs. Loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from snellen.assessment import Assessment
from snellen.comparison.judge import Comparison, Judged, Pair
from snellen.draw import place
from snellen.region import FULL, Region
from snellen.reply import Issue
from snellen.report import header, image_tag, page, resource

MOST_PAIRS = 40
"""The page lists at most so many pairs: those of the best pictures."""


def comparison_page(comparison: Comparison) -> str:
    """Return the page."""
    scored = [comparison.pictures[at] for at in comparison.order]
    facts = [f"{len(comparison.pictures)} pictures", f"better from a probability of {comparison.sure:.2f}"]
    if comparison.bias is not None:
        facts.append(f"position bias {comparison.bias:+.2f}")
    body = header("Comparison", facts, models([one.assessment for one in scored]))
    body += slider([(one.name, _shown(one), boxes(_shown(one), one.issues, comparison.regions)) for one in scored])
    body += _ranking(comparison) + _pairs(comparison) + _failures(comparison)
    return page("Comparison", body, resource("comparison/compare.css"), resource("comparison/compare.js"))


def models(assessments: Sequence[Assessment]) -> list[str]:
    """Return name and version of the model of the first assessment that states them; nothing where none does."""
    known = next((one.provenance for one in assessments if one.provenance), None)
    return [f"{known['model']} {known['model_version']}, snellen {known['snellen']}"] if known else []


def slider(layers: list[tuple[str, npt.NDArray[np.uint8], str]]) -> str:
    """Return a slider between two of several pictures: (name, (H, W, 3) uint8 pixels, HTML that lies over it) each."""
    if len(layers) < 2:
        return ""
    options = [f'<option value="{n}">{escape(name)}</option>' for n, (name, _, _) in enumerate(layers)]
    choices = "".join(
        f'<label>{side} <select id="{side}">'
        + "".join(one.replace("<option", "<option selected") if n == chosen else one for n, one in enumerate(options))
        + "</select></label>"
        for side, chosen in (("left", 0), ("right", 1))
    )
    shown = "".join(
        f'<figure class="layer photo" data-layer="{n}">{image_tag(pixels, name)}{over}</figure>'
        for n, (name, pixels, over) in enumerate(layers)
    )
    height, width = layers[0][1].shape[:2]
    return (
        f'<section class="compare"><div class="choices">{choices}'
        '<label><input type="checkbox" id="boxes" checked> boxes</label></div>'
        f'<div class="stage" style="aspect-ratio:{width}/{height}">{shown}<i class="edge"></i></div>'
        '<input type="range" id="at" min="0" max="100" step="0.1" value="50" aria-label="edge between both">'
        "</section>\n"
    )


def _shown(one: Judged) -> npt.NDArray[np.uint8]:
    assert one.assessment.picture is not None
    return one.assessment.picture.pixels


def boxes(pixels: npt.NDArray[np.uint8], issues: Sequence[Issue], regions: Sequence[Region] = ()) -> str:
    """Return faults and regions that were looked at (dashed) as SVG over a picture.

    A fault of the whole picture is its name alone. A name that would cover another stands below it.
    """
    height, width = pixels.shape[:2]
    line = 0.028 * max(width, height)
    shapes: list[str] = []
    names: list[tuple[float, float]] = []
    for issue in issues:
        left, top, _, _ = issue.region.to_pixels(width, height)
        x, y = left + 0.4 * line, top + 1.2 * line
        while any(abs(y - other) < line and abs(x - beside) < 8 * line for beside, other in names):
            y += 1.2 * line
        names.append((x, y))
        title = escape(f"{issue.kind} {issue.severity}")
        box = "" if issue.region == FULL else _box(issue.region, width, height, "over", title)
        named = f'<text x="{x:.0f}" y="{y:.0f}" font-size="{line:.0f}">{title}</text>'
        shapes.append(f'<g class="s{issue.severity}">{box}{named}</g>')
    shapes += [_box(region, width, height, "crop", "region looked at in all pictures") for region in regions]
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(shapes)}</svg>'


def _box(region: Region, width: int, height: int, kind: str, title: str) -> str:
    """Return a box as an SVG group with a title. kind: its CSS class."""
    left, top, right, bottom = region.to_pixels(width, height)
    size = f'x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"'
    return f'<g><title>{title}</title><rect class="under" {size}/><rect class="{kind}" {size}/></g>'


def _ranking(comparison: Comparison) -> str:
    rows = ""
    for at, (best, worst) in zip(comparison.order, comparison.ranks, strict=True):
        one = comparison.pictures[at]
        rows += (
            f'<tr><td class="rank" data-head="Rank">{_rank(best, worst)}</td><td>{escape(one.name)}</td>'
            f'<td data-head="Score">{one.score:.2f}</td><td>{_faults(one)}</td></tr>\n'
        )
    return (
        '<section class="summary"><table><thead><tr><th>Rank</th><th>Picture</th><th>Score</th><th>Faults</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></section>\n"
    )


def _rank(best: int, worst: int) -> str:
    return str(best) if best == worst else f"{best} to {worst}"


def _faults(one: Judged) -> str:
    named = ", ".join(f"{issue.kind} {issue.severity}" for issue in one.issues)
    return escape(named) or '<span class="none">none</span>'


def _pairs(comparison: Comparison) -> str:
    at = {picture: number for number, picture in enumerate(comparison.order)}
    ordered = sorted(comparison.pairs, key=lambda pair: (at[pair.first], at[pair.second]))
    shown = "".join(_pair(comparison, pair) for pair in ordered[:MOST_PAIRS])
    left = len(ordered) - MOST_PAIRS
    return shown + (f'<p class="facts">{left} more pairs: see --json</p>\n' if left > 0 else "")


def _pair(comparison: Comparison, pair: Pair) -> str:
    first, second = (comparison.pictures[at].name for at in (pair.first, pair.second))
    rows = "".join(
        f"<tr><td>{escape(change.what)}</td><td>{escape(change.issue.kind)}</td>"
        f'<td data-head="first">{change.before.severity if change.before else "–"}</td>'
        f'<td data-head="second">{change.after.severity if change.after else "–"}</td>'
        f"<td>{escape(place(change.issue.region, fractions=False))}</td></tr>"
        for change in pair.changes
    )
    head = "<tr><th>From first to second</th><th>Fault</th><th>First</th><th>Second</th><th>Where</th></tr>"
    table = f'<div class="wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    faults = table if rows else ""
    said = "".join(
        f"<blockquote>{escape(why)}</blockquote>" for why in (pair.preference.why if pair.preference else ())
    )
    problem = f'<p class="error">{escape(pair.problem)}</p>' if pair.problem else ""
    return (
        f'<article class="pair"><header><h2>{escape(first)} <span class="versus">against</span> {escape(second)}</h2>'
        f'<p class="facts">{escape(pair_numbers(pair))}</p></header><p>{escape(verdict_words(comparison, pair))} '
        f"{escape(pair.text)}</p>{faults}{said}{problem}</article>\n"
    )


def verdict_words(comparison: Comparison, pair: Pair) -> str:
    """Return a sentence: which picture of a pair is better, or that it is a tie."""
    if pair.probability is None:
        return "No answer."
    if comparison.decided(pair):
        return f"The first is better, with a probability of {pair.probability:.2f}."
    return f"A tie: the first is better with a probability of {pair.probability:.2f} only."


def pair_numbers(pair: Pair) -> str:
    """Return difference, its interval, the share of people and the position bias of a pair, in one line."""
    parts = [] if pair.difference is None else [f"difference {pair.difference:+.2f} MOS"]
    if pair.interval is not None:
        parts[-1] += f" (90 %: {pair.interval[0]:+.2f} to {pair.interval[1]:+.2f})"
    if pair.share is not None:
        parts.append(f"chosen by {100 * pair.share[0]:.0f} to {100 * pair.share[1]:.0f} % of people")
    if pair.preference is not None:
        shown = pair.preference.orders
        parts.append(
            f"asked: {shown[0]:.2f} shown first, {shown[1]:.2f} shown second, bias {pair.preference.bias:+.2f}"
        )
    return " · ".join(parts)


def _failures(comparison: Comparison) -> str:
    failed = [one.assessment for one in comparison.pictures if one.assessment.error is not None]
    items = "".join(
        f"<li><b>{escape(one.name)}</b> {escape(one.error.problem)}; {escape(one.error.remedy)}</li>"
        for one in failed
        if one.error is not None
    )
    return f'<section class="failures"><h2>Not compared</h2><ul>{items}</ul></section>\n' if items else ""
