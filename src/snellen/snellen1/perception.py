"""The whole vision side: from the two small pictures of a look to everything that the decoder is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.backends.onnx import GRID_SIDE
from snellen.image import GRID
from snellen.snellen1.encoder import SUMMARY, WIDTH, Encoder, Glance, encode_mixed, regrid
from snellen.snellen1.fault_head import FaultHeads
from snellen.snellen1.imagenet_rater import Glimpse
from snellen.snellen1.imagenet_view import imagenet_view
from snellen.vocabulary import KINDS

CELLS = GRID_SIDE * GRID_SIDE


class Seen(NamedTuple):
    """What is said of N looks.

    summary (N, SUMMARY). overview, fragments (N, 25, WIDTH): pooled cells, rows first. rating (N,): the plain one,
    1..5, unclipped: the mean of the encoder's and the glimpse's. shown (N,): the area of the region looked at, as a
    fraction of the picture's. found (N, K + 2): the chances of no fault and of each kind, then the severity of the
    worst, in fifths. box (N, 4): where that is, x0 y0 x1 y1 in fractions of the whole picture.
    """

    summary: Tensor
    overview: Tensor
    fragments: Tensor
    rating: Tensor
    shown: Tensor
    found: Tensor
    box: Tensor

    def to(self, device: torch.device) -> Seen:
        """The same on another device."""
        return Seen(*(part.to(device) for part in self))

    def packed(self) -> Tensor:
        """One row per look, (N, sum of SIZES)."""
        return torch.cat([part.flatten(1) if part.dim() > 1 else part[:, None] for part in self], dim=1)

    @staticmethod
    def unpack(rows: Tensor) -> Seen:
        """The inverse of `packed`."""
        summary, overview, fragments, rating, shown, found, box = torch.split(rows, list(SIZES), dim=1)
        cells = (len(rows), CELLS, WIDTH)
        return Seen(summary, overview.reshape(cells), fragments.reshape(cells), rating[:, 0], shown[:, 0], found, box)


SIZES = (SUMMARY, CELLS * WIDTH, CELLS * WIDTH, 1, 1, len(KINDS) + 2, 4)
"""Numbers that each part of a look takes."""


class Vision(nn.Module):
    """Encoder, glance and fault heads on it, and the glimpse beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.glance, self.faults, self.glimpse = Encoder(), Glance(), FaultHeads(), Glimpse()

    @staticmethod
    def open(file: Path, *, whole: bool = True) -> Vision:
        """Read vision.pt; ready to be asked. ValueError when it is to be `whole` and nobody taught its glimpse yet."""
        vision = Vision()
        for part, state in torch.load(file, weights_only=True, map_location="cpu").items():
            getattr(vision, part).load_state_dict(state)
        if whole and not vision.glimpse.taught:
            raise ValueError(f"{file}: its glimpse was not taught; runs/glimpse.py does that")
        vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return vision.eval()

    def save(self, file: Path) -> None:
        """Write what `open` reads."""
        torch.save({part: module.state_dict() for part, module in self.named_children()}, file)

    def cells(self, overviews: Sequence[np.ndarray], fragments: Sequence[np.ndarray]) -> Tensor:
        """What the encoder says of the cells of N looks, (N, 2, SAID, GRID, GRID); pictures as `View` holds them."""
        device = self.encoder.cell.weight.device
        both = [encode_mixed(self.encoder.everything, device, part) for part in (overviews, fragments)]
        return torch.stack([torch.stack([regrid(one, GRID, GRID) for one in pair]) for pair in zip(*both, strict=True)])

    def glimpses(self, overviews: Sequence[np.ndarray]) -> Tensor:
        """What the glimpse rates the overviews of N looks, (N,)."""
        small = [imagenet_view(np.ascontiguousarray(overview)) for overview in overviews]
        return torch.stack(encode_mixed(self.glimpse, self.encoder.cell.weight.device, small))

    def rate(self, cells: Tensor) -> Tensor:
        """The encoder's own ratings of N looks, given their cells: (N,), 1..5, unclipped."""
        return self.glance.rating(self.glance.summarise(*cells[:, :, :WIDTH].unbind(1)))

    def judge(
        self, cells: Tensor, regions: Tensor, glimpses: Tensor, near: tuple[Tensor, Tensor] | None = None
    ) -> Seen:
        """What is said of N looks, given cells, the regions looked at, x0 y0 x1 y1 (N, 4), and glimpses (N,). near:
        cells and regions of the closer looks that the findings are taken from; None for these looks themselves."""
        vectors = cells[:, :, :WIDTH]
        summary = self.glance.summarise(vectors[:, 0], vectors[:, 1])
        searched, where = near or (cells, regions)
        faults = self.faults(searched)
        overview, fragments = (
            F.avg_pool2d(part, GRID // GRID_SIDE).flatten(2).transpose(1, 2) for part in vectors.unbind(1)
        )
        corner, size = where[:, :2], where[:, 2:] - where[:, :2]
        box = corner.repeat(1, 2) + faults.box * size.repeat(1, 2)
        rating = 0.5 * (self.glance.rating(summary) + glimpses)
        shown = (regions[:, 2:] - regions[:, :2]).prod(dim=1)
        return Seen(summary, overview, fragments, rating, shown, faults.found, box)
