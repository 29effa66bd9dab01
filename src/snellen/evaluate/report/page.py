"""report.html of an evaluation: tables and figures of every suite, and the largest errors with their rationale."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from snellen.assessment import Assessment, AssessmentError, Step
from snellen.assessor import KEPT_SIDE
from snellen.backend import Reply
from snellen.data.sample import Sample
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.modes import MODES, ONLY
from snellen.evaluate.predict import Options
from snellen.evaluate.report.tables import Figure, Table
from snellen.evaluate.rows import Round, Row
from snellen.evaluate.suites import scores
from snellen.image import ImageError, Picture, load, resample
from snellen.protocol import Protocol, open_protocol
from snellen.region import FULL
from snellen.reply import ReplyError
from snellen.report import article, header, page, resource, write_page

LONG = 40
"""Characters from which on a cell is text, which keeps a width to be read at on narrow screens."""
_INTERVAL = re.compile(r"^(.*\S) (\[[^\]]*\])$")


def write_report(
    shown: Mapping[str, Sequence[Table | Figure]],
    run: Mapping[str, Any],
    rows: Mapping[str, Sequence[Row]],
    sets: Sequence[DataSet],
    options: Options,
    path: Path,
) -> None:
    """Write the page: the tables and figures of each suite, the largest errors, the settings of the run."""
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in shown)
    misses = "".join(worst_misses(rows.get("scores", ()), sets, options))
    if misses:
        links += '<a href="#misses">largest errors</a>'
        misses = f'<h2 class="misses" id="misses">The {scores.MISSES} largest errors</h2>\n{misses}'
    links += '<a href="#run">settings</a>'
    body = [
        header("Snellen evaluation", [_pictures(each) for each in run["data"]], [_model(run)]),
        f'<nav class="suites">{links}</nav>\n',
        *(suite_html(name, parts) for name, parts in shown.items()),
        misses,
        _run_html(run),
    ]
    write_page(page("Snellen evaluation", "".join(body), resource("evaluate/report/page.css")), path)


def _pictures(data: Mapping[str, Any]) -> str:
    scenes = data["scenes in several splits"]
    shared = f", {scenes} scenes in more than one split" if scenes else ""
    return f"{data['name']}: {data['pictures']} pictures{shared}"


def _model(run: Mapping[str, Any]) -> str:
    return f"{run['model']['name']} {run['model']['version']}, protocol {run['protocol']}, snellen {run['snellen']}"


def suite_html(name: str, parts: Sequence[Table | Figure]) -> str:
    """Return the section of a suite; adjacent figures stand side by side."""
    html, beside = [f'<section class="suite" id="{escape(name)}"><h2>{escape(name)}</h2>\n'], False
    for part in parts:
        figure = isinstance(part, Figure)
        if figure != beside:
            html.append('<div class="figures">' if figure else "</div>\n")
            beside = figure
        html.append(figure_html(part) if isinstance(part, Figure) else table_html(part))
    return "".join(html) + ("</div>" if beside else "") + "</section>\n"


def figure_html(figure: Figure) -> str:
    """Return a figure with its title and note."""
    return f"<figure><h3>{escape(figure.title)}</h3>{figure.svg}{_note(figure.note)}</figure>\n"


def table_html(table: Table) -> str:
    """Return a table with its title and note; the interval of a value stands below it."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in table.rows)
    return (
        f'<h3>{escape(table.title)}</h3><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{body}</tbody></table></div>{_note(table.note)}\n"
    )


def _cell(text: str) -> str:
    if found := _INTERVAL.match(text):
        return f"<td>{escape(found[1])}<small>{escape(found[2])}</small></td>"
    return f'<td class="text">{escape(text)}</td>' if len(text) > LONG else f"<td>{escape(text)}</td>"


def _note(note: str) -> str:
    return f'<p class="remark">{escape(note)}</p>' if note else ""


