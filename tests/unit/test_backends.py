from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snellen.backend import (
    BackendError,
    Calibration,
    Conversation,
    RatingDistribution,
    Reply,
    Sampling,
    Turn,
)
from snellen.backends import open_backend
from snellen.backends.rating_tokens import (
    RATINGS,
    Branch,
    consistent,
    distribution,
    expand_ratings,
    expand_words,
    level_distribution,
)
from snellen.backends.scripted import ScriptedBackend


def ask(text: str = "Hello?") -> Conversation:
    return (Turn("user", text),)


def spread(values: list[float], probs: list[float]) -> RatingDistribution:
    return RatingDistribution(np.array(values), np.array(probs))


def test_distribution_worked_by_hand() -> None:
    d = spread([2.0, 3.0, 5.0], [0.5, 0.25, 0.25])
    assert d.mean == pytest.approx(3.0)  # 1 + 0.75 + 1.25
    assert d.std == pytest.approx(math.sqrt(1.5))  # 0.5 * 1 + 0 + 0.25 * 4
    assert d.entropy == pytest.approx(1.5 * math.log(2))  # 0.5 * log 2 + 2 * 0.25 * log 4
    assert [d.quantile(q) for q in (0.0, 0.5, 0.51, 0.75, 0.76, 1.0)] == [2.0, 2.0, 3.0, 3.0, 5.0, 5.0]


def test_certainty_has_no_spread() -> None:
    d = spread([3.5], [1.0])
    assert (d.mean, d.std, d.entropy, d.quantile(0.5)) == (3.5, 0.0, 0.0, 3.5)
    assert spread([3.0, 4.0], [1.0, 0.0]).entropy == 0.0


def test_distribution_is_a_copy_and_cannot_be_changed() -> None:
    values = np.array([2.0, 3.0])
    d = RatingDistribution(values, np.array([0.5, 0.5]))
    values[0] = 5.0
    assert d.mean == 2.5
    with pytest.raises(ValueError, match="read-only"):
        d.probs[0] = 1.0


@pytest.mark.parametrize(
    ("values", "probs"),
    [
        ([], []),
        ([2.0, 3.0], [1.0]),
        ([3.0, 2.0], [0.5, 0.5]),
        ([0.5, 2.0], [0.5, 0.5]),
        ([2.0, 5.5], [0.5, 0.5]),
        ([2.0, 3.0], [0.5, 0.6]),
        ([2.0, 3.0], [1.5, -0.5]),
        ([2.0, 3.0], [float("nan"), 1.0]),
        ([2.0, float("nan")], [0.5, 0.5]),
    ],
)
def test_invalid_distributions_are_refused(values: list[float], probs: list[float]) -> None:
    with pytest.raises(ValueError):
        spread(values, probs)


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_quantile_is_of_a_probability(q: float) -> None:
    with pytest.raises(ValueError):
        spread([2.0], [1.0]).quantile(q)


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.1}, {"max_tokens": 0}]
)
def test_sampling_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Sampling(**wrong)


def test_calibrated_interval_worked_by_hand() -> None:
    calibration = Calibration(q=1.5, floor=0.2)
    assert calibration.interval(3.0, 0.4) == pytest.approx((2.4, 3.6))
    assert calibration.interval(3.0, 0.0) == pytest.approx((2.7, 3.3))
    assert calibration.interval(4.9, 1.0) == pytest.approx((3.4, 5.0))


@pytest.mark.parametrize(
    "model", ["", "snellen-9", "hf:", "openai:", "scripted:", "gpt", "openai:localhost#m", "openai:http://x"]
)
def test_unknown_models_are_refused(model: str) -> None:
    with pytest.raises(ValueError):
        open_backend(model)


def test_a_folder_without_a_model_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no card\.json; for a checkpoint of transformers use hf:"):
        open_backend(tmp_path)


# scripted


