"""report.html of an evaluation: the tables and figures of every suite, and the worst misses with their reasoning."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from snellen.assessment import Assessment, AssessmentError, Step
from snellen.assessor import KEPT_SIDE
from snellen.backend import Reply
from snellen.data.sample import Sample
from snellen.evaluate.modes import ONLY, WAYS
from snellen.evaluate.predict import DataSet, Options, Round, Row
from snellen.evaluate.report.tables import Figure, Table
from snellen.evaluate.suites import scores
from snellen.image import ImageError, Picture, load, resample
from snellen.protocol import Protocol, open_protocol
from snellen.region import FULL
from snellen.report import article, header, page, write_page

_INTERVAL = re.compile(r"^(.*\S) (\[[^\]]*\])$")


def write_report(
    shown: Mapping[str, Sequence[Table | Figure]],
    run: Mapping[str, Any],
    rows: Mapping[str, Sequence[Row]],
    sets: Sequence[DataSet],
    options: Options,
    path: Path,
) -> None:
    """Write the page: what each suite shows, by name of the suite; then the worst misses; then how it was run."""
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in shown)
    misses = "".join(worst_misses(rows.get("scores", ()), sets, options))
    if misses:
        links += '<a href="#misses">worst misses</a>'
        misses = f'<h2 class="misses" id="misses">Where it fails: the {scores.MISSES} worst misses</h2>\n{misses}'
    links += '<a href="#run">how it was run</a>'
    body = [
        header("Snellen evaluation", [_pictures(each) for each in run["data"]], [_model(run)]),
        f'<nav class="suites">{links}</nav>\n',
        *(suite_html(name, parts) for name, parts in shown.items()),
        misses,
        _run_html(run),
    ]
    style = resources.files("snellen.evaluate.report").joinpath("page.css").read_text(encoding="utf-8")
    write_page(page("Snellen evaluation", "".join(body), style), path)


def _pictures(data: Mapping[str, Any]) -> str:
    scenes = data["scenes in several splits"]
    shared = f", {scenes} scenes in more than one split" if scenes else ""
    return f"{data['name']}: {data['pictures']} pictures{shared}"


def _model(run: Mapping[str, Any]) -> str:
    return f"{run['model']['name']} {run['model']['version']}, protocol {run['protocol']}, snellen {run['snellen']}"


def suite_html(name: str, parts: Sequence[Table | Figure]) -> str:
    """One section; figures that follow each other stand side by side."""
    html, beside = [f'<section class="suite" id="{escape(name)}"><h2>{escape(name)}</h2>\n'], False
    for part in parts:
        figure = isinstance(part, Figure)
        if figure != beside:
            html.append('<div class="figures">' if figure else "</div>\n")
            beside = figure
        html.append(figure_html(part) if isinstance(part, Figure) else table_html(part))
    return "".join(html) + ("</div>" if beside else "") + "</section>\n"


def figure_html(figure: Figure) -> str:
    """A figure with its title and note."""
    return f"<figure><h3>{escape(figure.title)}</h3>{figure.svg}{_note(figure.note)}</figure>\n"


def table_html(table: Table) -> str:
    """A table with its title and note; the interval of a value stands under it."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>\n" for row in table.rows)
    return (
        f'<h3>{escape(table.title)}</h3><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{body}</tbody></table></div>{_note(table.note)}\n"
    )


def _cell(text: str) -> str:
    found = _INTERVAL.match(text)
    return f"{escape(found[1])}<small>{escape(found[2])}</small>" if found else escape(text)


def _note(note: str) -> str:
    return f'<p class="remark">{escape(note)}</p>' if note else ""


def _run_html(run: Mapping[str, Any]) -> str:
    taken = "; ".join(
        f"{suite}: " + ", ".join(f"{way} {value:.2f} s" for way, value in ways.items())
        for suite, ways in run["seconds per picture"].items()
    )
    facts = {
        "command": shlex.join(run["command"]),
        "weights, SHA-256": run["model"]["weights_sha256"],
        "data, SHA-256": ", ".join(f"{each['name']} {each['sha256']}" for each in run["data"]),
        "suites without pictures": ", ".join(run["suites without pictures"]),
        "median time per picture": f"{taken} (one thread in each of {run['workers']} processes)" if taken else "",
        "peers": ", ".join(run["peers"].values()),
        "seed": str(run["seed"]),
        "pictures at most": "" if run["max_samples"] is None else str(run["max_samples"]),
        "pictures at most, peers": ", ".join(f"{name} {most}" for name, most in run["peer_samples"].items()),
        "where": f"Python {run['python']}, {run['system']}",
        "packages": ", ".join(f"{name} {version}" for name, version in run["packages"].items()),
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items() if fact)
    return f'<section class="suite" id="run"><h2>How it was run</h2><dl class="facts-list">{listed}</dl></section>\n'


def worst_misses(rows: Sequence[Row], sets: Sequence[DataSet], options: Options) -> list[str]:
    """Articles of the pictures whose score is furthest from the MOS, over all sets, in the main way."""
    samples: dict[str, Sample] = {key: sample for each in sets for key, sample in each.samples.items()}
    mains = [next(iter(ways.items())) for ways in scores.by_set(rows, sets).values()]
    misses = scores.worst([row for way, those in mains if way in WAYS for row in those.values()], samples)
    protocol = open_protocol(options.protocol)
    articles = []
    for row in misses[: scores.MISSES]:
        mos, score = samples[row.key].mos or 0.0, row.score or 0.0  # `worst` takes only what has both
        facts = [f"people say {mos:.2f}, off by {abs(score - mos):.2f}"]
        try:
            picture = load(samples[row.key].path, max_megapixels=options.max_megapixels)
        except ImageError as problem:  # it was there when it was assessed
            articles.append(f'<p class="remark">{escape(f"{row.key}: {problem}")}</p>')
            continue
        articles.append(article(len(articles) + 1, told_again(row, picture, protocol), facts))
    return articles


def told_again(row: Row, picture: Picture, protocol: Protocol) -> Assessment:
    """The assessment that a row was made of, with its picture, for showing; without the rating distributions."""
    kept = Picture(resample(picture, FULL, KEPT_SIDE), picture.name, picture.notes)
    shown = [round.region for round in row.rounds[1:]]
    steps = tuple(
        replace(_step(row, number, round, picture, kept, protocol), zoom=zoom)
        for number, (round, zoom) in enumerate(zip(row.rounds, [*shown, None], strict=False), start=1)
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


def _step(row: Row, number: int, round: Round, picture: Picture, kept: Picture, protocol: Protocol) -> Step:
    view = replace(picture.view(round.region), picture=kept)
    parsed = None if round.error is not None or row.way == ONLY else protocol.parse(round.reply, number)
    finish: Any = round.finish
    error = AssessmentError("unparsable_reply", round.error, "") if round.error else None
    rating = round.score if round.error is None else round.rating
    return Step(view, Reply(round.reply, finish=finish), parsed, rating, error=error, note=round.note)
