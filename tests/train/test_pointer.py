"""What is told speaks for the right words, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from snellen.snellen1.rating_head import (
    GROUPS,
    TOLD,
    UNLIKE,
    WORST,
    Pointer,
    RatingPointer,
    in_favour,
    share_of,
    spoken_by,
)
from snellen.vocabulary import KINDS

NOISE = KINDS.index("noise")
SHOWN = 0.1
"""Area of the part looked at, as a fraction of the picture's."""
TOKENS = ["motion blur ", "blur", '{"kind": "noise', "severe ", "in the upper left ", "]}</answer>", "the ", "0.00"]


def told(kind: int | None, severity: float, box: tuple[float, float, float, float]) -> torch.Tensor:
    chances = torch.zeros(1 + len(KINDS))
    chances[0 if kind is None else 1 + kind] = 1.0
    return torch.cat([chances, torch.tensor([severity / 5.0, *box, SHOWN, 3.0]), chances, torch.tensor([4.0])])[None]


def test_the_longest_name_counts() -> None:
    table = spoken_by(TOKENS)
    named = {token: table[:, i].nonzero()[0].tolist() for i, token in enumerate(TOKENS)}
    places = GROUPS[0] + GROUPS[1]
    assert named == {
        "motion blur ": [1 + KINDS.index("motion blur")],
        "blur": [1 + KINDS.index("blur")],
        '{"kind": "noise': [1 + NOISE],
        "severe ": [GROUPS[0] + 4],
        "in the upper left ": [places],
        "]}</answer>": [0],
        "the ": [],
        "0.00": [],
    }
    assert not spoken_by(["]}]}</answer>"]).any(), "closes a list that holds issues"
    assert spoken_by(["mosquito noise "])[:, 0].nonzero()[0].tolist() == [1 + KINDS.index("compression")]


def test_what_is_told_is_favoured_in_each_group() -> None:
    told_of = told(NOISE, 4.2, (0.05, 0.7, 0.25, 0.9))
    favour = in_favour(told_of)
    assert told_of.shape == (1, TOLD) and favour.shape == (1, sum(GROUPS))
    kind, severity, place = favour[0].split(list(GROUPS))
    assert kind.argmax() == 1 + NOISE and severity.argmax() == 3
    assert place.argmax() == 6, "lower left: the third row's first"
    assert favour.max() == 0.0 and favour.min() >= WORST
    assert severity[4].item() == pytest.approx(-0.5 * (0.8**2 - 0.2**2) / 0.7**2, abs=1e-4)


def test_both_looks_speak_for_a_kind() -> None:
    now = told(NOISE, 3.0, (0.0, 0.0, 0.5, 0.5))
    now[0, -1 - GROUPS[0] : -1] = told(None, 0.0, (0.0, 0.0, 1.0, 1.0))[0, : GROUPS[0]]
    kind = in_favour(now)[0, : GROUPS[0]]
    assert kind[0].item() == kind[1 + NOISE].item() == 0.0 and kind.sort().values[-3] < -3.0


def test_where_no_fault_is_likely_every_severity_is_held_back() -> None:
    severity = in_favour(told(None, 3.0, (0.0, 0.0, 0.5, 0.5)))[0, GROUPS[0] : GROUPS[0] + GROUPS[1]]
    assert severity.tolist() == [WORST] * 5
    unsure = told(NOISE, 3.0, (0.0, 0.0, 0.5, 0.5))
    unsure[0, 0], unsure[0, 1 + NOISE] = 0.5, 0.5
    unsure[0, -1 - GROUPS[0] : -1] = unsure[0, : GROUPS[0]]
    severity = in_favour(unsure)[0, GROUPS[0] : GROUPS[0] + GROUPS[1]]
    assert severity[2].item() == pytest.approx(np.log(0.51), abs=1e-4)


def test_a_large_box_is_the_whole_picture() -> None:
    place = in_favour(told(None, 1.0, (0.0, 0.0, 1.0, 1.0)))[0, -10:]
    assert place.argmax() == 9 and place[4] < -2.0


def test_closed_gates_add_nothing_and_open_ones_point() -> None:
    pointer = Pointer(700, 8, 4)
    hidden = torch.ones(1, 8)
    told_of = told(NOISE, 3.0, (0.10, 0.20, 0.30, 0.40))
    assert not pointer(hidden, told_of).any()
    with torch.no_grad():
        pointer.gates.bias[-1] = 2.0  # the lower side of the box
    added = pointer(hidden, told_of)[0]
    assert added.argmax() == 0 and not added[:4].any() and not added[105:].any(), "numbers from 0.00 to 1.00 only"
    numbers = added[4:105]
    assert numbers.argmax() == 40 and numbers[45].item() == pytest.approx(2.0 * -0.5, abs=1e-4)
    assert numbers[0].item() == pytest.approx(2.0 * WORST)


def test_what_other_tokens_mean_is_learned() -> None:
    pointer = Pointer(700, 8, 4)
    sure, clean = told(NOISE, 3.0, (0.10, 0.20, 0.30, 0.40)), told(None, 3.0, (0.10, 0.20, 0.30, 0.40))
    with torch.no_grad():
        pointer.meant.weight[3, 0] = 0.5  # token 3 is said where there is no fault
        pointer.meant_gates.bias[0] = 2.0
    assert pointer(torch.ones(1, 8), sure)[0, 3].item() == pytest.approx(0.5 * 2.0 * WORST)
    assert not pointer(torch.ones(1, 8), clean).any()


def test_a_part_counts_by_how_much_of_the_picture_it_shows() -> None:
    shares = share_of(torch.tensor([0.0, 0.1, 0.5, 1.0]))
    assert shares.tolist() == pytest.approx([0.0, 0.1 / (0.2 + 0.9 * UNLIKE), 0.5 / (1.0 + 0.5 * UNLIKE), 0.5])


def test_a_rating_lies_between_those_of_the_looks() -> None:
    rater = RatingPointer(8)
    told_of = told(NOISE, 3.0, (0.10, 0.20, 0.30, 0.40))  # 3.0 here, 4.0 at first
    between = 4.0 - share_of(torch.tensor(SHOWN)).item()
    logits = rater(torch.ones(1, 8), told_of)[0]
    assert 1.0 + 0.01 * logits.argmax().item() == pytest.approx(between, abs=0.005)
    spread = 0.1 + 0.5 * (5.0 - between)
    assert spread < 0.1 + math.log(2.0), "that is wanted, but the end of the scale is near"
    assert logits[375].item() == pytest.approx(-0.5 * ((4.75 - between) / spread) ** 2, abs=1e-3)
    with torch.no_grad():
        rater.move[0].weight[0, 1 + NOISE] = 20.0  # far from nothing, where GELU is straight
        rater.move[0].bias[0] = 0.0
        rater.move[2].weight[0, 0] = -0.5 / 20.0
    moved = 1.0 + 0.01 * rater(torch.ones(1, 8), told_of)[0].argmax().item()
    assert moved == pytest.approx(between - 0.5, abs=0.01)
