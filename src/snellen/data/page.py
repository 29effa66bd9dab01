"""A page that shows training conversations beside their pictures (`snellen data show`)."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from snellen.draw import jpeg_uri
from snellen.image import load
from snellen.region import Region
from snellen.reply import ReplyError, parse_reply

_THUMBNAIL = 420  # px


def show(conversations: Path, count: int, out: Path, seed: int = 0) -> int:
    """Write one self-contained HTML page of `count` lines drawn at random from a file that `build` wrote.

    Returns the number of lines shown, which is less than `count` where the file holds fewer.
    """
    lines = [line for line in conversations.read_text(encoding="utf-8").split("\n") if line.strip()]
    chosen = np.random.default_rng(seed).permutation(len(lines))[:count]
    articles = [_article(json.loads(lines[i])) for i in sorted(chosen.tolist())]
    page = (
        "<!doctype html><meta charset='utf-8'><title>Conversations</title><style>"
        "body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "article{border-top:1px solid #bbb;padding:1rem 0}section{display:flex;gap:1.2rem;margin:.8rem 0}"
        "img{width:21rem;height:auto;align-self:start}b{font-weight:600}p{margin:.2rem 0}code{color:#555}</style>"
        f"<h1>{len(articles)} of {len(lines)} conversations</h1>{''.join(articles)}"
    )
    out.write_text(page, encoding="utf-8")
    return len(articles)


def _article(row: dict[str, Any]) -> str:
    parts = [f"<article><h2>{html.escape(Path(row['path']).name)}</h2><p><code>{html.escape(_known(row))}</code></p>"]
    if "dropped" in row:
        why = f"dropped: {row['dropped']['reason']}. {row['dropped']['detail']}"
        parts.append(f"<p><mark>{html.escape(why)}</mark></p>")
    if not row["rounds"]:
        return "".join(parts) + "</article>"
    pixels = Image.fromarray(load(row["path"]).pixels)
    for number, one in enumerate(row["rounds"], 1):
        parts.append(_round(pixels, Region(*one["region"]), one["reply"], number))
    return "".join(parts) + "</article>"


def _known(row: dict[str, Any]) -> str:
    """Return what is known of the picture, and who taught it, in one line."""
    faults = ", ".join(f"{fault['distortion']} {fault['level']}" for fault in row["faults"]) or "no fault applied"
    first = "" if row.get("first") is None else f", first view {row['first']:.2f}"
    spread = "" if row.get("first_std") is None else f" ± {row['first_std']:.2f}"
    teacher = row.get("teacher", {})
    by = "".join(
        f", {key} {teacher[key]}" for key in ("labels", "rater", "model", "attempt", "verdicts") if key in teacher
    )
    return f"MOS {row['mos']:.2f}{first}{spread}, {faults}{by}"


def _round(pixels: Image.Image, region: Region, reply: str, number: int) -> str:
    """Return a round as HTML: its view with boxes beside its text; a reply that cannot be read as it is."""
    try:
        parsed = parse_reply(reply, number)
    except ReplyError as error:
        picture = _data_uri(pixels, region, [], None)
        paragraphs = f"<p><mark>{html.escape(str(error))}</mark></p><p><code>{html.escape(reply)}</code></p>"
        return f"<section><img alt='round {number}' src='{picture}'><div>{paragraphs}</div></section>"
    boxes = [issue.region for issue in parsed.answer.issues]
    text = reply.removeprefix("<think>").split("</think>")
    paragraphs = "".join(f"<p>{_bold(line)}</p>" for line in text[0].split("\n") if line)
    answer = html.escape(text[1].removeprefix("<answer>").removesuffix("</answer>"))
    picture = _data_uri(pixels, region, boxes, parsed.answer.region)
    return (
        f"<section><img alt='round {number}' src='{picture}'><div>{paragraphs}"
        f"<p><code>{answer}</code></p></div></section>"
    )


def _bold(line: str) -> str:
    label, _, rest = line.partition(":")
    return f"<b>{html.escape(label)}:</b>{html.escape(rest)}"


def _data_uri(pixels: Image.Image, region: Region, issues: Sequence[Region], asked: Region | None) -> str:
    """Return a region of the picture as a JPEG data URI, with issues boxed in red and the crop asked for in white."""
    small = pixels.crop(region.to_pixels(pixels.width, pixels.height))
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    pen = ImageDraw.Draw(small)
    boxes = [(box, "red") for box in issues] + ([(asked, "white")] if asked else [])
    for box, colour in boxes:
        seen = box.relative_to(region)
        if seen is not None:
            left, top, right, bottom = seen.to_pixels(small.width, small.height)
            pen.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=2)
    return jpeg_uri(small)
