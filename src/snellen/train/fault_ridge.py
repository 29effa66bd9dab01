"""The baseline for faults of real photographs: kernel ridge regression on frozen ImageNet features and plain
measurements.

Each photograph gives three blocks of numbers: mean and standard deviation of each stage of EfficientNet-Lite0 with its
ImageNet weights, on the overview; `snellen.features` and statistics of its maps; quantiles of luminance and colour. The
targets are the raters' severities. Every model that lists faults must beat this (docs/evaluate.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from snellen.data.fault_labels import FaultLabel
from snellen.features import measure
from snellen.image import Picture
from snellen.snellen1.imagenet_network import ImagenetNetwork
from snellen.snellen1.kernel import CLIP_STD
from snellen.snellen1.photo_faults import PHOTO_KINDS
from snellen.snellen1.photo_features import colour_numbers, measured_numbers
from snellen.train.snellen1.photo_faults import targets

Floats = npt.NDArray[np.float64]

RIDGE, LISTED_FROM = 0.05, 1.2
"""Ridge on a kernel with ones on its diagonal; predicted severity from which on a kind is listed. Neither was tuned."""


class FrozenFeatures:
    """Computes the three blocks of a photograph with a network that is never trained."""

    def __init__(self) -> None:
        self.network = ImagenetNetwork.pretrained()

    @torch.no_grad()
    def __call__(self, picture: Picture) -> tuple[Floats, ...]:
        """Return (deep features (2848,), measured features, colour statistics (22,))."""
        overview = torch.from_numpy(np.ascontiguousarray(picture.view().overview))[None]
        deep = self.network(overview)[0].double().numpy()
        return deep, measured_numbers(measure(picture)), colour_numbers(picture.pixels)


def kernel_ridge(train: Sequence[Floats], targets: Floats, test: Sequence[Floats], ridge: float = RIDGE) -> Floats:
    """Return predictions (M, K) of a kernel ridge regression with a Gaussian kernel.

    k(x, y) = exp(-d(x, y) / median d), d the sum over blocks of the mean squared difference of standardised features;
    prediction = k (K + ridge I)^-1 (targets - mean) + mean. train, test: blocks (N, D) and (M, D); targets (N, K).
    """
    apart_train, apart_test = np.zeros((len(targets), len(targets))), np.zeros((len(test[0]), len(targets)))
    for known, new in zip(train, test, strict=True):
        mean, std = known.mean(axis=0), known.std(axis=0) + 1e-6
        a, b = (np.clip((x - mean) / std, -CLIP_STD, CLIP_STD) / np.sqrt(known.shape[1]) for x in (known, new))
        apart_train += _distances(a, a)
        apart_test += _distances(b, a)
    scale, mean_target = float(np.median(apart_train)), targets.mean(axis=0)
    weights = np.linalg.solve(np.exp(-apart_train / scale) + ridge * np.eye(len(targets)), targets - mean_target)
    out: Floats = np.exp(-apart_test / scale) @ weights + mean_target
    return out


def _distances(a: Floats, b: Floats) -> Floats:
    out: Floats = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2.0 * a @ b.T
    return out


def listed(predicted: Floats, most: int = 3) -> list[tuple[str, int]]:
    """Return the kinds of one photograph with a predicted severity from LISTED_FROM on, the worst first, and
    severities."""
    order = np.argsort(-predicted, kind="stable")[:most]
    return [(PHOTO_KINDS[i], int(np.clip(np.rint(predicted[i]), 1, 5))) for i in order if predicted[i] >= LISTED_FROM]


def predict(
    train: Mapping[str, Sequence[FaultLabel]], test: Sequence[str], blocks: Mapping[str, tuple[Floats, ...]]
) -> dict[str, Any]:
    """Return what is listed in each photograph of `test`, learned from `train`, given the blocks of all by name."""
    names = list(train)
    known, new = (list(map(np.stack, zip(*(blocks[name] for name in those), strict=True))) for those in (names, test))
    found = kernel_ridge(known, targets([train[name] for name in names])[0], new)
    return {"trained on": len(names), "listed": {name: listed(row) for name, row in zip(test, found, strict=True)}}
