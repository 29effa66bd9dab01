"""The rule policy: zoom in once, on the box of the strongest finding, where a local fault is likely enough."""

from __future__ import annotations

from snellen.region import LOCAL_AREA
from snellen.snellen1.layout import Decision, ViewFeatures

ZOOM_FROM = 0.5
"""Probability of any fault in the first view from which on the rule zooms in."""


def decide(first: ViewFeatures, round_number: int, zoom_from: float = ZOOM_FROM) -> Decision:
    """Return the rule's decision in a round, from 1, given the features of the first view.

    A fault of the whole picture is not zoomed into: the crop would show hardly finer pixels than the first view.
    """
    likely = 1.0 - float(first.kinds[0]) >= zoom_from
    if round_number == 1 and likely and first.box.area < LOCAL_AREA:
        return Decision("crop", first.box)
    return Decision("final")
