from __future__ import annotations

import pytest

from snellen.vocabulary import direction, verdict


@pytest.mark.parametrize(
    ("score", "word"),
    [(1.0, "bad"), (1.79, "bad"), (1.8, "poor"), (2.6, "fair"), (3.4, "good"), (4.19, "good"), (4.2, "excellent")]
    + [(5.0, "excellent")],
)
def test_verdict(score: float, word: str) -> None:
    assert verdict(score) == word


@pytest.mark.parametrize(
    ("move", "words"),
    [(0.0, "same"), (0.11, "same"), (-0.11, "same"), (0.12, "up a little"), (-0.29, "down a little"), (0.3, "up")]
    + [(-0.69, "down"), (0.7, "up far"), (-4.0, "down far")],
)
def test_direction(move: float, words: str) -> None:
    assert direction(move) == words
