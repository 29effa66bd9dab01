"""Diversity of texts and ratings over pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence


def entropy(items: Iterable[Hashable]) -> float:
    """Return the Shannon entropy of the items' frequencies, bits; NaN of none."""
    counts = Counter(items)
    total = sum(counts.values())
    if not total:
        return math.nan
    return max(0.0, -sum(count / total * math.log2(count / total) for count in counts.values()))


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, numbers included, without surrounding punctuation."""
    return [word for word in (part.strip(".,;:!?()[]{}\"'<>").lower() for part in text.split()) if word]


def bigrams(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return all pairs of adjacent words, within each text."""
    split = [words(text) for text in texts]
    return [pair for those in split for pair in zip(those, those[1:], strict=False)]


def distinct_2(texts: Sequence[str]) -> float:
    """Return the number of different bigrams over the number of bigrams, 0..1; NaN of none.

    It falls with the number of texts: compare equal numbers. Source: Li et al., A diversity-promoting objective
    function for neural conversation models, NAACL 2016.
    """
    pairs = bigrams(texts)
    return len(set(pairs)) / len(pairs) if pairs else math.nan


def distinct_share(texts: Sequence[str]) -> float:
    """Return the number of different texts over the number of texts, 0..1; NaN of none."""
    return len(set(texts)) / len(texts) if texts else math.nan
