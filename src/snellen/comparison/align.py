"""Alignment of a picture with its reference: orientation, size, shift. Steps are noted; other pictures are refused.

Colour profiles and the orientation tag of a file are applied when it is read; see the notes of a `Picture`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from snellen.comparison.tone_difference import Floats, Pixels
from snellen.image import Picture

_correlation: Any = phase_cross_correlation  # scikit-image has no types

Number = TypeVar("Number", bound=np.generic)

LEAST_SIDE = 64
"""Smallest side of what both pictures show, px."""
SAME_SHAPE = 0.02
"""Two pictures have one shape where their ratios of width to height differ by at most this share."""
MOST_SHIFT = 0.1
"""Largest shift, as a share of the shorter side."""
LEAST_GAIN = 0.05
"""A shift is undone where that lowers the root mean square difference by at least this share."""
LEAST_CORRELATION = 0.3
"""Correlation of structure (see `likeness`) below which two pictures are not of one scene."""
_THUMBNAIL, _COARSE = 96, 6.0
_TURNS = {
    "turned back by 90 degrees to the left": Image.Transpose.ROTATE_90,
    "turned back by 180 degrees": Image.Transpose.ROTATE_180,
    "turned back by 90 degrees to the right": Image.Transpose.ROTATE_270,
    "mirrored back": Image.Transpose.FLIP_LEFT_RIGHT,
    "mirrored back, upside down": Image.Transpose.FLIP_TOP_BOTTOM,
    "mirrored back along the diagonal": Image.Transpose.TRANSPOSE,
    "mirrored back along the other diagonal": Image.Transpose.TRANSVERSE,
}


class AlignmentError(ValueError):
    """Two pictures that cannot be aligned.

    Attributes:
        problem: what is wrong.
        remedy: what to do.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem, self.remedy = problem, remedy


@dataclass(frozen=True, eq=False)
class Aligned:
    """Two pictures pixel for pixel.

    Attributes:
        reference, picture: (H, W, 3) uint8 of one size: what both show.
        notes: what was done, e.g. "the reference was reduced from 2000x1500 to 1000x750 px".
        likeness: correlation of structure, -1..1.
    """

    reference: Pixels
    picture: Pixels
    notes: tuple[str, ...]
    likeness: float


def align(reference: Picture, picture: Picture) -> Aligned:
    """Align a picture with its reference.

    A picture that is turned or mirrored is turned back. Of two sizes of one shape the larger is reduced to the smaller
    (Lanczos); a picture with less of the scene is found in the reference. A shift is undone: by whole pixels both are
    cropped, by parts of a pixel the reference is moved, so that the picture's own pixels stay as they are.

    Raises:
        AlignmentError: they do not show the same, or what both show is less than LEAST_SIDE px a side.
    """
    theirs, ours = reference.pixels, picture.pixels
    for name, pixels in (("reference", theirs), ("picture", ours)):
        if min(pixels.shape[:2]) < LEAST_SIDE:
            problem = f"the {name} has {pixels.shape[1]}x{pixels.shape[0]} px"
            raise AlignmentError(problem, f"a comparison with a reference needs {LEAST_SIDE} px a side")
    ours, notes = _upright(theirs, ours)
    theirs, ours, said = _one_size(theirs, ours)
    notes += said
    theirs, ours, said = _unshifted(theirs, ours)
    notes += said
    alike = likeness(theirs, ours)
    if alike < LEAST_CORRELATION:
        raise AlignmentError(
            f"the picture does not show what the reference shows (their structure correlates by {alike:.2f})",
            "name the reference of this picture; if it is turned by some degrees, cropped or warped, undo that first",
        )
    return Aligned(theirs, ours, notes, alike)


def likeness(reference: Pixels, picture: Pixels) -> float:
    """Return the correlation of the structure of two pictures, -1..1.

    Luma of both at 96 x 96 px, less a Gaussian of 6 px, so that a bright sky over a dark ground does not count;
    each divided by its local standard deviation, so that a few hard edges do not count for all.
    """
    structures = []
    for pixels in (reference, picture):
        luma = np.asarray(Image.fromarray(pixels).convert("L").resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX))
        detail = luma - ndimage.gaussian_filter(luma.astype(np.float64), _COARSE)
        spread = np.sqrt(ndimage.gaussian_filter(detail**2, _COARSE)) + 1.0
        structures.append((detail / spread).ravel())
    first, second = structures
    if first.std() < 1e-6 or second.std() < 1e-6:
        return 1.0 if np.abs(first - second).max() < 1e-6 else 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _upright(reference: Pixels, picture: Pixels) -> tuple[Pixels, tuple[str, ...]]:
    """Return the picture in the orientation that is most alike, as it is unless another is clearly more so."""
    image = Image.fromarray(picture)
    best, done = likeness(reference, picture) + 0.15, ""
    for name, turn in _TURNS.items():
        turned = np.asarray(image.transpose(turn))
        fits = abs(_shape(turned) / _shape(reference) - 1.0) <= 5 * SAME_SHAPE
        alike = likeness(reference, turned) if fits else -1.0
        if alike > best and alike > 2 * LEAST_CORRELATION:
            best, done, picture = alike, name, turned
    return picture, ((f"the picture was {done}",) if done else ())


def _shape(pixels: Pixels) -> float:
    return float(pixels.shape[1] / pixels.shape[0])