def test_script_of_one_reply_for_each_round() -> None:
    backend = ScriptedBackend(["one", Reply("two", (7,), (-0.5,))])
    second = (*ask(), Turn("assistant", "one"), *ask("And now?"))
    said = backend.reply([ask(), second, ask()], Sampling())
    assert [reply.text for reply in said] == ["one", "two", "one"]
    assert said[1].turn() == Turn("assistant", "two", (), (7,), (-0.5,))
    with pytest.raises(BackendError, match="has 2 replies, but round 3"):
        backend.reply([(*second, Turn("assistant", "two"), *ask())], Sampling())


def test_script_as_a_function() -> None:
    backend = ScriptedBackend(lambda conversation: conversation[-1].text.upper())
    assert [reply.text for reply in backend.reply([ask("a"), ask("b")], Sampling())] == ["A", "B"]


def test_a_script_is_rated_by_the_rating_of_its_reply() -> None:
    scored = Reply('<answer>{"rating": 3.50}</answer>', rating=spread([3.0, 4.0], [0.5, 0.5]))
    for scripted, text in ((scored, ""), ('{"rating": 2.25, "tool": "final"}', "2.25"), ("2.5", "2.5"), ("no", "no")):
        (reply,) = ScriptedBackend([scripted]).rate([ask()])
        assert (reply.text, reply.finish) == (text, "rating")
        assert reply.rating is (scored.rating if scripted is scored else None)


def test_script_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    rating = {"values": [2, 4], "probs": [0.5, 0.5]}
    first = '"one\u2028\x85"\n\n'  # JSON may have them as they are; only a line feed ends a line
    path.write_text(first + json.dumps({"text": "two", "rating": rating, "finish": "length"}) + "\n", encoding="utf-8")
    backend = open_backend(f"scripted:{path}")
    later = (*ask(), Turn("assistant", "one"), *ask())
    one, two = backend.reply([ask(), later], Sampling())
    assert (one.text, one.rating, one.finish) == ("one\u2028\x85", None, "stop")
    assert two.rating is not None
    assert (two.text, two.rating.mean, two.finish) == ("two", 3.0, "length")
    other = tmp_path / "other.jsonl"
    other.write_text('"one"')
    assert open_backend(f"scripted:{other}").version != backend.version


@pytest.mark.parametrize(
    "content",
    ["", "one", '{"reply": "one"}', '"one"\n3', '{"text": "x", "rating": {"values": [9], "probs": [1]}}']
    + ['{"text": "x", "rating": {"values": [3]}}', '{"text": "x", "finish": "soon"}', '{"text": "x", "rating": 3}'],
)
def test_a_bad_script_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text(content)
    with pytest.raises(BackendError, match=r"script\.jsonl"):
        open_backend(f"scripted:{path}")
    with pytest.raises(BackendError, match="cannot be read"):
        open_backend(f"scripted:{tmp_path / 'missing.jsonl'}")


# digits


def test_there_are_401_ratings() -> None:
    assert (len(RATINGS), RATINGS[0], RATINGS[1], RATINGS[-1]) == (401, "1.00", "1.01", "5.00")


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 401), ("3", 100), ("3.", 100), ("3.4", 10), ("3.47", 1), ("5", 1), ("5.0", 1), ("3,", 1), ("3.4}", 1)]
    + [("0", 0), ("6", 0), ("3.475", 0), ("3.475,", 0), ("3.,", 0), (",", 0), ("x", 0), ("..", 0), ("35", 0)],
)
def test_how_many_ratings_a_text_can_become(text: str, count: int) -> None:
    assert len(consistent(text)) == count


