"""Other people's no-reference measures, run for real on the same pictures.

A peer is installed by the user (`pip install "snellen[peers]"`), never a dependency. Which way its scores point is
stated here, from its own documentation, and never fitted to labels: where lower is better, the sign is turned.

The plain regression head on our own encoder is no peer of this kind but the way PLAIN, see `snellen.evaluate.modes`.
"""

from __future__ import annotations

import importlib
import math
import typing
from importlib import metadata
from typing import Any

import numpy as np

from snellen.image import Picture

PEERS = ("brisque", "piqe", "image-quality-ai")
"""Names for `open_peer`; "pyiqa:METRIC" is another, for any no-reference metric of pyiqa."""
PYIQA = "pyiqa:"


class PeerError(RuntimeError):
    """A peer could not be opened, or gave no score; the text says why and what to do."""


class Peer(typing.Protocol):
    """A measure that scores one picture, without a text and without boxes.

    `unit` says what its own scale is and which end of it is good; `score` is turned so that higher is better.
    """

    @property
    def name(self) -> str:
        """The name given to `open_peer`."""

    @property
    def version(self) -> str:
        """Of the installed package."""

    @property
    def unit(self) -> str:
        """The peer's own scale, in words."""

    def score(self, picture: Picture) -> float:
        """In the peer's own unit, higher is better; raises PeerError or whatever the package raises."""


def open_peer(name: str) -> Peer:
    """Open a peer by its name: one of `PEERS`, or "pyiqa:METRIC".

    Raises ValueError for another name, PeerError when the package is missing or does not work here.
    """
    if name == "brisque":
        return Brisque()
    if name == "piqe":
        return Piqe()
    if name == "image-quality-ai":
        return ImageQualityAi()
    if name.startswith(PYIQA) and name != PYIQA:
        return Pyiqa(name.removeprefix(PYIQA))
    raise ValueError(f"unknown peer {name!r}; use one of {', '.join(PEERS)} or pyiqa:METRIC")


class Brisque:
    """PyPI's `brisque`: BRISQUE of Mittal, Moorthy and Bovik (IEEE TIP 2012), with its own trained weights.

    Version 0.2.0 collects its features as arrays of one element, which numpy 2.4 and later no longer take for
    numbers; here they are made scalars on the way. A picture of one colour has no statistics, and so no score.
    """

    name = "brisque"
    unit = "about 0 (good) to 100 (bad), sign turned"

    def __init__(self) -> None:
        published: Any = _package("brisque", "brisque").BRISQUE

        class Scalars(published):  # type: ignore[misc]
            def scale_features(self, features: Any) -> Any:
                return super().scale_features([float(np.squeeze(value)) for value in features])

        self.version = metadata.version("brisque")
        self.model = Scalars(url=False)

    def score(self, picture: Picture) -> float:
        """See `Peer.score`."""
        with np.errstate(all="ignore"):  # what comes of a division by zero is refused below
            return _finite(self, picture, -float(self.model.score(picture.pixels)))


class Piqe:
    """PyPI's `pypiqe`: PIQE of Venkatanath et al. (NCC 2015). It scores 100, its worst, where nothing is to be seen."""

    name = "piqe"
    unit = "0 (good) to 100 (bad), sign turned"

    def __init__(self) -> None:
        self.piqe = _package("pypiqe", "pypiqe").piqe
        self.version = metadata.version("pypiqe")

    def score(self, picture: Picture) -> float:
        """See `Peer.score`."""
        blue_first = np.ascontiguousarray(picture.pixels[:, :, ::-1])  # it converts to gray from OpenCV's order
        with np.errstate(all="ignore"):
            return _finite(self, picture, -float(self.piqe(blue_first)[0]))


class ImageQualityAi:
    """PyPI's `image-quality-ai`: a weighted mean of sharpness, exposure, contrast, noise and framing."""

    name = "image-quality-ai"
    unit = "0 (bad) to 100 (good)"

    def __init__(self) -> None:
        self.assess = _package("image_quality_ai", "image-quality-ai").assess
        self.version = metadata.version("image-quality-ai")

    def score(self, picture: Picture) -> float:
        """See `Peer.score`."""
        return _finite(self, picture, float(self.assess(picture.pixels).score))


class Pyiqa:
    """A no-reference metric of PyPI's `pyiqa`, where the user has that package and the metric's weights.

    Its licence forbids commercial use, which is why nothing here depends on it. It needs torch, and fetches weights
    that are missing by itself. Which way a metric points is what pyiqa says of it (`lower_better`).
    """

    def __init__(self, metric: str) -> None:
        package = _package("pyiqa", "pyiqa")
        try:
            self.model = package.create_metric(metric, device="cpu")
        except Exception as error:  # unknown metric, weights that cannot be had, ...: whatever it is, it is told
            raise PeerError(
                f"pyiqa cannot open {metric!r} ({type(error).__name__}: {error}); "
                "see pyiqa.list_models() for its metrics, and put their weights where it looks for them"
            ) from error
        self.name = PYIQA + metric
        self.version = metadata.version("pyiqa")
        self.lower_is_better = bool(self.model.lower_better)
        turned = "lower is better, sign turned" if self.lower_is_better else "higher is better"
        self.unit = f"pyiqa's {metric}, {turned}; pyiqa is licensed for non-commercial use only"

    def score(self, picture: Picture) -> float:
        """See `Peer.score`."""
        torch = importlib.import_module("torch")
        values = np.ascontiguousarray(picture.pixels.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        with torch.no_grad():
            found = float(self.model(torch.from_numpy(values)))
        return _finite(self, picture, -found if self.lower_is_better else found)


def _package(module: str, distribution: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:  # a broken installation may raise anything; the peer is then reported as failed
        extra = distribution if module == "pyiqa" else '"snellen[peers]"'
        raise PeerError(
            f"{distribution} cannot be used here ({type(error).__name__}: {error}); run: pip install {extra}"
        ) from error


def _finite(peer: Peer, picture: Picture, score: float) -> float:
    if not math.isfinite(score):
        raise PeerError(f"{peer.name} gave {score} for {picture.name} ({picture.width}x{picture.height} px)")
    return score
