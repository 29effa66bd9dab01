"""A page that shows training conversations beside their pictures (`snellen data show`)."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from snellen.image import load
from snellen.region import Region
from snellen.reply import parse_reply

_THUMBNAIL = 420  # px


def show(conversations: Path, count: int, out: Path, seed: int = 0) -> int:
    """Write one self-contained HTML page of `count` lines drawn at random from a file that `build` wrote.

    Returns the number of lines shown, which is less than `count` where the file holds fewer.
    """
    lines = conversations.read_text(encoding="utf-8").splitlines()
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
    faults = ", ".join(f"{fault['distortion']} {fault['level']}" for fault in row["faults"]) or "no fault applied"
    known = f"MOS {row['mos']:.2f}, first view {row['first']:.2f} ± {row['first_std']:.2f}, {faults}"
    parts = [f"<article><h2>{html.escape(Path(row['path']).name)}</h2><p><code>{html.escape(known)}</code></p>"]
    pixels = Image.fromarray(load(row["path"]).pixels)
    for number, one in enumerate(row["rounds"], 1):
        region = Region(*one["region"])
        parsed = parse_reply(one["reply"], number)
        boxes = [issue.region for issue in parsed.answer.issues]
        text = one["reply"].removeprefix("<think>").split("</think>")
        paragraphs = "".join(f"<p>{_bold(line)}</p>" for line in text[0].split("\n") if line)
        answer = html.escape(text[1].removeprefix("<answer>").removesuffix("</answer>"))
        picture = _data_uri(pixels, region, boxes, parsed.answer.region)
        parts.append(f"<section><img alt='round {number}' src='{picture}'><div>{paragraphs}")
        parts.append(f"<p><code>{answer}</code></p></div></section>")
    return "".join(parts) + "</article>"


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
    data = io.BytesIO()
    small.save(data, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode("ascii")
