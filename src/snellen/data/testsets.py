"""Two synthetic test sets, as recipes: local faults in large photographs, and ladders of loss of native detail.

Both need photographs that nothing was trained on. Every picture can be made again, byte for byte.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from snellen.data.distort.array import Floats, Pixels, bands, to_uint8
from snellen.data.distort.blur import blurred
from snellen.data.photographs import Photograph
from snellen.data.synthesize import PRISTINE_MOS, VISIBLE, Recipe, plan, visible_change
from snellen.image import Picture, load
from snellen.region import FULL, Region

LOCAL_SEED = 7_000_001
"""Smallest seed of the local-fault set; training uses small seeds."""
DRAWS = 8
"""Faults drawn at most for each one taken: some are not in the vocabulary, some cannot be seen."""
LOCAL_MEGAPIXELS = 4.05
"""Smallest frame of the local-fault set; rounded to whole pixels it still has 4 megapixels."""
CLEAN_MOS = PRISTINE_MOS - 0.1
"""MOS of a clean source, as in training; it changes no rank within one source."""


def local_faults(photographs: Sequence[Photograph], strong: int = 25, mild: int = 5, clean: int = 5) -> list[Recipe]:
    """Return recipes of each photograph: `strong` local faults of level 3-5, `mild` ones of 1-2, `clean` pictures.

    Pictures have at least 4 MP; the sides of a fault are 0.2 to 0.5 of theirs. A fault must show a kind of the
    vocabulary (`Recipe.kind`) and change the picture visibly (`visible_change` of VISIBLE or more): nobody can find
    blur on a plain sky. Where too few qualify there are fewer. The draws depend on the bytes of the photograph's file
    only, not on its name or the other photographs. Reads the photographs: some seconds for a large one. Those under
    4 MP are left out; ValueError if none remains.
    """
    large = [p for p in photographs if p.width * p.height >= 1e6 * LOCAL_MEGAPIXELS]
    if not large:
        raise ValueError(f"none of the {len(photographs)} photographs has {LOCAL_MEGAPIXELS} megapixels")
    return [recipe for photograph in large for recipe in _faults_in(photograph, strong, mild, clean)]


def _faults_in(photograph: Photograph, strong: int, mild: int, clean: int) -> list[Recipe]:
    """Return the recipes of one photograph: strong faults, mild faults, clean pictures."""
    source = (photograph.path, photograph.width, photograph.height, CLEAN_MOS)
    picture = load(photograph.path)
    digest = hashlib.sha256(Path(photograph.path).read_bytes()).digest()
    seed = LOCAL_SEED + int.from_bytes(digest[:6], "big")

    def visible(count: int, turn: int, *levels: int) -> list[Recipe]:
        recipes = plan(
            [source], DRAWS * count, seed + turn, local=1.0, clean=0.0, min_megapixels=LOCAL_MEGAPIXELS, levels=levels
        )
        found = (recipe for recipe in recipes if recipe.kind and visible_change(recipe, picture) >= VISIBLE)
        return list(islice(found, count))

    without = plan([source], clean, seed + 2, local=0.0, clean=1.0, min_megapixels=LOCAL_MEGAPIXELS)
    return visible(strong, 0, 3, 4, 5) + visible(mild, 1, 1, 2) + without


@dataclass(frozen=True)
class Ladder:
    """A loss of native detail at five settings, from slight to strong.

    human: (setting, mean opinion 1..5) in order of setting; opinion is interpolated between them. From KADID-10k where
    a distortion there has the same parameter. Those were rated at about 512 x 384: they give order and spacing of the
    rungs, not the opinion of a larger picture.
    """

    name: str
    settings: tuple[float, float, float, float, float]
    apply: Callable[[Pixels, float, np.random.Generator], Pixels]
    human: tuple[tuple[float, float], ...]

    def human_mean(self, level: int) -> float:
        """Return the mean opinion, 1..5, of rung 1..5; PRISTINE_MOS for 0, the unchanged picture."""
        if level == 0:
            return PRISTINE_MOS
        settings, means = zip(*self.human, strict=True)
        return float(np.interp(self.settings[level - 1], settings, means))


def jpeg_at(pixels: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    """Baseline JPEG of quality 1..95, color subsampled 2 x 2."""
    return _through(pixels, "JPEG", quality=int(quality), subsampling=2)


def webp_at(pixels: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    """Lossy WebP of quality 0..100."""
    return _through(pixels, "WEBP", quality=int(quality), method=2)


def _through(pixels: Pixels, codec: str, **options: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, codec, **options)
    buffer.seek(0)
    with Image.open(buffer) as decoded:
        return np.array(decoded.convert("RGB"))


def sensor_noise_at(pixels: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Shot and read noise of `sigma` gray levels (0..255), root mean square over the picture before clipping.

    Variance is a + b x in the value x, 30 % of its mean from the read noise a (Poisson-Gaussian model, Foi et al.,
    IEEE TIP 2008).
    """
    shot = np.float32(0.7 / max(1.0, float(pixels.mean(dtype=np.float64))))
    out = np.empty_like(pixels)
    for rows in bands(*pixels.shape[:2]):
        band: Floats = pixels[rows].astype(np.float32)
        deviation = np.float32(sigma) * np.sqrt(np.float32(0.3) + shot * band)
        out[rows] = to_uint8(band + deviation * rng.standard_normal(band.shape, dtype=np.float32))
    return out


