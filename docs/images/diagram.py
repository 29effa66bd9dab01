"""Draw docs/images/snellen-1.svg: the parts of snellen-1 with the shapes of what they exchange.

python docs/images/diagram.py
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from snellen.image import GRID, OVERVIEW, TILE
from snellen.snellen1.photo_faults import PHOTO_KINDS
from snellen.vocabulary import KINDS

K = len(KINDS)
SIDE = GRID * TILE
PICTURE, NETWORK, NUMBERS, OUTPUT = "#e8f0fb", "#fdeedd", "#eef5e9", "#f3ecf8"

# name: x, y, width, height, fill, title, further lines
BOXES: dict[str, tuple[int, int, int, int, str, str, str]] = {
    "view": (20, 190, 130, 70, PICTURE, "View", "region of a picture|native pixels"),
    "fragments": (185, 40, 165, 70, PICTURE, "Fragments", f"({SIDE}, {SIDE}, 3)|{GRID} x {GRID} tiles"),
    "overview": (185, 190, 165, 70, PICTURE, "Overview", f"(h, w, 3)|at most {OVERVIEW} px"),
    "encoder": (385, 100, 175, 90, NETWORK, "Encoder", "EfficientNet-Lite0|3.0 M parameters|12 measurements"),
    "imagenet": (385, 330, 175, 90, NETWORK, "ImageNet network", "EfficientNet-Lite0|frozen|features (2,848)"),
    "cells": (590, 110, 165, 70, NUMBERS, "Cell features", "(2, 732, 10, 10)|mean of two flips"),
    "fault": (790, 40, 170, 90, NETWORK, "Fault head", f"kinds ({K + 1})|severities ({K})|box (4)"),
    "photo": (790, 200, 170, 90, NETWORK, "Photo rating head", "two experts|their mean (1)|1 bad ... 5 excellent"),
    "faults": (790, 340, 170, 90, NETWORK, "Photo fault head", f"kinds ({len(PHOTO_KINDS)})|probability|severity"),
    "issues": (1000, 20, 190, 70, OUTPUT, "Issues", "over each kind's|threshold"),
    "rule": (1000, 110, 190, 70, OUTPUT, "Rule policy", "crop on the fault's box|or final"),
    "rating": (1000, 250, 190, 90, NETWORK, "Rating head", "two ratings, the finding|distribution (401)|score"),
    "writer": (1000, 380, 190, 70, OUTPUT, "Writer", "score, issues, crop|to four sections"),
}  # fmt: skip
ARROWS = (
    ("view", "fragments"), ("view", "overview"), ("fragments", "encoder"), ("overview", "encoder"),
    ("overview", "imagenet"), ("encoder", "cells"), ("cells", "fault"), ("cells", "photo"), ("cells", "faults"),
    ("imagenet", "photo"), ("imagenet", "faults"), ("fault", "issues"), ("faults", "issues"), ("fault", "rule"),
    ("fault", "rating"), ("photo", "rating"), ("rating", "writer"),
)  # fmt: skip


def box(name: str) -> str:
    """Return one box with its title and lines."""
    x, y, width, height, fill, title, text = BOXES[name]
    lines = text.split("|")
    out = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="#8a94a6"/>'
    middle, top = x + width / 2, y + height / 2 - 9 * len(lines) + 5
    out += f'<text x="{middle:g}" y="{top:g}" class="title">{escape(title)}</text>'
    return out + "".join(
        f'<text x="{middle:g}" y="{top + 18 * n:g}">{escape(line)}</text>' for n, line in enumerate(lines, 1)
    )


def arrow(start: str, end: str) -> str:
    """Return a line from the right side of one box to the left of another, or downwards where they share a column."""
    x0, y0, w0, h0 = BOXES[start][:4]
    x1, y1, w1, h1 = BOXES[end][:4]
    xa, ya, xb, yb = x0 + w0 * 1.0, y0 + h0 / 2, x1 - 3.0, y1 + h1 / 2
    if x0 == x1:
        xa, ya, xb, yb = x0 + w0 / 2, y0 + h0, x1 + w1 / 2, y1 - 3
    return f'<line x1="{xa:g}" y1="{ya:g}" x2="{xb:g}" y2="{yb:g}"/>'


def draw() -> str:
    """Return the diagram."""
    style = (
        "text{font:13px system-ui,sans-serif;fill:#333;text-anchor:middle}.title{font-weight:600;font-size:14px}"
        "line{stroke:#5a6577;stroke-width:1.5;marker-end:url(#tip)}"
    )
    tip = '<marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    tip += '<path d="M0 0L8 4L0 8z" fill="#5a6577"/></marker>'
    parts = [arrow(*each) for each in ARROWS] + [box(name) for name in BOXES]
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1210 470" role="img">'
    title = "<title>snellen-1: parts and shapes</title>"
    back = '<rect width="1210" height="470" rx="10" fill="#fff"/>'
    return "\n".join([head, title, f"<style>{style}</style><defs>{tip}</defs>", back, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("snellen-1.svg").write_text(draw(), encoding="utf-8")
