"""Synthetic pictures with known faults, made from recipes: source, frame, fault, level and place.

A recipe is a few numbers. So a set of thousands of large pictures is one small readable file, and every picture can be
made again from its source, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snellen.data.distort import DISTORTIONS, distort
from snellen.data.levels import level_mos, level_severity
from snellen.image import Picture
from snellen.region import FULL, Region

PRISTINE_MOS = 4.65
"""MOS of KADID-10k's reference pictures: the mean over its distortions at level 1."""

GLOBAL_MEGAPIXELS = 2.0
"""Largest frame for a fault of the whole picture, which looks the same everywhere: more pixels only cost time."""

LEAST_SIDE = 512
"""Least short side of a picture that `developed` makes smaller, in px."""

BLACK_AND_WHITE = ("saturation_hsv", 4)
"""Distortion and level that remove all color: a fault in a part of a picture; the whole of it is then a black-and-white
photograph."""

MONOCHROME = 0.12
"""Share of the pictures of `developed` that are black and white, half of them toned."""

VISIBLE = 2.5
"""Least `visible_change` of a fault that counts as visible, in 8-bit levels."""


@dataclass(frozen=True)
class Recipe:
    """One synthetic picture.

    Attributes:
        source: path of the clean picture.
        frame: part of the source that is the picture.
        base: MOS of the clean source, 1..5.
        distortion: name in DISTORTIONS; None for a clean picture.
        level: 1..5.
        region: where the fault is, in fractions of the frame; FULL for the whole picture.
        seed: of the fault's own randomness.
        develop: seed of `developed`, which the source goes through first; None leaves it as it is.
    """

    source: str
    frame: Region
    base: float
    distortion: str | None
    level: int
    region: Region
    seed: int
    develop: int | None = None

    @property
    def kind(self) -> str | None:
        """Kind of its issue, in the closed vocabulary; None where it has none."""
        if self.distortion is None or (self.region == FULL and (self.distortion, self.level) == BLACK_AND_WHITE):
            return None
        return DISTORTIONS[self.distortion].kind_at(self.level)

    @property
    def severity(self) -> float:
        """Severity of its fault, 1..5, see `level_severity`; 0 for a clean picture."""
        return 0.0 if self.distortion is None else level_severity(self.distortion, self.level)

    @property
    def mos(self) -> float:
        """Estimated MOS, 1..5, see `synthetic_mos`."""
        if self.distortion is None:
            return self.base
        return synthetic_mos(self.base, level_mos(self.distortion, self.level)[0], self.region.area)


def synthetic_mos(base: float, level_mean: float, area: float) -> float:
    """Estimate the MOS (1..5) of a clean picture of MOS `base` with a fault that lowers a pristine one to `level_mean`.

    For the whole picture: 1 + (base - 1) (level_mean - 1) / (PRISTINE_MOS - 1), KADID-10k's level means scaled to the
    source. In a part of it, of `area` 0..1, the drop is (0.3 + 0.7 sqrt(area)) of that. This is our assumption, not a
    published result: people judge a picture by its worst part, and less so the smaller that part is.
    """
    whole = 1.0 + (base - 1.0) * min(1.0, (level_mean - 1.0) / (PRISTINE_MOS - 1.0))
    share = 1.0 if area >= 0.999 else 0.3 + 0.7 * area**0.5
    return base - (base - whole) * share


def plan(
    sources: Sequence[tuple[str, int, int, float]],
    count: int,
    seed: int,
    *,
    local: float = 0.6,
    clean: float = 0.15,
    min_megapixels: float = 0.2,
    whole_frame: float = 0.4,
    levels: Sequence[int] = (1, 2, 3, 4, 5),
    develop: float = 0.0,
) -> list[Recipe]:
    """Draw recipes that use every source and every distortion about equally often.

    Args:
        sources: path, width in px, height in px and MOS of each clean picture.
        count: number of recipes.
        seed: of the draw.
        local: share with a fault in one region.
        clean: share without a fault; the rest has one in the whole picture.
        min_megapixels: least size of a frame.
        whole_frame: share that uses the whole source; the others use a random part of it.
        levels: distortion levels to draw from.
        develop: share whose source goes through `developed`.
    """
    rng = np.random.default_rng(seed)
    names = sorted(DISTORTIONS)
    recipes = []
    for i in range(count):
        path, width, height, base = sources[i % len(sources)]
        megapixels = width * height / 1e6
        name: str | None = names[int(rng.integers(len(names)))]
        region, most = FULL, megapixels
        draw = rng.random()
        if draw < clean:
            name = None
        elif draw < clean + local:
            region = _box(rng, float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.2, 0.5)))
        else:
            most = min(megapixels, GLOBAL_MEGAPIXELS)
        frame = FULL
        if most < megapixels or rng.random() >= whole_frame:
            smallest = min(1.0, (min_megapixels / megapixels) ** 0.5)
            side = float(rng.uniform(smallest, max(smallest, min(1.0, (most / megapixels) ** 0.5))))
            frame = _box(rng, side, side)
        level = int(levels[int(rng.integers(len(levels)))])
        seed = int(rng.integers(2**31))
        # drawn only on demand, so that sets with develop=0 keep their draws
        anew = int(rng.integers(2**31)) if develop and rng.random() < develop else None
        recipes.append(Recipe(path, frame, base, name, level, region, seed, anew))
    return recipes


