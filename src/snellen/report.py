"""HTML report of assessments: one file that loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from snellen.assessment import HISTOGRAM_BIN, histogram
from snellen.checks import VERDICTS as VERDICTS_OF_CHECKS
from snellen.draw import CROP_COLOR, SEVERITY_COLORS, jpeg_uri, place, tag_corners
from snellen.output import replacing
from snellen.region import FULL, Region
from snellen.reply import labels
from snellen.vocabulary import VERDICTS

if TYPE_CHECKING:
    import numpy.typing as npt

    from snellen.assessment import Assessment, Step
    from snellen.backend import RatingDistribution

PLOT_WIDTH, PLOT_HEIGHT, PLOT_MARGIN = 420, 118, 14
"""Size of the plot of a rating distribution, in SVG units."""
AXIS = 88


class Report:
    """Report that takes assessments one by one and keeps only their HTML."""

    def __init__(self) -> None:
        self._articles: list[str] = []
        self._rows: list[str] = []
        self._failures: list[str] = []
        self._models: dict[str, None] = {}
        self._scores: list[float] = []

    def add(self, assessment: Assessment) -> None:
        """Add the assessment of a picture, with or without a score."""
        number = len(self._articles) + 1
        if assessment.provenance is not None:
            self._models[_model(assessment)] = None
        if assessment.score is not None:
            self._scores.append(assessment.score)
            self._rows.append(_row(number, assessment))
        if assessment.error is not None:
            self._failures.append(_failure(number, assessment))
        if assessment.score is not None or assessment.steps:
            self._articles.append(article(number, assessment))

    def html(self) -> str:
        """Return the page."""
        body = f"{self._header()}{self._summary()}{self._failed()}{''.join(self._articles)}"
        return page("Snellen report", body)

    def write(self, path: Path) -> None:
        """Write the page. A file of that name is replaced at once or not at all."""
        write_page(self.html(), path)

    def _header(self) -> str:
        count = len(self._scores)
        facts = [f"{count} picture{'s' * (count != 1)} scored"]
        if self._failures:
            facts.append(f"{len(self._failures)} failed")
        if len(self._scores) > 1:
            facts.append(f"mean {sum(self._scores) / len(self._scores):.2f}")
        return header("Snellen report", facts, list(self._models))

    def _summary(self) -> str:
        if len(self._rows) < 2:
            return ""
        heads = "".join(
            f'<th aria-sort="none" class="{kind}"><button type="button">{title}</button></th>'
            for title, kind in (("Picture", "text"), ("Score", "number"), ("Verdict", "number"), ("Issues", "text"))
        )
        return (
            '<section class="summary"><table id="summary"><thead><tr><th class="thumb"></th>'
            f"{heads}</tr></thead><tbody>\n{''.join(self._rows)}</tbody></table></section>\n"
        )

    def _failed(self) -> str:
        if not self._failures:
            return ""
        return '<section class="failures"><h2>Not scored</h2><ul>\n' + "".join(self._failures) + "</ul></section>\n"


def resource(name: str) -> str:
    """Return a style sheet or a script of the package, such as "video/report.css"."""
    return resources.files("snellen").joinpath(*name.split("/")).read_text(encoding="utf-8")


def page(title: str, body: str, style: str = "", script: str = "", media: str = "") -> str:
    """Return a page with the HTML `body`, the styles and the script of reports, and CSS and JavaScript of its own.

    media: a further directive of the page's content security policy, where it plays a video.
    """
    common, last = resource("report.css"), resource("report.js")
    own = f"<script>\n{script}</script>\n" if script else ""
    tones = "".join(f"--s{severity}:{color};" for severity, color in enumerate(SEVERITY_COLORS, start=1))
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    policy += f"; {media}" if media else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n:root{{{tones}--crop:{CROP_COLOR}}}\n{common}{style}</style>\n"
        f"</head>\n<body>\n<main>\n{body}{own}</main>\n<script>\n{last}</script>\n</body>\n</html>\n"
    )


def header(title: str, facts: Sequence[str], models: Sequence[str]) -> str:
    """Return the head of a page: facts under the title, models at the right, a switch for light and dark."""
    return (
        f'<header class="page"><div><h1>{escape(title)}</h1><p class="facts">{escape(" · ".join(facts))}</p></div>'
        f'<div class="aside"><p>{"<br>".join(map(escape, models))}</p>'
        '<button type="button" id="theme" title="Light or dark" aria-label="Light or dark">◐</button>'
        "</div></header>\n"
    )


def write_page(html: str, path: Path) -> None:
    """Write a page. A file of that name is replaced at once or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_text(html, encoding="utf-8", errors="backslashreplace")


