"""Snellen: an eye test for images. How good is a picture, why, and where; zooms in when unsure.

    import snellen
    assessment = snellen.assess("photo.jpg")
    assessment.score, assessment.interval, assessment.label, assessment.issues

Importing this module loads nothing else; every name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snellen.assessment import Assessment, AssessmentError, Step
    from snellen.assessor import Assessor, Source
    from snellen.backend import BackendError
    from snellen.features import features
    from snellen.image import ImageError, Picture, load
    from snellen.region import Region
    from snellen.reply import Issue

__version__ = "0.14.0"

_HOMES = {
    "Assessment": "snellen.assessment",
    "AssessmentError": "snellen.assessment",
    "Assessor": "snellen.assessor",
    "BackendError": "snellen.backend",
    "ImageError": "snellen.image",
    "Issue": "snellen.reply",
    "Picture": "snellen.image",
    "Region": "snellen.region",
    "Step": "snellen.assessment",
    "features": "snellen.features",
    "load": "snellen.image",
}

__all__ = [
    "Assessment",
    "AssessmentError",
    "Assessor",
    "BackendError",
    "ImageError",
    "Issue",
    "Picture",
    "Region",
    "Step",
    "assess",
    "features",
    "load",
    "score",
]


def assess(source: Source, **options: Any) -> Assessment:
    """Assess one picture: a path, the bytes of a file, a PIL image, or an array (H, W) or (H, W, C).

    `options` are those of `Assessor` (model, protocol, max_rounds, ...); the model is loaded on the first call and kept
    for the next ones with the same options. A picture that cannot be used, or a reply that cannot be read, gives an
    Assessment with an `error` and no score.

    Raises ValueError for wrong options, BackendError when the model cannot be opened or does not answer.
    """
    return _assessor(**options).assess([source])[0]


def score(sources: Iterable[Source], **options: Any) -> list[float | None]:
    """The scores (1..5) of many pictures, in order: the same numbers as `assess` gives.

    Pass `score_only=True` for the faster one look without any text. A picture without a score is None in the list,
    and a UserWarning names it and says why. Options and errors are those of `assess`.
    """
    scores = []
    for assessment in _assessor(**options).stream(sources):
        scores.append(assessment.score)
        if assessment.error is not None:
            problem = f"{assessment.name}: {assessment.error.problem}; {assessment.error.remedy}"
            warnings.warn(f"no score for {problem}", stacklevel=2)
    return scores


@lru_cache(maxsize=1)
def _assessor(**options: Any) -> Assessor:
    from snellen.assessor import Assessor

    return Assessor(**options)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'snellen' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
