"""Fit a kernel head: principal components of features, then kernel ridge regression for each output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from snellen.snellen1.kernel import CLIP_STD, Floats, KernelHead


def fit_kernel(
    features: npt.NDArray[np.floating],
    blocks: Sequence[int],
    targets: Floats,
    weights: Floats,
    ridge: Sequence[float],
    width: Sequence[float],
    components: int,
    reference: npt.NDArray[np.bool_] | None = None,
) -> KernelHead:
    """Fit a head with K outputs on N pictures.

    features (N, D), in `blocks` of so many each, which weigh alike. targets (N, K). weights (N, K): of each picture in
    each output, 0 where it plays no part. ridge (K,): noise of a picture of weight 1, relative to the kernel. width
    (K,): squared width of the kernel relative to the median squared distance. reference (N,): the pictures that the
    features are standardised by; all by default. Minimises sum_i w_i (f(x_i) - t_i)^2 + ridge |f|^2 for each output.
    """
    known = np.ones(len(features), bool) if reference is None else reference
    mean, std = features[known].mean(axis=0), features[known].std(axis=0) + 1e-6
    weight = np.repeat([1.0 / np.sqrt(size) for size in blocks], blocks)
    scaled = (np.clip((features - mean) / std, -CLIP_STD, CLIP_STD) * weight).astype(np.float32)
    centre = scaled[known].mean(axis=0)
    scaled -= centre
    basis = principal_components(scaled[known], components)
    points = (scaled @ basis).astype(np.float16).astype(np.float64)  # as they are stored
    apart = squared_distances(points, points)
    scale = np.median(apart[np.ix_(known, known)]) * np.asarray(width, np.float64)
    dual, offset = np.zeros_like(targets), np.zeros(targets.shape[1])
    for k in range(targets.shape[1]):
        used = np.flatnonzero(weights[:, k])
        offset[k] = np.average(targets[used, k], weights=weights[used, k])
        kernel = np.exp(-apart[np.ix_(used, used)] / (2.0 * scale[k])).astype(np.float32)
        kernel[np.diag_indices(len(used))] += (ridge[k] / weights[used, k]).astype(np.float32)
        dual[used, k] = np.linalg.solve(kernel, (targets[used, k] - offset[k]).astype(np.float32))
    every = (mean, std, weight, centre, basis, points, dual, scale, offset)
    return KernelHead(*(np.asarray(one, np.float64) for one in every))


def principal_components(centred: npt.NDArray[np.float32], count: int) -> Floats:
    """The first principal directions of (N, D) numbers of mean 0, at most `count`: (D, C), orthonormal."""
    wide = centred.shape[1] > centred.shape[0]
    gram = (centred @ centred.T if wide else centred.T @ centred).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    first = np.argsort(-values)[: min(count, int((values > 1e-9 * values.max()).sum()))]
    out: Floats = centred.T @ vectors[:, first] / np.sqrt(values[first]) if wide else vectors[:, first]
    return out


def squared_distances(points: Floats, others: Floats) -> Floats:
    """Squared distances of points (N, C) and others (M, C): (N, M)."""
    apart = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None] - 2.0 * points @ others.T
    out: Floats = np.maximum(apart, 0.0)
    return out
