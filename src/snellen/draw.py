"""An Assessment as a picture and as a piece of HTML, for notebooks and reports."""

from __future__ import annotations

import base64
import io
import math
import textwrap
from html import escape
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from snellen.region import FULL, Region

if TYPE_CHECKING:
    from snellen.assessor import Assessment, Step

SEVERITY_COLORS = ("#ffe066", "#ffc000", "#ff8c00", "#ff4d00", "#d00000")
"""From just visible (1) to ruined (5)."""
CROP_COLOR = "#00c8ff"
LEAST_SIDE = 640  # px; smaller pictures are enlarged, so that boxes can be told apart
LEAST_WIDTH = 480  # px; narrower pictures get margins, so that a line of text fits
TEXT_PX = 18
LINE_PX = 26
MARGIN = 10


def draw(assessment: Assessment) -> Image.Image:
    """An RGB image: a line with the score, the picture with boxes, a legend.

    Issues are solid boxes coloured by severity and numbered as in the legend; crops that were looked at are dashed.
    Text stands outside the picture and in one size, so it can be read whatever the picture's size.
    """
    lines = _legend(assessment)
    photo = _photo(assessment)
    width = max(LEAST_WIDTH, photo.width if photo else 0)
    font = ImageFont.load_default(TEXT_PX)
    columns = int((width - 2 * MARGIN) / font.getlength("n"))
    wrapped = [(color, part) for color, line in lines for part in textwrap.wrap(line, columns)]
    header = LINE_PX + MARGIN
    body = photo.height if photo else 0
    canvas = Image.new("RGB", (width, header + body + len(wrapped) * LINE_PX + MARGIN), "white")
    pen = ImageDraw.Draw(canvas)
    pen.text((MARGIN, MARGIN), headline(assessment), fill="black", font=font)
    if photo is not None:
        canvas.paste(photo, ((width - photo.width) // 2, header))
    for row, (color, line) in enumerate(wrapped):
        top = header + body + MARGIN // 2 + row * LINE_PX
        if color is not None:
            pen.rectangle((MARGIN, top + 4, MARGIN + 14, top + 18), fill=color, outline="black")
        pen.text((MARGIN + 22, top), line, fill="black", font=font)
    return canvas


def headline(assessment: Assessment) -> str:
    """The result in a line: score, verdict word and interval, or that there is none."""
    if assessment.score is None:
        return "no score"
    interval = ""
    if assessment.interval is not None:
        interval = f" (from {assessment.interval[0]:.2f} to {assessment.interval[1]:.2f})"
    return f"{assessment.score:.2f} of 5, {assessment.label}{interval}"


def _legend(assessment: Assessment) -> list[tuple[str | None, str]]:
    lines: list[tuple[str | None, str]] = []
    if assessment.error is not None:
        lines.append((None, f"{assessment.name}: {assessment.error.problem}; {assessment.error.remedy}"))
    for number, issue in enumerate(assessment.issues, start=1):
        color = SEVERITY_COLORS[issue.severity - 1]
        lines.append((color, f"{number}: {issue.kind}, severity {issue.severity} of 5, {issue.region.place}"))
    if len(assessment.steps) > 1:
        lines.append((CROP_COLOR, "dashed: looked at more closely"))
    return lines


def _photo(assessment: Assessment) -> Image.Image | None:
    if assessment.picture is None:
        return None
    photo = Image.fromarray(assessment.picture.pixels)
    grow = max(1.0, LEAST_SIDE / max(photo.size))
    if grow > 1.0:
        size = (max(1, round(photo.width * grow)), max(1, round(photo.height * grow)))
        photo = photo.resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(photo)
    font = ImageFont.load_default(TEXT_PX)
    for step in assessment.steps[1:]:
        _dashed(pen, step.region.to_pixels(photo.width, photo.height))
    for number, issue in enumerate(assessment.issues, start=1):
        color = SEVERITY_COLORS[issue.severity - 1]
        left, top, right, bottom = issue.region.to_pixels(photo.width, photo.height)
        pen.rectangle((left, top, right - 1, bottom - 1), outline="black", width=5)
        pen.rectangle((left + 1, top + 1, max(left + 1, right - 2), max(top + 1, bottom - 2)), outline=color, width=3)
        tag = (left, top, left + 12 * len(str(number)) + 8, top + LINE_PX - 2)
        pen.rectangle(tag, fill=color, outline="black")
        dark = issue.severity >= 4
        pen.text((left + 5, top + 1), str(number), fill="white" if dark else "black", font=font)
    return photo


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


def html(assessment: Assessment) -> str:
    """A self-contained piece of HTML with nothing in it that could be taken for markup of the model's making."""
    rows = [f"<p><b>{escape(assessment.name)}</b>: {escape(headline(assessment))}</p>"]
    file = io.BytesIO()
    draw(assessment).save(file, "JPEG", quality=85)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    rows.append(f'<img style="max-width:100%" alt="the picture with its issues" src="data:image/jpeg;base64,{data}">')
    rows += [_step_html(number, step) for number, step in enumerate(assessment.steps, start=1)]
    if assessment.provenance is not None:
        model = f"{assessment.provenance['model']} {assessment.provenance['model_version']}"
        rows.append(f"<p><small>{escape(model)}, snellen {escape(assessment.provenance['snellen'])}</small></p>")
    return f'<div style="font-family:sans-serif;max-width:1024px">{"".join(rows)}</div>'


def _step_html(number: int, step: Step) -> str:
    score = "no rating" if step.score is None else f"{step.score:.2f}"
    spread = "" if step.distribution is None else f" &plusmn; {step.distribution.std:.2f}"
    remarks = [remark for remark in (step.note, step.error) if remark is not None]
    if step.zoom is not None:
        remarks.insert(0, f"looks closer: {place(step.zoom)}")
    title = f"Round {number}, {place(step.region)}: {score}{spread}"
    text = "".join(f"<p>{escape(section)}</p>" for section in _sections(step))
    return f"<details><summary>{title}{escape('; '.join(['', *remarks]))}</summary>{text}</details>"


def _sections(step: Step) -> tuple[str, ...]:
    if step.parsed is not None and step.parsed.rationale is not None:
        return step.parsed.rationale.sections
    return () if step.parsed is not None else (step.reply.text,)


def place(region: Region, fractions: bool = True) -> str:
    """Where a region is, in words, and for parts of the picture in fractions too."""
    if region == FULL:
        return "the whole picture"
    words = "most of the picture" if region.place == "whole picture" else region.place
    return f"{words} [{', '.join(f'{side:.2f}' for side in region.to_list())}]" if fractions else words
