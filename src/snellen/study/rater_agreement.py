"""Agreement of raters with each other: Krippendorff's alpha, intraclass correlation, kappa, overlap of boxes."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from snellen.region import Region

Floats = npt.NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(ratings: npt.ArrayLike, level: Level = "interval") -> float:
    """Return Krippendorff's alpha of ratings (units, raters), NaN where there is none: 1 perfect, 0 as by chance.

    alpha = 1 - observed / expected disagreement over pairs of ratings of one unit; units with one rating do not count.
    level: of measurement; the squared difference of two values is 0 or 1 (nominal), that of their mid-ranks among all
    ratings (ordinal), or theirs (interval). NaN where fewer than two values occur.
    Source: K. Krippendorff, Computing Krippendorff's alpha-reliability, 2011.
    """
    table = np.asarray(ratings, np.float64)
    table = table[np.isfinite(table).sum(axis=1) > 1] if table.size else table.reshape(0, 0)
    values, at = np.unique(table[np.isfinite(table)], return_inverse=True)
    if len(values) < 2:
        return math.nan
    counts = np.zeros((len(table), len(values)))
    np.add.at(counts, (np.nonzero(np.isfinite(table))[0], at), 1.0)
    of_unit = counts.sum(axis=1)
    pairs = np.einsum("uc,uk->ck", counts / (of_unit - 1)[:, None], counts)
    pairs -= np.diag((counts / (of_unit - 1)[:, None]).sum(axis=0))
    total = pairs.sum(axis=1)
    squared = _squared_differences(values, total, level)
    expected = (np.outer(total, total) - np.diag(total)) / (total.sum() - 1)
    return float(1.0 - (pairs * squared).sum() / (expected * squared).sum())


def _squared_differences(values: Floats, total: Floats, level: Level) -> Floats:
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    places = np.cumsum(total) - total / 2 if level == "ordinal" else values
    return np.asarray((places[:, None] - places) ** 2, np.float64)


class Intraclass(NamedTuple):
    """Intraclass correlations. single: of one rater's rating; mean: of the mean of all k raters; NaN without any."""

    single: float
    mean: float


def intraclass_correlation(ratings: npt.ArrayLike) -> Intraclass:
    """Return ICC(2,1) and ICC(2,k), absolute agreement in a two-way random model, of ratings (pictures, raters).

    Only pictures that all raters rated count. Mean squares of pictures MSR, raters MSC and rest MSE give
    (MSR - MSE) / (MSR + (k - 1) MSE + k (MSC - MSE) / n) and (MSR - MSE) / (MSR + (MSC - MSE) / n).
    Source: P. Shrout and J. Fleiss, Psychological Bulletin 86, 1979.
    """
    table = np.asarray(ratings, np.float64)
    table = table[np.isfinite(table).all(axis=1)]
    n, k = table.shape
    if n < 2 or k < 2:
        return Intraclass(math.nan, math.nan)
    mean, rows, columns = table.mean(), table.mean(axis=1), table.mean(axis=0)
    msr = k * float(((rows - mean) ** 2).sum()) / (n - 1)
    msc = n * float(((columns - mean) ** 2).sum()) / (k - 1)
    mse = float(((table - rows[:, None] - columns + mean) ** 2).sum()) / ((n - 1) * (k - 1))
    single = msr + (k - 1) * mse + k * (msc - mse) / n
    whole = msr + (msc - mse) / n
    return Intraclass((msr - mse) / single if single else math.nan, (msr - mse) / whole if whole else math.nan)


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Return Cohen's kappa of two raters' labels of the same units: 1 perfect, 0 as by chance; NaN where undefined.

    kappa = (p - e) / (1 - e) with p the share of equal labels and e its expectation from each rater's own shares.
    Source: J. Cohen, Educational and Psychological Measurement 20, 1960.
    """
    n = len(first)
    if n == 0 or len(second) != n:
        return math.nan
    same = sum(a == b for a, b in zip(first, second, strict=True)) / n
    chance = sum(first.count(label) * second.count(label) for label in set(first)) / n**2
    return (same - chance) / (1 - chance) if chance < 1 else math.nan


def mean_kappa(labels: Sequence[Sequence[Hashable | None]]) -> float:
    """Return Light's kappa: the mean of Cohen's over pairs of raters.

    labels: for each rater, one label a unit, None where the rater gave none. A
    pair counts on the units that both labelled. NaN where it is defined for no pair.
    Source: R. Light, Psychological Bulletin 76, 1971.
    """
    found = []
    for a, b in combinations(labels, 2):
        both = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
        kappa = cohen_kappa([x for x, _ in both], [y for _, y in both])
        if not math.isnan(kappa):
            found.append(kappa)
    return float(np.mean(found)) if found else math.nan


def matched_iou(first: Sequence[Region], second: Sequence[Region]) -> list[float]:
    """Return the IoU of the boxes of two raters, matched one to one, the best pair first; one without a match is 0."""
    left, right = list(first), list(second)
    found = []
    while left and right:
        iou, a, b = max((one.iou(other), i, j) for i, one in enumerate(left) for j, other in enumerate(right))
        if iou == 0.0:
            break
        found.append(iou)
        del left[a], right[b]
    return found + [0.0] * (len(left) + len(right))
