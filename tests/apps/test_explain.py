"""`snellen explain`: percentiles worked by hand, words, and that the numbers in the package make sense."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from snellen.apps.explain import explain, numbers, percentile
from snellen.cli import main

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "bench"))
from score_scale import kept_and_dropped, opinions  # noqa: E402

SHARES = [(0.5, 0.0), (1.0, 0.0), (1.5, 0.5), (2.0, 1.0), (3.0, 3.0), (3.5, 4.5), (4.0, 5.0)]


@pytest.mark.parametrize(("score", "share"), SHARES)
def test_a_percentile_by_hand(score: float, share: float) -> None:
    """3 is the 2nd, 3rd and 4th percentile: the 3rd in the middle."""
    assert percentile(score, [1.0, 2.0, 3.0, 3.0, 3.0, 4.0]) == share


def test_keeping_and_dropping_by_hand() -> None:
    """Of 3 kept from 3.4 on, 2 have a MOS of 3.4 or more, as 3 have in all; both dropped have less, 1 is below 2.6."""
    rows = kept_and_dropped(np.array([3.4, 3.9, 3.5, 3.3, 2.0]), np.array([3.4, 4.0, 3.0, 3.6, 2.5]))
    (row,) = [row for row in rows if row["threshold"] == 3.4]
    assert row == {
        "threshold": 3.4, "kept": 0.6, "keep precision": 0.667, "keep recall": 0.667, "drop precision": 0.5,
        "drop recall": 1.0,
    }  # fmt: skip


def test_opinions_are_of_the_pictures_near_a_score() -> None:
    rows = opinions(np.array([3.0] * 20 + [4.0] * 19), np.array([2.0, 4.0] * 10 + [5.0] * 19))
    assert [row[0] for row in rows] == [2.9, 3.0, 3.1] and rows[1][1:3] == [20, 3.0]


def test_the_numbers_in_the_package_agree_with_each_other() -> None:
    for one in numbers()["sets"].values():
        assert len(one["percentiles"]) == 101 and one["percentiles"] == sorted(one["percentiles"])
    for name in ("held out", "tested"):
        rows = numbers()[name]
        assert [row["keep recall"] for row in rows] == sorted((row["keep recall"] for row in rows), reverse=True)
        assert [row["drop recall"] for row in rows] == sorted(row["drop recall"] for row in rows)
    assert all(low <= mean <= high for _, _, mean, low, high in numbers()["opinions"])


LIMITS = [(1.0, "bad", "drop"), (2.59, "poor", "drop"), (2.6, "fair", "review"), (3.4, "good", "keep")]


@pytest.mark.parametrize(("score", "label", "action"), [*LIMITS, (5.0, "excellent", "keep")])
def test_the_limits_of_words_and_actions(score: float, label: str, action: str) -> None:
    found = explain(score)
    assert (found.label, found.action) == (label, action) and found.low <= score <= found.high


def test_a_higher_score_is_above_more_pictures() -> None:
    shares = [explain(score).percentiles["BIQ2021, test split"] for score in (1.0, 2.0, 3.0, 4.0, 5.0)]
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 100.0


def test_the_command_explains_and_refuses_what_is_no_score(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "3.4"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("3.40 of 5: good (3.4 to 4.2)") and "as a threshold: keep" in text
    assert main(["explain", "3.4", "2", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["action"] == "keep" and second["label"] == "poor"
    for wrong in ("5.1", "0.9", "nan", "good"):
        with pytest.raises(SystemExit) as stopped:
            main(["explain", wrong])
        assert stopped.value.code == 2
    with pytest.raises(ValueError, match="between 1 and 5"):
        explain(0.0)
