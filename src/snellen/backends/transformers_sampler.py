"""Sampling of a batch in which every row has a random stream of its own, and what it records on the way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from snellen.options import Sampling


class RowSampler:
    """A logits processor that chooses the next token of each row; generation is then greedy over what it returns.

    `generate` of transformers draws all rows from one random stream, so a row would depend on the others.

    Args:
        sampling: temperature, top-p and top-k; 0 is greedy decoding.
        seeds: one for each row.
        kept: token ids, (K,), whose probabilities are recorded at every step.
        suppressed: token ids that are never chosen.

    Attributes:
        logprobs: for each step (B,) log-probabilities of the chosen tokens, at the sampling temperature.
        kept_probs: for each step (B, K) probabilities at temperature 1.
    """

    def __init__(
        self,
        sampling: Sampling,
        seeds: Sequence[int],
        kept: Tensor | None = None,
        suppressed: Sequence[int] = (),
    ) -> None:
        self.sampling = sampling
        self.streams = [torch.Generator().manual_seed(seed % 2**63) for seed in seeds]
        self.kept = kept
        self.suppressed = suppressed
        self.logprobs: list[Tensor] = []
        self.kept_probs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V) in which the chosen token of each row is the largest."""
        scores = scores.float()
        if self.suppressed:
            scores = scores.index_fill(1, torch.tensor(list(self.suppressed), device=scores.device), -torch.inf)
        whole = torch.log_softmax(scores, dim=-1)
        if self.kept is not None:
            self.kept_probs.append(whole[:, self.kept].exp().cpu())
        if self.sampling.temperature == 0.0:
            self.logprobs.append(whole.max(dim=-1).values.cpu())
            return scores
        ordered, tokens = (scores / self.sampling.temperature).sort(dim=-1, descending=True)
        logprobs = torch.log_softmax(restricted(ordered, self.sampling), dim=-1)
        draws = torch.stack([torch.rand(1, generator=stream, dtype=torch.float64) for stream in self.streams])
        cumulative = logprobs.double().exp().cumsum(dim=-1)
        # at most the last total, which rounding may leave below 1
        draws = draws.to(cumulative.device) * cumulative[:, -1:]
        places = torch.searchsorted(cumulative, draws, right=True).clamp(max=scores.shape[1] - 1)
        places = torch.minimum(places, logprobs.isfinite().sum(dim=-1, keepdim=True) - 1)
        self.logprobs.append(logprobs.gather(1, places)[:, 0].cpu())
        chosen = torch.full_like(scores, -torch.inf)
        return chosen.scatter(1, tokens.gather(1, places), 0.0)


def restricted(ordered: Tensor, sampling: Sampling) -> Tensor:
    """Return logits (B, V), in descending order, with minus infinity outside top-k and top-p.

    Nucleus sampling (Holtzman et al., arXiv 1904.09751) keeps the smallest set of tokens that holds top-p of the
    probability; top-k is applied first.
    """
    if sampling.top_k > 0:
        ordered = ordered.clone()
        ordered[:, sampling.top_k :] = -torch.inf
    if sampling.top_p < 1.0:
        probs = torch.softmax(ordered, dim=-1)
        before = probs.cumsum(dim=-1) - probs
        ordered = ordered.masked_fill(before >= sampling.top_p, -torch.inf)
    return ordered
