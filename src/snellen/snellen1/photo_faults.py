"""The photo fault head: kinds of fault that people name in whole photographs, learned from labelled real ones.

Kernel ridge regression on features of the encoder, of the ImageNet network and plain measurements predicts the
severity of each kind, 0 for none; a logistic curve for each kind turns it into the probability that a rater minds it.

numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from snellen.snellen1.kernel import Floats, KernelHead
from snellen.vocabulary import KINDS, merged

RARE = frozenset({"pixelation", "banding", "corruption"})
"""Kinds with too few labelled photographs to learn from."""
PHOTO_KINDS = tuple(sorted({merged(kind) for kind in KINDS} - RARE))
"""Kinds of the head, in the order of its outputs; blur stands for motion blur too."""


class PhotoFault(NamedTuple):
    """One kind in one photograph. probability 0..1 that a rater minds it; severity 1..5, if it is there."""

    kind: str
    probability: float
    severity: int


@dataclass(frozen=True, eq=False)
class PhotoFaultHead:
    """kernel: predicts the severity of each kind (K), 0 for none. logistic (2, K): intercepts and slopes of the
    probability. severity (2,): intercept and slope of the severity where the fault is there."""

    kernel: KernelHead
    logistic: Floats
    severity: Floats

    @staticmethod
    def open(file: Path) -> PhotoFaultHead:
        """Load the file that `save` wrote."""
        with np.load(file) as arrays:
            curves = (arrays[name].astype(np.float64) for name in ("logistic", "severity"))
            return PhotoFaultHead(KernelHead.of(arrays), *curves)

    def save(self, file: Path) -> None:
        """Write the head."""
        curves = {name: getattr(self, name).astype(np.float32) for name in ("logistic", "severity")}
        np.savez_compressed(file, **self.kernel.arrays(), **curves)  # type: ignore[arg-type]

    def probabilities(self, severity: Floats) -> Floats:
        """Probability that a rater minds each kind, given predicted severities: (N, K) -> (N, K)."""
        out: Floats = 1.0 / (1.0 + np.exp(-(self.logistic[0] + self.logistic[1] * severity)))
        return out

    def __call__(self, features: Floats) -> list[PhotoFault]:
        """All kinds of one photograph, most probable first. features (R, D): of R reads, whose severities are averaged;
        see `snellen.snellen1.photo_features.fault_features`."""
        predicted = self.kernel.predict(features).mean(axis=0)
        probability = self.probabilities(predicted[None])[0]
        severity = np.clip(np.rint(self.severity[0] + self.severity[1] * predicted), 1, 5).astype(int)
        return [
            PhotoFault(PHOTO_KINDS[i], float(probability[i]), int(severity[i]))
            for i in np.argsort(-probability, kind="stable")
        ]
