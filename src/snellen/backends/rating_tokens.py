"""Rating distribution of a model that writes a rating as text tokens.

A rating is one of the 401 texts "1.00" ... "5.00". Each token (a digit, a point, several of them, with or without the
white space before or the comma after) restricts the ratings that remain possible.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from snellen.backend import RATING_GRID, RatingDistribution

RATINGS = tuple(f"{rating:.2f}" for rating in RATING_GRID)
"""The ratings of RATING_GRID as a reply writes them."""

MIN_MASS = 0.8
"""Smallest recovered probability that makes a distribution; below it, the written rating counts."""
RATING_TOKENS = 8
"""Largest number of tokens of a written rating."""

RATING_KEY = re.compile(r'"rating"\s*:\s*')


def consistent(text: str) -> tuple[str, ...]:
    """Return the ratings that a text can begin, or, where something follows the number, the one that it is.

    >>> consistent("4.9")[:2], consistent("3.5,"), consistent("7")
    (('4.90', '4.91'), ('3.50',), ())
    """
    match = re.match(r"[0-9.]*", text)
    number = match[0] if match else ""
    if len(number) == len(text):
        return tuple(rating for rating in RATINGS if rating.startswith(number))
    if re.fullmatch(r"\d(\.\d{1,2})?", number) and 1.0 <= float(number) <= 5.0:
        return (f"{float(number):.2f}",)
    return ()


def leading_number(text: str) -> str:
    """Return the number that a text begins with; the whole text where it begins with none.

    >>> leading_number(' 3.47, "tool"'), leading_number("good")
    ('3.47', 'good')
    """
    match = re.match(r"\s*([0-9.]+)", text)
    return match[1] if match else text


def _add(mass: dict[str, float], ratings: Sequence[str], weight: float) -> None:
    for rating in ratings:
        mass[rating] = mass.get(rating, 0.0) + weight / len(ratings)


def distribution(mass: Mapping[str, float]) -> RatingDistribution | None:
    """Return probabilities by rating text as a distribution, scaled to 1; None when they sum to less than MIN_MASS."""
    total = sum(mass.values())
    if not total >= MIN_MASS:
        return None
    ratings = sorted(rating for rating, weight in mass.items() if weight > 0.0)
    return RatingDistribution(
        np.array([float(rating) for rating in ratings]), np.array([mass[rating] / total for rating in ratings])
    )


def rating_by_expansion(
    next_tokens: Callable[[tuple[int, ...]], Mapping[int, float]],
    texts: Mapping[int, str],
    least: float = 1e-3,
) -> RatingDistribution | None:
    """Return the distribution over all token sequences of a rating with at least probability `least`.

    Args:
        next_tokens: maps the token ids so far, after `"rating":` and its white space, to the probabilities of the next
            token.
        texts: text of each token that can be part of a rating.
        least: sequences with less probability are not followed.

    Returns:
        None when the recovered probability is below MIN_MASS.
    """
    mass: dict[str, float] = {}
    waiting: list[tuple[tuple[int, ...], str, float]] = [((), "", 1.0)]
    while waiting:
        ids, known, weight = waiting.pop()
        for token, probability in next_tokens(ids).items():
            if token not in texts or weight * probability < least:
                continue
            text = known + (texts[token].lstrip() if not known else texts[token])
            possible = consistent(text)
            if len(possible) == 1:
                _add(mass, possible, weight * probability)
            elif possible and len(text) > len(known):
                waiting.append(((*ids, token), text, weight * probability))
    return distribution(mass)
