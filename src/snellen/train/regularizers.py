"""KL-Coverage: hold the policy to the reference model where it is about to run away, and only there.

The paper (Zoom-IQA, arXiv 2601.02918) holds tokens "with both high probability and high advantage" to the reference;
its equation is not public. Ours: the entropy of a policy falls by the covariance of log-probability and advantage (Cui
et al., The entropy mechanism of reinforcement learning for reasoning language models, arXiv 2505.22617), so for the N
action tokens of a minibatch

    c_t = (A_t - mean A) (log p_t - mean log p)
    S   = the ceil(share N) tokens of largest c_t among those with A_t > 0 and log p_t > mean log p
    loss += strength / N * sum over S of KL_t(policy || reference)

Tokens that are certain already (p_t over 0.99: brackets, labels, the rest of a word) are left out before the set is
chosen. Their log p is the highest of all, so they would fill it, and nothing is gained by holding them: there is no
entropy left to lose.

Words and ratings are two minibatches here: a rating is one of 401 and never as likely as a word, so in one minibatch it
would never be covered, and ratings are what collapses first.

The reference is the model that training began with. Against the policy that sampled, the same term is inert with one
update per rollout: there both are one model, and value and gradient of the divergence are 0.

The ordinary KL and the entropy bonus are its alternatives in the ablation, with the same signature. All three return a
sum over tokens, (n, V) logits in, and leave strength / N to the caller, so that a minibatch may go through in pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float64]
Regulariser = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(policy's logits (n, V), reference's logits (n, V), tokens taken (n,), covered (n,) bool) -> a scalar, to be added to
the loss."""

CERTAIN = math.log(0.99)
EXACT_VOCABULARY = 8192
"""Up to so many token ids the divergence is summed over the whole vocabulary; above, it is estimated from the token."""


def coverage(advantage: npt.ArrayLike, logprob: npt.ArrayLike) -> Floats:
    """c_t of N tokens, (N,): each token's part of the covariance of advantage and log-probability (natural log)."""
    a, p = np.asarray(advantage, np.float64), np.asarray(logprob, np.float64)
    out: Floats = (a - a.mean()) * (p - p.mean()) if len(a) else a
    return out


def coverage_set(advantage: npt.ArrayLike, logprob: npt.ArrayLike, share: float) -> npt.NDArray[np.bool_]:
    """Which of N tokens are covered, (N,): at most ceil(share M) of the M that are not certain, of both high advantage
    and high probability among these."""
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share is from 0 to 1, not {share}")
    a, p = np.asarray(advantage, np.float64), np.asarray(logprob, np.float64)
    covered = np.zeros(len(a), bool)
    unsure = np.flatnonzero(p <= CERTAIN)
    if len(unsure):
        a, p = a[unsure], p[unsure]
        where = np.flatnonzero((a > 0.0) & (p > p.mean()))
        order = np.argsort(-coverage(a, p)[where], kind="stable")
        covered[unsure[where[order[: math.ceil(share * len(a) - 1e-9)]]]] = True
    return covered


def exact_kl(logits: Tensor, reference: Tensor) -> Tensor:
    """KL(policy || reference) of each row in nats, 0 or more: sum over v of p_v (log p_v - log q_v). (n, V) -> (n,)."""
    log_p, log_q = torch.log_softmax(logits, dim=1), torch.log_softmax(reference, dim=1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)


def k3(logprob: Tensor, reference: Tensor) -> Tensor:
    """Schulman's estimate of the same from the token that was drawn, 0 or more: r - 1 - log r with r = q / p, (n,)."""
    log_ratio = reference - logprob
    return log_ratio.exp() - 1.0 - log_ratio


def kl(logits: Tensor, reference: Tensor, taken: Tensor, exact_up_to: int = EXACT_VOCABULARY) -> Tensor:
    """KL(policy || reference) of each row, (n,): exact where the vocabulary is small, `k3` otherwise."""
    if logits.shape[1] <= exact_up_to:
        return exact_kl(logits, reference)
    return k3(taken_logprobs(logits, taken), taken_logprobs(reference, taken))


def taken_logprobs(logits: Tensor, taken: Tensor) -> Tensor:
    """Log-probability (natural log) of the token taken in each row: (n, V), (n,) -> (n,)."""
    return torch.log_softmax(logits, dim=1).gather(1, taken[:, None])[:, 0]


def entropy(logits: Tensor) -> Tensor:
    """Shannon entropy of each row in nats, (n, V) -> (n,)."""
    log_p = torch.log_softmax(logits, dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)


def covered_kl(logits: Tensor, reference: Tensor, taken: Tensor, covered: Tensor) -> Tensor:
    """KL-Coverage: sum of KL(policy || reference) over the covered tokens."""
    return kl(logits[covered], reference[covered], taken[covered]).sum()


def ordinary_kl(logits: Tensor, reference: Tensor, taken: Tensor, covered: Tensor) -> Tensor:
    """The alternative of GRPO as published (Shao et al. 2024, arXiv 2402.03300): KL summed over all tokens."""
    return kl(logits, reference, taken).sum()


def entropy_bonus(logits: Tensor, reference: Tensor, taken: Tensor, covered: Tensor) -> Tensor:
    """The alternative of older methods (Williams and Peng 1991): minus the entropy, summed over all tokens."""
    return -entropy(logits).sum()


def no_regulariser(logits: Tensor, reference: Tensor, taken: Tensor, covered: Tensor) -> Tensor:
    """Nothing, for the ablation: 0."""
    return logits.new_zeros(())


def open_regulariser(name: str) -> Regulariser:
    """The regulariser called "kl_coverage", "kl", "entropy" or "none"; ValueError for another name."""
    if name == "kl_coverage":
        return covered_kl
    if name == "kl":
        return ordinary_kl
    if name == "entropy":
        return entropy_bonus
    if name == "none":
        return no_regulariser
    raise ValueError(f"unknown regulariser {name!r}; use kl_coverage, kl, entropy or none")
