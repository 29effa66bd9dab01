"""Kernel ridge regression on principal components of features: the form of all heads that learn from photographs.

numpy only. `snellen.train.snellen1.kernel` fits it. Products are einsum's: matrix products of numpy start threads,
which are in the way of the runtime's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CLIP_STD = 5.0
"""Features are clipped at this many standard deviations."""


@dataclass(frozen=True, eq=False)
class KernelHead:
    """K outputs for features of length D, by N landmarks in C principal components.

    mean, std (D,): of the features. weight (D,): of each feature after standardising, 1 / sqrt(size of its block).
    centre (D,), basis (D, C): principal components. landmarks (N, C): training pictures. dual (N, K): their weights in
    each output. scale (K,): squared width of each output's kernel. offset (K,): mean target.
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

    def standardised(self, features: Floats) -> Floats:
        """Features of mean 0 and, before the blocks are weighed, standard deviation 1, clipped: (N, D) -> (N, D)."""
        out: Floats = np.clip((features - self.mean) / self.std, -CLIP_STD, CLIP_STD) * self.weight - self.centre
        return out

    def project(self, features: Floats) -> Floats:
        """Principal components of features: (N, D) -> (N, C)."""
        out: Floats = np.einsum("pd,dc->pc", self.standardised(features), self.basis)
        return out

    def predict(self, features: Floats) -> Floats:
        """Outputs: (N, D) -> (N, K). k(x, y) = exp(-|x - y|^2 / (2 scale)); output = k(x, landmarks) dual + offset."""
        apart = self._squared_distances(self.project(features).astype(np.float32)).astype(np.float64)
        columns = [
            np.einsum("pn,n->p", np.exp(-apart / (2.0 * scale)), self.dual[:, k]) for k, scale in enumerate(self.scale)
        ]
        out: Floats = np.stack(columns, axis=1) + self.offset
        return out

    def _squared_distances(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Squared distances of points (P, C) and the landmarks: (P, N). Single precision takes a tenth of the time."""
        landmarks, lengths = self._single
        apart = (points**2).sum(axis=1)[:, None] + lengths - 2.0 * np.einsum("pc,nc->pn", points, landmarks)
        out: npt.NDArray[np.float32] = np.maximum(apart, 0.0)
        return out

    @cached_property
    def _single(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The landmarks and their squared lengths in single precision."""
        landmarks = self.landmarks.astype(np.float32)
        return landmarks, (landmarks**2).sum(axis=1)[None]

    def arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        """The arrays to store; basis and landmarks in half precision."""
        half = {"basis": np.float16, "landmarks": np.float16}
        return {one.name: getattr(self, one.name).astype(half.get(one.name, np.float32)) for one in fields(KernelHead)}

    @staticmethod
    def of(arrays: Mapping[str, npt.NDArray[np.floating]]) -> KernelHead:
        """The head of stored `arrays`; others are left alone."""
        return KernelHead(**{one.name: arrays[one.name].astype(np.float64) for one in fields(KernelHead)})