def _box(rng: np.random.Generator, width: float, height: float) -> Region:
    x, y = float(rng.uniform(0, 1 - width)), float(rng.uniform(0, 1 - height))
    return Region(x, y, min(1.0, x + width), min(1.0, y + height))


def realise(recipe: Recipe, source: Picture) -> Picture:
    """Make the picture of a recipe from its loaded clean source."""
    left, top, right, bottom = recipe.frame.to_pixels(source.width, source.height)
    pixels = source.pixels[top:bottom, left:right]
    if recipe.develop is not None:
        pixels = developed(pixels, recipe.develop)
    if recipe.distortion is not None:
        rng = np.random.default_rng(recipe.seed)
        region = None if recipe.region == FULL else recipe.region
        pixels = distort(pixels, recipe.distortion, recipe.level, rng, region)
    return Picture(np.ascontiguousarray(pixels), Path(recipe.source).name, ())


def developed(pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Return a clean picture (H, W, 3) as another camera or editor might have rendered it, still clean.

    It becomes a little brighter or darker, of less or more contrast, warmer or cooler; half of the time it is
    downscaled, to no less than half the side and `LEAST_SIDE` px, which sharpens its native pixels; a share of
    `MONOCHROME` is black and white, half of it toned by powers of red and blue that differ, as in sepia and selenium.

    The ranges are ours. On a gray ramp the tones move by 4.6 levels (root mean square) in the median and by less than
    8.5 in 95 of 100: less than level 1 of brightening (9), level 2 of darkening (9) or level 3 of contrast (10).
    """
    rng = np.random.default_rng(seed)
    power, slope = np.exp(rng.normal(0.0, 0.05)), np.exp(rng.normal(0.0, 0.04))
    gains = np.exp(rng.normal(0.0, 0.02, 3))
    codes = (np.linspace(0.0, 1.0, 256)[:, None] * gains).clip(0.0, 1.0) ** power
    table = (255.0 * (0.5 + slope * (codes - 0.5))).round().clip(0, 255).astype(np.uint8)  # (256, 3)
    smaller = rng.uniform(0.5, 1.0) if rng.random() < 0.5 else 1.0
    height, width = pixels.shape[:2]
    smaller = min(1.0, max(smaller, LEAST_SIDE / min(height, width)))
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if smaller < 1.0:
        picture = picture.resize((round(width * smaller), round(height * smaller)), Image.Resampling.LANCZOS)
    picture = picture.point(table.T.ravel().tolist())
    if rng.random() < MONOCHROME:
        warmth = rng.normal(0.0, 0.15) if rng.random() < 0.5 else 0.0
        shades = (np.linspace(0.0, 1.0, 256)[:, None] ** np.exp(warmth * np.array([-1.0, 0.0, 1.0])) * 255).round()
        picture = picture.convert("L").convert("RGB").point(shades.astype(np.uint8).T.ravel().tolist())
    return np.asarray(picture)


def visible_change(recipe: Recipe, source: Picture) -> float:
    """Return the root mean square difference that a fault makes in its region, in 8-bit levels; 0 for a clean picture.

    Blur on a plain sky changes nothing, so it is no fault that a model can find; see VISIBLE.
    """
    if recipe.distortion is None:
        return 0.0
    left, top, right, bottom = recipe.region.within(recipe.frame).to_pixels(source.width, source.height)
    before = np.ascontiguousarray(source.pixels[top:bottom, left:right])
    if recipe.develop is not None:
        before = developed(before, recipe.develop)
    after = distort(before, recipe.distortion, recipe.level, np.random.default_rng(recipe.seed))
    return float(np.sqrt(np.mean((after.astype(np.float32) - before) ** 2)))


def write_recipes(recipes: Iterable[Recipe], path: Path) -> None:
    """Write one JSON object per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf8") as file:
        for recipe in recipes:
            row = asdict(recipe) | {"frame": _numbers(recipe.frame), "region": _numbers(recipe.region)}
            file.write(json.dumps(row) + "\n")


def read_recipes(path: Path) -> Iterator[Recipe]:
    """Read the recipes of a file that `write_recipes` wrote."""
    with path.open(encoding="utf8") as file:
        for line in file:
            row = json.loads(line)
            yield Recipe(**row | {"frame": Region(*row["frame"]), "region": Region(*row["region"])})


def _numbers(region: Region) -> list[float]:
    return [region.x0, region.y0, region.x1, region.y1]