def _one_size(reference: Pixels, picture: Pixels) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    """Return both at one size: the larger reduced, or both cropped to what both show."""
    if reference.shape == picture.shape:
        return reference, picture, ()
    made = []
    if abs(_shape(picture) / _shape(reference) - 1.0) <= SAME_SHAPE:
        made.append(_reduced(reference, picture))
    if max(_ratios(reference, picture)) <= 2.0 and (crops := _cropped(reference, picture)) is not None:
        made.append(crops)
    if not made:
        ours, theirs = (f"{pixels.shape[1]}x{pixels.shape[0]} px" for pixels in (picture, reference))
        problem = f"the picture has {ours}, the reference {theirs}"
        raise AlignmentError(problem, "crop both to the same part of the scene, or give both the same shape")
    return max(made, key=lambda one: likeness(one[0], one[1]))


def _ratios(reference: Pixels, picture: Pixels) -> tuple[float, float]:
    sides = [
        max(ours, theirs) / min(ours, theirs)
        for ours, theirs in zip(picture.shape[:2], reference.shape[:2], strict=True)
    ]
    return sides[0], sides[1]


def _reduced(reference: Pixels, picture: Pixels) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    larger, name = (reference, "reference") if reference.size > picture.size else (picture, "picture")
    height, width = (picture if name == "reference" else reference).shape[:2]
    small = np.asarray(Image.fromarray(larger).resize((width, height), Image.Resampling.LANCZOS))
    note = f"the {name} was reduced from {larger.shape[1]}x{larger.shape[0]} to {width}x{height} px"
    return (small, picture, (note,)) if name == "reference" else (reference, small, (note,))


def _cropped(reference: Pixels, picture: Pixels) -> tuple[Pixels, Pixels, tuple[str, ...]] | None:
    """Return the overlap of two pictures of one scale, by the peak of their cross correlation.

    None where the overlap has a side below LEAST_SIDE.
    """
    height, width = (max(sides) for sides in zip(reference.shape[:2], picture.shape[:2], strict=True))
    padded = [
        np.pad(luma, ((0, height - luma.shape[0]), (0, width - luma.shape[1])))
        for luma in (_detail(reference), _detail(picture))
    ]
    down, right = correlation_peak(padded[0], padded[1])
    theirs, ours = overlap(reference, picture, int(down), int(right))
    if min(theirs.shape[:2]) < LEAST_SIDE:
        return None
    note = f"both were cropped to the {ours.shape[1]}x{ours.shape[0]} px that both show"
    return theirs, ours, (note,)


def overlap(
    reference: npt.NDArray[Number], picture: npt.NDArray[Number], down: int, right: int
) -> tuple[npt.NDArray[Number], npt.NDArray[Number]]:
    """Return what both show where the pixel (y, x) of the picture is (y + down, x + right) of the reference."""
    top, left = max(0, down), max(0, right)
    bottom = min(reference.shape[0], picture.shape[0] + down)
    end = min(reference.shape[1], picture.shape[1] + right)
    if bottom <= top or end <= left:
        return reference[:0], picture[:0]
    return reference[top:bottom, left:end], picture[top - down : bottom - down, left - right : end - right]


def _detail(pixels: Pixels) -> Floats:
    luma = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)
    return np.asarray(luma - ndimage.gaussian_filter(luma, 8.0))


def shift_between(reference: Pixels, picture: Pixels) -> tuple[float, float]:
    """Return (down, right), px: the pixel (y, x) of the picture shows what (y + down, x + right) of the reference does.

    Peak of the cross correlation of fine luma under a Hann window, to 1/20 px. Both of one size.
    """
    window = hann_window(reference.shape)
    return correlation_peak(_detail(reference) * window, _detail(picture) * window, 20)


def hann_window(shape: tuple[int, ...]) -> Floats:
    """Return a Hann window over the first two axes, (H, W), 0..1."""
    return np.multiply.outer(np.hanning(shape[0]), np.hanning(shape[1]))


def correlation_peak(reference: Floats, picture: Floats, parts: int = 1) -> tuple[float, float]:
    """Return (down, right) of the peak of the cross correlation of two arrays (H, W), to 1 / `parts` px.

    Zeros where one of them is empty: a flat picture can be anywhere. Source: M. Guizar-Sicairos et al., Optics
    Letters 33, 2008 (scikit-image).
    """
    if not (reference.any() and picture.any()):
        return 0.0, 0.0
    down, right = _correlation(reference, picture, upsample_factor=parts, normalization=None)[0]
    return float(down), float(right)


def _unshifted(reference: Pixels, picture: Pixels) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    down, right = shift_between(reference, picture)
    if max(abs(down), abs(right)) > MOST_SHIFT * min(reference.shape[:2]) or (down == 0 and right == 0):
        return reference, picture, ()
    whole = round(down), round(right)
    theirs, ours = overlap(reference, picture, *whole)
    parts = down - whole[0], right - whole[1]
    if max(map(abs, parts)) >= 0.05:
        theirs = moved(theirs, *parts)
    if min(theirs.shape[:2]) < LEAST_SIDE or rms(theirs, ours) > (1.0 - LEAST_GAIN) * rms(reference, picture):
        return reference, picture, ()
    return theirs, ours, (f"the reference was moved by {-right:.2f} px to the right and {-down:.2f} px down",)


def moved(pixels: Pixels, down: float, right: float) -> Pixels:
    """Return pixels with (y, x) fetched from (y + down, x + right), by splines of order 5; borders are repeated."""
    values = pixels.astype(np.float32)
    channels = [ndimage.shift(values[..., n], (-down, -right), order=5, mode="nearest") for n in range(3)]
    rounded: npt.NDArray[np.uint8] = np.rint(np.clip(np.stack(channels, axis=2), 0, 255)).astype(np.uint8)
    return rounded


def rms(reference: Pixels | Floats, picture: Pixels | Floats) -> float:
    """Return the root mean square difference of two arrays of one shape."""
    return float(np.sqrt((np.subtract(reference, picture, dtype=np.float32) ** 2).mean()))
