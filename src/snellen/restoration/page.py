"""HTML page of a restoration: one file that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from snellen.draw import place
from snellen.report import article, header, page
from snellen.restoration.loop import Attempt, Restoration
from snellen.restoration.tool import Pixels

CROP_SIDE = 480
"""Long side, px, of a crop on the page."""
_STYLE = """
.step{margin:1.5rem 0}.step .pair{display:flex;gap:1rem;flex-wrap:wrap}.step figure{margin:0}
.step img{max-width:100%;height:auto}.step.rejected{opacity:.75}.step dt{font-weight:600}
"""


def html(restoration: Restoration) -> str:
    """Return the page: both assessments and every step with its crops, tool, parameters, prompts and reasons."""
    first, last = restoration.first, restoration.last
    assert first.score is not None and last.score is not None
    facts = [
        f"{len(restoration.accepted)} of {len(restoration.attempts)} candidates accepted",
        f"score {first.score:.2f} before, {last.score:.2f} after",
        restoration.stopped,
    ]
    known = first.provenance or {}
    models = [f"{known.get('model')} {known.get('model_version')}"]
    steps = "".join(_step(number, attempt) for number, attempt in enumerate(restoration.attempts, start=1))
    body = (
        f"{header('Snellen restoration', facts, models)}<h2>Before</h2>{article(1, first)}"
        f"<h2>Steps</h2>{steps or '<p>No issue that a tool acts on.</p>'}<h2>After</h2>{article(2, last)}"
    )
    return page(f"Restoration of {first.name}", body, _STYLE)


def _step(number: int, attempt: Attempt) -> str:
    outcome = "accepted" if attempt.accepted else "rejected"
    setting = ", ".join(f"{name} {value:g}" for name, value in attempt.setting.items()) or "none"
    rows = [
        ("Issue", f"{attempt.issue.kind}, severity {attempt.issue.severity}, {place(attempt.issue.region)}"),
        ("Tool", f"{attempt.tool}; parameters: {setting}"),
        ("Reason", attempt.reason),
        ("Check", _numbers(attempt)),
        ("Positive prompt", attempt.prompts["positive"]),
        ("Negative prompt", attempt.prompts["negative"]),
    ]
    entries = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows if text)
    crops = [("before", attempt.before)] + ([("after", attempt.after)] if attempt.after is not None else [])
    return (
        f'<section class="step {outcome}"><h3>{number}. {escape(attempt.tool)}: {outcome}</h3>'
        f'<div class="pair">{_figures(crops)}</div><dl>{entries}</dl></section>\n'
    )


def _numbers(attempt: Attempt) -> str:
    if attempt.check is None:
        return ""
    return "; ".join(f"{name} {value:.2f}" for name, value in attempt.check.numbers.items())


def _figures(crops: Sequence[tuple[str, Pixels]]) -> str:
    figures = []
    for caption, pixels in crops:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        image.thumbnail((CROP_SIDE, CROP_SIDE))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=92)
        data = base64.b64encode(file.getvalue()).decode("ascii")
        figures.append(
            f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{data}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return "".join(figures)