def _model(assessment: Assessment) -> str:
    known = assessment.provenance or {}
    return f"{known['model']} {known['model_version']}, protocol {known['protocol']}, snellen {known['snellen']}"


def _row(number: int, assessment: Assessment) -> str:
    assert assessment.score is not None and assessment.picture is not None
    issues = sorted(assessment.issues, key=lambda issue: -issue.severity)
    named = ", ".join(f"{issue.kind} {issue.severity}" for issue in issues)
    worst = issues[0].severity if issues else 0
    low, high = assessment.interval or (assessment.score, assessment.score)
    strip = (
        f'<span class="strip" title="from {low:.2f} to {high:.2f}"><i style="left:{_share(low):.1f}%;'
        f'width:{_share(high) - _share(low):.1f}%"></i><b style="left:{_share(assessment.score):.1f}%"></b></span>'
    )
    return (
        f'<tr><td class="thumb"><a href="#p{number}" tabindex="-1">'
        f"{image_tag(_shrunk(assessment.picture.pixels, 96), '')}</a></td>"
        f'<td data-key="{escape(assessment.name)}"><a href="#p{number}">{escape(assessment.name)}</a></td>'
        f'<td data-key="{assessment.score:.4f}" class="score">{assessment.score:.2f}{strip}</td>'
        f'<td data-key="{assessment.score:.4f}">{_verdict(assessment)}</td>'
        f'<td data-key="{worst} {escape(named)}">{escape(named) or "<span class=none>none</span>"}</td></tr>\n'
    )


def _failure(number: int, assessment: Assessment) -> str:
    assert assessment.error is not None
    link = f' <a href="#p{number}">reply</a>' if assessment.steps else ""
    return (
        f"<li><b>{escape(assessment.name)}</b> {escape(assessment.error.problem)}; {escape(assessment.error.remedy)} "
        f"<code>{escape(assessment.error.code)}</code>{link}</li>\n"
    )


def article(number: int, assessment: Assessment, known: Sequence[str] = ()) -> str:
    """Return the HTML of one assessment, round by round. known: facts about the picture, shown beside its name."""
    size = (assessment.provenance or {}).get("picture", {})
    facts = [f"{size['width']} × {size['height']} px"] if size else []
    facts += [escape(fact) for fact in (*known, *assessment.notes)]
    rounds = "".join(_round(n, assessment) for n in range(1, len(assessment.steps) + 1))
    return (
        f'<article id="p{number}"><header><h2>{escape(assessment.name)}</h2>'
        f'<p class="facts">{" · ".join(facts)}</p></header>\n'
        f'<div class="top"><figure class="photo">{_photo(assessment)}</figure>'
        f'<div class="result">{_result(assessment)}</div></div>\n{rounds}</article>\n'
    )


def _photo(assessment: Assessment) -> str:
    """Return the picture with the crops of later rounds (dashed) and the issues drawn over it."""
    assert assessment.picture is not None
    width, height = assessment.picture.width, assessment.picture.height
    shapes = []
    tag = max(width, height) / 48
    boxes = [issue.region.to_pixels(width, height) for issue in assessment.issues]
    corners = tag_corners(boxes, 1.6 * tag, 1.6 * tag)
    for number, (issue, (x, y)) in enumerate(zip(assessment.issues, corners, strict=True), start=1):
        title = f"{issue.kind}, severity {issue.severity}"
        dark = " dark" if issue.severity >= 4 else ""
        shapes.append(
            f'<g class="issue s{issue.severity}{dark}" data-issue="{number}"><title>{escape(title)}</title>'
            f"{_frame(issue.region, width, height)}"
            f'<rect class="tag" x="{x:.1f}" y="{y:.1f}" width="{1.6 * tag:.1f}" height="{1.6 * tag:.1f}"/>'
            f'<text x="{x + 0.8 * tag:.1f}" y="{y + 1.2 * tag:.1f}" font-size="{1.15 * tag:.1f}">{number}'
            "</text></g>"
        )
    shapes += [_box(step.region, width, height, "crop") for step in assessment.steps[1:]]
    overlay = f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(shapes)}</svg>'
    return f"{image_tag(assessment.picture.pixels, assessment.name)}{overlay}"


