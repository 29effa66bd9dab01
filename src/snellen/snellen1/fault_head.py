"""The fault head: kind, severity and box of the worst fault in a view, from the frozen encoder's cell features."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.snellen1.encoder import CELL_FEATURES, WIDTH
from snellen.vocabulary import KINDS

LIKELY = 0.12
"""Probability of a fault from which on a cell adds to a box."""
REDUCED, CONTEXT = 192, 128
"""Channels of the hidden layers."""
CLIP_STD = 6.0
"""Standard deviations from the mean at which a cell feature is clipped."""


class Faults(NamedTuple):
    """Outputs for N views; kinds are logits over "no fault" and KINDS, severities are on 0..5.

    kind (N, K + 1, h, w) and severity (N, h, w): of each cell. worst_kind (N, K + 1): of the worst fault in the view;
    severity_as (N, K): its severity if it is of each kind.
    """

    kind: Tensor
    severity: Tensor
    worst_kind: Tensor
    severity_as: Tensor

    @property
    def worst_severity(self) -> Tensor:
        """Expected severity of the worst fault, if there is one: the mean over the kinds that it may be, (N,)."""
        return (self.worst_kind[:, 1:].softmax(dim=1) * self.severity_as).sum(dim=1)

    @property
    def box(self) -> Tensor:
        """Box of the fault, see `likely_box`: (N, 4)."""
        return likely_box(1.0 - self.kind.softmax(dim=1)[:, 0])


class FaultHead(nn.Module):
    """Judges each cell beside its neighbours and the whole view: a local fault differs from the rest of the picture.

    Input: cell features of N views, overview and fragments, (N, 2, CELL_FEATURES, h, w). The cell vectors in it are
    left out: they were trained for the score, and the four depths and the measurements predict faults better.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.BatchNorm2d(2 * (CELL_FEATURES - WIDTH), affine=False)
        self.reduce = nn.Conv2d(2 * (CELL_FEATURES - WIDTH), REDUCED, 1)
        self.context = nn.Sequential(
            nn.Conv2d(2 * REDUCED, CONTEXT, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(CONTEXT, CONTEXT, 3, padding=2, dilation=2),
            nn.GELU(),
            nn.Conv2d(CONTEXT, CONTEXT, 3, padding=1),
            nn.GELU(),
        )
        self.kind = nn.Conv2d(CONTEXT, len(KINDS) + 1, 1)  # 0 is "no fault"
        self.severity = nn.Conv2d(CONTEXT, 1, 1)
        self.whole = nn.Sequential(nn.Dropout(0.1), nn.Linear(2 * CONTEXT, REDUCED), nn.GELU(), nn.Dropout(0.1))
        self.worst_kind = nn.Linear(REDUCED, len(KINDS) + 1)
        self.severity_as = nn.Linear(REDUCED, len(KINDS))
        self.hide = nn.Dropout2d(0.1)

    def forward(self, cells: Tensor) -> Faults:
        both = torch.cat([cells[:, 0, WIDTH:], cells[:, 1, WIDTH:]], dim=1)
        both = self.scale(both).clamp(-CLIP_STD, CLIP_STD)
        near = F.gelu(self.reduce(self.hide(both)))
        beside = self.context(torch.cat([near, near.mean(dim=(2, 3), keepdim=True).expand_as(near)], dim=1))
        whole = self.whole(torch.cat([beside.mean(dim=(2, 3)), beside.amax(dim=(2, 3))], dim=1))
        return Faults(
            self.kind(beside), self.severity(beside)[:, 0], self.worst_kind(whole), 3.0 + self.severity_as(whole)
        )


def likely_box(probability: Tensor, likely: float = LIKELY) -> Tensor:
    """The rectangle of cells that a fault covers, given its probability in each: (N, h, w) -> x0 y0 x1 y1 (N, 4) in
    fractions of the view. It maximises the sum of (probability - likely); where no cell reaches `likely`, it is the
    one that comes closest."""
    h, w = probability.shape[1:]
    top, bottom, rows = _spans(h, probability.device)
    left, right, columns = _spans(w, probability.device)
    gain = rows @ (probability - likely) @ columns.T
    best = gain.flatten(1).argmax(dim=1)
    row, column = best // len(left), best % len(left)
    return torch.stack([left[column] / w, top[row] / h, right[column] / w, bottom[row] / h], dim=1)


def _spans(n: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """All runs of consecutive cells out of n: first, one past the last, and the cells in each, (runs, n)."""
    runs = torch.tensor([(a, b) for a in range(n) for b in range(a + 1, n + 1)], dtype=torch.float32, device=device)
    first, end = runs.unbind(dim=1)
    cells = torch.arange(n, device=device)
    return first, end, ((cells >= first[:, None]) & (cells < end[:, None])).float()
