"""What is done to a picture before it is assessed: functions of a file that give a picture, and can be pickled.

Each starts from `clean_source`, so that a photograph is read once for all that is made of it, and gives the same
pixels every time.
"""

from __future__ import annotations

import io
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from snellen.data.distort import distort
from snellen.data.distort.array import KADID_AREA
from snellen.data.distort.blur import lens_blur
from snellen.data.synthesize import Recipe, realise
from snellen.data.testsets import Rung, realise_rung
from snellen.evaluate.predict import clean_source
from snellen.image import ImageError, Picture, load
from snellen.region import FULL, Region

Pixels = npt.NDArray[np.uint8]

INVISIBLE = ("shifted 1 px", "flipped", "resized 1 %", "png", "webp lossless", "jpeg q100")
"""Changes that people do not see; "png" and "webp lossless" do not change a single pixel."""


def invisible(path: str, change: str) -> Picture:
    """The picture after one of the changes of `INVISIBLE`.

    Shifted: without its first row and column. Flipped: left to right. Resized: 1 % smaller, Lanczos. The others go
    through a file; JPEG keeps all colour samples.
    """
    source = clean_source(path)
    picture = Image.fromarray(source.pixels)
    if change == "shifted 1 px":
        return _named(source.pixels[1:, 1:], path)
    if change == "flipped":
        return _named(source.pixels[:, ::-1], path)
    if change == "resized 1 %":
        size = (max(1, round(0.99 * picture.width)), max(1, round(0.99 * picture.height)))
        return _named(np.array(picture.resize(size, Image.Resampling.LANCZOS)), path)
    if change == "png":
        return _through(picture, path, "PNG", compress_level=1)
    if change == "webp lossless":
        return _through(picture, path, "WEBP", lossless=True, method=0, exact=True)
    if change == "jpeg q100":
        return _through(picture, path, "JPEG", quality=100, subsampling=0)
    raise ValueError(f"unknown change {change!r}; use one of {', '.join(INVISIBLE)}")


def _through(picture: Image.Image, path: str, format: str, **options: int) -> Picture:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return load(buffer.getvalue(), name=path)


@lru_cache(maxsize=1)
def reduced(path: str, area: int = KADID_AREA) -> Picture:
    """The picture shrunk to at most `area` px: about the size at which KADID-10k's people rated its distortions.

    Shrinking also takes away what little is wrong with the native pixels of a photograph.
    """
    source = clean_source(path)
    shrink = min(1.0, (area / (source.width * source.height)) ** 0.5)
    size = (max(8, round(shrink * source.width)), max(8, round(shrink * source.height)))
    picture = Image.fromarray(source.pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return _named(np.array(picture), path)


def distorted(path: str, distortion: str, level: int, seed: int) -> Picture:
    """The `reduced` picture with one distortion all over; level 1..5."""
    pixels = distort(reduced(path).pixels, distortion, level, np.random.default_rng(seed))
    return _named(pixels, path)


def cropped(path: str, region: Region) -> Picture:
    """The native pixels of a part, as a picture of their own."""
    source = clean_source(path)
    left, top, right, bottom = region.to_pixels(source.width, source.height)
    return _named(source.pixels[top:bottom, left:right], path)


def realised(recipe: Recipe) -> Picture:
    """The picture of a recipe."""
    return realise(recipe, clean_source(recipe.source))


def realised_rung(rung: Rung) -> Picture:
    """The picture of a rung of a native-detail ladder."""
    return realise_rung(rung, clean_source(rung.source))


def recipe_repaired(recipe: Recipe, part: Region) -> Picture:
    """The picture of a recipe with the clean pixels put back in a part of it."""
    spoilt, clean = _spoilt_and_clean(recipe)
    return _named(put_back(spoilt, clean, part), recipe.source)


@lru_cache(maxsize=1)
def _spoilt_and_clean(recipe: Recipe) -> tuple[Pixels, Pixels]:
    """Pixels of a recipe with its fault and without; the last are kept, as repairs of one picture come together."""
    clean = replace(recipe, distortion=None, region=FULL)
    return realised(recipe).pixels, realise(clean, clean_source(recipe.source)).pixels


def file_repaired(path: str, reference: str, part: Region) -> Picture:
    """A picture with the pixels of its reference put back in a part of it; ImageError where their sizes differ."""
    spoilt, clean = clean_source(path), load(reference)
    if spoilt.pixels.shape != clean.pixels.shape:
        problem = f"its reference {reference} has another size, so that no pixels can be put back"
        raise ImageError("bad_array", path, problem, "name the picture's own reference in the manifest")
    return _named(put_back(spoilt.pixels, clean.pixels, part), path)


def put_back(spoilt: Pixels, clean: Pixels, part: Region) -> Pixels:
    """A copy of (H, W, 3) `spoilt` with the pixels of `clean` in a part."""
    left, top, right, bottom = part.to_pixels(spoilt.shape[1], spoilt.shape[0])
    out: Pixels = spoilt.copy()
    out[top:bottom, left:right] = clean[top:bottom, left:right]
    return out


def portrait(path: str) -> Picture:
    """The `reduced` picture as a portrait lens shows it: the middle sharp, the rest out of focus on purpose.

    The sharp part is an ellipse of 0.55 by 0.75 of the sides with a soft edge; behind it is a lens blur of the
    strongest level, twice.
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
"""The box around the sharp part of a `portrait`."""


def out_of_focus(path: str) -> Picture:
    """The `reduced` picture with the blur of a `portrait` all over: here it is a fault."""
    rng = np.random.default_rng(0)
    return _named(lens_blur(lens_blur(reduced(path).pixels, 5, rng), 5, rng), path)


def _named(pixels: Pixels, path: str) -> Picture:
    return Picture(np.ascontiguousarray(pixels), path)
