"""Suite `faithfulness`: whether the issues of a reply cause its score, by intervention.

Each issue in a picture whose clean pixels are known is tested twice: with the clean pixels restored in the region that
it names, and in another region, of the same size where there is room. If the fault lowers the score there, the first
raises the score and the second does not.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from snellen.data.sample import Sample
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.modes import TWO
from snellen.evaluate.perturb import file_repaired, recipe_repaired
from snellen.evaluate.predict import Job
from snellen.evaluate.report.tables import Table, estimate, percent
from snellen.evaluate.rows import Row
from snellen.evaluate.stats.bootstrap import mean_interval, share
from snellen.evaluate.suites import Suite
from snellen.evaluate.suites.local_faults import SUITE_NAME as FAULTS
from snellen.evaluate.suites.local_faults import jobs, recipe_of, truth
from snellen.image import Picture
from snellen.region import LOCAL_AREA, Region

NAME = "faithfulness"
MARGIN = 0.05
"""MOS; a larger rise of the score counts as a rise."""
MIN_CONTROL = 0.25
"""Of the area of the issue; a smaller control region is no control."""
REPAIRED, CONTROL = "repaired", "control"


@dataclass(frozen=True)
class Claim:
    """Test of one issue.

    Attributes:
        photograph: key of the photograph that the picture was made of.
        right_kind: True where the picture has a fault of that kind.
        gain: rise of the score when the region of the issue is repaired, MOS; NaN where that picture has no score.
        control_gain: rise when the control region is repaired; NaN also where there is no control region.
        has_control: False where the region leaves no room for another.
    """

    photograph: str
    right_kind: bool
    gain: float
    control_gain: float
    has_control: bool

    @property
    def passed(self) -> bool:
        """True where the kind is right, repairing the region raised the score, and repairing the control did not."""
        return self.right_kind and self.gain > MARGIN and self.control_gain <= MARGIN


def follow_up(rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Job]:
    """Return two repaired pictures for each issue, where the repair changes a pixel of the fault."""
    found = []
    for row in _tested(rows, sets):
        repair, source = _repair_of(row, sets)
        fault = _fault(row, sets)
        for number, issue in enumerate(row.issues):
            control = control_region(issue.region, _seed(row, number))
            for how, part in ((REPAIRED, issue.region), (CONTROL, control)):
                if part is not None and part.intersect(fault) is not None:
                    picture: Callable[[], Picture] = partial(repair, part)
                    found.append(Job(NAME, row.key, picture, source, (TWO,), _variant(row, number, how)))
    return found


def _tested(rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Row]:
    """Return the rows with a score whose picture has one local fault and known clean pixels."""
    found = []
    for row in rows:
        if row.suite != FAULTS or row.mode != TWO or row.score is None:
            continue
        faults = truth(row, sets).faults
        known = bool(row.variant) or _sample(row, sets).reference is not None
        if known and len(faults) == 1 and faults[0].region.area < LOCAL_AREA:
            found.append(row)
    return found


def _fault(row: Row, sets: Sequence[DataSet]) -> Region:
    return truth(row, sets).faults[0].region


def _sample(row: Row, sets: Sequence[DataSet]) -> Sample:
    return next(each.samples[row.key] for each in sets if row.key in each.samples)


def _repair_of(row: Row, sets: Sequence[DataSet]) -> tuple[Callable[[Region], Picture], str]:
    """Return the function that repairs a region of a row's picture, and the file that it needs."""
    sample = _sample(row, sets)
    if row.variant:
        return partial(recipe_repaired, recipe_of(row.variant, sample.path)), sample.path
    if sample.reference is None:
        raise ValueError(f"{row.key} has no reference")
    return partial(file_repaired, sample.path, sample.reference), sample.path


def _variant(row: Row, number: int, how: str) -> str:
    """Return the variant of a repaired picture; it begins with the picture's own, which sorts its repairs together."""
    return f"{row.variant} issue {number} {how}".strip()


def _seed(row: Row, number: int) -> int:
    return zlib.crc32(f"{row.key} {row.variant} {number}".encode())