def test_expansion_follows_every_way_to_write_a_rating() -> None:
    texts = {10 + n: str(n) for n in range(10)} | {1: ".", 2: " 3", 3: ",", 4: "47"}
    table: dict[tuple[int, ...], dict[int, float]] = {
        (): {13: 0.6, 2: 0.1, 15: 0.2, 99: 0.05, 3: 0.05},  # 3 | " 3" | 5 | not of a number | ,
        (13,): {1: 0.8, 3: 0.2},  # 3. or just 3
        (13, 1): {14: 0.5, 4: 0.5},  # 3.4 or 3.47
        (13, 1, 14): {17: 1.0 - 1e-4, 19: 1e-4},  # 3.47 or 3.49
        (2,): {1: 1.0},
        (2, 1): {4: 1.0},  # " 3.47"
        (15,): {1: 1.0},
        (15, 1): {10: 0.75, 13: 0.25},  # 5.0 or 5.3, which is no rating
        (15, 1, 10): {10: 1.0},
    }
    asked: list[list[tuple[int, ...]]] = []

    def next_tokens(branches: Sequence[Branch]) -> list[dict[int, float]]:
        asked.append([branch.ids for branch in branches])
        return [table[branch.ids] for branch in branches]

    found = expand_ratings([0], next_tokens, texts)[0]
    assert asked == [
        [()],
        [(13,), (2,), (15,)],
        [(13, 1), (2, 1), (15, 1)],
        [(13, 1, 14), (15, 1, 10)],
    ]  # one batch for each length
    weights = {3.0: 0.12, 3.47: 0.24 * (1 - 1e-4) + 0.24 + 0.1, 3.49: 0.24e-4, 5.0: 0.15}
    assert found == {f"{rating:.2f}": pytest.approx(weight) for rating, weight in weights.items()}
    d = distribution(found)
    total = sum(weights.values())  # 0.85 - 0.05 for 5.3
    assert d is not None and d.mean == pytest.approx(sum(value * weight for value, weight in weights.items()) / total)


def test_a_distribution_needs_most_of_the_probability() -> None:
    """A model that writes 3.47 in one token that is not listed, and 5 in one that is: 5 is not its rating."""
    texts = {1: ".", 15: "5", 10: "0"}

    def five(sure: float) -> RatingDistribution | None:
        table = {(): {15: sure}, (15,): {1: 1.0}, (15, 1): {10: 1.0}, (15, 1, 10): {10: 1.0}}
        mass = expand_ratings([0], lambda branches: [table[branch.ids] for branch in branches], texts)[0]
        return distribution(mass)

    assert five(0.79) is None
    enough = five(0.81)
    assert enough is not None and enough.mean == 5.0


def test_branches_of_all_rows_are_one_batch_and_rare_ones_are_not_followed() -> None:
    texts = {10 + n: str(n) for n in range(10)} | {1: ".", 3: "}"}
    sizes: list[int] = []

    def next_tokens(branches: Sequence[Branch]) -> list[dict[int, float]]:
        sizes.append(len(branches))
        steps = [{13: 0.6, 14: 0.4 - 5e-5, 12: 5e-5}, {1: 1.0}, {10 + n: 0.1 for n in range(10)}, {10: 1.0}]
        return [steps[len(branch.ids)] if branch.row else {13: 1.0, 3: 1.0} for branch in branches]

    found = expand_ratings([0, 4], next_tokens, texts)
    assert sizes == [2, 3, 2, 20]  # 2.xx, with 0.00005, is left out
    assert found[0] == {"3.00": 1.0}  # "3}"; 33 is no rating
    assert sum(found[4].values()) == pytest.approx(1 - 5e-5)
    assert len(found[4]) == 20 and found[4]["3.40"] == pytest.approx(0.06)


def test_the_probability_of_a_word_is_the_product_over_its_tokens() -> None:
    """good: 1 2; excellent: 1 3; bad: 4."""
    table = {(): {1: 0.5, 4: 0.1}, (1,): {2: 0.6, 3: 0.2}}
    words = {"good": (1, 2), "excellent": (1, 3), "bad": (4,)}
    found = expand_words([7], lambda branches: [table[branch.ids] for branch in branches], words)
    assert found == {7: {"good": pytest.approx(0.3), "excellent": pytest.approx(0.1), "bad": pytest.approx(0.1)}}
    d = level_distribution(found[7], {"excellent": 5.0, "good": 4.0, "fair": 3.0, "bad": 1.0})
    assert d is not None and d.mean == pytest.approx((0.1 * 5 + 0.3 * 4 + 0.1 * 1) / 0.5)
    assert level_distribution({"splendid": 1.0}, {"good": 4.0}) is None