def _frame(region: Region, width: int, height: int) -> str:
    """Return the box of an issue; none around the whole picture, where it would look like a selection."""
    return "" if region == FULL else _box(region, width, height, "under") + _box(region, width, height, "over")


def _box(region: Region, width: int, height: int, kind: str) -> str:
    left, top, right, bottom = region.to_pixels(width, height)
    return f'<rect class="{kind}" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>'


def _result(assessment: Assessment) -> str:
    if assessment.score is None:
        problem = assessment.error.problem if assessment.error else ""
        return f'<p class="noscore">no score</p><p>{escape(problem)}</p>'
    parts = [f'<p class="big">{assessment.score:.2f} {_verdict(assessment)}</p>']
    if assessment.interval is not None:
        low, high = assessment.interval
        parts.append(f'<p class="interval">90 % interval: {low:.2f} to {high:.2f}</p>')
    if assessment.steps[-1].parsed is not None:
        items = "".join(
            f'<li data-issue="{number}"><span class="n s{issue.severity}">{number}</span><b>{escape(issue.kind)}</b>'
            f'<span class="severity" title="severity {issue.severity} of 5">{_dots(issue.severity)}</span>'
            f'<span class="place">{escape(issue.region.place)}</span></li>'
            for number, issue in enumerate(assessment.issues, start=1)
        )
        parts.append(f'<h3>Issues</h3><ul class="issues">{items or "<li class=none>none found</li>"}</ul>')
        if possible := assessment.possible_faults:
            named = ", ".join(f"{escape(kind)} {100 * value:.0f} %" for kind, value in possible.items())
            parts.append(f'<p class="possible">possible: {named}</p>')
    if len(assessment.steps) > 1:
        parts.append('<p class="key"><span class="dash"></span>crops of later rounds</p>')
    if assessment.prompts is not None:
        prompts = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in assessment.prompts.items())
        parts.append(f"<details><summary>Prompts for restoration</summary><dl>{prompts}</dl></details>")
    return "".join(parts)


def _dots(severity: int) -> str:
    return "".join(f'<i class="{f"s{severity}" if n < severity else ""}"></i>' for n in range(5))


def _verdict(assessment: Assessment) -> str:
    return f'<span class="verdict {assessment.label}">{assessment.label}</span>'


def _round(number: int, assessment: Assessment) -> str:
    step = assessment.steps[number - 1]
    before = assessment.steps[number - 2].score if number > 1 else None
    last = number == len(assessment.steps)
    heading = f"Round {number} <span>{escape(place(step.region, fractions=False))}</span>"
    moved = "" if before is None or step.score is None else f' <span class="moved">{step.score - before:+.2f}</span>'
    rating = "" if step.score is None else f'<span class="rating">{step.score:.2f}{moved}</span>'
    views = (
        f"<figure>{image_tag(step.view.overview, 'overview')}<figcaption>overview</figcaption></figure>"
        f"<figure>{image_tag(step.view.fragments, 'fragments')}"
        "<figcaption>samples in native pixels</figcaption></figure>"
    )
    plot = _plot(step, before, assessment.interval if last else None)
    return (
        f'<section class="round"><h3>{heading}{rating}</h3><div class="body"><div class="views">{views}</div>'
        f'<div class="sections">{_text(number, step)}{_checks(step)}{_next(step)}</div>'
        f'<div class="plot">{plot}</div></div></section>\n'
    )


def _text(number: int, step: Step) -> str:
    if step.parsed is None:
        return f"<pre>{escape(step.reply.text)}</pre>"
    if step.parsed.rationale is None:
        return '<p class="none">no reasoning</p>'
    pairs = zip(labels(number), step.parsed.rationale.sections, strict=True)
    return f"<dl>{''.join(f'<dt>{escape(label)}</dt><dd>{escape(text)}</dd>' for label, text in pairs)}</dl>"


