"""Pictures made for suites: perturbed, distorted, cropped, repaired or drawn. Picklable and deterministic functions.

Those that start from a file read it by `clean_source`, so that a photograph is decoded once for all its variants.
"""

from __future__ import annotations

import io
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from snellen.data.distort import distort
from snellen.data.distort.array import KADID_AREA
from snellen.data.distort.blur import lens_blur
from snellen.data.synthesize import Recipe, realise
from snellen.data.testsets import Rung, realise_rung
from snellen.image import ImageError, Picture, load
from snellen.region import FULL, Region

Pixels = npt.NDArray[np.uint8]

PERTURBATIONS = ("shifted 1 px", "flipped", "resized 1 %", "png", "webp lossless", "jpeg q100")
"""Imperceptible perturbations; "png" and "webp lossless" keep every pixel."""


@lru_cache(maxsize=1)
def clean_source(path: str) -> Picture:
    """Load a picture; the last one is kept, as jobs come sorted by source."""
    return load(path)


def perturbed(path: str, perturbation: str) -> Picture:
    """Return the picture after one of `PERTURBATIONS`.

    Shifted: without its first row and column. Flipped: left to right. Resized: 1 % smaller, Lanczos. The others are
    encoded and decoded; JPEG without chroma subsampling.
    """
    source = clean_source(path)
    picture = Image.fromarray(source.pixels)
    if perturbation == "shifted 1 px":
        return _named(source.pixels[1:, 1:], path)
    if perturbation == "flipped":
        return _named(source.pixels[:, ::-1], path)
    if perturbation == "resized 1 %":
        size = (max(1, round(0.99 * picture.width)), max(1, round(0.99 * picture.height)))
        return _named(np.array(picture.resize(size, Image.Resampling.LANCZOS)), path)
    if perturbation == "png":
        return _through(picture, path, "PNG", compress_level=1)
    if perturbation == "webp lossless":
        return _through(picture, path, "WEBP", lossless=True, method=0, exact=True)
    if perturbation == "jpeg q100":
        return _through(picture, path, "JPEG", quality=100, subsampling=0)
    raise ValueError(f"unknown perturbation {perturbation!r}; use one of {', '.join(PERTURBATIONS)}")


def _through(picture: Image.Image, path: str, file_format: str, **options: int) -> Picture:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return load(buffer.getvalue(), name=path)


