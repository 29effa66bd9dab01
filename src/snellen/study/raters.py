"""Report on each rater, and the rules for leaving one out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snellen.study.pair_scale import PairScale
from snellen.study.rater_model import RaterModel, fit_rater_model
from snellen.study.screening import Screening, bt500_screening

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rules:
    """Limits beyond which a rater is left out.

    Attributes:
        correlation: least correlation with the mean of the other raters, over pictures.
        doubtful: correlation below which repeats count against a rater too: few repeats alone prove nothing.
        golden: least share of golden items answered within their range; counts from three items on.
        repeat: most mean difference between two ratings of one picture, as a share of what unrelated ratings of this
            rater would differ by; counts from four repeats on.
        same: most share of ratings that are one and the same answer.
        hurried: most share of answers faster than `seconds`.
        least: ratings below which nothing but golden items is judged.
    """

    correlation: float = 0.4
    doubtful: float = 0.6
    golden: float = 0.6
    repeat: float = 0.8
    same: float = 0.9
    hurried: float = 0.3
    seconds: float = 0.5
    least: int = 10


@dataclass(frozen=True)
class Extras:
    """Evidence on a rater beside the ratings. golden: share right, NaN without any; golden_count: items.

    repeats: (M, 2) both ratings of repeated pictures. seconds: (N,) of each answer.
    """

    golden: float
    golden_count: int
    repeats: Floats
    seconds: Floats


@dataclass(frozen=True)
class Rater:
    """One rater. reasons: why the rater is left out, empty where kept. The numbers are those that `Rules` limits."""

    code: str
    ratings: int
    median_seconds: float
    bias: float
    inconsistency: float
    correlation: float
    golden: float
    repeat: float
    same: float
    hurried: float
    reasons: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """True where the rater counts."""
        return not self.reasons


def report_raters(
    codes: list[str], ratings: npt.ArrayLike, extras: list[Extras], rules: Rules | None = None
) -> list[Rater]:
    """Return the report on each of R raters of ratings (pictures, raters), NaN where there is none."""
    limits, table = rules or Rules(), np.asarray(ratings, np.float64)
    model, screening = fit_rater_model(table), bt500_screening(table)
    return [_report(codes, table, extras[at], limits, model, screening, at) for at in range(len(codes))]


def _report(
    codes: list[str], table: Floats, extra: Extras, rules: Rules, model: RaterModel, screening: Screening, at: int
) -> Rater:
    own = table[np.isfinite(table[:, at]), at]
    found = Rater(
        code=codes[at],
        ratings=len(own),
        median_seconds=float(np.median(extra.seconds)) if len(extra.seconds) else math.nan,
        bias=float(model.bias[at]),
        inconsistency=float(model.inconsistency[at]),
        correlation=correlation_with_others(table, at),
        golden=extra.golden,
        repeat=repeat_ratio(own, extra.repeats),
        same=float(np.unique(own, return_counts=True)[1].max() / len(own)) if len(own) else math.nan,
        hurried=float(np.mean(extra.seconds < rules.seconds)) if len(extra.seconds) else math.nan,
        reasons=(),
    )
    reasons = []
    if extra.golden_count >= 3 and found.golden < rules.golden:
        reasons.append(f"golden items: {100 * found.golden:.0f} % right")
    if found.ratings >= rules.least:
        if found.same > rules.same:
            reasons.append(f"the same answer in {100 * found.same:.0f} %")
        elif found.correlation < rules.correlation:
            reasons.append(f"correlation with the others {found.correlation:.2f}")
        if len(extra.repeats) >= 4 and found.repeat > rules.repeat and not found.correlation >= rules.doubtful:
            reasons.append(f"repeats differ {found.repeat:.2f} times as much as unrelated ratings")
        if found.hurried > rules.hurried:
            reasons.append(f"{100 * found.hurried:.0f} % of the answers in under {rules.seconds:g} s")
        if screening.rejected[at]:
            reasons.append(f"BT.500: {100 * screening.share[at]:.0f} % of the ratings far from the others")
    return replace(found, reasons=tuple(reasons))


def judge_pair_rater(code: str, wins: npt.ArrayLike, others: PairScale, extra: Extras) -> Rater:
    """Return the report on a rater of pairs.

    wins: (P, P) of this rater. others: scale of all other raters. `correlation` holds the agreement with them: 2 h - 1
    with h the share of choices for the better picture among pairs of which the others are sure (0.75 or more choose
    it); 0 is chance, and a rater who chooses as the others do is expected at 0.5 or more. NaN for fewer than five.
    """
    limits, table = Rules(), np.asarray(wins, np.float64)
    sure = np.where(others.chosen() >= 0.75, 1.0, 0.0)
    right, wrong = float((table * sure).sum()), float((table * sure.T).sum())
    agreement = 2 * right / (right + wrong) - 1 if right + wrong >= 5 else math.nan
    turned = float(np.abs(extra.repeats[:, 0] - extra.repeats[:, 1]).mean()) if len(extra.repeats) else math.nan
    hurried = float(np.mean(extra.seconds < limits.seconds)) if len(extra.seconds) else math.nan
    reasons = []
    if extra.golden_count >= 3 and extra.golden < limits.golden:
        reasons.append(f"golden pairs: {100 * extra.golden:.0f} % right")
    if table.sum() >= limits.least:
        if agreement < 0.5 * limits.correlation:
            reasons.append(f"agreement with the others on clear pairs {agreement:.2f} (1 full, 0 chance)")
        if hurried > limits.hurried:
            reasons.append(f"{100 * hurried:.0f} % of the answers in under {limits.seconds:g} s")
    median = float(np.median(extra.seconds)) if len(extra.seconds) else math.nan
    return Rater(code, int(table.sum()), median, math.nan, math.nan, agreement, extra.golden, turned, math.nan, hurried,
                 tuple(reasons))  # fmt: skip


def correlation_with_others(ratings: npt.ArrayLike, at: int) -> float:
    """Return Pearson's correlation of rater `at` with the mean of the others, over pictures that both rated.

    NaN for fewer than three pictures or a constant rater. The others' biases are taken out first: where raters rate
    different pictures, their mean would follow who rated.
    """
    table = np.asarray(ratings, np.float64)
    others = np.delete(table, at, axis=1)
    if not others.size:
        return math.nan
    counts = np.isfinite(others).sum(axis=1)
    both = np.isfinite(table[:, at]) & (counts > 0)
    if both.sum() < 3:
        return math.nan
    centred = others - np.nan_to_num(fit_rater_model(others).bias)
    mean = np.nansum(centred[both], axis=1) / counts[both]
    own = table[both, at]
    if np.ptp(own) == 0 or np.ptp(mean) == 0:
        return math.nan
    return float(np.corrcoef(own, mean)[0, 1])


def repeat_ratio(ratings: npt.ArrayLike, repeats: npt.ArrayLike) -> float:
    """Return the mean |difference| of repeated ratings (M, 2) over that of two ratings drawn from (N,): 0 perfect.

    About 1 for a rater who does not look at the picture. NaN without repeats, or where all ratings are equal.
    """
    own, twice = np.asarray(ratings, np.float64), np.asarray(repeats, np.float64).reshape(-1, 2)
    if len(twice) == 0 or len(own) < 2:
        return math.nan
    unrelated = float(np.abs(own[:, None] - own).sum() / (len(own) * (len(own) - 1)))
    return float(np.abs(twice[:, 0] - twice[:, 1]).mean()) / unrelated if unrelated > 0 else math.nan
