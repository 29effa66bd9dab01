"""The numbers of one view, each named once, and what is decided from them. No torch and no ONNX Runtime here.

The two graphs of snellen-1's heads exchange named arrays: `VIEW_OUTPUTS` are the outputs of `heads.onnx`, one row for
each view; `ViewFeatures` holds one row. Index 0 of an array over kinds with "no fault" is "no fault"; index 1 + i is
KINDS[i].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from snellen.region import FULL, LOCAL_AREA, Region
from snellen.snellen1.photo_faults import PhotoFault
from snellen.vocabulary import KINDS, merged

Floats = npt.NDArray[np.float32]

GRID_SIDE = 5
"""The decoder reads each small picture of a view as GRID_SIDE x GRID_SIDE pooled cell vectors."""
MOVE_STEP = 0.05
"""A decision moves the rating in steps of this many MOS."""
MOST_MOVE_STEPS = 10
"""A decision moves the rating by at most so many steps, up or down."""

VIEW_OUTPUTS = ("kinds", "severities", "box", "rating", "score_head", "summary", "overview", "fragments")
"""Outputs of `heads.onnx` for N views.

kinds (N, K + 1): probability of no fault and of each kind as the worst fault. severities (N, K): the severity, 1..5,
that the worst fault has if it is of each kind. box (N, 4): the fault's box, x0 y0 x1 y1 in fractions of the whole
picture. rating (N,): by the photo rating head, MOS. score_head (N,): the score
head's rating alone, MOS. summary (N, 128), overview and fragments (N, GRID_SIDE^2, 160): what the decoder reads
beside these.
"""

RATING_INPUTS = ("kinds", "first_kinds", "severity", "box_area", "view_area", "rating", "first_rating")
"""Inputs of `rating_head.onnx`; see `snellen.snellen1.rating_head.RatingInputs`."""


@dataclass(frozen=True, eq=False)
class ViewFeatures:
    """Everything that encoder and heads compute of one view; see `VIEW_OUTPUTS` for the fields.

    region: the view's. rating and score_head are clipped to 1..5. box is clipped to the picture, box_area is its area
    before that.
    """

    region: Region
    kinds: Floats
    severities: Floats
    box: Region
    box_area: float
    rating: float
    score_head: float
    summary: Floats
    overview: Floats
    fragments: Floats

    @staticmethod
    def of(region: Region, outputs: Mapping[str, Floats]) -> ViewFeatures:
        """Features from one row of each of `VIEW_OUTPUTS`."""
        x0, y0, x1, y1 = outputs["box"].tolist()
        return ViewFeatures(
            region=region,
            kinds=outputs["kinds"],
            severities=outputs["severities"],
            box=Region(*outputs["box"].astype(float).clip(0.0, 1.0).tolist()),
            box_area=(x1 - x0) * (y1 - y0),
            rating=float(np.clip(outputs["rating"], 1.0, 5.0)),
            score_head=float(np.clip(outputs["score_head"], 1.0, 5.0)),
            summary=outputs["summary"],
            overview=outputs["overview"],
            fragments=outputs["fragments"],
        )

    @property
    def severity(self) -> float:
        """Expected severity of the worst fault, if there is one: the mean over the kinds that it may be."""
        weights = self.kinds[1:].astype(np.float64)
        return float(weights @ self.severities / max(float(weights.sum()), 1e-12))


@dataclass(frozen=True)
class Finding:
    """A fault that the heads detect. severity 1..5, a whole number. probability 0..1 that the worst fault is this."""

    kind: str
    severity: int
    region: Region
    probability: float


@dataclass(frozen=True)
class Decision:
    """All that a policy decides in one round: whether to zoom in, where, and how far the rating moves.

    region: the box to crop, None where tool is "final". move: MOS added to the rating head's rating, a multiple of
    MOVE_STEP; 0 in a first round.
    """

    tool: Literal["crop", "final"]
    region: Region | None = None
    move: float = 0.0

    def __post_init__(self) -> None:
        if (self.tool == "crop") != (self.region is not None):
            raise ValueError(f"a crop has a region and a final answer none, not {self}")


def findings(
    first: ViewFeatures, last: ViewFeatures, thresholds: npt.NDArray[np.float64], whole_threshold: float
) -> list[Finding]:
    """Return the faults of which the probability passes the threshold of their kind, most probable first.

    The probability is the mean of the first view's and the last view's: a crop alone looks faulty more often than the
    picture is, and a fault of the whole need not show in a crop. Severity and box are the last view's. thresholds
    (K,) are for faults in a part of the picture. One of the whole picture must also pass `whole_threshold`: the fault
    head learned from synthetic faults, and of real photographs it calls too many faulty all over.
    """
    probability = 0.5 * (first.kinds[1:].astype(np.float64) + last.kinds[1:])
    local = last.box.area < LOCAL_AREA
    least = thresholds if local else np.maximum(thresholds, whole_threshold)
    passed = [i for i in np.argsort(-probability, kind="stable") if probability[i] >= least[i]]
    return [
        Finding(KINDS[i], int(np.clip(np.rint(last.severities[i]), 1, 5)), last.box, float(probability[i]))
        for i in passed
    ]


def merge(photo: Sequence[PhotoFault], found: Sequence[Finding]) -> list[Finding]:
    """Return the photo fault head's kinds and the fault head's findings together, most probable first.

    A kind that both name is the finding, with its box, and with the higher probability. Where the photo fault head
    names a kind alone, it is of the whole picture.
    """
    merged_kinds = {merged(one.kind): one for one in found}
    listed = list(found)
    for fault in photo:
        same = merged_kinds.get(fault.kind)
        if same is None:
            listed.append(Finding(fault.kind, fault.severity, FULL, fault.probability))
        else:
            listed[listed.index(same)] = replace(same, probability=max(same.probability, fault.probability))
    return sorted(listed, key=lambda one: -one.probability)
