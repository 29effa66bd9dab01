"""The photo fault head: kinds of fault that people name in whole photographs, learned from labelled real ones.

Kernel ridge regression on principal components of pooled cell features and plain measurements predicts the severity
of each kind, 0 for none; a logistic curve turns it into the probability that a rater minds the kind. numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snellen.features import Features
from snellen.image import Picture
from snellen.vocabulary import KINDS, merged

Floats = npt.NDArray[np.float64]

RARE = frozenset({"pixelation", "banding", "corruption"})
"""Kinds with too few labelled photographs to learn from."""
PHOTO_KINDS = tuple(sorted({merged(kind) for kind in KINDS} - RARE))
"""Kinds of the head, in the order of its outputs; blur stands for motion blur too."""
CLIP_STD = 5.0
"""Features are clipped at this many standard deviations."""


class PhotoFault(NamedTuple):
    """One kind in one photograph. probability 0..1 that a rater minds it; severity 1..5, if it is there."""

    kind: str
    probability: float
    severity: int


@dataclass(frozen=True, eq=False)
class PhotoFaultHead:
    """The head's arrays.

    mean, std (D,): of the features. weight (D,): of each feature after standardising, 1 / sqrt(size of its block).
    centre (D,), basis (D, C): principal components. landmarks (N, C), dual (N, K): kernel ridge. scale: median squared
    distance of the landmarks. offset (K,): mean target. logistic, severity (2,): intercept and slope.
    """

    mean: Floats
    std: Floats
    weight: Floats
    centre: Floats
    basis: Floats
    landmarks: Floats
    dual: Floats
    scale: Floats
    offset: Floats
    logistic: Floats
    severity: Floats

    @staticmethod
    def open(file: Path) -> PhotoFaultHead:
        """Load the file that `save` wrote."""
        with np.load(file) as arrays:
            return PhotoFaultHead(**{one.name: arrays[one.name].astype(np.float64) for one in fields(PhotoFaultHead)})

    def save(self, file: Path) -> None:
        """Write the arrays; basis and landmarks in half precision."""
        half = {"basis": np.float16, "landmarks": np.float16}
        arrays = {one.name: getattr(self, one.name).astype(half.get(one.name, np.float32)) for one in fields(self)}
        np.savez_compressed(file, **arrays)

    def project(self, features: Floats) -> Floats:
        """Principal components of features: (N, D) -> (N, C)."""
        scaled = np.clip((features - self.mean) / self.std, -CLIP_STD, CLIP_STD) * self.weight
        out: Floats = (scaled - self.centre) @ self.basis
        return out

    def predict(self, features: Floats) -> Floats:
        """Predicted severity of each kind, 0 for none: (N, D) -> (N, K).

        k(x, y) = exp(-|x - y|^2 / (2 scale)); prediction = k(x, landmarks) dual + offset.
        """
        points = self.project(features)
        apart = (points**2).sum(axis=1)[:, None] + (self.landmarks**2).sum(axis=1)[None] - 2 * points @ self.landmarks.T
        out: Floats = np.exp(-apart / (2.0 * self.scale)) @ self.dual + self.offset
        return out

    def __call__(self, features: Floats) -> list[PhotoFault]:
        """All kinds of one photograph, most probable first. features (D,): `pooled_cells` of its whole view,
        `measured_numbers` and `colour_numbers`, one after the other."""
        predicted = self.predict(features[None])[0]
        probability = 1.0 / (1.0 + np.exp(-(self.logistic[0] + self.logistic[1] * predicted)))
        severity = np.clip(np.rint(self.severity[0] + self.severity[1] * predicted), 1, 5).astype(int)
        return [
            PhotoFault(PHOTO_KINDS[i], float(probability[i]), int(severity[i]))
            for i in np.argsort(-probability, kind="stable")
        ]


def pooled_cells(cells: npt.NDArray[np.float32]) -> Floats:
    """Mean, standard deviation, maximum and minimum of cell features over the grid: (2, C, h, w) -> (8 C,)."""
    over = (2, 3)
    parts = [cells.mean(axis=over), cells.std(axis=over, ddof=1), cells.max(axis=over), cells.min(axis=over)]
    return np.concatenate(parts, axis=1).ravel().astype(np.float64)


def measured_numbers(measured: Features) -> Floats:
    """Values of `snellen.features`, and five statistics of each of its maps."""
    maps = [[m.min(), m.max(), m.std(), np.quantile(m, 0.1), np.quantile(m, 0.9)] for m in measured.maps.values()]
    return np.array([*(one.value for one in measured.values.values()), *np.ravel(maps)], np.float64)


def colour_numbers(picture: Picture) -> Floats:
    """22 statistics of luminance and colour on every fourth pixel: quantiles, clipped shares, means, spreads."""
    rgb = picture.pixels[::4, ::4].astype(np.float64)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    flat = rgb.reshape(-1, 3)
    spread = flat.max(axis=1) - flat.min(axis=1)
    shares = [(luma < 8).mean(), (luma < 20).mean(), (luma > 247).mean(), (luma > 235).mean()]
    quantiles = np.quantile(luma, [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99])
    rest = [spread.mean(), np.quantile(spread, 0.9), luma.std()]
    return np.array([*quantiles, *shares, *flat.mean(axis=0), *flat.std(axis=0), *rest], np.float64)
