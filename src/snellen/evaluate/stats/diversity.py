"""Whether a model says different things of different pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence


def entropy(things: Iterable[Hashable]) -> float:
    """Shannon entropy in bits of how often each of the things occurs; NaN of none."""
    counts = Counter(things)
    total = sum(counts.values())
    if not total:
        return math.nan
    return max(0.0, -sum(count / total * math.log2(count / total) for count in counts.values()))


def words(text: str) -> list[str]:
    """The words of a text, in lower case, numbers among them, without the punctuation around them."""
    return [word for word in (part.strip(".,;:!?()[]{}\"'<>").lower() for part in text.split()) if word]


def bigrams(texts: Sequence[str]) -> list[tuple[str, str]]:
    """All pairs of neighbouring words, within each text."""
    return [pair for text in texts for pair in _pairs(words(text))]


def _pairs(found: list[str]) -> Iterable[tuple[str, str]]:
    return zip(found, found[1:], strict=False)


def distinct_2(texts: Sequence[str]) -> float:
    """Different pairs of neighbouring words over all pairs, 0..1 (Li et al., "A Diversity-Promoting Objective Function
    for Neural Conversation Models", 2016). It falls with the number of texts: compare equal numbers. NaN of none."""
    pairs = bigrams(texts)
    return len(set(pairs)) / len(pairs) if pairs else math.nan


def distinct_share(texts: Sequence[str]) -> float:
    """Different texts over all texts, 0..1; NaN of none."""
    return len(set(texts)) / len(texts) if texts else math.nan
