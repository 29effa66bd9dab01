"""The rating head: the rating of a round from the plain ratings and the findings of its views.

The mean of a round's rating lies between the plain ratings of the first view and of this one, and is moved by the
finding. The move reads the finding alone: the probability of each kind, severity, area, and the rating without them. A
head that could read the encoder's features here learned the labels of the training pictures by heart.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from snellen.vocabulary import KINDS

CROP_VARIANCE = 0.3
"""Factor by which the rating of a crop errs more than that of the whole picture, see `crop_weight`; chosen on held-out
photographs."""
LEAST_STD = 0.1
"""Smallest standard deviation of a rating, MOS: people do not agree on less."""
MIDDLE = 3.0
"""Middle of the rating scale."""
HIDDEN = 32
"""Width of the hidden layers."""


class RatingInputs(NamedTuple):
    """Inputs for N rounds. kinds, first_kinds (N, K + 1): of this view and of the first. severity (N,): expected, 1..5.
    box_area, view_area (N,): fractions of the picture. rating, first_rating (N,): plain ratings, MOS."""

    kinds: Tensor
    first_kinds: Tensor
    severity: Tensor
    box_area: Tensor
    view_area: Tensor
    rating: Tensor
    first_rating: Tensor


class RatingHead(nn.Module):
    """Mean and standard deviation of the normal distribution over a round's rating."""

    def __init__(self) -> None:
        super().__init__()
        self.move = _mlp()
        self.width = _mlp()

    def forward(self, inputs: RatingInputs) -> tuple[Tensor, Tensor]:
        """Return mean (N,), MOS and not clipped, and standard deviation (N,).

        Near an end of the scale a wide distribution would be cut off, so the standard deviation is at most LEAST_STD
        plus half of the distance to that end.
        """
        weight = crop_weight(inputs.view_area)
        between = weight * inputs.rating + (1.0 - weight) * inputs.first_rating
        likely = 0.5 * (inputs.kinds + inputs.first_kinds)
        rest = torch.stack([inputs.severity / 5.0, inputs.box_area, between - MIDDLE], dim=1)
        finding = torch.cat([likely, rest], dim=1)
        mean = between + self.move(finding)[:, 0]
        std = nn.functional.softplus(self.width(finding)[:, 0]) + LEAST_STD
        room = 0.5 * torch.minimum(mean - 1.0, 5.0 - mean).clamp_min(0.0)
        return mean, torch.minimum(std, LEAST_STD + room)


def _mlp() -> nn.Sequential:
    last = nn.Linear(HIDDEN, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(len(KINDS) + 4, HIDDEN), nn.GELU(), last)


def crop_weight(area: Tensor) -> Tensor:
    """Return the weight, 0..1/2, of the rating of a view that shows `area` of the picture, beside the first view's.

    a / (2 a + c (1 - a)) with c = CROP_VARIANCE: the weights of least variance for two ratings of which the first has
    variance v and the crop's, which cannot know the rest of the picture, v (1 + c (1 - a) / a). Not learned: on
    pictures that the plain rating was trained on the first rating errs too little for a later view to get any weight.
    """
    return area / (2.0 * area + CROP_VARIANCE * (1.0 - area))
