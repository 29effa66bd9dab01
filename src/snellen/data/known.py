"""Known facts about a training picture, and the conversation that it teaches.

Round 1 lists the faults that show in a small view and gives a rating predicted from that view; round 2, on the crop
that round 1 asks for, lists the true faults and gives the label. So a model learns to zoom in where the first view was
unsure, and to move its rating for a reason. The text of both rounds is written from these facts by `snellen.rationale`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from snellen.data.sample import Fault
from snellen.features import CELLS, Features
from snellen.rationale import Facts, compose
from snellen.rationale.evidence import BLOCKY, CAST, CLIPPED_MUCH, DARK, FLAT, GRAINY, SOFT
from snellen.region import FULL, LOCAL_AREA, Region
from snellen.reply import Answer, Issue, Rationale, to_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNSURE_ERROR, UNSURE_STD = 0.35, 0.45
"""The first view is unsure when its rating misses the label by more, or its standard deviation is larger, in MOS."""
LOW_MOS = 3.0
"""Pictures as found get issues from their measurements only below this MOS, the lowest fifth of BIQ2021."""

_CELL_CLIPPED = 0.2
_SMALLEST_CLUSTER = 6  # cells; fewer bad ones are content, not a fault


@dataclass(frozen=True)
class Known:
    """Known facts about one picture.

    Attributes:
        label: MOS 1..5.
        first_rating: rating of the first view, 1..5, predicted by a model that did not learn from this picture.
        measured: features of the whole picture.
        first_std: standard deviation of that prediction, in MOS.
        faults: what was applied; empty for clean pictures and for pictures as found.
        real: rated as found: its faults are not known, and its issues come from the measurements.
        labelled: true issues that somebody labelled, worst first; None where nobody did.
    """

    label: float
    first_rating: float
    measured: Features
    first_std: float = 0.3
    faults: tuple[Fault, ...] = ()
    real: bool = False
    labelled: tuple[Issue, ...] | None = None

    def __post_init__(self) -> None:
        for name, rating in (("label", self.label), ("first_rating", self.first_rating)):
            if not 1.0 <= rating <= 5.0:
                raise ValueError(f"{name} {rating} is outside 1..5")

    @property
    def issues(self) -> tuple[Issue, ...]:
        """True issues, worst first: labelled ones, else the applied faults, else what the measurements of a picture as
        found justify."""
        if self.labelled is not None:
            return self.labelled
        if self.real:
            return derived_issues(self.measured, self.label)
        found = [Issue(fault.kind, int(fault.severity + 0.5), to_grid(fault.region)) for fault in self.faults]
        return tuple(sorted(found, key=lambda issue: (-issue.severity, -issue.region.area)))

    @property
    def unsure(self) -> bool:
        """True where the first view misses the label by more than UNSURE_ERROR, or its deviation exceeds UNSURE_STD."""
        return abs(self.first_rating - self.label) > UNSURE_ERROR or self.first_std > UNSURE_STD


def shows_at_first(issue: Issue) -> bool:
    """Return whether an issue shows in a small view of the whole picture: not where it is slight."""
    return issue.severity >= 2


def conversation(known: Known, rng: np.random.Generator) -> list[tuple[Rationale, Answer]]:
    """Write the rounds: one where the first view settles the rating, else two. The last round's rating is the label.

    A crop is asked for where a fault is local or the first view unsure. rng: draws crops and round 1's mistakes.
    """
    listed = _first_issues(known, rng)
    if not known.unsure and all(issue.region.area >= LOCAL_AREA for issue in known.issues):
        answer = Answer(None, known.label, "final", listed)
        return [(compose(Facts(1, known.label, listed, known.measured)), answer)]
    first = Answer(crop_region(known, rng), known.first_rating, "crop", listed)
    facts = Facts(1, first.stated, listed, known.measured, FULL, first.region, unsure=known.unsure)
    return [(compose(facts), first), second_round(known, first)]


def second_round(known: Known, first: Answer) -> tuple[Rationale, Answer]:
    """Write the last round after a first answer that asks for a crop: the true issues and the label.

    `first` may be a model's own: a model trained on true first rounds alone never learns to correct one.

    Raises:
        ValueError: the first answer asks for no crop.
    """
    if first.region is None:
        raise ValueError("a second round needs a first answer that asks for a crop")
    last = Answer(None, known.label, "final", known.issues)
    facts = Facts(
        2, last.stated, last.issues, known.measured, first.region,
        earlier_rating=first.rating, earlier_issues=first.issues,
    )  # fmt: skip
    return compose(facts), last


def score_only_answer(known: Known) -> Answer:
    """Return the answer of one round without text: the label, and the issues that are plain in a small view."""
    plain = [one for one in known.issues if one.severity >= (2 if one.region.area >= LOCAL_AREA else 3)]
    return Answer(None, known.label, "final", tuple(plain))


def _first_issues(known: Known, rng: np.random.Generator) -> tuple[Issue, ...]:
    """Return the issues of round 1; if unsure, half of them one severity off, as the rating is."""
    listed = []
    for issue in known.issues:
        if not shows_at_first(issue):
            continue
        if known.unsure and rng.random() < 0.5:
            step = -1 if known.first_rating > known.label else 1
            issue = replace(issue, severity=int(np.clip(issue.severity + step, 1, 5)))
        listed.append(issue)
    return tuple(sorted(listed, key=lambda issue: -issue.severity))


def crop_region(known: Known, rng: np.random.Generator) -> Region:
    """Return the region of a useful second view: the worst local fault with a margin of 5 to 15 % of its sides, else
    the part with the highest contrast."""
    local = [issue.region for issue in known.issues if issue.region.area < LOCAL_AREA]
    if not local:
        return to_grid(informative_region(known.measured, rng))
    box = local[0]
    return to_grid(box.grown(*rng.uniform(0.05, 0.15, 4) * [box.width, box.height, box.width, box.height]))


def derived_issues(measured: Features, mos: float) -> tuple[Issue, ...]:
    """Return issues of a picture as found, from its measurements: at most two, worst first; none at MOS >= LOW_MOS.

    A feature must be beyond its corpus threshold; cells beyond it give the box. The severity is (4.2 - mos) / 0.7 to
    the nearest, 1..5, and one less for the second issue.
    """
    if mos >= LOW_MOS:
        return ()
    value = {name: feature.value for name, feature in measured.values.items()}
    maps = measured.maps
    candidates: list[tuple[str, float, NDArray[Any] | None]] = [
        ("blur", (SOFT - value["sharpness"]) / 0.1, maps["sharpness"] < SOFT),
        ("noise", (value["noise"] - GRAINY) / 4.0, maps["noise"] > GRAINY),
        ("compression", (value["blockiness"] - BLOCKY) / 0.3, maps["blockiness"] > BLOCKY),
        (
            "overexposure", (value["clipped_highlights"] - CLIPPED_MUCH) / 0.3,
            maps["clipped_highlights"] > _CELL_CLIPPED,
        ),
        ("underexposure", (DARK - value["luminance"]) / 0.03, maps["luminance"] < DARK),
        ("low contrast", (FLAT - value["contrast"]) / 0.05, None),
        ("color cast", (value["color_cast"] - CAST) / 30.0, None),
    ]  # fmt: skip
    found = sorted(((excess, kind, bad) for kind, excess, bad in candidates if excess > 0), key=lambda one: -one[0])
    severity = int(np.clip(round((4.2 - mos) / 0.7), 1, 5))
    issues = []
    for rank, (_, kind, bad) in enumerate(found[:2]):
        issues.append(Issue(kind, max(1, severity - rank), FULL if bad is None else cluster(bad)))
    return tuple(issues)


def cluster(bad: NDArray[np.bool_]) -> Region:
    """Return the box around the largest group of touching bad cells; FULL where it is most of the picture, or tiny."""
    groups = _groups(bad)
    best = max(groups, key=len, default=[])
    if len(best) < _SMALLEST_CLUSTER:
        return FULL
    rows, columns = [y for y, _ in best], [x for _, x in best]
    box = Region(min(columns) / CELLS, min(rows) / CELLS, (max(columns) + 1) / CELLS, (max(rows) + 1) / CELLS)
    return FULL if box.area >= LOCAL_AREA else box


def _groups(bad: NDArray[np.bool_]) -> Sequence[list[tuple[int, int]]]:
    """Return the groups of cells that touch along a side, each as (row, column)."""
    left = {(int(row), int(column)) for row, column in np.argwhere(bad)}
    groups = []
    while left:
        group = [min(left)]
        left.remove(group[0])
        for y, x in group:  # grows while it is read
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if near in left:
                    left.remove(near)
                    group.append(near)
        groups.append(group)
    return groups


def informative_region(measured: Features, rng: np.random.Generator) -> Region:
    """Return the window of 35 to 60 % of the sides with the highest mean contrast of its cells."""
    width, height = (float(side) for side in rng.uniform(0.35, 0.6, 2))
    shape = round(height * CELLS), round(width * CELLS)
    means = sliding_window_view(measured.maps["contrast"], shape).mean(axis=(2, 3))
    top, left = (int(v) for v in np.unravel_index(means.argmax(), means.shape))
    x0 = min(max(0.0, (left + shape[1] / 2) / CELLS - width / 2), 1.0 - width)
    y0 = min(max(0.0, (top + shape[0] / 2) / CELLS - height / 2), 1.0 - height)
    return Region(x0, y0, min(1.0, x0 + width), min(1.0, y0 + height))