def control_region(named: Region, seed: int) -> Region | None:
    """Return a region of the same size that shares nothing with `named`, drawn at random.

    It lies left, right, above or below: first a side with room is drawn, then a place on that side. Where no side has
    room, it is the largest strip beside `named`; None where that has less than `MIN_CONTROL` of its area.
    """
    rng = np.random.default_rng(seed)
    width, height = named.width, named.height
    corners = {
        "left": (0.0, named.x0 - width, 0.0, 1.0 - height),
        "right": (named.x1, 1.0 - width, 0.0, 1.0 - height),
        "above": (0.0, 1.0 - width, 0.0, named.y0 - height),
        "below": (0.0, 1.0 - width, named.y1, 1.0 - height),
    }  # ranges of the upper left corner: x from, to, y from, to
    rooms = [side for side, (x0, x1, y0, y1) in corners.items() if x1 - x0 > -1e-9 and y1 - y0 > -1e-9]
    if not rooms:
        return _strip(named)
    side = rooms[int(rng.integers(len(rooms)))]
    x0, x1, y0, y1 = corners[side]
    x, y = x0 + float(rng.random()) * (x1 - x0), y0 + float(rng.random()) * (y1 - y0)
    # boxes that touch share nothing, however the sums are rounded
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
    return Region(*largest) if area >= MIN_CONTROL * named.area else None


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return the gains of repairing issues and control regions, and the share of issues that pass."""
    repaired = {(row.key, row.variant): row for row in rows if row.suite == NAME}
    tested = _tested(rows, sets)
    claims = [claim for row in tested for claim in claims_of(row, sets, repaired)]
    return {
        "pictures": len(tested),
        "without an issue": sum(not row.issues for row in tested),
        "all issues": measured(claims),
        "right kind": measured([claim for claim in claims if claim.right_kind]),
    }


def claims_of(row: Row, sets: Sequence[DataSet], repaired: Mapping[tuple[str, str], Row]) -> list[Claim]:
    """Return the claims of one picture. A repair that does not touch the fault changes neither picture nor score."""
    fault, kinds = _fault(row, sets), truth(row, sets).kinds

    def gain(number: int, how: str, part: Region | None) -> float:
        if part is None:
            return math.nan
        if part.intersect(fault) is None:
            return 0.0
        after = repaired[row.key, _variant(row, number, how)].score
        return math.nan if after is None or row.score is None else after - row.score

    found = []
    for number, issue in enumerate(row.issues):
        control = control_region(issue.region, _seed(row, number))
        gains = gain(number, REPAIRED, issue.region), gain(number, CONTROL, control)
        found.append(Claim(row.key, issue.kind in kinds, *gains, control is not None))
    return found


def measured(claims: Sequence[Claim]) -> dict[str, Any]:
    """Return mean gains, their paired difference, and how often each condition holds, and all of them.

    Intervals of the gains are over photographs. An issue without a control region does not pass: it cannot be
    distinguished from one that names the whole picture.
    """
    photographs = [claim.photograph for claim in claims]
    return {
        "issues": len(claims),
        "without control": sum(not claim.has_control for claim in claims),
        "gain": mean_interval([claim.gain for claim in claims], photographs),
        "control gain": mean_interval([claim.control_gain for claim in claims], photographs),
        "gain minus control": mean_interval([claim.gain - claim.control_gain for claim in claims], photographs),
        "score rises": share([claim.gain > MARGIN for claim in claims]),
        "control does not": share([claim.control_gain <= MARGIN for claim in claims]),
        "pass": share([claim.passed for claim in claims]),
    }


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table]:
    """Return the table of the report."""
    lines = []
    for name in ("all issues", "right kind"):
        v = summary[name]
        gains = [estimate(v[key]) for key in ("gain", "control gain", "gain minus control")]
        shares = [percent(v[key]) for key in ("score rises", "control does not", "pass")]
        lines.append([name, str(v["issues"]), str(v["without control"]), *gains, *shares])
    note = (
        f"{summary['pictures']} pictures with one local fault, {summary['without an issue']} without an issue. Gains "
        f"in MOS; a rise is more than {MARGIN:g}. An issue passes when the picture has a fault of its kind, repairing "
        "its region raises the score, and repairing the control region does not. The control is a region of the same "
        f"size elsewhere, or the largest strip beside it where that has at least {MIN_CONTROL:g} of its area."
    )
    head = [
        "issues", "number", "without control", "gain, issue repaired", "gain, control repaired", "difference",
        "score rises", "control does not", "pass",
    ]  # fmt: skip
    return [Table("Score after repairing the region of an issue", head, lines, note)]


SUITE = Suite(NAME, jobs, summarise, show, follow_up)
