"""Pictures, and features of views that cost nothing, for tests that train snellen-1's decoder."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from snellen.image import Picture, View
from snellen.region import Region
from snellen.snellen1.layout import GRID_SIDE, ViewFeatures
from snellen.vocabulary import KINDS

BOX = Region(0.1, 0.1, 0.6, 0.6)


def picture(seed: int) -> Picture:
    """Random pixels, enough that a crop shows more."""
    pixels = np.random.default_rng(seed).integers(0, 256, (400, 400, 3), np.uint8)
    return Picture(pixels, f"picture {seed}")


def random_features(view: View) -> ViewFeatures:
    """Features that depend on the name of the picture and on the region alone."""
    rng = np.random.default_rng(zlib.crc32(f"{Path(view.picture.name).name} {view.region.to_list()}".encode()))
    kinds = rng.dirichlet(np.ones(len(KINDS) + 1)).astype(np.float32)
    rating = float(rng.uniform(1.5, 4.5))
    cells = rng.normal(0.0, 1.0, (2, GRID_SIDE * GRID_SIDE, 160)).astype(np.float32)
    x, y = rng.uniform(0.0, 0.5, 2)
    return ViewFeatures(
        region=view.region,
        kinds=kinds,
        severities=rng.uniform(1.0, 5.0, len(KINDS)).astype(np.float32),
        box=Region(x, y, x + 0.4, y + 0.4),
        box_area=0.16,
        rating=rating,
        score_head=rating,
        summary=rng.normal(0.0, 1.0, 128).astype(np.float32),
        overview=cells[0],
        fragments=cells[1],
    )
