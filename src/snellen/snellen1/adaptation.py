"""Adaptation: a small correction of snellen-1's rating that `snellen adapt` learned from a few hundred own ratings.

numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from snellen.snellen1.kernel import Floats


@dataclass(frozen=True, eq=False)
class Adaptation:
    """adapted rating = intercept + slope * rating + (components - centre) . weights.

    The components (C,) are the photo rating head's (`KernelHead.project`). centre, weights (C,); intercept, slope ().
    """

    intercept: float
    slope: float
    centre: Floats
    weights: Floats

    def __call__(self, rating: Floats | float, components: Floats) -> Floats:
        """Adapted ratings, MOS and not clipped: (N,), (N, C) -> (N,)."""
        moved = np.einsum("...c,c->...", components - self.centre, self.weights)
        out: Floats = self.intercept + self.slope * np.asarray(rating, np.float64) + moved
        return out

    @staticmethod
    def open(file: Path) -> Adaptation:
        """Load the file that `save` wrote."""
        with np.load(file) as arrays:
            intercept, slope = float(arrays["intercept"]), float(arrays["slope"])
            return Adaptation(
                intercept, slope, arrays["centre"].astype(np.float64), arrays["weights"].astype(np.float64)
            )

    def save(self, file: Path) -> None:
        """Write the adaptation, in single precision."""
        arrays = {one.name: np.asarray(getattr(self, one.name), np.float32) for one in fields(Adaptation)}
        np.savez(file, **arrays)  # type: ignore[arg-type]
