"""The vision side as one module: from the two small pictures of a view to all features that the heads give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.image import GRID
from snellen.snellen1.encoder import WIDTH, Encoder, ScoreHead, encode_mixed, regrid
from snellen.snellen1.fault_head import FaultHead
from snellen.snellen1.imagenet_network import ImagenetNetwork
from snellen.snellen1.layout import GRID_SIDE


class HeadOutputs(NamedTuple):
    """Features of N views, in the order of `snellen.snellen1.layout.VIEW_OUTPUTS`, which describes them."""

    kinds: Tensor
    severities: Tensor
    box: Tensor
    rating: Tensor
    score_head: Tensor
    summary: Tensor
    overview: Tensor
    fragments: Tensor


class Perception(nn.Module):
    """Encoder, score head, fault head and ImageNet network."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.score_head, self.fault_head, self.imagenet_network = (
            Encoder(), ScoreHead(), FaultHead(), ImagenetNetwork(),
        )  # fmt: skip

    @staticmethod
    def open(file: Path) -> Perception:
        """Load perception.pt, in evaluation mode."""
        perception = Perception()
        for part, state in torch.load(file, weights_only=True, map_location="cpu").items():
            getattr(perception, part).load_state_dict(state)
        perception.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return perception.eval()

    def save(self, file: Path) -> None:
        """Write the file that `open` loads."""
        torch.save({part: module.state_dict() for part, module in self.named_children()}, file)

    def cells(self, overviews: Sequence[np.ndarray], fragments: Sequence[np.ndarray]) -> Tensor:
        """Cell features of N views, (N, 2, CELL_FEATURES, GRID, GRID), from their small pictures as `View` holds
        them."""
        device = self.encoder.cell.weight.device
        both = [encode_mixed(self.encoder.everything, device, part) for part in (overviews, fragments)]
        return torch.stack([torch.stack([regrid(one, GRID, GRID) for one in pair]) for pair in zip(*both, strict=True)])

    def encoder_ratings(self, cells: Tensor) -> Tensor:
        """Ratings of N views by the score head, given their cell features: (N,), MOS, not clipped."""
        return self.score_head.rating(self.score_head.summarise(*cells[:, :, :WIDTH].unbind(1)))

    def heads(self, cells: Tensor, rating: Tensor, detail_cells: Tensor, detail_region: Tensor) -> HeadOutputs:
        """Features of N views.

        cells: of the views. rating (N,): their ratings by the photo rating head, kept as they are. detail_cells,
        detail_region (N, 4): of the views that the findings are read from, for a crop a closer one; regions are x0 y0
        x1 y1 in fractions of the picture.
        """
        vectors = cells[:, :, :WIDTH]
        summary = self.score_head.summarise(vectors[:, 0], vectors[:, 1])
        faults = self.fault_head(detail_cells)
        overview, fragments = (
            F.avg_pool2d(part, GRID // GRID_SIDE).flatten(2).transpose(1, 2) for part in vectors.unbind(1)
        )
        corner, size = detail_region[:, :2], detail_region[:, 2:] - detail_region[:, :2]
        box = corner.repeat(1, 2) + faults.box * size.repeat(1, 2)
        alone = self.score_head.rating(summary)
        kinds = faults.worst_kind.softmax(dim=1)
        return HeadOutputs(kinds, faults.severity_as, box, rating, alone, summary, overview, fragments)
