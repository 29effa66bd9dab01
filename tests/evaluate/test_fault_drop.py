"""What a fault costs, by hand."""

import math

import pytest

from snellen.evaluate.stats.fault_drop import Drop, Rated, drops, summary

CLEAN = (Rated("a", 0.0, 3.9, 3.8), Rated("a", 0.0, 4.1, 4.0))  # 4.0 by the first look, 3.9 by the last
BLURRED = Rated("a", 1.0, 3.6, 3.1)


def test_a_drop_is_from_the_clean_pictures_of_the_photograph_look_by_look() -> None:
    found = drops([*CLEAN, BLURRED])
    assert found[:2] == [None, None]
    assert found[2] == Drop(1.0, pytest.approx(0.4), pytest.approx(0.8)) and found[2].nearer
    assert drops([*CLEAN, Rated("b", 1.0, 3.6, 3.1)])[2] is None, "there is no clean picture of this photograph"


def test_to_be_farther_from_the_clean_than_wanted_is_an_error_too() -> None:
    (*_, drop) = drops([*CLEAN, Rated("a", 0.5, 3.6, 2.6)])  # 0.4 and 1.3 for 0.5
    assert drop is not None and not drop.nearer


def test_a_judge_that_rates_all_lower_has_the_same_drops() -> None:
    lower = [Rated(one.photograph, one.cost, one.first - 0.7, one.last - 0.7) for one in (*CLEAN, BLURRED)]
    assert drops(lower)[2] == Drop(1.0, pytest.approx(0.4), pytest.approx(0.8))


def test_means_and_the_share_that_came_nearer() -> None:
    found = summary([None, Drop(1.0, 0.4, 0.8), Drop(0.5, 0.4, 1.3)])
    assert found["pictures"] == 2 and found["wanted"] == 0.75
    assert found["first look"] == pytest.approx(0.4) and found["last look"] == pytest.approx(1.05)
    assert found["error, first look"] == pytest.approx(0.35) and found["error, last look"] == pytest.approx(0.5)
    assert found["nearer"][0] == 0.5 and found["nearer"][1] < 0.5 < found["nearer"][2]
    nothing = summary([None])
    assert nothing["pictures"] == 0 and math.isnan(nothing["wanted"]) and math.isnan(nothing["nearer"][0])
