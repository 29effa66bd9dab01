"""The rating head learns how far a fault moves the rating; its loss by hand."""

from __future__ import annotations

import math

import pytest
import torch

from snellen.region import FULL, Region
from snellen.snellen1.perception import HeadOutputs
from snellen.snellen1.rating_head import RatingHead, RatingInputs
from snellen.train.snellen1.rating_head import (
    RatingHeadOptions,
    Rounds,
    joined,
    log_probabilities,
    rating_inputs,
    rating_losses,
    train_rating_head,
    validate,
)
from snellen.vocabulary import KINDS

NOISE = 1 + KINDS.index("noise")


def rounds(count: int, rated: bool, cost: float) -> Rounds:
    """First rounds; noise in every second picture lowers its MOS by `cost` below the plain rating."""
    noisy = torch.arange(count) % 2 == 1
    kinds = torch.zeros(count, len(KINDS) + 1)
    kinds[~noisy, 0], kinds[noisy, NOISE] = 1.0, 1.0
    plain = torch.linspace(2.5, 4.0, count)
    one = torch.ones(count)
    inputs = RatingInputs(kinds, kinds, 3.0 * one, 0.2 * one, one, plain, plain)
    no = torch.zeros(count, dtype=torch.bool)
    return Rounds(inputs, plain - cost * noisy, torch.full((count,), rated), no, no)


def test_ratings_have_a_normal_distribution_over_the_grid() -> None:
    logs = log_probabilities(torch.tensor([3.0]), torch.tensor([0.1]))[0]
    assert logs.shape == (401,)
    assert logs.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    assert int(logs.argmax()) == 200
    assert (logs[200] - logs[210]).item() == pytest.approx(0.5, abs=1e-3), "one standard deviation off"
    assert logs[200].item() == pytest.approx(math.log(0.01 / (0.1 * math.sqrt(2 * math.pi))), abs=1e-3)


def test_a_right_rating_costs_the_least() -> None:
    torch.manual_seed(0)
    right, wrong = rounds(8, True, 0.0), rounds(8, True, 1.0)
    options = RatingHeadOptions()
    losses = rating_losses(RatingHead(), right, options), rating_losses(RatingHead(), wrong, options)
    assert (losses[1][1::2] > losses[0][1::2] + 1.0).all()
    assert torch.allclose(losses[1][::2], losses[0][::2], atol=0.05)


def test_a_fault_moves_the_rating_as_far_as_people_say() -> None:
    torch.manual_seed(0)
    head = RatingHead()
    options = RatingHeadOptions(steps=120, batch=64, warmup=1, rate=1e-2)
    train_rating_head(options, head, joined([rounds(60, True, 0.3), rounds(60, False, 0.9)]))
    test = rounds(20, True, 0.3)
    mean, _ = head(test.inputs)
    moved = (mean - test.inputs.rating)[1::2].mean().item()
    assert -0.45 < moved < -0.25, "nearer to the human cost, which weighs 8 to 1"
    found = validate(head, test)
    assert found["rated, first round"] > found["rated, first round, plain rating"]  # type: ignore[operator]
    assert found["synthetic, later round"] is None


def test_inputs_are_taken_from_the_right_view() -> None:
    def outputs(kind: int, rating: float, box: Region) -> HeadOutputs:
        kinds = torch.zeros(1, len(KINDS) + 1)
        kinds[0, kind] = 1.0
        severities = torch.arange(1.0, len(KINDS) + 1)[None]
        nothing = torch.zeros(1, 1)
        sides = torch.tensor([[box.x0, box.y0, box.x1, box.y1]])
        rated = torch.tensor([rating])
        return HeadOutputs(kinds, severities, sides, rated, rated, nothing, nothing, nothing)

    first, last = outputs(1, 4.0, FULL), outputs(3, 5.5, Region(0.0, 0.0, 0.5, 0.5))
    inputs = rating_inputs(first, last, torch.tensor([0.3]))
    assert inputs.kinds.argmax() == 3 and inputs.first_kinds.argmax() == 1
    assert inputs.severity.tolist() == [3.0], "of the kind that is likely"
    assert inputs.box_area.tolist() == [0.25]
    assert inputs.view_area.tolist() == pytest.approx([0.3])
    assert (inputs.rating.tolist(), inputs.first_rating.tolist()) == ([5.0], [4.0]), "clipped to the scale"
