"""HTML report of a video: player, curve of scores with the spans of temporal faults, stills of the worst moments."""

from __future__ import annotations

import os
from collections.abc import Callable
from html import escape
from pathlib import Path
from urllib.parse import quote

from snellen.report import article, header, page, resource, write_page
from snellen.video.faults import LIMITS
from snellen.video.judge import VideoResult
from snellen.vocabulary import verdict

WIDTH, HEIGHT, LEFT, LANE = 900, 220, 40, 24
"""Size of the plot of scores over time, its left margin and the height of a lane of faults, in SVG units."""


def write_report(result: VideoResult, source: str, path: Path) -> None:
    """Write the page. It holds all but the video, which the player reads from where it lies."""
    write_page(report_html(result, address(source, path)), path)


def address(source: str, report: Path) -> str | None:
    """Return the video's address in the report: relative where it is a file; None where it cannot be played."""
    if source == "-" or Path(source).is_dir():
        return None
    if "://" in source:
        return source
    try:
        relative = os.path.relpath(Path(source).resolve(), report.resolve().parent)
    except ValueError:  # on another drive
        return Path(source).resolve().as_uri()
    return quote(Path(relative).as_posix())


def report_html(result: VideoResult, video: str | None) -> str:
    """Return the page. video: address of the video, None for no player."""
    models = {
        f"{known['model']} {known['model_version']}, snellen {known['snellen']}"
        for _, assessment in result.moments
        if (known := assessment.provenance) is not None
    }
    info = result.info
    facts = [info.codec, f"{result.frames} frames", f"{result.seconds:.2f} s", f"{len(result.scored)} scored"]
    player = f'<video id="video" controls preload="metadata" src="{escape(video)}"></video>' if video else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
    problems = "".join(f'<li class="error">{escape(problem)}</li>' for problem in result.problems)
    body = (
        f"{header(info.name, facts, sorted(models))}<section class=video>{player}{_score(result)}"
        f"<ul>{problems}{notes}</ul>{_plot(result)}{_faults(result)}</section>\n"
        + ("<h2>Worst moments</h2>" if result.moments else "")
        + "".join(_moment(number, result) for number in range(len(result.moments)))
    )
    style, script = resource("video/report.css"), resource("video/report.js")
    return page(f"Snellen: {info.name}", body, style, script, "media-src 'self' file: http: https:")


def _score(result: VideoResult) -> str:
    pooled = result.pooled
    if pooled is None:
        return '<p class="noscore">no score</p>'
    word = verdict(pooled.score)
    ends = "" if pooled.low is None else f'<p class="interval">90 % interval: {pooled.low:.2f} to {pooled.high:.2f}</p>'
    return (
        f'<p class="big">{pooled.score:.2f} <span class="verdict {word}">{word}</span></p>{ends}'
        f"<p>worst tenth of the time: {pooled.worst:.2f}</p>"
    )


def _plot(result: VideoResult) -> str:
    """Return the scores over time with their intervals, and a lane for each kind of temporal fault."""
    total = max(result.seconds, 1e-9)

    def x(time: float) -> float:
        return LEFT + time / total * (WIDTH - LEFT - 10)

    def y(score: float) -> float:
        return 10 + (5 - score) / 4 * (HEIGHT - 30)

    parts = [
        f'<path class="grid" d="M{LEFT} {y(n):.1f}H{WIDTH - 10}"/><text x="{LEFT - 8}" y="{y(n) + 4:.1f}" '
        f'text-anchor="end">{n}</text>'
        for n in range(1, 6)
    ]
    parts += [
        f'<text x="{x(total * n / 4):.1f}" y="{HEIGHT - 2}" text-anchor="{anchor}">{total * n / 4:.1f} s</text>'
        for n, anchor in enumerate(("start", "middle", "middle", "middle", "end"))
    ]
    good = [(one.time, one.score, one.interval) for one in result.scored if one.score is not None]
    if good and all(interval for _, _, interval in good):
        upper = " ".join(f"{x(time):.1f},{y(interval[1]):.1f}" for time, _, interval in good if interval)
        lower = " ".join(f"{x(time):.1f},{y(interval[0]):.1f}" for time, _, interval in reversed(good) if interval)
        parts.append(f'<polygon class="band" points="{upper} {lower}"/>')
    line = " ".join(f"{x(time):.1f},{y(score):.1f}" for time, score, _ in good)
    parts.append(f'<polyline class="curve" points="{line}"/>')
    parts += [
        f'<circle class="dot" data-time="{time:.3f}" cx="{x(time):.1f}" cy="{y(score):.1f}" r="3">'
        f"<title>{time:.2f} s: {score:.2f}</title></circle>"
        for time, score, _ in good
    ]
    lanes, height = _lanes(result, x)
    parts += lanes
    return (
        f'<div class="plot-of-time"><svg class="timeline" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="scores over time">'
        f'{"".join(parts)}<path id="now" class="now" d="M{LEFT} 5V{height}" data-left="{LEFT}" '
        f'data-right="{WIDTH - 10}" data-seconds="{total:.3f}"/></svg></div>'
    )


def _lanes(result: VideoResult, x: Callable[[float], float]) -> tuple[list[str], int]:
    """Return a lane with the spans of each kind of temporal fault and its name, and the height of the whole plot."""
    kinds = [kind for kind in LIMITS if any(fault.kind == kind for fault in result.faults)]
    parts = []
    for lane, kind in enumerate(kinds):
        faults = [fault for fault in result.faults if fault.kind == kind]
        top = HEIGHT + 6 + LANE * lane
        parts += [
            f'<rect class="span s{fault.severity}" data-time="{fault.start:.3f}" x="{x(fault.start):.1f}" y="{top}" '
            f'width="{max(3.0, x(fault.end) - x(fault.start)):.1f}" height="{LANE - 4}"><title>{fault.kind}, severity '
            f"{fault.severity}, {fault.start:.2f} to {fault.end:.2f} s</title></rect>"
            for fault in faults
        ]
        first, last = x(min(fault.start for fault in faults)), x(max(fault.end for fault in faults))
        at, anchor, inside = last + 6, "start", ""
        if last >= 0.8 * WIDTH and first > 0.2 * WIDTH:
            at, anchor = first - 6, "end"
        elif last >= 0.8 * WIDTH:  # no room beside the spans
            at, inside = first + 6, f' class="inside s{min(faults, key=lambda fault: fault.start).severity}"'
        parts.append(f'<text x="{at:.1f}" y="{top + LANE - 8}" text-anchor="{anchor}"{inside}>{kind}</text>')
    return parts, HEIGHT + 6 + LANE * len(kinds)


def _faults(result: VideoResult) -> str:
    rows = "".join(
        f'<tr data-time="{fault.start:.3f}"><td><button type="button">{fault.start:.2f} to {fault.end:.2f} s</button>'
        f'</td><td>{fault.kind}</td><td>severity {fault.severity}</td><td class="unit">{fault.value:.3g} '
        f"({LIMITS[fault.kind][0]})</td></tr>\n"
        for fault in result.faults
    )
    table = f"<table>{rows}</table>" if rows else '<p class="none">none found</p>'
    return f"<h2>Temporal faults</h2>{table}"


def _moment(index: int, result: VideoResult) -> str:
    moment, assessment = result.moments[index]
    button = f'<p class="at"><button type="button" data-time="{moment.time:.3f}">show {moment.time:.2f} s</button></p>'
    return button + article(index + 1, assessment, (f"scored {moment.score:.2f} in one round",))
