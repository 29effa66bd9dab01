"""Rating distribution from listed log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from scripted_server import token, tokens_of

from snellen.backend import RatingDistribution
from snellen.backends.rating_logprobs import (
    Choice,
    TokenTextError,
    choices_of,
    recover,
    spells,
)
from snellen.backends.rating_tokens import distribution


def distribution_of(prefix: str, choices: Sequence[Choice]) -> RatingDistribution | None:
    """The distribution that one reply shows, without asking for its branches."""
    found = recover(prefix, choices)
    return None if found is None else distribution(found.mass)


def choice(text: str, **alternatives: float) -> Choice:
    """Alternatives by probability; names d3 for "3", p for "."."""
    names = {"p": ".", **{f"d{n}": str(n) for n in range(10)}}
    return Choice(text, {names.get(name, name): math.log(p) for name, p in alternatives.items()})


UNSURE = [
    choice('{"rating": ', x=0.5),
    choice("3", d3=0.8, d4=0.2),
    choice(".", p=1.0),
    choice("4", d4=1.0),
    choice("7", d7=0.5, d9=0.5),
    choice(', "tool": "final"}', x=0.5),
]
"""3 (0.8) or 4 (0.2); then .4 for certain; then 7 (0.5) or 9 (0.5)."""


def test_mass_and_branches_worked_by_hand() -> None:
    found = recover("", UNSURE)
    assert found is not None
    assert found.mass == pytest.approx({"3.47": 0.4, "3.49": 0.4})
    assert found.branches == pytest.approx({"4": 0.2})  # 4.00 ... 4.99: nobody knows which
    assert found.before == '{"rating": '
    assert recover('{"rating": ', UNSURE[1:]) == found


def test_a_branch_is_not_spread_over_what_it_could_become() -> None:
    """0.8 is recovered: just enough. The mean is that of 3.47 and 3.49; spreading 4 evenly gave 3.683."""
    d = distribution_of("", UNSURE)
    assert d is not None and d.mean == pytest.approx(3.48)
    less = [UNSURE[0], choice("3", d3=0.79, d4=0.21), *UNSURE[2:]]
    assert distribution_of("", less) is None


def test_a_branch_that_was_followed_counts_with_its_probability() -> None:
    """4 goes on as 4.10 (0.75) or 4.20 (0.25): 0.4 * 3.47 + 0.4 * 3.49 + 0.2 * (0.75 * 4.1 + 0.25 * 4.2)."""
    found = recover("", UNSURE)
    assert found is not None and found.asked() == ["4"]
    more = recover(found.before + "4", [choice(".", p=1.0), choice("1", d1=0.75, d2=0.25), choice("0", d0=1.0)])
    joined = found.joined({"4": more})
    # the last digit of 4.2 is unknown: 4.20 ... 4.29 evenly
    assert joined["4.10"] == pytest.approx(0.15) and joined["4.25"] == pytest.approx(0.005)
    d = distribution(joined)
    assert d is not None and d.mean == pytest.approx(0.4 * 3.47 + 0.4 * 3.49 + 0.15 * 4.1 + 0.05 * 4.245)
    assert distribution(found.joined({"4": None})) is not None


def test_only_likely_branches_are_asked_for() -> None:
    found = recover('"rating": ', [choice("3", d3=0.5, d1=0.3, d2=0.1, d4=0.05, d5=0.03, x=0.01), Choice("}", {})])
    assert found is not None
    assert found.asked() == ["1", "2", "4"]
    assert found.mass["5.00"] == pytest.approx(0.03)  # what begins with 5 is 5.00
    rare = recover('"rating": ', [choice("3", d3=0.99, d4=0.009), Choice("}", {})])
    assert rare is not None and rare.asked() == []


def test_tokens_may_straddle_the_rating() -> None:
    straddling = [
        Choice('": ', {}),
        Choice(" 3.", {" 3.": math.log(0.5), " 2.": math.log(0.25), "3.": math.log(0.125), " x": math.log(0.125)}),
        Choice("47,", {"47,": math.log(0.5), "5,": math.log(0.5)}),
    ]
    found = recover('{"rating', straddling)
    assert found is not None
    assert found.mass == pytest.approx({"3.47": 0.25, "3.50": 0.25})
    assert found.branches == pytest.approx({"2.": 0.25, "3.": 0.125})
    joined = [Choice('": 3', {'": 3': math.log(0.75), '": 4': math.log(0.125), "x4": math.log(0.125)})]
    found = recover('{"rating', [*joined, Choice(".00", {".00": 0.0})])
    assert found is not None
    assert found.mass == pytest.approx({"3.00": 0.75})
    assert found.branches == pytest.approx({"4": 0.125})


def test_the_last_rating_counts_and_none_is_none() -> None:
    sure = [Choice(text, {text: 0.0}) for text in ('"rating": ', "2.00", ', "rating": ', "4.00")]
    d = distribution_of("", sure)
    assert d is not None and (d.mean, d.std) == (4.0, 0.0)
    quoted = [Choice(text, {text: 0.0}) for text in ('"rating": "', "2.5", '0"}')]
    d = distribution_of("", quoted)
    assert d is not None and d.mean == 2.5
    assert distribution_of("", sure[:1]) is None
    assert distribution_of("", []) is None
    assert distribution_of('"rating": ', [Choice("9.00", {"9.00": 0.0})]) is None
    assert distribution_of('"rating": ', [Choice("3.475", {"3.475": 0.0})]) is None
    unlisted = [Choice('"rating": ', {}), Choice("3.47", {"5": math.log(0.3)})]
    assert distribution_of("", unlisted) is None
    assert distribution_of("", [Choice('"rating": ', {}), Choice("3.47", {"3.47": math.log(0.79)})]) is None


def listed(*tokens: dict[str, Any]) -> list[Choice]:
    return choices_of({"content": list(tokens)})


def test_choices_of_a_completion() -> None:
    (one,) = listed(token("3", 0.75, d5=0.25))
    assert one.text == "3"
    assert one.alternatives == pytest.approx({"3": math.log(0.75), "5": math.log(0.25)})
    assert choices_of(None) == choices_of({}) == choices_of({"content": None}) == []
    bare = {"token": "x", "logprob": -1.0, "top_logprobs": None}
    assert listed(bare) == [Choice("x", {"x": -1.0})]


def test_a_point_shown_as_bytes_is_a_point() -> None:
    shown = [{"token": "bytes:\\x2e", "logprob": 0.0}, {"token": "?", "bytes": [0x2E], "logprob": 0.0}]
    for point in shown:
        pieces = listed(token('"rating": '), token("3"), point, token("4"), token("7"), token("}"))
        d = distribution_of("", pieces)
        assert d is not None and d.mean == pytest.approx(3.47)


def test_half_a_character_is_no_number() -> None:
    halves = [{"token": "\ufffd", "bytes": [byte], "logprob": 0.0} for byte in "é".encode()]
    choices = listed(*halves, token('"rating": '), token("2.00"))
    assert spells(choices, 'é"rating": 2.00')
    d = distribution_of("", choices)
    assert d is not None and d.mean == 2.0


@pytest.mark.parametrize(
    "wrong",
    [{"token": "x"}, {"logprob": 0.0}, {"token": "x", "logprob": 0.5}, {"token": "x", "logprob": float("nan")},
     {"token": "x", "logprob": None}, {"token": "x", "bytes": [300], "logprob": 0.0}],
)  # fmt: skip
def test_a_malformed_token_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        listed(wrong)


def test_token_ids_are_refused() -> None:
    with pytest.raises(TokenTextError, match="token_id:13"):
        listed({"token": "token_id:13", "logprob": 0.0})


def test_tokens_of_another_text_are_told() -> None:
    text = '{"rating": 3.47}'
    same = choices_of(tokens_of(text, "3.47"))
    assert spells(same, text) and spells(same, text + "\n")
    assert spells([*same, Choice("<|im_end|>", {})], text)
    assert spells([Choice('thinking: "rating": 1.00 ', {}), *same], text)
    assert not spells(same, '{"rating": 3.48}')
    assert not spells([*same, Choice(' "rating": 1.00', {})], text)
    assert not spells(same, "")
