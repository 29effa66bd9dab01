"""After stage 1: teach what points at the rating by itself, with the decoder as it is.

The few hundred weights of `RatingPointer` see all that is read off at a rating's place, which no longer changes and is
computed once. Human ratings weigh more than synthetic ones here: the plain head may have missed the fault of a
synthetic picture, but has learned to count those of photographs, so a finding should move their rating less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from snellen.backends.onnx import token_id
from snellen.snellen1.decoder import Decoder, laid_out
from snellen.snellen1.rating_head import RatingPointer
from snellen.train.checkpoint import rate_at
from snellen.train.sft import SeenLooks, SftOptions, number_targets
from snellen.train.snellen1.batch import RATING, Row, collate

GRID = 1.0 + 0.01 * torch.arange(401)
BATCH, RATE = 512, 3e-3


@dataclass(frozen=True)
class Places:
    """Where ratings are read, N in all: hidden (N, width), told (N, TOLD), target (N,); real, late (N,) bool.

    real: rated by people. late: in a later round.
    """

    hidden: Tensor
    told: Tensor
    target: Tensor
    real: Tensor
    late: Tensor


@torch.no_grad()
def places(model: Decoder, rows: Sequence[Row], real: Sequence[bool], tokenizer: Tokenizer, seen: SeenLooks) -> Places:
    """All ratings that `rows` teach. real: for each row, whether people rated the picture."""
    image = token_id(tokenizer, "<image>")
    device = model.embedding.weight.device
    parts: list[list[Tensor]] = []
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
    for begin in range(0, len(order), 64):
        chosen = order[begin : begin + 64]
        batch = collate([rows[i] for i in chosen], image).to(device)
        looks = laid_out(model.see(seen.take(batch.looks).to(device)), batch.is_look)
        positions = torch.arange(batch.ids.shape[1], device=device).expand_as(batch.ids)
        with torch.autocast(device.type, torch.bfloat16):
            hidden = model(batch.ids, looks, positions, batch.keys)[0]
        at = batch.role[:, 1:] == RATING
        row = at.nonzero()[:, 0].cpu()
        rated = torch.tensor([real[i] for i in chosen])[row]
        late = torch.tensor([len(rows[i].looks) > 1 for i in chosen])[row]
        told = looks[:, :-1][at][:, model.shape.width :]
        parts.append([hidden[:, :-1][at].float().cpu(), told.cpu(), batch.target[:, 1:][at].cpu(), rated, late])
    return Places(*(torch.cat(those) for those in zip(*parts, strict=True)))


def losses(rater: RatingPointer, all_of: Places, chosen: Tensor, weight: Tensor) -> Tensor:
    """As `sft_losses` has them for ratings, weighted: (N,) -> a number."""
    options = SftOptions()
    rated = rater(all_of.hidden[chosen], all_of.told[chosen])
    target = all_of.target[chosen]
    soft = number_targets(target, 1.0, 401, options.rating_spread)
    distance = -(soft * rated.log_softmax(dim=1)).sum(dim=1)
    expected = rated.softmax(dim=1) @ GRID
    distance = distance + options.expectation_weight * F.smooth_l1_loss(expected, target, beta=0.3, reduction="none")
    out: Tensor = (distance * weight).sum() / weight.sum()
    return out


def train_rater(rater: RatingPointer, train: Places, real_weight: float, steps: int) -> None:
    """Train in place. real_weight: of a human rating, where a synthetic one weighs 1."""
    optimizer = torch.optim.AdamW(rater.parameters(), lr=RATE, weight_decay=0.0)
    weight = torch.where(train.real, real_weight, 1.0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * rate_at(step, steps, 50)
        chosen = torch.randint(len(weight), (BATCH,))
        optimizer.zero_grad()
        losses(rater, train, chosen, weight[chosen]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