def _checks(step: Step) -> str:
    """Return the checks of a free text, contradictions first; nothing without any."""
    if not step.checks:
        return ""
    counts = [(verdict, sum(check.verdict == verdict for check in step.checks)) for verdict in VERDICTS_OF_CHECKS]
    title = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
    ordered = sorted(step.checks, key=lambda check: ("contradicted", "supported", "not checkable").index(check.verdict))
    items = "".join(
        f'<li class="{check.verdict.replace(" ", "-")}" title="{escape(check.text)}"><b>{escape(check.claim)}</b> '
        f"{check.verdict}: {escape(check.reason)}</li>"
        for check in ordered
    )
    opened = " open" if counts[1][1] else ""
    return f'<details class="checks"{opened}><summary>Claims: {title}</summary><ul>{items}</ul></details>'


def _next(step: Step) -> str:
    lines = []
    if step.zoom is not None:
        lines.append(f'<p class="next">Zooms in: {escape(place(step.zoom))}</p>')
    if step.note is not None:
        lines.append(f'<p class="note">{escape(step.note)}</p>')
    if step.error is not None:
        lines.append(f'<p class="error">{escape(str(step.error))}</p>')
    return "".join(lines)


def _plot(step: Step, before: float | None, interval: tuple[float, float] | None) -> str:
    """Return the plot of a rating distribution: bars over the verdicts, marks at score, earlier score and interval."""
    if step.score is None:
        return ""
    parts = []
    left = _x(1.0)
    for limit, word in VERDICTS:
        right = _x(min(limit, 5.0))
        parts.append(
            f'<rect class="zone {word}" x="{left:.1f}" y="10" width="{right - left:.1f}" height="{AXIS - 10}"/>'
            f'<text class="word" x="{(left + right) / 2:.1f}" y="{AXIS + 14}">{word}</text>'
        )
        left = right
    if step.distribution is not None:
        parts.append(_bars(step.distribution))
    if interval is not None:
        low, high = (_x(end) for end in interval)
        y = AXIS + 23
        parts.append(f'<path class="interval" d="M{low:.1f} {y - 4}v8M{low:.1f} {y}H{high:.1f}M{high:.1f} {y - 4}v8"/>')
    parts.append(f'<path class="axis" d="M{_x(1):.1f} {AXIS}H{_x(5):.1f}"/>')
    if before is not None:
        parts.append(f'<path class="before" d="M{_x(before):.1f} 10V{AXIS}"/>')
    at = _x(step.score)
    parts.append(f'<path class="mark" d="M{at:.1f} 4V{AXIS}"/><circle class="mark" cx="{at:.1f}" cy="5" r="4"/>')
    caption = f"rating {step.score:.2f}"
    if step.distribution is not None:
        written = "" if step.rating is None else f" (written: {step.rating:.2f})"
        caption = f"expected rating {step.score:.2f}{written}, standard deviation {step.distribution.std:.2f}"
    caption += "" if before is None else "; dotted: the round before"
    caption += "" if interval is None else "; bracket: 90 % interval"
    return (
        f'<figure><svg viewBox="0 0 {PLOT_WIDTH} {PLOT_HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _bars(distribution: RatingDistribution) -> str:
    """Return bars of width HISTOGRAM_BIN; their heights are relative to the highest."""
    shares = histogram(distribution)
    step = _x(1 + HISTOGRAM_BIN) - _x(1)
    bars = []
    for index, share in enumerate(shares / shares.max()):
        height = share * (AXIS - 16)
        if height < 0.3:
            continue
        left, right = (
            max(_x(1), _x(1 + HISTOGRAM_BIN * (index - 0.5))),
            min(_x(5), _x(1 + HISTOGRAM_BIN * (index + 0.5))),
        )
        bars.append(f"M{left:.1f} {AXIS}v{-height:.1f}h{right - left - 0.12 * step:.1f}v{height:.1f}z")
    return f'<path class="bars" d="{"".join(bars)}"/>'


def _x(rating: float) -> float:
    return PLOT_MARGIN + (rating - 1) / 4 * (PLOT_WIDTH - 2 * PLOT_MARGIN)


def _share(rating: float) -> float:
    return 25.0 * (rating - 1)


def image_tag(pixels: npt.NDArray[np.uint8], alt: str) -> str:
    """Return an <img> that holds the (H, W, 3) uint8 pixels as JPEG."""
    height, width = pixels.shape[:2]
    return f'<img width="{width}" height="{height}" alt="{escape(alt)}" src="{jpeg_uri(Image.fromarray(pixels))}">'


def _shrunk(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return np.asarray(image)
