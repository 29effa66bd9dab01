"""Effects of fatigue and order: do ratings drift, get careless or faster, or depend on the picture before?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snellen.evaluate.stats.bootstrap import UNDEFINED, Estimate, bootstrap_interval

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OrderEffects:
    """Slopes with 95 % intervals over raters; an interval without 0 shows an effect.

    Attributes:
        drift: change of ratings, in steps, from the first to the last item of a session.
        fatigue: change of |rating - expected|, in steps, from first to last: above 0, raters get careless.
        pace: change of the time of an answer from first to last, as a share of its median.
        carry_over: change of the rating, in steps, for each step that the picture before was better: below 0, raters
            contrast it with the one before; above 0, they stay near their last answer.
    """

    drift: Estimate
    fatigue: Estimate
    pace: Estimate
    carry_over: Estimate


@dataclass(frozen=True)
class Course:
    """One rater's answers in the order given, arrays (N,).

    left: rating - quality - bias of the rater, steps. quality: of the picture. seconds: from shown to answered.
    """

    left: Floats
    quality: Floats
    seconds: Floats


def order_effects(courses: list[Course]) -> OrderEffects:
    """Return the effects over all raters with five answers or more. The interval draws raters (cluster bootstrap).

    Each is the slope of an ordinary regression through all answers, with the mean of each rater taken out.
    """
    drift, fatigue, pace, carry = [], [], [], []
    for course in courses:
        n = len(course.left)
        if n < 5:
            continue
        place = np.linspace(0.0, 1.0, n)
        drift.append(_products(place, course.left))
        fatigue.append(_products(place, np.abs(course.left)))
        median = float(np.median(course.seconds))
        if median > 0:
            pace.append(_products(place, np.minimum(course.seconds / median, 5.0)))  # a pause counts as five medians
        carry.append(_products(course.quality[:-1], course.left[1:]))
    return OrderEffects(*(_slope(those) for those in (drift, fatigue, pace, carry)))


def _products(x: Floats, y: Floats) -> tuple[float, float]:
    """Return sum of dx dy and of dx dx, deviations from the rater's own means."""
    dx = x - x.mean()
    return float(dx @ (y - y.mean())), float(dx @ dx)


def _slope(products: list[tuple[float, float]]) -> Estimate:
    if not products:
        return UNDEFINED
    xy, xx = np.array(products).T

    def slope(a: Floats, b: Floats) -> float:
        return float(a.sum() / b.sum()) if b.sum() > 0 else math.nan

    found = bootstrap_interval(slope, xy, xx)
    return found if len(products) > 2 else Estimate(found.value, math.nan, math.nan)
