"""One step of the optimiser on the rollouts of a step, piece by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from snellen.snellen1.decoder import Decoder
from snellen.train.regularizers import Regulariser, coverage_set, entropy, kl, taken_logprobs
from snellen.train.rewards import Floats
from snellen.train.snellen1.policy import Policy
from snellen.train.snellen1.trace import Trace, Traces, action_logits, collate


def of_actions(one: Trace, advantage: Mapping[str, float]) -> Floats:
    """The advantage of each action of a rollout, (N,), by its kind."""
    rating = np.where(one.round == one.round.max(), advantage["last"], advantage["first"])
    said = np.where(one.zoom, advantage["zoom"], advantage["words"])
    return np.where(one.rating, rating, said).astype(np.float64)


@dataclass(frozen=True)
class Piece:
    """Some rollouts of a step, few enough for one pass. old, advantage and covered: (N,), of their actions."""

    traces: Traces
    old: Tensor
    advantage: Tensor
    covered: Tensor


def cut(policy: Policy, traces: Sequence[Trace], advantage: Sequence[Floats], share: float, tokens: int) -> list[Piece]:
    """Rollouts of about one length together, at most `tokens` padded tokens in a piece; which actions are covered (see
    `snellen.train.regularizers`) is decided over all of them."""
    logprob = [one.logprob for one in traces]
    sizes = np.cumsum([len(one) for one in advantage])[:-1]
    rating = np.concatenate([one.rating for one in traces])
    set_of_all = np.zeros(len(rating), bool)
    for kind in (rating, ~rating):
        set_of_all[kind] = coverage_set(np.concatenate(advantage)[kind], np.concatenate(logprob)[kind], share)
    covered = np.split(set_of_all, sizes)
    together: list[list[int]] = [[]]
    for i in sorted(range(len(traces)), key=lambda i: len(traces[i].ids)):
        if together[-1] and (len(together[-1]) + 1) * len(traces[i].ids) > tokens:
            together.append([])
        together[-1].append(i)
    pieces = []
    for rows in together:
        columns = [np.concatenate([column[i] for i in rows]) for column in (logprob, advantage, covered)]
        old, weight, mask = (torch.from_numpy(column).to(policy.device) for column in columns)
        pieces.append(Piece(collate(policy, [traces[i] for i in rows]), old, weight.float(), mask))
    return pieces


def clipped_surrogate(logprob: Tensor, old: Tensor, advantage: Tensor, low: float, high: float) -> Tensor:
    """-min(r A, clip(r, 1 - low, 1 + high) A) with r = p / p_old, (N,) each (Schulman et al., arXiv 1707.06347)."""
    ratio = (logprob - old).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1.0 - low, 1.0 + high) * advantage)


def update(
    policy: Policy,
    reference: Decoder,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    pieces: Sequence[Piece],
    regulariser: Regulariser,
    strength: float,
    clip: tuple[float, float],
) -> dict[str, float]:
    """One step of the optimiser on all pieces; means over the actions of what is worth logging.

    loss = (sum over actions of the clipped surrogate + strength x regulariser) / number of actions
    """
    count = accelerator.reduce(torch.tensor(sum(len(piece.old) for piece in pieces), device=policy.device), "sum")
    optimizer.zero_grad(set_to_none=True)
    sums: dict[str, list[float]] = {}
    for piece in pieces:
        logits = action_logits(policy.model, piece.traces)
        with torch.no_grad():
            before = action_logits(reference, piece.traces)
        taken, rating = piece.traces.taken, piece.traces.rating
        logprob = taken_logprobs(logits, taken)
        surrogate = clipped_surrogate(logprob, piece.old, piece.advantage, *clip)
        held = regulariser(logits, before, taken, piece.covered)
        loss = (surrogate.sum() + strength * held) / count
        accelerator.backward(loss)
        with torch.no_grad():
            spread, ratio = entropy(logits), (logprob - piece.old).exp()
            clipped = (ratio < 1.0 - clip[0]) | (ratio > 1.0 + clip[1])
            for name, values in (
                ("kl", kl(logits, before, taken)),
                ("covered", piece.covered),
                ("clipped", clipped),
                ("word_entropy", spread[~rating]),
                ("rating_entropy", spread[rating]),
                ("off_policy", (logprob - piece.old).abs()),
            ):
                sums.setdefault(name, []).extend(values.float().cpu().tolist())
            sums.setdefault("loss", []).append(float(loss) * len(pieces))
    for parameter in policy.model.parameters():
        if parameter.grad is not None and accelerator.num_processes > 1:
            parameter.grad = accelerator.reduce(parameter.grad, "sum")
    norm = nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
    optimizer.step()
    return {name: float(np.mean(values)) if values else np.nan for name, values in sums.items()} | {"norm": float(norm)}
