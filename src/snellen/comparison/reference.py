"""Comparison of pictures with a reference: alignment, measures, kinds of difference, the judge."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.assessment import Assessment
from snellen.assessor import KEPT_SIDE, Assessor
from snellen.comparison.align import AlignmentError, align
from snellen.comparison.contrast import against_reference
from snellen.comparison.diagnosis import Difference, measure_regions, most_severe_first, name_differences
from snellen.comparison.displacement import find_warp
from snellen.comparison.generated import Generated, generate_reference
from snellen.comparison.judge import Judged, mixture
from snellen.comparison.measures import MEASURES, measure_all
from snellen.comparison.preference import difference_interval
from snellen.comparison.tone_difference import Floats, Pixels, luma_chroma
from snellen.image import ImageError, Picture, resample
from snellen.region import FULL
from snellen.reply import Issue

MAP_TOP = 20.0
"""Difference that a shown map draws white, CIELAB units."""


@dataclass(frozen=True, eq=False)
class Against:
    """One picture against the reference.

    Attributes:
        name: name of the picture.
        assessment: the judge's own; None where the picture could not be read.
        notes: what alignment did.
        likeness: correlation of structure after alignment.
        measures: name -> value, see `MEASURES`; None where it does not fit the size.
        differences: faults of the picture that the reference has not, most severe first.
        distance: the judge's score of the reference less that of the picture, MOS points, with its 90 % interval; None
            without a score or distribution.
        shown: reference, picture, difference map, (h, w, 3) uint8 of at most `KEPT_SIDE` px.
        problem, remedy: why it was not compared, and what to do.
    """

    name: str
    assessment: Assessment | None = None
    notes: tuple[str, ...] = ()
    likeness: float | None = None
    measures: dict[str, float | None] | None = None
    differences: tuple[Difference, ...] = ()
    distance: tuple[float, tuple[float, float]] | None = None
    shown: tuple[Pixels, Pixels, Pixels] | None = None
    problem: str | None = None
    remedy: str | None = None

    @property
    def text(self) -> str:
        """The differences in the writer's words; empty where the picture was not compared."""
        if self.problem is not None:
            return ""
        issues = [one.issue for one in self.differences]
        marks = [(one.kind, one.severity, one.region.to_list()) for one in issues]
        return against_reference(issues, zlib.crc32(repr(marks).encode()))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; an infinite PSNR is null, and `identical` true."""
        judge = self.assessment.to_dict() if self.assessment is not None else None
        return {
            "name": self.name,
            "notes": list(self.notes),
            "likeness": None if self.likeness is None else round(self.likeness, 3),
            "identical": self.measures is not None and self.measures["PSNR"] == math.inf,
            "measures": {
                one.name: {"value": _finite(self.measures[one.name]), "unit": one.unit, "higher_is_better": one.higher}
                for one in MEASURES
            }
            if self.measures is not None
            else None,
            "differences": [
                one.issue.to_dict()
                | {"place": one.issue.region.place, "size": round(one.size, 2), "evidence": one.evidence}
                for one in self.differences
            ],
            "text": self.text,
            "distance": None if self.distance is None else round(self.distance[0], 4),
            "distance_interval": None if self.distance is None else [round(end, 4) for end in self.distance[1]],
            "judge": judge,
            "problem": self.problem,
            "remedy": self.remedy,
        }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)


@dataclass(frozen=True, eq=False)
class ReferenceComparison:
    """Pictures against one reference, or each against its own pseudo-reference.

    Attributes:
        reference: the judge's assessment of the true reference; None where references were generated.
        pictures: the results, in the order given.
        generated: the pseudo-reference of each picture; empty with a true reference.
    """

    reference: Assessment | None
    pictures: tuple[Against, ...]
    generated: tuple[Generated | None, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict: reference (true or generated, its assessment), pictures, see `Against.to_dict`."""
        pictures = [one.to_dict() for one in self.pictures]
        for row, made in zip(pictures, self.generated, strict=False):
            row["pseudo_reference"] = None if made is None else made.to_dict()
        true = self.reference is not None
        return {
            "reference_is": "true" if true else "generated",
            "reference": self.reference.to_dict() if self.reference is not None else None,
            "pictures": pictures,
        }


def compare_with_reference(
    assessor: Assessor,
    reference: str | Path | Picture,
    sources: Sequence[str | Path | Picture],
    compared: Callable[[], None] = lambda: None,
) -> ReferenceComparison:
    """Compare pictures with their reference. A picture that cannot be read or aligned has a `problem`.

    `compared` is called after each picture.

    Raises:
        ImageError: the reference cannot be read.
        BackendError: the model does not answer.
    """
    true = _loaded(assessor, reference)
    (judged,) = assessor.assess([true])
    results = []
    for source in sources:
        results.append(_with_true(assessor, true, judged, source))
        compared()
    return ReferenceComparison(judged, tuple(results))


def _with_true(assessor: Assessor, true: Picture, judged: Assessment, source: str | Path | Picture) -> Against:
    try:
        picture = _loaded(assessor, source)
    except ImageError as error:
        return Against(error.name, problem=error.problem, remedy=error.remedy)
    (assessment,) = assessor.assess([picture])
    return _against(assessor, true, judged, picture, assessment)


