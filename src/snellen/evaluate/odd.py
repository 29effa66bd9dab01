"""Pictures that are no photographs, drawn by the program: nobody asked people how good they are, so a model should be
less sure of them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from snellen.image import Picture

ODD = ("drawing", "text", "screenshot", "pure colour", "noise")
SIZE = (640, 480)
"""Width and height in px."""

_LINES = (
    "The chart hangs six metres from the chair,",
    "eleven rows of letters, each row smaller.",
    "Read the lowest line that you can read;",
    "what you cannot read you need not guess.",
)


def odd(kind: str, seed: int) -> Picture:
    """One picture of a kind of `ODD`; another for each seed. ValueError for another kind."""
    rng = np.random.default_rng(seed)
    if kind == "pure colour":
        pixels = np.full((SIZE[1], SIZE[0], 3), rng.integers(0, 256, 3), np.uint8)
    elif kind == "noise":
        pixels = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    elif kind == "drawing":
        pixels = np.array(_drawing(rng))
    elif kind == "text":
        pixels = np.array(_text(rng))
    elif kind == "screenshot":
        pixels = np.array(_screenshot(rng))
    else:
        raise ValueError(f"unknown kind {kind!r}; use one of {', '.join(ODD)}")
    return Picture(pixels, f"{kind} {seed}")


def _colour(rng: np.random.Generator, low: int = 0) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(low, 256, 3))
    return red, green, blue


def _box(rng: np.random.Generator) -> tuple[int, int, int, int]:
    left, top = int(rng.integers(0, SIZE[0] - 60)), int(rng.integers(0, SIZE[1] - 60))
    return left, top, left + int(rng.integers(30, 260)), top + int(rng.integers(30, 220))


def _drawing(rng: np.random.Generator) -> Image.Image:
    """Flat shapes with outlines on white."""
    picture = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(9):
        draw = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        draw(_box(rng), fill=_colour(rng), outline="black", width=3)
    return picture


def _text(rng: np.random.Generator) -> Image.Image:
    """A page of dark text on a light ground."""
    picture = Image.new("RGB", SIZE, _colour(rng, 225))
    pen, size, y = ImageDraw.Draw(picture), int(rng.integers(13, 25)), 20
    while y < SIZE[1] - 30:
        pen.text((24, y), _LINES[int(rng.integers(len(_LINES)))], fill=(20, 20, 20), font=ImageFont.load_default(size))
        y += round(1.6 * size)
    return picture


def _screenshot(rng: np.random.Generator) -> Image.Image:
    """A window with a title bar, a list at the side, some lines of text and buttons."""
    accent = _colour(rng)
    picture = Image.new("RGB", SIZE, (246, 246, 248))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    pen.rectangle((0, 0, SIZE[0], 34), fill=accent)
    pen.rectangle((0, 34, 150, SIZE[1]), fill=(228, 229, 234))
    for row in range(11):
        pen.text((14, 48 + 36 * row), f"Item {int(rng.integers(100, 1000))}", fill=(50, 50, 60), font=font)
        pen.line((0, 70 + 36 * row, 150, 70 + 36 * row), fill=(205, 206, 212))
    for row in range(9):
        pen.text((172, 52 + 26 * row), _LINES[int(rng.integers(len(_LINES)))], fill=(30, 30, 34), font=font)
    for column in range(3):
        box = (180 + 140 * column, 400, 300 + 140 * column, 436)
        pen.rounded_rectangle(box, 8, fill=accent if column == 0 else "white", outline=(150, 150, 160))
    return picture
