"""What the encoder and its heads say of looks: everything that the decoder is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from snellen.backends.bundled import GRID_SIDE
from snellen.backends.grid import likely_box, pool_grid
from snellen.model.vision import SUMMARY, WIDTH, Encoder, Glance, encode_mixed, regrid
from snellen.protocol import KINDS
from snellen.region import Region

CELLS = GRID_SIDE * GRID_SIDE


class Seen(NamedTuple):
    """What is said of N looks.

    summary (N, SUMMARY). overview, fragments (N, 25, WIDTH): pooled cells, rows first. rating (N,): the plain head's,
    1..5, unclipped. found (N, K + 2): the chances of no fault and of each kind, then the severity of the worst, 0..5.
    box (N, 4): where that is, x0 y0 x1 y1 in fractions of the whole picture.
    """

    summary: Tensor
    overview: Tensor
    fragments: Tensor
    rating: Tensor
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
        summary, overview, fragments, rating, found, box = torch.split(rows, list(SIZES), dim=1)
        cells = (len(rows), CELLS, WIDTH)
        return Seen(summary, overview.reshape(cells), fragments.reshape(cells), rating[:, 0], found, box)


SIZES = (SUMMARY, CELLS * WIDTH, CELLS * WIDTH, 1, len(KINDS) + 2, 4)
"""Numbers that each part of a look takes."""


@torch.no_grad()
def see(
    encoder: Encoder,
    glance: Glance,
    overviews: Sequence[np.ndarray],
    fragments: Sequence[np.ndarray],
    regions: Sequence[Region],
) -> Seen:
    """Look at N regions; overviews and fragments as `snellen.image.View` holds them. Left on the CPU."""
    wide, near = encode_mixed(encoder, overviews), encode_mixed(encoder, fragments)
    pools = torch.stack(
        [torch.cat([glance.pool(a[None])[0], glance.pool(b[None])[0]]) for a, b in zip(wide, near, strict=True)]
    )
    summary = glance.summary(pools)
    faults = glance.faults(
        torch.stack([regrid(a, *b.shape[1:]) for a, b in zip(wide, near, strict=True)]), torch.stack(near)
    )
    boxes = [
        likely_box(chances).within(region).to_list()
        for chances, region in zip(faults.chances.cpu().numpy(), regions, strict=True)
    ]
    overview, fragment = (
        torch.from_numpy(np.stack([pool_grid(one.cpu().numpy(), GRID_SIDE) for one in part])) for part in (wide, near)
    )
    seen = Seen(summary, overview, fragment, glance.rating(summary), faults.found, torch.tensor(boxes))
    return seen.to(torch.device("cpu"))
