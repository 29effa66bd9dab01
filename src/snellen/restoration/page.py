"""HTML page of a restoration: one file that loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

import numpy as np
from PIL import Image

from snellen.draw import jpeg_uri, place
from snellen.report import article, header, page
from snellen.restoration.loop import Attempt, Restoration
from snellen.restoration.tool import Pixels

CROP_SIDE, SMALL_SIDE = 520, 260
"""Long side, px, of a crop on the page: of what was kept, and of the other candidates."""
_STYLE = """
main>h2{margin:1.8rem 0 .6rem}
.issue{background:var(--card);border:1px solid var(--line);border-radius:12px}
.issue{padding:1.2rem 1.5rem;margin:1rem 0 1.6rem}
.issue h3 small{font-weight:400;color:var(--soft)}
.pair{display:flex;gap:1rem;flex-wrap:wrap;margin:.9rem 0}
.pair figure{flex:0 1 auto;min-width:0}.pair figcaption{font-size:.85rem}
.issue dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:.7rem 0;align-items:baseline}
.issue dt{margin:0}.issue dd{overflow-wrap:anywhere}
.others summary{cursor:pointer;color:var(--soft)}
.others div{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1rem;margin-top:.8rem}
.others figcaption b{color:var(--ink);font-weight:600}
@media (max-width:40rem){.issue{padding:1rem}.issue dl{grid-template-columns:1fr;gap:0}.issue dd{margin-bottom:.4rem}}
"""


def html(restoration: Restoration) -> str:
    """Return the page: the picture before and after, each issue with its candidates, both assessments.

    Of a candidate that was kept: crops, tool, parameters, numbers of the check. Of the others: crop, tool, reason.
    """
    first, last = restoration.first, restoration.last
    assert first.score is not None and last.score is not None
    facts = [
        f"{len(restoration.accepted)} of {len(restoration.attempts)} candidates kept",
        f"score {first.score:.2f} before, {last.score:.2f} after",
        restoration.stopped,
    ]
    known = first.provenance or {}
    models = [f"{known.get('model')} {known.get('model_version')}"]
    whole = ""
    if restoration.accepted:
        source = first.picture
        assert source is not None
        whole = _pair([("before", source.pixels), ("after", restoration.picture.pixels)], CROP_SIDE)
    issues = [list(group) for _, group in groupby(restoration.attempts, key=lambda attempt: id(attempt.issue))]
    steps = "".join(_issue(attempts) for attempts in issues)
    body = (
        f"{header('Snellen restoration', facts, models)}{whole}"
        f"<h2>Issues and candidates</h2>{steps or '<p>No issue that a tool acts on.</p>'}"
        f"<h2>Assessment before</h2>{article(1, first)}<h2>Assessment after</h2>{article(2, last)}"
    )
    return page(f"Restoration of {first.name}", body, _STYLE)


def _issue(attempts: Sequence[Attempt]) -> str:
    """Return the card of an issue: what was kept of its candidates, the others folded."""
    issue, prompts = attempts[0].issue, attempts[0].prompts
    kept = [attempt for attempt in attempts if attempt.accepted]
    others = [attempt for attempt in attempts if not attempt.accepted]
    texts = [("Work towards", prompts["positive"]), ("Avoid", prompts["negative"])]
    more = f"<p>{len(others)} candidates, none kept</p>" if not kept else ""
    folded = (
        f'<details class="others"{"" if kept else " open"}><summary>{len(others)} not kept</summary>'
        f"<div>{''.join(_other(attempt) for attempt in others)}</div></details>"
    )
    return (
        f'<section class="issue"><h3>{issue.kind} <small>severity {issue.severity}, {place(issue.region)}</small></h3>'
        f"{_entries(texts)}{''.join(_kept(attempt) for attempt in kept)}{more}{folded if others else ''}</section>\n"
    )


def _kept(attempt: Attempt) -> str:
    rows = [("Kept", _tool(attempt)), ("Reason", attempt.reason), ("Check", _numbers(attempt))]
    assert attempt.after is not None
    return _pair([("before", attempt.before), ("after", attempt.after)], CROP_SIDE) + _entries(rows)


def _other(attempt: Attempt) -> str:
    shown = attempt.before if attempt.after is None else attempt.after
    caption = f"<b>{escape(_tool(attempt))}</b><br>{escape(attempt.reason)}"
    return _figure(shown, SMALL_SIDE, "before" if attempt.after is None else "after", caption)


def _tool(attempt: Attempt) -> str:
    return f"{attempt.does} ({attempt.named})" if attempt.does else attempt.named


def _entries(rows: Sequence[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{escape(text)}</dd>' for name, text in rows if text)}</dl>"


def _numbers(attempt: Attempt) -> str:
    if attempt.check is None:
        return ""
    return "; ".join(f"{name} {value:.2f}" for name, value in attempt.check.numbers.items())


def _pair(pictures: Sequence[tuple[str, Pixels]], side: int) -> str:
    return f'<div class="pair">{"".join(_figure(pixels, side, name, name) for name, pixels in pictures)}</div>'


def _figure(pixels: Pixels, side: int, name: str, caption: str) -> str:
    """Return a figure. name: plain words for who cannot see it. caption: HTML."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side, side))
    return f'<figure><img alt="{name}" src="{jpeg_uri(image, 92)}"><figcaption>{caption}</figcaption></figure>'
