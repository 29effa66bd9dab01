"""Action tokens of snellen-1: the state machine, and encoding of decisions."""

from __future__ import annotations

import numpy as np
import pytest

from snellen.region import Region
from snellen.snellen1.actions import (
    CROP,
    FINAL,
    LONGEST,
    MOVE,
    PLACE,
    PLACES,
    SIDE,
    VIEW,
    VOCABULARY,
    allowed,
    decode,
    encode,
    row,
)
from snellen.snellen1.layout import Decision


def may(written: list[int], later: bool = False, last: bool = False) -> list[int]:
    return [int(token) for token in np.flatnonzero(allowed(written, later, last))]


def test_a_first_round_is_a_tool_and_for_a_crop_four_sides() -> None:
    assert may([]) == [CROP, FINAL]
    assert may([FINAL]) == []
    assert may([CROP]) == [SIDE + i for i in range(10)]
    assert may([CROP, SIDE + 9]) == [SIDE + i for i in range(10)]
    assert may([CROP, SIDE + 9, SIDE + 3]) == [SIDE + 10], "x1 is right of x0"
    assert may([CROP, SIDE + 2, SIDE + 7, SIDE + 6]) == [SIDE + i for i in (8, 9, 10)], "y1 is below y0"
    assert may([CROP, SIDE, SIDE, SIDE + 1, SIDE + 1]) == []


def test_a_later_round_begins_with_a_move_and_the_last_is_final() -> None:
    assert may([], later=True) == list(range(MOVE, VOCABULARY)) and VOCABULARY - MOVE == 21
    assert may([MOVE + 3], later=True) == [CROP, FINAL]
    assert may([MOVE + 3], later=True, last=True) == [FINAL]
    assert may([], last=True) == [FINAL]


def test_random_walks_give_valid_decisions_that_encode_to_themselves() -> None:
    rng = np.random.default_rng(0)
    for i in range(500):
        later = bool(i % 2)
        written: list[int] = []
        while options := may(written, later):
            written.append(int(rng.choice(options)))
        decision = decode(written, later)
        assert encode(decision, later) == written
        assert later or decision.move == 0.0


def test_boxes_are_rounded_to_tenths_and_moves_to_the_range() -> None:
    assert decode(encode(Decision("crop", Region(0.12, 0.26, 0.41, 0.78)), False), False).region == Region(
        0.1, 0.3, 0.4, 0.8
    )
    thin = decode(encode(Decision("crop", Region(0.98, 0.5, 1.0, 0.51)), False), False)
    assert thin.region == Region(0.9, 0.5, 1.0, 0.6)
    for move, wanted in ((0.12, 0.1), (-0.13, -0.15), (2.0, 0.5), (-2.0, -0.5)):
        assert decode(encode(Decision("final", None, move), True), True).move == pytest.approx(wanted)


@pytest.mark.parametrize("ids", [[], [CROP], [FINAL, FINAL], [MOVE], [CROP, SIDE + 10, SIDE, SIDE, SIDE]])
def test_what_is_no_complete_round_is_refused(ids: list[int]) -> None:
    with pytest.raises(ValueError, match="not (allowed|complete)"):
        decode(ids, False)


def test_a_row_holds_each_round_and_counts_positions_anew() -> None:
    ids, positions = row([[CROP, SIDE, SIDE, SIDE + 5, SIDE + 5], [MOVE]])
    first = 1 + PLACES + 5
    assert ids[0] == ids[first] == VIEW and ids[1 : 1 + PLACES] == [PLACE] * PLACES and ids[-1] == MOVE
    assert positions[:first] == list(range(first))
    assert positions[first:] == [LONGEST + i for i in range(PLACES + 2)]