def _run_html(run: Mapping[str, Any]) -> str:
    times = "; ".join(
        f"{suite}: " + ", ".join(f"{mode} {value:.2f} s" for mode, value in modes.items())
        for suite, modes in run["seconds per picture"].items()
    )
    facts = {
        "command": shlex.join(run["command"]),
        "weights, SHA-256": run["model"]["weights_sha256"],
        "data, SHA-256": ", ".join(f"{each['name']} {each['sha256']}" for each in run["data"]),
        "suites without pictures": ", ".join(run["suites without pictures"]),
        "pictures without a score": str(run["failed pictures"]),
        "median time per picture": f"{times} (one thread in each of {run['workers']} processes)" if times else "",
        "baselines": ", ".join(run["baselines"].values()),
        "seed": str(run["seed"]),
        "most pictures of a set": "" if run["max_samples"] is None else str(run["max_samples"]),
        "most pictures for baselines": ", ".join(f"{name} {most}" for name, most in run["baseline_samples"].items()),
        "system": f"Python {run['python']}, {run['system']}",
        "packages": ", ".join(f"{name} {version}" for name, version in run["packages"].items()),
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items() if fact)
    return f'<section class="suite" id="run"><h2>Settings</h2><dl class="facts-list">{listed}</dl></section>\n'


def worst_misses(rows: Sequence[Row], sets: Sequence[DataSet], options: Options) -> list[str]:
    """Return articles on the pictures with the largest errors of the main mode, over all sets."""
    samples: dict[str, Sample] = {key: sample for each in sets for key, sample in each.samples.items()}
    mains = [next(iter(modes.items())) for modes in scores.by_set(rows, sets).values()]
    misses = scores.worst_misses([row for mode, those in mains if mode in MODES for row in those.values()], samples)
    protocol = open_protocol(options.protocol)
    articles = []
    for row in misses[: scores.MISSES]:
        mos, score = samples[row.key].mos or 0.0, row.score or 0.0  # `scores.worst_misses` returns rows with both
        facts = [f"MOS {mos:.2f}, error {abs(score - mos):.2f}"]
        try:
            picture = load(samples[row.key].path, max_megapixels=options.max_megapixels)
        except ImageError as problem:  # the file has changed since it was assessed
            articles.append(f'<p class="remark">{escape(f"{row.key}: {problem}")}</p>')
            continue
        articles.append(article(len(articles) + 1, rebuilt(row, picture, protocol), facts))
    return articles


def rebuilt(row: Row, picture: Picture, protocol: Protocol) -> Assessment:
    """Return the assessment behind a row, with its picture, for display; without the rating distributions."""
    kept = Picture(resample(picture, FULL, KEPT_SIDE), picture.name, picture.notes)
    crops = [one.region for one in row.rounds[1:]]
    steps = tuple(
        replace(_step(row, number, one, picture, kept, protocol), zoom=zoom)
        for number, (one, zoom) in enumerate(zip(row.rounds, [*crops, None], strict=False), start=1)
    )
    last = steps[-1].parsed if steps else None
    rationale = last.rationale if last else None
    return Assessment(
        row.key,
        row.score,
        row.interval,
        row.label,
        row.issues,
        steps,
        {"positive": rationale.directions, "negative": rationale.avoid} if rationale else None,
        picture.notes,
        {"picture": {"width": picture.width, "height": picture.height}},
        picture=kept,
    )


def _step(row: Row, number: int, one: Round, picture: Picture, kept: Picture, protocol: Protocol) -> Step:
    view = replace(picture.view(one.region), picture=kept)
    parsed = None
    if one.error is None and row.mode != ONLY:
        with contextlib.suppress(ReplyError):  # boxes in units that only the model knew
            parsed = protocol.parse(one.reply, number, size=(picture.width, picture.height))
    finish: Any = one.finish
    error = AssessmentError("unparsable_reply", one.error, "") if one.error else None
    rating = one.score if one.error is None else one.rating
    return Step(view, Reply(one.reply, finish=finish), parsed, rating, error=error, note=one.note)
