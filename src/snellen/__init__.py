"""Snellen: an eye test for images. It rates a picture, explains the rating, and zooms in when unsure.

    import snellen
    assessment = snellen.assess("photo.jpg")
    assessment.score, assessment.interval, assessment.label, assessment.issues

Importing this module loads no other; each name below is loaded at first use.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from snellen.assessment import Assessment, AssessmentError, Step
    from snellen.assessor import Assessor, Source
    from snellen.backend import Backend, BackendError
    from snellen.features import measure
    from snellen.image import ImageError, Picture, load
    from snellen.region import Region
    from snellen.reply import Issue

__version__ = "0.19.0"

telemetry_began = "onnxruntime" in sys.modules and not os.environ.get("ORT_DISABLE_TELEMETRY")
"""True where onnxruntime was imported before snellen, with its telemetry on."""
if not os.environ.get("ORT_DISABLE_TELEMETRY"):
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# Importing onnxruntime 1.29 or later without it writes a device id below the home folder and calls a telemetry host.

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
    "load": "snellen.image",
    "measure": "snellen.features",
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
    "load",
    "measure",
    "score",
]


def assess(source: Source, **options: Any) -> Assessment:
    """Assess one picture.

    A picture that cannot be read, or a reply that cannot be parsed, gives an Assessment with an `error` and no score.

    Args:
        source: a path, the bytes of a file, a PIL image, or an array (H, W) or (H, W, C).
        options: those of `Assessor` (model, protocol, max_rounds, ...). The model is loaded on the first call and kept
            for later calls, whatever their other options.

    Raises:
        ValueError: wrong options.
        BackendError: the model cannot be opened or does not answer.
    """
    return _assessor(**options).assess([source])[0]


def score(sources: Iterable[Source], **options: Any) -> list[float | None]:
    """Return the scores (1..5) of many pictures, in order: the same numbers as `assess` gives.

    `score_only=True` is faster: one round without a rationale. A picture without a score is None in the list, and a
    UserWarning names it with the reason. Options and errors are those of `assess`.
    """
    scores = []
    for assessment in _assessor(**options).stream(sources):
        scores.append(assessment.score)
        if assessment.error is not None:
            problem = f"{assessment.name}: {assessment.error.problem}; {assessment.error.remedy}"
            warnings.warn(f"no score for {problem}", stacklevel=2)
    return scores


_opening = threading.Lock()


def _unlock_in_child() -> None:
    global _opening
    _opening = threading.Lock()  # a fork copies the lock but not the thread that would release it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_in_child)


def _assessor(model: str | Path | Backend = "snellen-1", **options: Any) -> Assessor:
    from snellen.assessor import Assessor
    from snellen.backend import Backend

    if not isinstance(model, Backend):
        with _opening:  # else threads that start together would each load the model
            model = _opened(str(model))
    return Assessor(model, **options)


@lru_cache(maxsize=4)
def _opened(model: str) -> Backend:
    from snellen.backends import open_backend

    return open_backend(model)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'snellen' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
