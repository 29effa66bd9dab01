"""The photo rating head: the rating of a view, from features of the frozen ImageNet network and the encoder.

Two rated sets do not agree on what is good: one head that learns both at once is worse on each than one of its own. So
there are two experts, and the rating is their mean. The first is a kernel head, taught on BIQ2021 and on photographs
degraded until nothing is left; the second is linear, taught on a few hundred photographs of LIVE in the Wild.

numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snellen.snellen1.kernel import Floats, KernelHead


@dataclass(frozen=True, eq=False)
class PhotoRatingHead:
    """kernel: the first expert, one output, MOS. slope (D,), intercept (): the second, on the features that the kernel
    head standardises."""

    kernel: KernelHead
    slope: Floats
    intercept: Floats

    @staticmethod
    def open(file: Path) -> PhotoRatingHead:
        """Load the file that `save` wrote."""
        with np.load(file) as arrays:
            line = (arrays[name].astype(np.float64) for name in ("slope", "intercept"))
            return PhotoRatingHead(KernelHead.of(arrays), *line)

    def save(self, file: Path) -> None:
        """Write the head."""
        line = {"slope": self.slope.astype(np.float32), "intercept": self.intercept.astype(np.float32)}
        np.savez_compressed(file, **self.kernel.arrays(), **line)  # type: ignore[arg-type]

    def experts(self, features: Floats) -> Floats:
        """Ratings of both experts, MOS and not clipped: (N, D) -> (N, 2); features are those of
        `snellen.snellen1.photo_features.rating_features`."""
        second = np.einsum("pd,d->p", self.kernel.standardised(features), self.slope) + self.intercept
        return np.stack([self.kernel.predict(features)[:, 0], second], axis=1)

    def __call__(self, features: Floats) -> Floats:
        """Ratings, MOS and not clipped: (N, D) -> (N,). A mean of two experts varies less than each: the model's card
        has the line that maps it to ratings of held-out pictures."""
        out: Floats = self.experts(features).mean(axis=1)
        return out
