"""Stage 10: fit the photo fault head on labelled photographs; its thresholds are set by cross-validation on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snellen.backends.onnx import Snellen1Backend
from snellen.data.fault_labels import MINDED, FaultLabel
from snellen.features import measure
from snellen.image import load
from snellen.snellen1.files import PHOTO_FAULTS, read_card, write_card
from snellen.snellen1.kernel import Floats
from snellen.snellen1.photo_faults import PHOTO_KINDS, PhotoFaultHead
from snellen.snellen1.photo_features import fault_features
from snellen.train.snellen1.kernel import fit_kernel
from snellen.vocabulary import merged

COMPONENTS, RIDGE, WIDTH, FOLDS = 256, 0.1, 0.5, 4
FALSE_ALARMS = 0.16
"""Share of the photographs in which one rater minds nothing where something may be listed, in cross-validation; it
sets the threshold. Another rater lists something in 12 % of them; of those that two raters call clean, a threshold
lets fewer through."""


BORNE_OUT = 0.8
"""Least share of the listed kinds that a rater lists too, in cross-validation: 80 % of what one rater lists of the
validation photographs, the other lists. It sets how much lower the threshold is beside a fault that passes it."""
_FURTHER = np.arange(1.0, 0.0, -0.05)  # shares of the threshold that are tried


class Fitted(NamedTuple):
    """The head, the probability from which on each kind is listed, the share of it that is enough beside a listed kind,
    and cross-validated severities (N, K)."""

    head: PhotoFaultHead
    thresholds: dict[str, float]
    further: float
    crossed: Floats


def photo_matrix(backend: Snellen1Backend, pictures: Iterable[Path]) -> tuple[Floats, tuple[int, ...]]:
    """Return the head's features of pictures, (N, D), and the sizes of their blocks."""
    rows = []
    for path in pictures:
        picture = load(path)
        (read,) = backend.read(picture.view(), (False,))
        parts = fault_features(*read, measure(picture), picture.pixels)
        rows.append(np.concatenate(parts))
        sizes = tuple(len(part) for part in parts)
    return np.stack(rows), sizes


def add_to_model(fitted: Fitted, model: Path) -> None:
    """Write the head into a model folder, and its thresholds and checksum into the folder's card."""
    fitted.head.save(model / PHOTO_FAULTS)
    card = read_card(model)
    card["photo_thresholds"] = {kind: round(value, 4) for kind, value in fitted.thresholds.items()}
    card["photo_further"] = round(fitted.further, 2)
    card["sha256"][PHOTO_FAULTS] = hashlib.sha256((model / PHOTO_FAULTS).read_bytes()).hexdigest()
    write_card(model, card)


def targets(labels: Sequence[Sequence[FaultLabel]]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return mean severity over the raters of each photograph, 0 for none, and whether a rater minds the kind: (N,
    K)."""
    severity, minded = np.zeros((len(labels), len(PHOTO_KINDS))), np.zeros((len(labels), len(PHOTO_KINDS)), bool)
    for i, raters in enumerate(labels):
        for rater in raters:
            for fault in rater.faults:
                if (kind := merged(fault.kind)) in PHOTO_KINDS:
                    severity[i, PHOTO_KINDS.index(kind)] += fault.severity / len(raters)
                    minded[i, PHOTO_KINDS.index(kind)] |= fault.severity >= MINDED
    return severity, minded


def fit(features: Floats, blocks: Sequence[int], labels: Sequence[Sequence[FaultLabel]], seed: int = 0) -> Fitted:
    """Fit the head. features (N, D); blocks: sizes of the blocks of features, which weigh alike; labels of N
    photographs."""
    severity, minded = targets(labels)
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(features))
    crossed = np.zeros_like(severity)
    for one in range(FOLDS):
        rest = fold != one
        crossed[~rest] = _severities(features[rest], blocks, severity[rest]).kernel.predict(features[~rest])
    curves = np.stack([logistic_curve(x, y) for x, y in zip(crossed.T, minded.T, strict=True)], axis=1)
    slope, intercept = np.polyfit(crossed[minded], severity[minded], 1)
    head = replace(
        _severities(features, blocks, severity), logistic=curves, severity=np.array([intercept, slope], np.float64)
    )
    clean = ~minded.any(axis=1)
    probability = head.probabilities(crossed)
    least = float(np.quantile(probability[clean].max(axis=1), 1.0 - FALSE_ALARMS))
    further = further_share(probability, severity > 0, least)
    return Fitted(head, dict.fromkeys(PHOTO_KINDS, least), further, crossed)


def further_share(probability: Floats, borne_out: npt.NDArray[np.bool_], least: float) -> float:
    """Return the smallest share of the threshold `least` that further kinds of a photograph may have, so that of all
    kinds listed at least BORNE_OUT are borne out; 1 where none does. probability, borne_out: (N, K)."""
    faulty = (probability >= least).any(axis=1, keepdims=True)
    found = 1.0
    for share in _FURTHER:
        listed = faulty & (probability >= share * least)
        if not listed.any() or borne_out[listed].mean() < BORNE_OUT:
            break
        found = float(share)
    return found


def _severities(features: Floats, blocks: Sequence[int], severity: Floats) -> PhotoFaultHead:
    """A head that predicts severities; its curves are still to be fitted."""
    kinds = severity.shape[1]
    kernel = fit_kernel(
        features, blocks, severity, np.ones_like(severity), [RIDGE] * kinds, [WIDTH] * kinds, COMPONENTS
    )
    return PhotoFaultHead(kernel, np.zeros((2, kinds)), np.zeros(2))


def logistic_curve(x: Floats, y: npt.NDArray[np.bool_], steps: int = 50) -> Floats:
    """Intercept and slope of a logistic regression of y (N,) on x (N,), by Newton's method.

    A weak prior on both, worth a hundredth of a picture, keeps them finite where a kind is always or never there.
    """
    design, found = np.stack([np.ones_like(x), x], axis=1), np.zeros(2)
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ found, -30.0, 30.0)))
        hessian = (design * (p * (1.0 - p))[:, None]).T @ design + 0.01 * np.eye(2)
        found = found + np.linalg.solve(hessian, design.T @ (y - p) - 0.01 * found)
    return found
