"""The rule policy: zoom in once, on the box of the strongest finding, where that can show something new."""

from __future__ import annotations

from snellen.image import Picture
from snellen.region import LOCAL_AREA, Region
from snellen.snellen1.layout import Decision
from snellen.zoom import FINER, ZOOM_PRESETS, finer

ZOOM_FROM = 0.5
"""Probability of a fault in a part of the first view from which on the rule zooms in."""


def decide(
    picture: Picture, box: Region, probability: float, round_number: int, zoom_from: float = ZOOM_FROM
) -> Decision:
    """Return the rule's decision in a round, from 1, given the box of the strongest finding and its probability.

    A fault of the whole picture is not zoomed into, and nothing is where the crop would show hardly finer pixels than
    the first view: the first view is final then.
    """
    if round_number == 1 and probability >= zoom_from and box.area < LOCAL_AREA and is_worth_a_crop(picture, box):
        return Decision("crop", box)
    return Decision("final")


def is_worth_a_crop(picture: Picture, box: Region) -> bool:
    """Return whether the crop that follows a box shows pixels FINER times finer than the whole picture's overview."""
    return finer(picture, ZOOM_PRESETS["snellen"].settle(box, picture.width, picture.height)) >= FINER