@lru_cache(maxsize=1)
def reduced(path: str, area: int = KADID_AREA) -> Picture:
    """Return the picture reduced to at most `area` px, about the size at which KADID-10k's distortions were rated.

    Reduction also removes slight faults of the native pixels.
    """
    source = clean_source(path)
    shrink = min(1.0, (area / (source.width * source.height)) ** 0.5)
    size = (max(8, round(shrink * source.width)), max(8, round(shrink * source.height)))
    picture = Image.fromarray(source.pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return _named(np.array(picture), path)


def distorted(path: str, distortion: str, level: int, seed: int) -> Picture:
    """Return the `reduced` picture with one distortion over the whole of it; level 1..5."""
    pixels = distort(reduced(path).pixels, distortion, level, np.random.default_rng(seed))
    return _named(pixels, path)


def cropped(path: str, region: Region) -> Picture:
    """Return a region of the picture, at its native pixels, as a picture of its own."""
    source = clean_source(path)
    left, top, right, bottom = region.to_pixels(source.width, source.height)
    return _named(source.pixels[top:bottom, left:right], path)


def realised(recipe: Recipe) -> Picture:
    """Return the picture of a recipe."""
    return realise(recipe, clean_source(recipe.source))


def realised_rung(rung: Rung) -> Picture:
    """Return the picture of a rung of a native-detail ladder."""
    return realise_rung(rung, clean_source(rung.source))


def recipe_repaired(recipe: Recipe, part: Region) -> Picture:
    """Return the picture of a recipe with the clean pixels restored in a region."""
    faulty, clean = _faulty_and_clean(recipe)
    return _named(restored(faulty, clean, part), recipe.source)


@lru_cache(maxsize=1)
def _faulty_and_clean(recipe: Recipe) -> tuple[Pixels, Pixels]:
    """Return the pixels of a recipe with and without its fault; cached, as the repairs of a picture come together."""
    clean = replace(recipe, distortion=None, region=FULL)
    return realised(recipe).pixels, realise(clean, clean_source(recipe.source)).pixels


def file_repaired(path: str, reference: str, part: Region) -> Picture:
    """Return a picture with the pixels of its reference restored in a region; ImageError where their sizes differ."""
    faulty, clean = clean_source(path), load(reference)
    if faulty.pixels.shape != clean.pixels.shape:
        problem = f"its reference {reference} has another size, so that no pixels can be restored"
        raise ImageError("bad_array", path, problem, "name the picture's own reference in the manifest")
    return _named(restored(faulty.pixels, clean.pixels, part), path)


def restored(faulty: Pixels, clean: Pixels, part: Region) -> Pixels:
    """Return a copy of `faulty` (H, W, 3) with the pixels of `clean` (H, W, 3) in a region."""
    left, top, right, bottom = part.to_pixels(faulty.shape[1], faulty.shape[0])
    out: Pixels = faulty.copy()
    out[top:bottom, left:right] = clean[top:bottom, left:right]
    return out


def portrait(path: str) -> Picture:
    """Return the `reduced` picture with a shallow depth of field: a sharp centre before a blurred background.

    The sharp part is an ellipse of 0.55 by 0.75 of the sides with a soft edge; the rest has the strongest lens blur,
    twice.
    """
    pixels = reduced(path).pixels
    height, width = pixels.shape[:2]
    rng = np.random.default_rng(0)
    behind = lens_blur(lens_blur(pixels, 5, rng), 5, rng).astype(np.float32)
    y, x = np.ogrid[:height, :width]
    distance = np.hypot((x - width / 2 + 0.5) / (0.275 * width), (y - height / 2 + 0.5) / (0.375 * height))
    sharp = np.clip((1.15 - distance) / 0.3, 0.0, 1.0)[..., None].astype(np.float32)
    return _named(np.rint(behind + sharp * (pixels - behind)).astype(np.uint8), path)


SUBJECT = Region(0.225, 0.125, 0.775, 0.875)
"""Box around the sharp part of a `portrait`."""


def out_of_focus(path: str) -> Picture:
    """Return the `reduced` picture with the blur of a `portrait` over the whole of it, where it is a fault."""
    rng = np.random.default_rng(0)
    return _named(lens_blur(lens_blur(reduced(path).pixels, 5, rng), 5, rng), path)


def _named(pixels: Pixels, path: str) -> Picture:
    return Picture(np.ascontiguousarray(pixels), path)


DRAWN = ("drawing", "text", "screenshot", "pure colour", "noise")
"""Kinds of picture that are not photographs and have no ratings: a model should be less certain of them."""
DRAWN_SIZE = (640, 480)
"""Width and height, px."""
_LINES = (
    "The chart hangs six metres from the chair,",
    "eleven rows of letters, each row smaller.",
    "Read the lowest line that you can read;",
    "what you cannot read you need not guess.",
)


def drawn(kind: str, seed: int) -> Picture:
    """Return a picture of one of `DRAWN`, another for each seed; ValueError for another kind."""
    rng = np.random.default_rng(seed)
    if kind == "pure colour":
        pixels = np.full((DRAWN_SIZE[1], DRAWN_SIZE[0], 3), rng.integers(0, 256, 3), np.uint8)
    elif kind == "noise":
        pixels = rng.integers(0, 256, (DRAWN_SIZE[1], DRAWN_SIZE[0], 3), dtype=np.uint8)
    elif kind == "drawing":
        pixels = np.array(_drawing(rng))
    elif kind == "text":
        pixels = np.array(_text(rng))
    elif kind == "screenshot":
        pixels = np.array(_screenshot(rng))
    else:
        raise ValueError(f"unknown kind {kind!r}; use one of {', '.join(DRAWN)}")
    return Picture(pixels, f"{kind} {seed}")


def _colour(rng: np.random.Generator, low: int = 0) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(low, 256, 3))
    return red, green, blue


def _box(rng: np.random.Generator) -> tuple[int, int, int, int]:
    left, top = int(rng.integers(0, DRAWN_SIZE[0] - 60)), int(rng.integers(0, DRAWN_SIZE[1] - 60))
    return left, top, left + int(rng.integers(30, 260)), top + int(rng.integers(30, 220))


def _drawing(rng: np.random.Generator) -> Image.Image:
    """Draw flat shapes with outlines on white."""
    picture = Image.new("RGB", DRAWN_SIZE, "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(9):
        draw = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        draw(_box(rng), fill=_colour(rng), outline="black", width=3)
    return picture


def _text(rng: np.random.Generator) -> Image.Image:
    """Draw a page of dark text on a light ground."""
    picture = Image.new("RGB", DRAWN_SIZE, _colour(rng, 225))
    pen, size, y = ImageDraw.Draw(picture), int(rng.integers(13, 25)), 20
    while y < DRAWN_SIZE[1] - 30:
        pen.text((24, y), _LINES[int(rng.integers(len(_LINES)))], fill=(20, 20, 20), font=ImageFont.load_default(size))
        y += round(1.6 * size)
    return picture


def _screenshot(rng: np.random.Generator) -> Image.Image:
    """Draw a window with a title bar, a side list, lines of text and buttons."""
    accent = _colour(rng)
    picture = Image.new("RGB", DRAWN_SIZE, (246, 246, 248))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    pen.rectangle((0, 0, DRAWN_SIZE[0], 34), fill=accent)
    pen.rectangle((0, 34, 150, DRAWN_SIZE[1]), fill=(228, 229, 234))
    for row in range(11):
        pen.text((14, 48 + 36 * row), f"Item {int(rng.integers(100, 1000))}", fill=(50, 50, 60), font=font)
        pen.line((0, 70 + 36 * row, 150, 70 + 36 * row), fill=(205, 206, 212))
    for row in range(9):
        pen.text((172, 52 + 26 * row), _LINES[int(rng.integers(len(_LINES)))], fill=(30, 30, 34), font=font)
    for column in range(3):
        box = (180 + 140 * column, 400, 300 + 140 * column, 436)
        pen.rounded_rectangle(box, 8, fill=accent if column == 0 else "white", outline=(150, 150, 160))
    return picture
