"""Does the reason name what makes the picture bad? By intervention: the fault is repaired where it was named.

Every issue that the model names in a picture whose clean pixels are known is put to the test twice: with the clean
pixels put back in the region that it names, and in another place, of the same size where there is room. If the issue
says why the score is low, the first must raise it and the second must not.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from snellen.evaluate.modes import TWO
from snellen.evaluate.perturb import file_repaired, recipe_repaired
from snellen.evaluate.predict import DataSet, Job, Row
from snellen.evaluate.report.tables import Table, percent, spread
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.suites import grounding
from snellen.image import Picture
from snellen.region import LOCAL_AREA, Region

SUITE = "faithfulness"
MARGIN = 0.05
"""MOS points: what a score must rise by to count as risen."""
LEAST = 0.25
"""Of the area named: a smaller other place says nothing."""
SEED = 0


@dataclass(frozen=True)
class Claim:
    """One issue that was named, and what repairing it did.

    photograph: key of what the picture was made of. right_kind: whether a fault of that kind is there at all; where
    none is, there is nothing of it to repair. gain, elsewhere: how far the score rose when the region named was
    repaired, and another of the same size; NaN where that picture has no score. has_elsewhere: False where the region
    leaves no room for another, and elsewhere is NaN.
    """

    photograph: str
    right_kind: bool
    gain: float
    elsewhere: float
    has_elsewhere: bool

    @property
    def passed(self) -> bool:
        """The kind is there, repairing the region named raised the score, repairing elsewhere did not."""
        return self.right_kind and self.gain > MARGIN and self.elsewhere <= MARGIN


def jobs(sets: Sequence[DataSet], ways: Sequence[str], folder: Path) -> list[Job]:
    """The pictures of the suite `grounding`; those whose clean pixels are known are repaired afterwards."""
    return grounding.jobs(sets, ways, folder)


def follow_up(rows: Sequence[Row], sets: Sequence[DataSet], ways: Sequence[str]) -> list[Job]:
    """Two repaired pictures for each issue named, where repairing changes any pixel of the fault."""
    found = []
    for row in _tested(rows, sets):
        mend, source = _mender(row, sets)
        fault = _fault(row, sets)
        for number, issue in enumerate(row.issues):
            for how, part in (("repaired", issue.region), ("elsewhere", elsewhere(issue.region, _salt(row, number)))):
                if part is not None and part.intersect(fault) is not None:
                    picture: Callable[[], Picture] = partial(mend, part)
                    found.append(Job(SUITE, row.key, picture, source, (TWO,), _variant(row, number, how)))
    return found


def _tested(rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Row]:
    """Rows of pictures with one local fault whose clean pixels are known, and that have a score."""
    found = []
    for row in rows:
        if row.suite != grounding.SUITE or row.way != TWO or row.score is None:
            continue
        faults = grounding.truth(row, sets).faults
        known = bool(row.variant) or _sample(row, sets).reference is not None
        if known and len(faults) == 1 and faults[0].region.area < LOCAL_AREA:
            found.append(row)
    return found


def _fault(row: Row, sets: Sequence[DataSet]) -> Region:
    return grounding.truth(row, sets).faults[0].region


def _sample(row: Row, sets: Sequence[DataSet]) -> Any:
    return next(known.samples[row.key] for known in sets if row.key in known.samples)


def _mender(row: Row, sets: Sequence[DataSet]) -> tuple[Callable[[Region], Picture], str]:
    """What repairs a part of a row's picture, and the file that it needs."""
    sample = _sample(row, sets)
    if row.variant:
        return partial(recipe_repaired, grounding.recipe_of(row.variant, sample.path)), sample.path
    return partial(file_repaired, sample.path, sample.reference), sample.path


def _variant(row: Row, number: int, how: str) -> str:
    """The picture's own variant first, so that the repairs of one picture are made one after the other."""
    return f"{row.variant} issue {number} {how}".strip()


def _salt(row: Row, number: int) -> int:
    return zlib.crc32(f"{row.key} {row.variant} {number}".encode())


def elsewhere(named: Region, seed: int) -> Region | None:
    """A place of the same size that shares nothing with the one named, drawn at random.

    It lies left, right, above or below: first one of the sides with room is drawn, then a place on that side. Where no
    side has room, it is the largest strip beside the one named; None where that has less than `LEAST` of its area.
    """
    rng = np.random.default_rng(seed)
    width, height = named.width, named.height
    corners = {
        "left": (0.0, named.x0 - width, 0.0, 1.0 - height),
        "right": (named.x1, 1.0 - width, 0.0, 1.0 - height),
        "above": (0.0, 1.0 - width, 0.0, named.y0 - height),
        "below": (0.0, 1.0 - width, named.y1, 1.0 - height),
    }  # of the left upper corner: x from, to, y from, to
    rooms = [side for side, (x0, x1, y0, y1) in corners.items() if x1 - x0 > -1e-9 and y1 - y0 > -1e-9]
    if not rooms:
        return _strip(named)
    side = rooms[int(rng.integers(len(rooms)))]
    x0, x1, y0, y1 = corners[side]
    x, y = x0 + float(rng.random()) * (x1 - x0), y0 + float(rng.random()) * (y1 - y0)
    # boxes that touch must share nothing, however the sums were rounded
    return Region(
        max(x, named.x1 if side == "right" else 0.0),
        max(y, named.y1 if side == "below" else 0.0),
        min(x + width, named.x0 if side == "left" else 1.0),
        min(y + height, named.y0 if side == "above" else 1.0),
    )


