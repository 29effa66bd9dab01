"""Drawing of a picture with its issues, crops and score."""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from snellen.region import FULL, Region

if TYPE_CHECKING:
    from snellen.reply import Issue

SEVERITY_COLORS = ("#ffe066", "#ffc000", "#ff8c00", "#ff4d00", "#d00000")
"""Colours of the severities 1 to 5."""
CROP_COLOR = "#00c8ff"
LEAST_SIDE = 640  # px; smaller pictures are enlarged, so that boxes stay distinguishable
LEAST_WIDTH = 480  # px; narrower pictures get margins, so that a line of text fits
TEXT_PX = 18
LINE_PX = 26
MARGIN = 10


def draw(
    pixels: npt.NDArray[np.uint8] | None,
    issues: Sequence[Issue],
    crops: Sequence[Region],
    title: str,
    problem: str | None = None,
) -> Image.Image:
    """Return an RGB image: a title, the picture with boxes, a legend.

    Issues are solid boxes coloured by severity and numbered as in the legend; crops are dashed boxes. Text lies outside
    the picture and has one size, so that it is legible whatever the picture's size.

    Args:
        pixels: (H, W, 3) uint8; None where the picture could not be read.
        issues: issues to draw.
        crops: regions that were shown after the first view.
        title: first line, see `headline`.
        problem: an error message for the legend.
    """
    lines: list[tuple[str | None, str]] = [] if problem is None else [(None, problem)]
    for number, issue in enumerate(issues, start=1):
        color = SEVERITY_COLORS[issue.severity - 1]
        lines.append((color, f"{number}: {issue.kind}, severity {issue.severity} of 5, {issue.region.place}"))
    if crops:
        lines.append((CROP_COLOR, "dashed: crop"))
    photo = None if pixels is None else _photo(pixels, issues, crops)
    width = max(LEAST_WIDTH, photo.width if photo else 0)
    font = ImageFont.load_default(TEXT_PX)
    columns = int((width - 2 * MARGIN) / font.getlength("n"))
    wrapped = [(color, part) for color, line in lines for part in textwrap.wrap(line, columns)]
    header = LINE_PX + MARGIN
    body = photo.height if photo else 0
    canvas = Image.new("RGB", (width, header + body + len(wrapped) * LINE_PX + MARGIN), "white")
    pen = ImageDraw.Draw(canvas)
    pen.text((MARGIN, MARGIN), title, fill="black", font=font)
    if photo is not None:
        canvas.paste(photo, ((width - photo.width) // 2, header))
    for row, (mark, line) in enumerate(wrapped):
        top = header + body + MARGIN // 2 + row * LINE_PX
        if mark is not None:
            pen.rectangle((MARGIN, top + 4, MARGIN + 14, top + 18), fill=mark, outline="black")
        pen.text((MARGIN + 22, top), line, fill="black", font=font)
    return canvas


def headline(score: float | None, label: str | None, interval: tuple[float, float] | None) -> str:
    """Return the result in one line: score, verdict word and interval, or "no score"."""
    if score is None:
        return "no score"
    ends = f" (from {interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    return f"{score:.2f} of 5, {label}{ends}"


def _photo(pixels: npt.NDArray[np.uint8], issues: Sequence[Issue], crops: Sequence[Region]) -> Image.Image:
    photo = Image.fromarray(pixels)
    grow = max(1.0, LEAST_SIDE / max(photo.size))
    if grow > 1.0:
        size = (max(1, round(photo.width * grow)), max(1, round(photo.height * grow)))
        photo = photo.resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(photo)
    font = ImageFont.load_default(TEXT_PX)
    for crop in crops:
        _dashed(pen, crop.to_pixels(photo.width, photo.height))
    boxes = [issue.region.to_pixels(photo.width, photo.height) for issue in issues]
    tags = tag_corners(boxes, 12 * len(str(len(boxes))) + 8, LINE_PX - 2)
    for number, (issue, (left, top, right, bottom), tag) in enumerate(zip(issues, boxes, tags, strict=True), start=1):
        color = SEVERITY_COLORS[issue.severity - 1]
        pen.rectangle((left, top, right - 1, bottom - 1), outline="black", width=5)
        pen.rectangle((left + 1, top + 1, max(left + 1, right - 2), max(top + 1, bottom - 2)), outline=color, width=3)
        corner = (tag[0], tag[1], tag[0] + 12 * len(str(number)) + 8, tag[1] + LINE_PX - 2)
        pen.rectangle(corner, fill=color, outline="black")
        dark = issue.severity >= 4
        pen.text((tag[0] + 5, tag[1] + 1), str(number), fill="white" if dark else "black", font=font)
    return photo


def tag_corners(boxes: Iterable[tuple[int, int, int, int]], width: float, height: float) -> list[tuple[float, float]]:
    """Return where the number of each box (x0, y0, x1, y1) is drawn: left and top, in px.

    That is the box's corner, or further right where it would cover the number of a box before it.

    Args:
        boxes: the boxes, in px.
        width, height: size of a number, px.
    """
    corners: list[tuple[float, float]] = []
    for box in boxes:
        x: float = box[0]
        while any(abs(x - left) < width and abs(box[1] - top) < height for left, top in corners):
            x += width
        corners.append((x, box[1]))
    return corners


def _dashed(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], dash: int = 10) -> None:
    left, top, right, bottom = box[0], box[1], box[2] - 1, box[3] - 1
    for x0, y0, x1, y1 in (
        (left, top, right, top),
        (right, top, right, bottom),
        (left, bottom, right, bottom),
        (left, top, left, bottom),
    ):
        pen.line((x0, y0, x1, y1), fill="black", width=3)
        length = max(x1 - x0, y1 - y0)
        for index in range(0, math.ceil(length / dash), 2):
            start, stop = index * dash, min(length, (index + 1) * dash)
            ends = (x0 + start, y0, x0 + stop, y0) if y0 == y1 else (x0, y0 + start, x0, y0 + stop)
            pen.line(ends, fill=CROP_COLOR, width=3)


def place(region: Region, fractions: bool = True) -> str:
    """Return the place of a region in words, with its fractions unless it is the whole picture."""
    if region == FULL:
        return "the whole picture"
    words = "most of the picture" if region.place == "whole picture" else region.place
    return f"{words} [{', '.join(f'{side:.2f}' for side in region.to_list())}]" if fractions else words


def jpeg_uri(image: Image.Image, quality: int = 85) -> str:
    """Return a picture as a JPEG in a data URI, for the src of an <img>."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
