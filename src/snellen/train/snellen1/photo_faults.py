"""Stage 10: fit the photo fault head on labelled photographs; its threshold is set by cross-validation on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snellen.backends.onnx import PHOTO_FAULTS, Snellen1Backend
from snellen.data.fault_labels import MINDED, FaultLabel
from snellen.features import measure
from snellen.image import load
from snellen.snellen1.photo_faults import CLIP_STD, PHOTO_KINDS, PhotoFaultHead, colour_numbers, measured_numbers
from snellen.vocabulary import merged

Floats = npt.NDArray[np.float64]

COMPONENTS, RIDGE, FOLDS = 200, 0.1, 4
FALSE_ALARMS = 0.2
"""Share of the photographs in which one rater minds nothing where something may be listed, in cross-validation; it
sets the threshold. Another rater lists something in 12 % of them."""


class Fitted(NamedTuple):
    """The head, the probability from which on a kind is listed, and cross-validated severities (N, K)."""

    head: PhotoFaultHead
    threshold: float
    crossed: Floats


def photo_matrix(backend: Snellen1Backend, pictures: Iterable[Path]) -> tuple[Floats, tuple[int, ...]]:
    """Return the head's features of pictures, (N, D), and the sizes of their blocks."""
    rows = []
    for path in pictures:
        picture = load(path)
        parts = backend.pooled_view(picture.view()), measured_numbers(measure(picture)), colour_numbers(picture)
        rows.append(np.concatenate(parts))
        sizes = tuple(len(part) for part in parts)
    return np.stack(rows), sizes


def add_to_model(fitted: Fitted, model: Path) -> None:
    """Write the head into a model folder, and its threshold and checksum into the folder's card."""
    fitted.head.save(model / PHOTO_FAULTS)
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    card["photo_threshold"] = round(fitted.threshold, 4)
    card["sha256"][PHOTO_FAULTS] = hashlib.sha256((model / PHOTO_FAULTS).read_bytes()).hexdigest()
    (model / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


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
        crossed[~rest] = _ridge(features[rest], blocks, severity[rest]).predict(features[~rest])
    logistic = _logistic(crossed.ravel(), minded.ravel())
    there = minded.ravel()
    slope, intercept = np.polyfit(crossed.ravel()[there], severity.ravel()[there], 1)
    head = _ridge(features, blocks, severity, logistic, np.array([intercept, slope]))
    clean = ~minded.any(axis=1)
    highest = np.quantile(crossed[clean].max(axis=1), 1.0 - FALSE_ALARMS)
    threshold = float(1.0 / (1.0 + np.exp(-(logistic[0] + logistic[1] * highest))))
    return Fitted(head, threshold, crossed)


def _ridge(
    features: Floats,
    blocks: Sequence[int],
    severity: Floats,
    logistic: Floats | None = None,
    line: Floats | None = None,
) -> PhotoFaultHead:
    mean, std = features.mean(axis=0), features.std(axis=0) + 1e-6
    weight = np.repeat([1.0 / np.sqrt(size) for size in blocks], blocks)
    scaled = np.clip((features - mean) / std, -CLIP_STD, CLIP_STD) * weight
    centre = scaled.mean(axis=0)
    scaled -= centre
    values, vectors = np.linalg.eigh(scaled @ scaled.T)
    first = np.argsort(-values)[: min(COMPONENTS, int((values > 1e-9 * values.max()).sum()))]
    basis = scaled.T @ vectors[:, first] / np.sqrt(values[first])
    points = scaled @ basis
    apart = (points**2).sum(axis=1)[:, None] + (points**2).sum(axis=1)[None] - 2.0 * points @ points.T
    scale, offset = np.median(apart), severity.mean(axis=0)
    dual = np.linalg.solve(np.exp(-apart / (2.0 * scale)) + RIDGE * np.eye(len(points)), severity - offset)
    none = np.array([0.0, 1.0])
    return PhotoFaultHead(
        mean, std, weight, centre, basis, points, dual, np.array(scale), offset,
        none if logistic is None else logistic, none if line is None else line,
    )  # fmt: skip


def _logistic(x: Floats, y: npt.NDArray[np.bool_], steps: int = 50) -> Floats:
    """Intercept and slope of a logistic regression of y on x, by Newton's method."""
    design, found = np.stack([np.ones_like(x), x], axis=1), np.zeros(2)
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-(design @ found)))
        hessian = (design * (p * (1.0 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        found = found + np.linalg.solve(hessian, design.T @ (y - p))
    return found