def _strip(named: Region) -> Region | None:
    sides = [(0.0, 0.0, named.x0, 1.0), (named.x1, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, named.y0), (0.0, named.y1, 1.0, 1.0)]
    largest = max(sides, key=lambda side: (side[2] - side[0]) * (side[3] - side[1]))
    area = (largest[2] - largest[0]) * (largest[3] - largest[1])
    return Region(*largest) if area >= LEAST * named.area else None


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Gains of repairing what was named and of repairing elsewhere, and the share of issues that pass."""
    repaired = {(row.key, row.variant): row for row in rows if row.suite == SUITE}
    tested = _tested(rows, sets)
    claims = [claim for row in tested for claim in claims_of(row, sets, repaired)]
    right = [claim for claim in claims if claim.right_kind]
    return {
        "pictures": len(tested),
        "without an issue": sum(not row.issues for row in tested),
        "all issues": measured(claims),
        "of the right kind": measured(right),
    }


def claims_of(row: Row, sets: Sequence[DataSet], repaired: Mapping[tuple[str, str], Row]) -> list[Claim]:
    """The claims of one picture; where a repair touches nothing of the fault, the picture is the same and so is the
    score."""
    fault, kinds, found = _fault(row, sets), grounding.truth(row, sets).kinds, []

    def gain(number: int, how: str, part: Region | None) -> float:
        if part is None:
            return math.nan
        if part.intersect(fault) is None:
            return 0.0
        after = repaired[row.key, _variant(row, number, how)].score
        return math.nan if after is None or row.score is None else after - row.score

    for number, issue in enumerate(row.issues):
        other = elsewhere(issue.region, _salt(row, number))
        found.append(
            Claim(
                row.key,
                issue.kind in kinds,
                gain(number, "repaired", issue.region),
                gain(number, "elsewhere", other),
                other is not None,
            )
        )
    return found


def measured(claims: Sequence[Claim]) -> dict[str, Any]:
    """Of some claims: mean gains with intervals, their paired difference, how often each holds, and both at once.

    A region so large that there is nothing else cannot be told from naming the whole picture: it does not pass.
    """
    return {
        "issues": len(claims),
        "no other place": sum(not claim.has_elsewhere for claim in claims),
        "gain": _mean([(c.photograph, c.gain) for c in claims]),
        "gain elsewhere": _mean([(c.photograph, c.elsewhere) for c in claims]),
        "gain less elsewhere": _mean([(c.photograph, c.gain - c.elsewhere) for c in claims]),
        "rises": metrics.share([claim.gain > MARGIN for claim in claims]),
        "does not rise elsewhere": metrics.share([claim.elsewhere <= MARGIN for claim in claims]),
        "pass": metrics.share([claim.passed for claim in claims]),
    }


def _mean(values: Sequence[tuple[str, float]]) -> tuple[float, float, float]:
    """Mean over issues; its interval is over photographs, as issues of one photograph are much alike."""
    by_photograph: dict[str, list[float]] = {}
    for photograph, value in values:
        if not math.isnan(value):
            by_photograph.setdefault(photograph, []).append(value)
    if not by_photograph:
        return math.nan, math.nan, math.nan
    sums = [sum(those) for those in by_photograph.values()]
    counts = [len(those) for those in by_photograph.values()]
    return metrics.bootstrap_interval(lambda a, b: float(np.sum(a) / np.sum(b)), sums, counts, seed=SEED)


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table]:
    """The table of the report."""
    gains = ("gain", "gain elsewhere", "gain less elsewhere")
    shares = ("rises", "does not rise elsewhere", "pass")
    lines = []
    for name in ("all issues", "of the right kind"):
        v = summary[name]
        counts = [str(v["issues"]), str(v["no other place"])]
        lines.append([name, *counts, *(spread(v[g]) for g in gains), *(percent(v[s]) for s in shares)])
    note = (
        f"{summary['pictures']} pictures with one local fault, {summary['without an issue']} without any issue named. "
        f"Gains in MOS points; a rise is more than {MARGIN:g}. An issue passes when a fault of its kind is there, "
        "repairing the region named raises the score, and repairing elsewhere does not: a place of the same size, or "
        f"beside a region that leaves no room for one the largest strip, if that has {LEAST:g} of its area at least."
    )
    head = [
        "issues",
        "n",
        "no other place",
        "gain, repaired where named",
        "gain, repaired elsewhere",
        "difference",
        *shares,
    ]
    return [Table("Is the reason the reason?", head, lines, note)]
