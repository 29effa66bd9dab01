"""The rating head, by hand."""

from __future__ import annotations

import torch

from snellen.snellen1.rating_head import LEAST_STD, RatingHead, RatingInputs, crop_weight
from snellen.vocabulary import KINDS


def inputs(view_area: float, rating: float, first_rating: float) -> RatingInputs:
    kinds = torch.full((1, len(KINDS) + 1), 1.0 / (len(KINDS) + 1))
    numbers = (torch.tensor([one]) for one in (3.0, 0.25, view_area, rating, first_rating))
    return RatingInputs(kinds, kinds, *numbers)


def test_a_crop_weighs_less_than_the_first_view_the_less_it_shows() -> None:
    # a / (2 a + 0.3 (1 - a)): 0.25 / (0.5 + 0.225) and 1 / 2
    assert torch.allclose(crop_weight(torch.tensor([0.25, 1.0])), torch.tensor([0.25 / 0.725, 0.5]))


def test_an_untrained_head_rates_between_both_views() -> None:
    mean, std = RatingHead()(inputs(0.25, 2.0, 4.0))
    assert torch.allclose(mean, torch.tensor([4.0 - 2.0 * 0.25 / 0.725]))
    assert torch.allclose(std, torch.log(torch.tensor([2.0])) + LEAST_STD), "softplus(0) = log 2"


def test_the_standard_deviation_leaves_room_at_the_ends_of_the_scale() -> None:
    _, std = RatingHead()(inputs(1.0, 4.9, 4.9))
    assert torch.allclose(std, torch.tensor([LEAST_STD + 0.05]), atol=1e-6)
