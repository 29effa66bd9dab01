"""One thing to learn from on the vision side: a look, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snellen.region import Region
from snellen.vocabulary import KINDS

SLIVER = 0.02
"""A fault that covers less of a look than this is neither asked for nor denied."""


@dataclass(frozen=True)
class Look:
    """One training example: the two small pictures of a look and what is known about it.

    overview (h, w, 3) and fragments (320, 320, 3) uint8. mos on 1..5. real: the MOS is a human one for this very
    picture. fault: (kind, severity 1..5, Region in fractions of the look), None when clean. For real pictures, whose
    faults nobody knows, the cells are not trained.
    """

    overview: np.ndarray
    fragments: np.ndarray
    mos: float
    real: bool
    fault: tuple[str, float, Region] | None = None

    def flipped(self) -> Look:
        """Mirrored left to right: people's opinion stays."""
        fault = self.fault
        if fault is not None:
            kind, severity, r = fault
            fault = (kind, severity, Region(1 - r.x1, r.y0, 1 - r.x0, r.y1))
        return Look(self.overview[:, ::-1], self.fragments[:, ::-1], self.mos, self.real, fault)


def cell_targets(look: Look, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Kind (0 none, else 1 + index in KINDS, -1 if a cell is half inside) and severity per cell, (rows, columns)."""
    kinds = np.zeros((rows, columns), np.int64)
    severities = np.zeros((rows, columns), np.float32)
    if look.fault is not None:
        kind, severity, r = look.fault
        x, y = np.arange(columns) / columns, np.arange(rows) / rows
        across = np.clip(np.minimum(r.x1, x + 1 / columns) - np.maximum(r.x0, x), 0, None) * columns
        down = np.clip(np.minimum(r.y1, y + 1 / rows) - np.maximum(r.y0, y), 0, None) * rows
        inside = down[:, None] * across[None]
        kinds[inside > 0.6] = 1 + KINDS.index(kind)
        kinds[(inside > 0.1) & (inside <= 0.6)] = -1
        severities[inside > 0.6] = severity
    return kinds, severities


def worst_target(look: Look) -> tuple[int, float]:
    """Kind (0 none, else 1 + index in KINDS, -1 when only a sliver of it shows) and severity of a look's fault."""
    if look.fault is None:
        return 0, 0.0
    kind, severity, region = look.fault
    return (1 + KINDS.index(kind) if region.area >= SLIVER else -1), severity
