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

from snellen.data.fault_labels import FaultLabel, merged
from snellen.features import measure
from snellen.image import Picture
from snellen.snellen1.encoder import load_imagenet
from snellen.snellen1.imagenet_rater import ImagenetRater
from snellen.vocabulary import KINDS

Floats = npt.NDArray[np.float64]

RARE = frozenset({"pixelation", "banding", "corruption"})
"""Kinds with too few labels to be learned."""
RIDGE_KINDS = tuple(sorted({merged(kind) for kind in KINDS} - RARE))
RIDGE, LISTED_FROM, CLIP_STD = 0.05, 1.2, 5.0
"""Ridge on a kernel with ones on its diagonal; predicted severity from which on a kind is listed; clipping of
features in standard deviations. None of the three was tuned."""


class FrozenFeatures:
    """Computes the three blocks of a photograph with a network that is never trained."""

    def __init__(self) -> None:
        self.network = ImagenetRater().eval()
        load_imagenet(self.network, self.network.last)

    @torch.no_grad()
    def __call__(self, picture: Picture) -> tuple[Floats, ...]:
        """Return (deep features (2848,), measured features, colour statistics (22,))."""
        overview = torch.from_numpy(np.ascontiguousarray(picture.view().overview))[None]
        deep = self.network.features(overview)[0].double().numpy()
        return deep, _measured(picture), _colour(picture)


def _measured(picture: Picture) -> Floats:
    found = measure(picture)
    maps = [[m.min(), m.max(), m.std(), np.quantile(m, 0.1), np.quantile(m, 0.9)] for m in found.maps.values()]
    return np.array([*(one.value for one in found.values.values()), *np.ravel(maps)], np.float64)


def _colour(picture: Picture) -> Floats:
    rgb = picture.pixels[::4, ::4].astype(np.float64)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    flat = rgb.reshape(-1, 3)
    spread = flat.max(axis=1) - flat.min(axis=1)
    shares = [(luma < 8).mean(), (luma < 20).mean(), (luma > 247).mean(), (luma > 235).mean()]
    quantiles = np.quantile(luma, [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99])
    rest = [spread.mean(), np.quantile(spread, 0.9), luma.std()]
    return np.array([*quantiles, *shares, *flat.mean(axis=0), *flat.std(axis=0), *rest], np.float64)


def severities(raters: Sequence[FaultLabel]) -> Floats:
    """Return the target of one photograph: the mean severity over its raters of each of RIDGE_KINDS, 0 for none."""
    target = np.zeros(len(RIDGE_KINDS))
    for rater in raters:
        for fault in rater.faults:
            if (kind := merged(fault.kind)) in RIDGE_KINDS:
                target[RIDGE_KINDS.index(kind)] += fault.severity / len(raters)
    return target


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
    return [(RIDGE_KINDS[i], int(np.clip(np.rint(predicted[i]), 1, 5))) for i in order if predicted[i] >= LISTED_FROM]


def predict(
    train: Mapping[str, Sequence[FaultLabel]], test: Sequence[str], blocks: Mapping[str, tuple[Floats, ...]]
) -> dict[str, Any]:
    """Return what is listed in each photograph of `test`, learned from `train`, given the blocks of all by name."""
    names = list(train)
    known, new = (list(map(np.stack, zip(*(blocks[name] for name in those), strict=True))) for those in (names, test))
    found = kernel_ridge(known, np.stack([severities(train[name]) for name in names]), new)
    return {"trained on": len(names), "listed": {name: listed(row) for name, row in zip(test, found, strict=True)}}
