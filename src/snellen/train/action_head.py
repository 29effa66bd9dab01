"""Log-probabilities of the sampled tokens straight from a language model's last hidden states, some tokens at a time.

A vocabulary of 152,064 makes logits of 0.6 MB a token. Here no table (N actions, V words) is kept, neither in the
forward nor for the backward pass: each chunk of `CHUNK` actions is computed, reduced to four numbers an action, and
computed again in the backward pass (activation checkpointing). KL to the reference policy is exact all the same,
because of the reference only the hidden states are kept, (N, width).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from snellen.backend import BackendError
from snellen.train.regularizers import exact_entropy, exact_kl

CHUNK = 256
"""Actions whose logits exist at one time."""
NEVER = -1e9
"""Logit of a token that is never sampled."""


@dataclass(frozen=True)
class Places:
    """N actions in a padded batch: row and at (N,): the batch row, and the place of the action's token in it. tokens
    (N,): their ids. suppressed: ids that are never sampled, because they stand for pictures."""

    row: Tensor
    at: Tensor
    tokens: Tensor
    suppressed: Sequence[int]

    def hidden(self, states: Tensor) -> Tensor:
        """Return the hidden states that predict the actions, (N, width), from those of a batch (B, T, width)."""
        return states[self.row, self.at - 1]


@contextmanager
def output_layer(model: Any, compute: Callable[[nn.Linear, Tensor], Tensor]) -> Iterator[None]:
    """Let the output layer return `compute(layer, hidden states)` as the model's logits, so that the whole model runs
    as ever, hooks of FSDP and checkpointing included. Raises BackendError for a model that alters logits afterwards."""
    config = model.config.get_text_config()
    for name in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        if getattr(config, name, None) not in (None, 1, 1.0):
            raise BackendError(f"{model.config.model_type}: {name} alters logits after the output layer; not supported")
    layer = model.get_output_embeddings()
    layer.forward = lambda states: compute(layer, states)
    try:
        yield
    finally:
        del layer.forward  # the class's own shows again


def action_numbers(layer: nn.Linear, states: Tensor, places: Places, reference: Tensor | None) -> Tensor:
    """Return log-probability, entropy, KL(policy || reference) and the reference's log-probability of each action,
    (N, 4) float32, nats.

    states (B, T, width): of a batch, under the policy. reference (N, width): hidden states of the actions under the
    reference policy; None gives zeros for it.
    """
    hidden = places.hidden(states)
    chunks = []
    for begin in range(0, len(hidden), CHUNK):
        part = slice(begin, begin + CHUNK)
        ref = None if reference is None else reference[part]
        chunks.append(
            checkpoint(_numbers, layer, hidden[part], places.tokens[part], places.suppressed, ref, use_reentrant=False)
        )
    return torch.cat(chunks)


def _numbers(
    layer: nn.Linear, hidden: Tensor, tokens: Tensor, suppressed: Sequence[int], reference: Tensor | None
) -> Tensor:
    logprobs = log_softmax(layer, hidden, suppressed)
    taken = tokens[:, None]
    kl = other = torch.zeros(len(hidden), device=hidden.device)
    if reference is not None:
        reference_logprobs = log_softmax(layer, reference, suppressed).detach()
        kl, other = exact_kl(logprobs, reference_logprobs), reference_logprobs.gather(1, taken)[:, 0]
    return torch.stack([logprobs.gather(1, taken)[:, 0], exact_entropy(logprobs), kl, other], dim=1)


def log_softmax(layer: nn.Linear, hidden: Tensor, suppressed: Sequence[int]) -> Tensor:
    """Return log-probabilities over the vocabulary, (N, V) float32, of hidden states (N, width)."""
    logits = nn.functional.linear(hidden, layer.weight, layer.bias).float()
    if suppressed:
        logits = logits.index_fill(1, torch.tensor(list(suppressed), device=logits.device), NEVER)
    return torch.log_softmax(logits, dim=1)
