"""Sampling of a batch in which each row draws from its own random stream.

Rollouts of a group are equal conversations: with one stream for the batch they differ, but then depend on what else
is in it; with one seed for all they would be the same reply. `RowStreams` is a logits processor of transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from snellen.backend import Sampling
from snellen.train.action_head import NEVER


@dataclass
class RowStreams:
    """Draws each row's token by inversion of its cumulative distribution, and leaves only that token possible, so that
    greedy decoding of transformers takes it.

    seeds: of the rows. suppressed: ids that are never sampled. logprobs: one tensor (B,) a token that was drawn, at
    the sampling temperature.
    """

    sampling: Sampling
    seeds: Sequence[int]
    suppressed: Sequence[int]
    logprobs: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._streams = [torch.Generator().manual_seed(seed % 2**63) for seed in self.seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V) in which the drawn tokens have 0 and all others -inf."""
        scores = scores.float()
        if self.suppressed:
            scores = scores.index_fill(1, torch.tensor(list(self.suppressed), device=scores.device), NEVER)
        greedy = self.sampling.temperature == 0.0
        if not greedy:
            scores = nucleus(most(scores / self.sampling.temperature, self.sampling.top_k), self.sampling.top_p)
        logprobs = torch.log_softmax(scores, dim=1)
        if greedy:
            drawn = scores.argmax(dim=1)
        else:
            share = torch.tensor([1.0 - float(torch.rand((), generator=one)) for one in self._streams])  # (0, 1]
            mass = logprobs.double().exp().cumsum(dim=1)
            wanted = share.to(mass)[:, None] * mass[:, -1:]
            drawn = torch.searchsorted(mass, wanted)[:, 0].clamp(max=mass.shape[1] - 1)
        self.logprobs.append(logprobs.gather(1, drawn[:, None])[:, 0])
        return torch.full_like(scores, -torch.inf).scatter(1, drawn[:, None], 0.0)


def most(scores: Tensor, top_k: int) -> Tensor:
    """Keep the `top_k` most likely tokens of each row, (B, V), all for 0; the others get `NEVER`."""
    if top_k == 0 or top_k >= scores.shape[1]:
        return scores
    least = scores.topk(top_k, dim=1).values[:, -1:]
    return scores.masked_fill(scores < least, NEVER)


def nucleus(scores: Tensor, top_p: float) -> Tensor:
    """Keep the smallest set of most likely tokens whose probability reaches `top_p`, (B, V); the others get `NEVER`
    (Holtzman et al. 2020, arXiv 1904.09751)."""
    if top_p >= 1.0:
        return scores
    ordered, order = scores.sort(dim=1, descending=True)
    probability = torch.softmax(ordered, dim=1)
    dropped = probability.cumsum(dim=1) - probability >= top_p  # the token that reaches top_p stays
    return scores.scatter(1, order, ordered.masked_fill(dropped, NEVER))
