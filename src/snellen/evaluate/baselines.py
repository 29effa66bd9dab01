"""External baselines: published no-reference measures and other models, run on the same pictures as the model.

The measures are optional packages (`pip install "snellen[baselines]"`). The direction of each scale is taken from its
documentation and never fitted to labels: where lower is better, the sign is reversed. A model's own plain regression
heads are baselines too; they come with the model, see `snellen.backend.Backend.plain_ratings`.
"""

from __future__ import annotations

import importlib
import math
import typing
from importlib import metadata
from typing import Any

import numpy as np

from snellen.assessor import Assessor
from snellen.backend import BackendError
from snellen.backends import open_backend
from snellen.image import Picture

BASELINES = ("brisque", "piqe", "image-quality-ai")
"""Names for `open_baseline`, besides "pyiqa:METRIC" for any no-reference metric of pyiqa and "model:MODEL"."""
PYIQA, MODEL = "pyiqa:", "model:"


def is_external(mode: str) -> bool:
    """Return True for the name of an external baseline."""
    return mode in BASELINES or (mode.startswith(PYIQA) and mode != PYIQA) or is_model(mode)


def is_model(mode: str) -> bool:
    """Return True for the name of a baseline that is another model."""
    return mode.startswith(MODEL) and mode != MODEL


def has_own_unit(mode: str) -> bool:
    """Return True for the name of a baseline whose scores are not on the MOS scale."""
    return is_external(mode) and not is_model(mode)


class BaselineError(RuntimeError):
    """A baseline cannot be opened or gave no score. The message states the reason and the remedy."""


class Baseline(typing.Protocol):
    """A measure that scores one picture."""

    @property
    def name(self) -> str:
        """Name given to `open_baseline`."""

    @property
    def version(self) -> str:
        """Version of the installed package."""

    @property
    def unit(self) -> str:
        """Description of its scale and direction."""

    def score(self, picture: Picture) -> float:
        """Return the score in its own unit, higher is better; raises BaselineError or whatever the package raises."""


def open_baseline(name: str) -> Baseline:
    """Open a baseline by its name: one of `BASELINES`, "pyiqa:METRIC", or "model:MODEL".

    Raises ValueError for another name, BaselineError when the package is missing or fails to import.
    """
    if name == "brisque":
        return Brisque()
    if name == "piqe":
        return Piqe()
    if name == "image-quality-ai":
        return ImageQualityAi()
    if is_external(name):
        return OtherModel(name) if is_model(name) else Pyiqa(name.removeprefix(PYIQA))
    raise ValueError(f"unknown baseline {name!r}; use one of {', '.join(BASELINES)}, pyiqa:METRIC or model:MODEL")


class OtherModel:
    """A model as --model takes it, for example the folder of an adapted judge: the score that `snellen score` gives."""

    unit = "MOS, 1 (bad) to 5 (excellent)"

    def __init__(self, name: str) -> None:
        try:
            self.backend = open_backend(name.removeprefix(MODEL))
        except (BackendError, ValueError) as error:
            raise BaselineError(f"{name}: {error}") from error
        self.name, self.version = name, f"{self.backend.name} {self.backend.version}"

    def score(self, picture: Picture) -> float:
        """See `Baseline.score`."""
        [found] = Assessor(self.backend).assess([picture])
        if found.score is None:
            raise BaselineError(f"{self.name} gives no score: {found.error.problem if found.error else 'no reason'}")
        return found.score


class Brisque:
    """BRISQUE (Mittal, Moorthy and Bovik, IEEE TIP 2012), from the package `brisque` with its own weights.

    Version 0.2.0 collects its features as arrays of one element, which numpy 2.4 and later do not convert to numbers;
    here they become scalars first. A picture of one colour has no statistics, hence no score.
    """

    name = "brisque"
    unit = "about 0 (good) to 100 (bad), sign reversed"

    def __init__(self) -> None:
        published: Any = _package("brisque", "brisque").BRISQUE

        class Scalars(published):  # type: ignore[misc]
            def scale_features(self, features: Any) -> Any:
                return super().scale_features([float(np.squeeze(value)) for value in features])

        self.version = metadata.version("brisque")
        self.model = Scalars(url=False)

    def score(self, picture: Picture) -> float:
        """See `Baseline.score`."""
        with np.errstate(all="ignore"):  # a division by zero is refused below
            return _finite(self, picture, -float(self.model.score(picture.pixels)))


class Piqe:
    """PIQE (Venkatanath et al., NCC 2015), from the package `pypiqe`; a flat picture gets 100, the worst."""

    name = "piqe"
    unit = "0 (good) to 100 (bad), sign reversed"

    def __init__(self) -> None:
        self.piqe = _package("pypiqe", "pypiqe").piqe
        self.version = metadata.version("pypiqe")

    def score(self, picture: Picture) -> float:
        """See `Baseline.score`."""
        blue_first = np.ascontiguousarray(picture.pixels[:, :, ::-1])  # the package expects OpenCV's channel order
        with np.errstate(all="ignore"):
            return _finite(self, picture, -float(self.piqe(blue_first)[0]))


class ImageQualityAi:
    """Weighted mean of sharpness, exposure, contrast, noise and framing, from the package `image-quality-ai`."""

    name = "image-quality-ai"
    unit = "0 (bad) to 100 (good)"

    def __init__(self) -> None:
        self.assess = _package("image_quality_ai", "image-quality-ai").assess
        self.version = metadata.version("image-quality-ai")

    def score(self, picture: Picture) -> float:
        """See `Baseline.score`."""
        return _finite(self, picture, float(self.assess(picture.pixels).score))


class Pyiqa:
    """A no-reference metric of the package `pyiqa`, where the user has installed it and the metric's weights.

    Its licence forbids commercial use, so nothing here depends on it. It needs torch and downloads missing weights
    itself. The direction of a metric is its attribute `lower_better`.
    """

    def __init__(self, metric: str) -> None:
        package = _package("pyiqa", "pyiqa")
        try:
            self.model = package.create_metric(metric, device="cpu")
        except Exception as error:  # unknown metric, missing weights, ...: reported as it is
            raise BaselineError(
                f"pyiqa cannot open {metric!r} ({type(error).__name__}: {error}); "
                "pyiqa.list_models() lists its metrics; put their weights where it expects them"
            ) from error
        self.name = PYIQA + metric
        self.version = metadata.version("pyiqa")
        self.lower_is_better = bool(self.model.lower_better)
        direction = "lower is better, sign reversed" if self.lower_is_better else "higher is better"
        self.unit = f"pyiqa's {metric}, {direction}; pyiqa is licensed for non-commercial use only"

    def score(self, picture: Picture) -> float:
        """See `Baseline.score`."""
        torch = importlib.import_module("torch")
        values = np.ascontiguousarray(picture.pixels.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        with torch.no_grad():
            score = float(self.model(torch.from_numpy(values)))
        return _finite(self, picture, -score if self.lower_is_better else score)


def _package(module: str, distribution: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:  # a broken installation may raise anything; the baseline is then reported as failed
        extra = distribution if module == "pyiqa" else '"snellen[baselines]"'
        raise BaselineError(
            f"{distribution} cannot be used here ({type(error).__name__}: {error}); run: pip install {extra}"
        ) from error


def _finite(baseline: Baseline, picture: Picture, score: float) -> float:
    if not math.isfinite(score):
        raise BaselineError(f"{baseline.name} gave {score} for {picture.name} ({picture.width}x{picture.height} px)")
    return score