def slight_blur_at(pixels: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Gaussian blur of `sigma` native px."""
    return blurred(pixels, sigma)


def upscaled_at(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    """Shrink the sides by `factor` and enlarge them again, both bicubic."""
    picture = Image.fromarray(pixels)
    small = (max(1, round(picture.width / factor)), max(1, round(picture.height / factor)))
    bicubic = Image.Resampling.BICUBIC
    return np.array(picture.resize(small, bicubic).resize(picture.size, bicubic))


_ALL = (
    # KADID JPEG, by its qualities; a quality of 100 counts as pristine
    Ladder("jpeg", (95, 60, 30, 12, 5), jpeg_at,
           ((4, 1.35), (7, 1.945), (24, 3.866), (36, 4.246), (43, 4.338), (100, PRISTINE_MOS))),
    # WebP is not in KADID: its JPEG 2000, at the WebP qualities that look alike (as in `distort`)
    Ladder("webp", (92, 65, 35, 12, 2), webp_at,
           ((2, 2.445), (24, 3.873), (42, 4.205), (82, 4.553), (100, PRISTINE_MOS))),
    # KADID AWGN, by sigma = 255 sqrt(variance)
    Ladder("sensor_noise", (2, 4, 8, 14, 25), sensor_noise_at,
           ((0, PRISTINE_MOS), (8.06, 3.893), (11.4, 3.39), (13.97, 3.045), (18.03, 2.71), (25.5, 2.301))),
    # KADID GBLUR, by sigma
    Ladder("slight_blur", (0.6, 0.9, 1.3, 2.0, 3.0), slight_blur_at,
           ((0.1, 4.612), (0.5, 4.382), (1.0, 2.911), (2.0, 1.873), (5.0, 1.303))),
    # upscaling is not in KADID: its Pixelate, at the factors that look alike (as in `distort`)
    Ladder("upscaled", (1.3, 1.8, 2.4, 3.0, 4.0), upscaled_at,
           ((1.0, PRISTINE_MOS), (1.5, 3.889), (1.9, 3.098), (2.1, 2.9), (2.4, 2.794), (4.0, 1.496))),
)  # fmt: skip
LADDERS: dict[str, Ladder] = {ladder.name: ladder for ladder in _ALL}


@dataclass(frozen=True)
class Rung:
    """One picture of the native-detail set: the `frame` of a source, unchanged (level 0) or a rung 1..5 of a ladder."""

    source: str
    frame: Region
    ladder: str | None
    level: int
    seed: int

    @property
    def human_mean(self) -> float:
        """See `Ladder.human_mean`."""
        return LADDERS[self.ladder].human_mean(self.level) if self.ladder else PRISTINE_MOS


def native_detail(photographs: Sequence[Photograph], max_megapixels: float = 4.0) -> list[Rung]:
    """Return 26 pictures of each photograph: unchanged, and five rungs of five ladders.

    Only the centre of a larger photograph is used, in its own aspect ratio and of at most `max_megapixels`, to save
    time.
    """
    rungs = []
    for i, photograph in enumerate(photographs):
        side = min(1.0, (1e6 * max_megapixels / (photograph.width * photograph.height)) ** 0.5)
        frame = FULL if side == 1.0 else Region(0.5 - side / 2, 0.5 - side / 2, 0.5 + side / 2, 0.5 + side / 2)
        rungs.append(Rung(photograph.path, frame, None, 0, 0))
        levels = range(1, 6)
        rungs += [Rung(photograph.path, frame, name, level, 10 * i + level) for name in LADDERS for level in levels]
    return rungs


def realise_rung(rung: Rung, source: Picture) -> Picture:
    """Return the picture that `rung` describes, made from its loaded source."""
    left, top, right, bottom = rung.frame.to_pixels(source.width, source.height)
    pixels = np.ascontiguousarray(source.pixels[top:bottom, left:right])
    if rung.ladder is not None:
        ladder = LADDERS[rung.ladder]
        pixels = ladder.apply(pixels, ladder.settings[rung.level - 1], np.random.default_rng(rung.seed))
    return Picture(pixels, Path(rung.source).name)
