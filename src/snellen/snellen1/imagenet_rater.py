"""The ImageNet rater: regression heads on EfficientNet-Lite0 with its ImageNet weights, which were never fine-tuned.

An encoder that is trained on the ratings of a few thousand pictures learns many of them by heart. Small heads with
strong dropout on all depths of the frozen network rank new pictures better than the trained encoder, and the errors
of the two differ. So the plain rating of a view is the mean of both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.snellen1.encoder import STAGES, Lite0

LAST = 1280
"""Channels behind the last block, from which ImageNet's classes are predicted."""
FEATURES = 2 * sum(stage[-1] for stage in STAGES) + LAST
"""Features of one picture."""
CLIP_STD = 4.0
"""Standard deviations from the mean at which a feature is clipped."""
HEADS, HIDDEN = 5, 64
"""Cross-fitting: each head is trained without one of HEADS folds, so that each picture has a head that never saw it."""
_ENDS = frozenset(sum(stage[0] for stage in STAGES[: i + 1]) - 1 for i in range(len(STAGES)))


class ImagenetRater(Lite0):
    """Rates overviews at most 224 px long (`snellen.snellen1.imagenet_view`).

    Input: (N, H, W, 3) uint8 or float in 0..255, H and W multiples of 32. Output: MOS on 1..5, unclipped.
    """

    trained: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(320, LAST, 1)
        self.register_buffer("trained", torch.tensor(False))
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("spread", torch.ones(FEATURES))
        self.hidden = nn.Linear(FEATURES, HEADS * HIDDEN)
        self.weight = nn.Parameter(torch.randn(HEADS, HIDDEN) / HIDDEN**0.5)
        self.bias = nn.Parameter(torch.zeros(HEADS))
        self.hide = nn.Dropout(0.5)

    def features(self, pictures: Tensor) -> Tensor:
        """Mean and standard deviation of each stage's output and the mean behind the last block, (N, FEATURES); signed
        square roots, because some are heavy-tailed."""
        parts = []
        levels = self.read(pictures, _ENDS)
        for level in levels:
            mean = level.mean(dim=(2, 3), keepdim=True)
            parts += [mean[:, :, 0, 0], ((level - mean) ** 2).mean(dim=(2, 3)).add(1e-6).sqrt()]
        parts.append(F.relu6(self.last(levels[-1])).mean(dim=(2, 3)))
        found = torch.cat(parts, dim=1).float()
        return found.sign() * found.abs().sqrt()

    def heads(self, features: Tensor) -> Tensor:
        """Rating of each head, (N, HEADS)."""
        x = ((features - self.centre) / self.spread).clamp(-CLIP_STD, CLIP_STD)
        x = self.hide(F.gelu(self.hidden(self.hide(x)))).unflatten(1, (HEADS, HIDDEN))
        out: Tensor = 3.0 + (x * self.weight).sum(dim=2) + self.bias
        return out

    def forward(self, pictures: Tensor) -> Tensor:
        """Mean rating of all heads, (N,)."""
        return self.heads(self.features(pictures)).mean(dim=1)
