"""Features of views, computed once and kept, in memory or in a file that runs and processes can share."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from snellen.image import View
from snellen.region import Region
from snellen.snellen1.encoder import SUMMARY, WIDTH
from snellen.snellen1.layout import GRID_SIDE, ViewFeatures
from snellen.vocabulary import KINDS

SHAPES: dict[str, tuple[int, ...]] = {
    "kinds": (len(KINDS) + 1,),
    "severities": (len(KINDS),),
    "box": (4,),
    "box_area": (),
    "rating": (),
    "score_head": (),
    "summary": (SUMMARY,),
    "overview": (GRID_SIDE * GRID_SIDE, WIDTH),
    "fragments": (GRID_SIDE * GRID_SIDE, WIDTH),
}
"""Arrays of `ViewFeatures`, in the order in which they are stored, float32. box_area is stored by itself, because the
box is clipped to the picture and its area is not."""


class FeatureCache:
    """Features by name of the picture and region of the view.

    compute: gives the features of a view that is not kept yet. model: name of what computes them, with its version;
    features of other models in the same file are left alone. file: SQLite database, or None for memory.

    Two pictures of the same name are taken for the same picture, so names must be unique; file paths are.
    """

    def __init__(self, compute: Callable[[View], ViewFeatures], model: str, file: Path | None = None) -> None:
        self.compute, self.model = compute, model
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._store = sqlite3.connect(":memory:" if file is None else str(file), timeout=60.0, isolation_level=None)
        self._store.execute("PRAGMA synchronous = OFF")  # what a crash of the machine loses is computed again
        self._store.execute(
            "CREATE TABLE IF NOT EXISTS features (model TEXT, view TEXT, arrays BLOB, PRIMARY KEY (model, view))"
        )

    def get(self, view: View) -> ViewFeatures:
        """Return the features of a view."""
        r = view.region
        key = (self.model, f"{view.picture.name}\n{r.x0:.6f} {r.y0:.6f} {r.x1:.6f} {r.y1:.6f}")
        row = self._store.execute("SELECT arrays FROM features WHERE model = ? AND view = ?", key).fetchone()
        if row is None:
            features = self.compute(view)
            # another process may have been faster; what it stored is the same
            self._store.execute("INSERT OR IGNORE INTO features VALUES (?, ?, ?)", (*key, _packed(features)))
            return features
        return _unpacked(row[0], view.region)


def _packed(features: ViewFeatures) -> bytes:
    box = features.box
    values = {name: getattr(features, name) for name in SHAPES} | {"box": [box.x0, box.y0, box.x1, box.y1]}
    return np.concatenate([np.asarray(values[name], np.float32).ravel() for name in SHAPES]).tobytes()


def _unpacked(blob: bytes, region: Region) -> ViewFeatures:
    sizes = np.cumsum([math.prod(shape) for shape in SHAPES.values()])[:-1]
    parts = np.split(np.frombuffer(blob, np.float32), sizes)
    arrays = {name: part.reshape(shape) for (name, shape), part in zip(SHAPES.items(), parts, strict=True)}
    return replace(ViewFeatures.of(region, arrays), box_area=float(arrays["box_area"]))
