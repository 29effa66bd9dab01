"""Beside stage 0: teach the heads of the glimpse, on what ImageNet's network says of pictures. It itself is left alone.

Each head learns from all folds of the pictures but its own, so for each picture there is one that never saw it. What
the decoder is told of training pictures is that one's rating: it has to learn how far a rating can be trusted, and
cannot from those of heads that know the picture.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from snellen.snellen1.imagenet_rater import HEADS, Glimpse
from snellen.train import best_device
from snellen.train.checkpoint import rate_at


@dataclass(frozen=True)
class GlimpseOptions:
    """steps of `real` looks at pictures that people rated and `synthetic` others; rate: the peak learning rate."""

    steps: int = 5000
    real: int = 48
    synthetic: int = 16
    rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 50
    synthetic_weight: float = 0.4
    seed: int = 0


@dataclass(frozen=True)
class Glimpses:
    """Looks to learn from, N in all: numbers (N, NUMBERS); mos (N,) on 1..5; fold (N,), see `fold_of`; real, trained
    (N,) bool: rated by people; neither held out nor a test picture."""

    numbers: Tensor
    mos: Tensor
    fold: Tensor
    real: Tensor
    trained: Tensor


def fold_of(group: str) -> int:
    """The head that does not learn from a picture, given its group of near-duplicates or the photograph it is of."""
    return zlib.crc32(Path(group).name.encode()) % HEADS


def train_glimpse(options: GlimpseOptions, glimpse: Glimpse, looks: Glimpses, log: Path) -> None:
    """Teach the heads in place; `log` gets a line of JSON for every hundred steps."""
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    device = best_device()
    known = looks.numbers[looks.trained & looks.real]
    glimpse.centre.copy_(known.mean(dim=0))
    glimpse.spread.copy_(known.std(dim=0) + 1e-3)
    glimpse.to(device).train()
    learned = [*glimpse.hidden.parameters(), glimpse.weight, glimpse.bias]
    optimizer = torch.optim.AdamW(learned, lr=options.rate, weight_decay=options.weight_decay)
    pools = [np.flatnonzero((looks.trained & (looks.real == real)).numpy()) for real in (True, False)]
    with log.open("w") as lines:
        lines.write(json.dumps(asdict(options)) + "\n")
        for step in range(options.steps):
            for group in optimizer.param_groups:
                group["lr"] = options.rate * rate_at(step, options.steps, options.warmup)
            counts = [n if len(pool) else 0 for pool, n in zip(pools, (options.real, options.synthetic), strict=True)]
            drawn = np.concatenate([rng.choice(pool, n) for pool, n in zip(pools, counts, strict=True) if n])
            rated = glimpse.heads(looks.numbers[drawn].to(device))
            loss = _loss(rated, looks, torch.from_numpy(drawn), options.synthetic_weight)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if (step + 1) % 100 == 0:
                lines.write(json.dumps({"step": step + 1, "loss": round(loss.item(), 4)}) + "\n")
    glimpse.taught.fill_(True)
    glimpse.cpu().eval()


def _loss(rated: Tensor, looks: Glimpses, drawn: Tensor, synthetic_weight: float) -> Tensor:
    """Mean over looks and over the heads that may learn from them; rated (n, HEADS)."""
    device = rated.device
    mos, fold, real = (part[drawn].to(device) for part in (looks.mos, looks.fold, looks.real))
    weight = torch.where(real, 1.0, synthetic_weight)[:, None]
    weight = weight * (fold[:, None] != torch.arange(HEADS, device=device))
    missed = F.smooth_l1_loss(rated, mos[:, None].expand_as(rated), beta=0.3, reduction="none")
    return (missed * weight).sum() / weight.sum()


@torch.no_grad()
def ratings(glimpse: Glimpse, looks: Glimpses) -> Tensor:
    """What the decoder is told, (N,): of a training picture the rating by the head that has not learned from it, of any
    other the mean of all."""
    each = torch.cat([glimpse.heads(part) for part in torch.split(looks.numbers, 1024)])
    return torch.where(looks.trained, each.gather(1, looks.fold[:, None])[:, 0], each.mean(dim=1))
