"""Visible differences of two aligned pictures: the difference map and its regions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.color import rgb2lab

from snellen.comparison.tone_difference import Floats, Pixels, block_means
from snellen.region import FULL, LOCAL_AREA, Region

CELL = 16
"""Side of a cell of the map in which regions are found, px."""
VISIBLE = 2.3
"""Difference of a cell that counts as changed, CIELAB units: the just noticeable difference of G. Sharma, "Digital
Color Imaging Handbook", 2003."""
LEAST_SHARE = 0.05
"""A region holds at least this share of the squared difference, or STRONG."""
STRONG = 8.0
"""Root mean square difference from which a region counts however small it is, CIELAB units."""
MOST_REGIONS = 4
"""More regions than this are one: a fault that is scattered over the picture."""
GAP = 2
"""Changed cells with at most so many unchanged ones between them belong together."""


def difference_map(reference: Pixels, picture: Pixels) -> npt.NDArray[np.float32]:
    """Return the CIE 1976 colour difference of each pixel, (H, W), CIELAB units: 0 the same, 2.3 just noticeable."""
    difference = rgb2lab(picture).astype(np.float32) - rgb2lab(reference).astype(np.float32)
    return np.asarray(np.sqrt((difference**2).sum(axis=2)))


def changed_regions(differences: Floats, same: npt.NDArray[np.bool_]) -> tuple[Region, ...]:
    """Return the regions that differ visibly, those of the largest squared difference first.

    Cells of CELL px count as changed from a root mean square difference of VISIBLE. Neighbouring changed cells are one
    region. If the regions together hold LOCAL_AREA of the picture, or most of the picture around them has changed as
    well, the whole picture is the region.

    Args:
        differences: (H, W), CIELAB units.
        same: (H, W), True where the pixels are equal.
    """
    height, width = differences.shape
    squares = _cells(differences**2)
    changed = squares >= VISIBLE**2
    if not changed.any():
        return ()
    near = ndimage.binary_dilation(changed, np.ones((3, 3)), iterations=GAP)
    labels, _ = ndimage.label(near, np.ones((3, 3)))
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = changed[box] & (labels[box] == number)
        power = squares[box][inside]
        if power.sum() >= LEAST_SHARE * squares[changed].sum() or power.mean() >= STRONG**2:
            rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
            top, left = box[0].start + rows[0], box[1].start + columns[0]
            bottom, right = box[0].start + rows[-1] + 1, box[1].start + columns[-1] + 1
            found.append((float(power.sum()), (left * CELL, top * CELL, right * CELL, bottom * CELL)))
    if not found:
        return ()
    found.sort(reverse=True)
    boxes = [box for _, box in found]
    if len(boxes) > MOST_REGIONS:
        boxes = [
            (min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes))
        ]
    regions = tuple(Region.from_pixels(box, width, height) for box in boxes)
    outside = np.ones((height, width), bool)
    for left, top, right, bottom in boxes:
        outside[top:bottom, left:right] = False
    touched_outside = outside.any() and float((~same)[outside].mean()) > 0.2
    if sum(region.area for region in regions) >= LOCAL_AREA or touched_outside:
        return (FULL,)
    return regions


def _cells(values: Floats) -> Floats:
    """Return the mean of each cell; cells at the right and lower border are partial."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % CELL), (0, -width % CELL)), mode="edge")
    return block_means(padded, CELL)
