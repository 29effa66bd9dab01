"""Rating distribution of a model that writes a rating as text tokens.

A rating is one of the 401 texts "1.00" ... "5.00". Each token (a digit, a point, several of them, with or without the
white space before or the comma after) restricts the ratings that remain possible.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from snellen.backend import MIN_MASS, RATING_GRID, RatingDistribution

RATINGS = tuple(f"{rating:.2f}" for rating in RATING_GRID)
"""The ratings of RATING_GRID as a reply writes them."""

RATING_TOKENS = 8
"""Largest number of tokens of a written rating."""

RATING_KEY = re.compile(r'"rating"\s*:\s*')


@lru_cache(maxsize=2**14)  # a vocabulary with tokens of several digits asks for the same few thousand texts again
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


@dataclass(frozen=True)
class Branch:
    """A beginning of the rating of one conversation: its row in the batch, and the token ids written so far."""

    row: int
    ids: tuple[int, ...] = ()


NextTokens = Callable[[Sequence[Branch]], Sequence[Mapping[int, float]]]
"""Maps branches, as one batch, to the probabilities of the next token after each, of the tokens that matter."""


def expand_ratings(
    rows: Sequence[int], next_tokens: NextTokens, texts: Mapping[int, str], least: float = 1e-4
) -> dict[int, dict[str, float]]:
    """Return the probability of each rating, by text, for each row: all ways to write it in tokens, summed.

    A number counts when its second decimal or the character after it is there. All branches of all rows that have the
    same length are one batch, so that a rating with single digits takes three of them.

    Args:
        rows: rows of the batch whose reply reaches a rating.
        next_tokens: probabilities after a branch.
        texts: text of each token that can be part of a rating.
        least: branches with less probability are not followed. At most 56 branches lead to the 401 ratings in single
            digits, so what is missing is at most 56 * `least` of the probability.
    """
    mass: dict[int, dict[str, float]] = {row: {} for row in rows}
    waiting = [(Branch(row), "", 1.0) for row in rows]
    while waiting:
        longer: list[tuple[Branch, str, float]] = []
        following = next_tokens([branch for branch, _, _ in waiting])
        for (branch, known, weight), probabilities in zip(waiting, following, strict=True):
            for token, probability in probabilities.items():
                if token not in texts:
                    continue
                text = known + (texts[token].lstrip() if not known else texts[token])
                possible = consistent(text)
                if len(possible) == 1 and (text == possible[0] or not set(text) <= set("0123456789.")):
                    _add(mass[branch.row], possible, weight * probability)
                elif possible and len(text) > len(known) and weight * probability >= least:
                    longer.append((Branch(branch.row, (*branch.ids, token)), text, weight * probability))
        waiting = longer
    return mass


def expand_words(
    rows: Sequence[int], next_tokens: NextTokens, words: Mapping[str, tuple[int, ...]]
) -> dict[int, dict[str, float]]:
    """Return the probability of each word for each row, the product over its tokens. words: token ids of each."""
    beginnings = sorted({ids[:n] for ids in words.values() for n in range(len(ids))}, key=len)
    known: dict[Branch, Mapping[int, float]] = {}
    for length in sorted({len(ids) for ids in beginnings}):
        branches = [Branch(row, ids) for row in rows for ids in beginnings if len(ids) == length]
        known |= dict(zip(branches, next_tokens(branches), strict=True))

    def probability(row: int, ids: tuple[int, ...]) -> float:
        return math.prod(known[Branch(row, ids[:n])].get(token, 0.0) for n, token in enumerate(ids))

    return {row: {word: probability(row, ids) for word, ids in words.items()} for row in rows}


def level_distribution(mass: Mapping[str, float], levels: Mapping[str, float]) -> RatingDistribution | None:
    """Return the softmax over level words as a distribution over their ratings (Q-Align, arXiv 2312.17090, eq. 4).

    It is closed: other words do not count, however probable. None where no level has any probability.

    Args:
        mass: probability of each word; one that is absent has none.
        levels: rating of each word.
    """
    total = sum(mass.get(word, 0.0) for word in levels)
    if not total > 0.0:
        return None
    pairs = sorted((rating, mass.get(word, 0.0) / total) for word, rating in levels.items())
    return RatingDistribution(np.array([rating for rating, _ in pairs]), np.array([share for _, share in pairs]))
