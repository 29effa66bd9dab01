"""What a fault costs: how far a rating lies below that of the same photograph without the fault.

The MOS of a picture with a made fault is that of a clean one less what the fault should cost (`synthetic_mos` of
`snellen.data.synthesize`), and what a clean one counts as is a convention (`snellen.data.testsets.CLEAN_MOS`), not what
people would say of this very photograph. A judge that rates the clean ones elsewhere is off by that in every picture,
so its ratings being near says little of the fault. The drop does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snellen.evaluate.report.tables import Table, number, percent
from snellen.evaluate.stats import boxes as naming
from snellen.evaluate.stats import correlation as metrics


@dataclass(frozen=True)
class Rated:
    """A picture that was looked at, and what the first look and the last rated it.

    photograph: of which it is made. cost: what its fault should take off, in MOS, 0 for a clean picture.
    """

    photograph: str
    cost: float
    first: float
    last: float


@dataclass(frozen=True)
class Drop:
    """How far a picture lies below the clean ones of its photograph, in MOS: as it should, by the first look, by the
    last; each round with the same round of the others."""

    wanted: float
    first: float
    last: float

    @property
    def nearer(self) -> bool:
        """Whether the last look came closer than the first."""
        return abs(self.last - self.wanted) < abs(self.first - self.wanted)


def drops(pictures: Iterable[Rated]) -> list[Drop | None]:
    """Of each picture; None for clean ones, and where no clean picture of the photograph was rated."""
    all_of_them = list(pictures)
    clean: dict[str, list[tuple[float, float]]] = {}
    for one in all_of_them:
        if one.cost == 0.0:
            clean.setdefault(one.photograph, []).append((one.first, one.last))
    found: list[Drop | None] = []
    for one in all_of_them:
        if one.cost == 0.0 or one.photograph not in clean:
            found.append(None)
            continue
        first, last = np.mean(clean[one.photograph], axis=0).tolist()
        found.append(Drop(one.cost, first - one.first, last - one.last))
    return found


def summary(found: Iterable[Drop | None]) -> dict[str, Any]:
    """Means over the drops, in MOS, and the share of them that the last look brought nearer, with its interval."""
    there = [one for one in found if one is not None]
    return {
        "pictures": len(there),
        "wanted": naming.mean(one.wanted for one in there),
        "first look": naming.mean(one.first for one in there),
        "last look": naming.mean(one.last for one in there),
        "error, first look": naming.mean(abs(one.first - one.wanted) for one in there),
        "error, last look": naming.mean(abs(one.last - one.wanted) for one in there),
        "nearer": metrics.share([one.nearer for one in there]),
    }


def table(found: Mapping[str, Any]) -> Table:
    """What `summary` found."""
    rows = [[name, number(found[name])] for name in found if name not in ("pictures", "nearer")]
    rows.append(["the last look is nearer than the first", percent(found["nearer"])])
    note = f"{found['pictures']} pictures, each look against the same look at the clean ones; wanted is what the fault"
    title = "What a fault costs, in MOS below the same photograph without it"
    return Table(title, ["what", "value"], rows, f"{note} should cost (`synthetic_mos`).")