def compare_with_generated(
    assessor: Assessor, sources: Sequence[str | Path | Picture], compared: Callable[[], None] = lambda: None
) -> ReferenceComparison:
    """Compare each picture with a pseudo-reference: itself, restored. See `generated`.

    Where nothing was repaired there is no pseudo-reference, and the result says so. `compared` is called after each
    picture.
    """
    results = []
    for source in sources:
        results.append(_with_generated(assessor, source))
        compared()
    return ReferenceComparison(None, tuple(one for one, _ in results), tuple(pseudo for _, pseudo in results))


def _with_generated(assessor: Assessor, source: str | Path | Picture) -> tuple[Against, Generated | None]:
    try:
        picture = _loaded(assessor, source)
    except ImageError as error:
        return Against(error.name, problem=error.problem, remedy=error.remedy), None
    try:
        pseudo = generate_reference(picture, assessor)
    except ValueError as error:
        problem = str(error).removeprefix(f"{picture.name}: ")
        return Against(picture.name, problem=problem, remedy="try another picture or model"), None
    first, last = pseudo.restoration.first, pseudo.restoration.last
    if not pseudo.repaired:
        problem = f"there is no pseudo-reference: no repair was accepted ({pseudo.restoration.stopped})"
        remedy = "name a true one with --reference, or judge the picture alone with snellen assess"
        return Against(picture.name, first, problem=problem, remedy=remedy), pseudo
    one = _against(assessor, pseudo.reference, last, picture, first)
    return replace(one, distance=(pseudo.distance, pseudo.interval), differences=_undone(pseudo)), pseudo


def _undone(pseudo: Generated) -> tuple[Difference, ...]:
    """Return the faults that a pseudo-reference lacks: those that were repaired, most severe first.

    They are not measured as against a true reference: a restored picture is made of the picture, so its smoothing of
    noise, say, would be read as a sharpening of the picture.
    """
    found = [
        Difference(
            one.issue,
            f"undone by {one.tool}",
            float(np.sqrt(((one.after.astype(np.float64) - one.before) ** 2).mean())),
        )
        for one in pseudo.restoration.accepted
        if one.after is not None
    ]
    return most_severe_first(found)


def _loaded(assessor: Assessor, source: str | Path | Picture) -> Picture:
    loaded = assessor.load(source)
    if isinstance(loaded, ImageError):
        raise loaded
    return loaded


def _against(
    assessor: Assessor, reference: Picture, judged: Assessment, picture: Picture, assessment: Assessment
) -> Against:
    try:
        aligned = align(reference, picture)
    except AlignmentError as error:
        return Against(picture.name, assessment, problem=error.problem, remedy=error.remedy)
    regions, differences = measure_regions(aligned.reference, aligned.picture)
    found = _warped(aligned.reference, aligned.picture) or name_differences(regions)
    shown = (_small(aligned.reference), _small(aligned.picture), _small(draw_map(differences)))
    return Against(
        picture.name, assessment, picture.notes + aligned.notes, aligned.likeness,
        measure_all(aligned.reference, aligned.picture), found, _distance(assessor, judged, assessment), shown,
    )  # fmt: skip


def _warped(reference: Pixels, picture: Pixels) -> tuple[Difference, ...]:
    """Return the one issue of a warped picture: nothing else can be measured where pixels do not correspond."""
    warp = find_warp(luma_chroma(reference)[..., 0], luma_chroma(picture)[..., 0])
    if warp is None:
        return ()
    severity = 1 + sum(warp.largest >= limit for limit in (2, 4, 8, 16))
    evidence = f"rotated or warped: {warp.share:.0%} of the parts are displaced, by up to {warp.largest:.0f} px"
    return (Difference(Issue("corruption", severity, warp.region), evidence, warp.largest),)


def _distance(
    assessor: Assessor, reference: Assessment, picture: Assessment
) -> tuple[float, tuple[float, float]] | None:
    if reference.score is None or picture.score is None:
        return None
    stds = [Judged(one, (), *mixture(assessor, one.steps[-1:])).std for one in (reference, picture)]
    if min(stds) == 0:
        return None
    difference = reference.score - picture.score
    return difference, difference_interval(difference, stds[0], stds[1])


def _small(pixels: Pixels) -> Pixels:
    return resample(Picture(pixels, ""), FULL, KEPT_SIDE)


def draw_map(differences: Floats) -> npt.NDArray[np.uint8]:
    """Return a difference map, (H, W) in CIELAB units, as a picture: black 0, over red and orange to white MAP_TOP."""
    at = np.clip(differences / MAP_TOP, 0.0, 1.0)
    stops = (0.0, 0.25, 0.5, 0.75, 1.0)
    tones = ((0, 87, 188, 249, 255), (0, 15, 55, 142, 255), (0, 65, 60, 9, 255))
    return np.stack([np.interp(at, stops, channel) for channel in tones], axis=2).astype(np.uint8)
