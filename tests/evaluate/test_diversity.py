from __future__ import annotations

import math

import pytest

from snellen.evaluate.stats.diversity import bigrams, distinct_2, distinct_share, entropy, words


def test_entropy_by_hand() -> None:
    assert entropy([1, 1, 1]) == 0.0
    assert entropy("abcd") == 2.0
    assert entropy([1, 1, 2, 3]) == pytest.approx(1.5)  # 1/2 * 1 bit + 2 * 1/4 * 2 bits
    assert math.isnan(entropy([]))


def test_words_and_pairs() -> None:
    assert words('A sharp, "clear" picture: 3.47.') == ["a", "sharp", "clear", "picture", "3.47"]
    assert bigrams(["a b", "b c"]) == [("a", "b"), ("b", "c")]  # none across texts


def test_distinct_by_hand() -> None:
    # a b, b a, a b | a b: 2 different of 4
    assert distinct_2(["a b a b", "a b"]) == 0.5
    assert distinct_share(["a", "a", "b", "c"]) == 0.75
    assert math.isnan(distinct_2(["one", "two"]))
    assert math.isnan(distinct_share([]))
