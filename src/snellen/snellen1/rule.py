"""The rule policy: zoom in once, on the box of the strongest finding, where that can show something new."""

from __future__ import annotations

from snellen.image import Picture
from snellen.region import LOCAL_AREA, Region
from snellen.snellen1.layout import Decision, ViewFeatures
from snellen.zoom import FINER, ZOOM_PRESETS, finer

LIKELY = 0.5
"""Probability of any fault in a view from which on a fault counts as likely."""


def decide(picture: Picture, first: ViewFeatures, round_number: int) -> Decision:
    """Return the rule's decision in a round, from 1, given the features of the first view.

    A fault of the whole picture is not zoomed into, and nothing is where the crop would show hardly finer pixels than
    the first view: the first view is final then.
    """
    if round_number == 1 and is_local_fault(first) and is_worth_a_crop(picture, first.box):
        return Decision("crop", first.box)
    return Decision("final")


def is_local_fault(seen: ViewFeatures) -> bool:
    """Return whether a view likely shows a fault, and that in a part of the picture."""
    return 1.0 - float(seen.kinds[0]) >= LIKELY and seen.box.area < LOCAL_AREA


def is_worth_a_crop(picture: Picture, box: Region) -> bool:
    """Return whether the crop that follows a box shows pixels FINER times finer than the whole picture's overview."""
    return finer(picture, ZOOM_PRESETS["snellen"].settle(box, picture.width, picture.height)) >= FINER
