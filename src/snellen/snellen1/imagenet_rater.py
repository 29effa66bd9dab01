"""A second opinion on the score: EfficientNet-Lite0 as ImageNet left it, which has never seen a rating.

An encoder that is taught the ratings of a few thousand pictures learns many of them by heart, and with them to tell
those pictures apart rather than good from bad. A network that is left alone has nothing to remember: what small heads
with strong dropout read from all of its depths ranks new pictures better than the trained encoder does, and the two
miss differently (docs/log). So the plain rating of a look is the mean of both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.snellen1.encoder import STAGES, Lite0

LAST = 1280
"""Channels behind the last block: what ImageNet's classes are told from."""
NUMBERS = 2 * sum(stage[-1] for stage in STAGES) + LAST
"""Numbers that are read off one picture."""
FARTHEST = 4.0
"""Standard deviations from the mean at which a number is cut off."""
HEADS, HIDDEN = 5, 64
"""Each head learns without one of HEADS folds of the pictures, so that there is one that has not seen it for each."""
_ENDS = frozenset(sum(stage[0] for stage in STAGES[: i + 1]) - 1 for i in range(len(STAGES)))


class Glimpse(Lite0):
    """Overviews at most IMAGENET_SIDE px long (`imagenet_view`) to ratings.

    Input: (N, H, W, 3) uint8 or float in 0..255, H and W multiples of 32. Output: MOS on 1..5, unclipped.
    """

    taught: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(320, LAST, 1)
        self.register_buffer("taught", torch.tensor(False))
        self.register_buffer("centre", torch.zeros(NUMBERS))
        self.register_buffer("spread", torch.ones(NUMBERS))
        self.hidden = nn.Linear(NUMBERS, HEADS * HIDDEN)
        self.weight = nn.Parameter(torch.randn(HEADS, HIDDEN) / HIDDEN**0.5)
        self.bias = nn.Parameter(torch.zeros(HEADS))
        self.hide = nn.Dropout(0.5)

    def numbers(self, pictures: Tensor) -> Tensor:
        """Mean and spread of what each stage ends with, and the mean of what lies behind the last, (N, NUMBERS); square
        roots, signed, because some are seldom large."""
        parts = []
        levels = self.read(pictures, _ENDS)
        for level in levels:
            mean = level.mean(dim=(2, 3), keepdim=True)
            parts += [mean[:, :, 0, 0], ((level - mean) ** 2).mean(dim=(2, 3)).add(1e-6).sqrt()]
        parts.append(F.relu6(self.last(levels[-1])).mean(dim=(2, 3)))
        found = torch.cat(parts, dim=1).float()
        return found.sign() * found.abs().sqrt()

    def heads(self, numbers: Tensor) -> Tensor:
        """What each head rates, (N, HEADS)."""
        x = ((numbers - self.centre) / self.spread).clamp(-FARTHEST, FARTHEST)
        x = self.hide(F.gelu(self.hidden(self.hide(x)))).unflatten(1, (HEADS, HIDDEN))
        out: Tensor = 3.0 + (x * self.weight).sum(dim=2) + self.bias
        return out

    def forward(self, pictures: Tensor) -> Tensor:
        """The mean of all heads, (N,)."""
        return self.heads(self.numbers(pictures)).mean(dim=1)
