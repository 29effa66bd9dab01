"""One training example of the vision side: the small pictures of a view and the labels of the view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snellen.region import Region
from snellen.vocabulary import KINDS

LEAST_AREA = 0.02
"""A fault that covers a smaller share of a view neither counts as a fault of that view nor as none."""
INSIDE, OUTSIDE = 0.6, 0.1
"""A cell that a fault covers by more than INSIDE is faulty, by at most OUTSIDE clean; between them it has no label."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ViewFault:
    """The fault in a view. kind: one of KINDS. severity: 1..5. region: in fractions of the view."""

    kind: str
    severity: float
    region: Region

    @property
    def number(self) -> int:
        """Class of the kind: 1 + its index in KINDS; 0 is "no fault"."""
        return 1 + KINDS.index(self.kind)

    def flipped(self) -> ViewFault:
        """Return the fault mirrored left to right."""
        r = self.region
        return ViewFault(self.kind, self.severity, Region(1 - r.x1, r.y0, 1 - r.x0, r.y1))


@dataclass(frozen=True)
class ViewExample:
    """A view with its labels.

    overview (h, w, 3) and fragments (320, 320, 3): uint8 sRGB, as `snellen.image.View` has them. mos: 1..5. rated: True
    if people gave that MOS to this very picture; their faults are not known, so `fault` means nothing then. fault:
    None when clean.
    """

    overview: Pixels
    fragments: Pixels
    mos: float
    rated: bool
    fault: ViewFault | None = None

    def flipped(self) -> ViewExample:
        """Return the example mirrored left to right; the labels hold for the mirror image."""
        fault = None if self.fault is None else self.fault.flipped()
        return ViewExample(self.overview[:, ::-1], self.fragments[:, ::-1], self.mos, self.rated, fault)


def cell_targets(fault: ViewFault | None, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of the cells of a view: (rows, columns) class int64 and severity float32.

    The class is 0 for no fault, `ViewFault.number` for a faulty cell, -1 for a cell without a label.
    """
    kinds = np.zeros((rows, columns), np.int64)
    severities = np.zeros((rows, columns), np.float32)
    if fault is not None:
        r = fault.region
        x, y = np.arange(columns) / columns, np.arange(rows) / rows
        across = np.clip(np.minimum(r.x1, x + 1 / columns) - np.maximum(r.x0, x), 0, None) * columns
        down = np.clip(np.minimum(r.y1, y + 1 / rows) - np.maximum(r.y0, y), 0, None) * rows
        covered = down[:, None] * across[None]
        kinds[covered > INSIDE] = fault.number
        kinds[(covered > OUTSIDE) & (covered <= INSIDE)] = -1
        severities[covered > INSIDE] = fault.severity
    return kinds, severities


def worst_target(fault: ViewFault | None) -> tuple[int, float]:
    """Return class and severity of the worst fault in a view: class 0 without one, -1 for one below LEAST_AREA."""
    if fault is None:
        return 0, 0.0
    return (fault.number if fault.region.area >= LEAST_AREA else -1), fault.severity
