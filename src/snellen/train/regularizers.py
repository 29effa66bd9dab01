"""Regularisers of the policy: KL-Coverage, and the KL and entropy terms that it is compared with.

Zoom-IQA (arXiv 2601.02918) holds tokens "with both high probability and high advantage" to the reference policy; its
equation is not public. Ours rests on Cui et al. (The entropy mechanism of reinforcement learning for reasoning language
models, arXiv 2505.22617): the entropy of a policy falls by the covariance of log-probability and advantage. For the N
actions of a step, with advantage A_t and log-probability log p_t,

    c_t   = (A_t - mean A) (log p_t - mean log p)
    S     = the ceil(share N) actions of largest c_t among those with A_t > 0 and log p_t > mean log p
    loss += strength / N * sum over t in S of KL_t(policy || reference)

Near-certain actions (p_t > 0.99) are left out before S is chosen: their log p is the highest of all, so they would
fill it, and they have no entropy left to lose. S is chosen for each kind of action by itself, because a rating out of
many is never as likely as a common word.

The reference policy is the one that training began with. The KL from the policy that sampled would have value and
gradient 0 at the first update on a rollout, where the two are the same.

Every regulariser returns a sum over actions; the caller divides by the number of actions of the whole step, so that a
step can be computed in microbatches.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snellen.backend import LogProbs

Floats = npt.NDArray[np.float64]
Regulariser = Callable[[LogProbs, Tensor, Tensor], Tensor]
"""(log-probabilities of N actions, their advantages (N,), covered (N,) bool) -> a scalar that is added to the loss."""

CERTAIN = math.log(0.99)
"""Log-probability above which an action counts as near-certain."""


def kl_coverage(logprobs: LogProbs, advantage: Tensor, covered: Tensor) -> Tensor:
    """KL-Coverage: sum of KL(policy || reference) over the covered actions."""
    return divergence(logprobs)[covered].sum()


def ordinary_kl(logprobs: LogProbs, advantage: Tensor, covered: Tensor) -> Tensor:
    """KL of GRPO as published (Shao et al. 2024, arXiv 2402.03300): sum of KL(policy || reference) over all actions."""
    return divergence(logprobs).sum()


def entropy_bonus(logprobs: LogProbs, advantage: Tensor, covered: Tensor) -> Tensor:
    """Entropy bonus (Williams and Peng 1991): minus the sum of the entropies of all actions."""
    return -logprobs.entropy.sum()


def no_regulariser(logprobs: LogProbs, advantage: Tensor, covered: Tensor) -> Tensor:
    """0, for the ablation."""
    return torch.zeros_like(advantage).sum()


def open_regulariser(name: str) -> Regulariser:
    """Return the regulariser called "kl_coverage", "kl", "entropy" or "none"; ValueError for another name."""
    if name == "kl_coverage":
        return kl_coverage
    if name == "kl":
        return ordinary_kl
    if name == "entropy":
        return entropy_bonus
    if name == "none":
        return no_regulariser
    raise ValueError(f"unknown regulariser {name!r}; use kl_coverage, kl, entropy or none")


def divergence(logprobs: LogProbs) -> Tensor:
    """KL(policy || reference) of each action, (N,), nats, 0 or more: exact where the policy gives it, else `k3`."""
    return k3(logprobs.policy, logprobs.reference) if logprobs.kl is None else logprobs.kl


def k3(policy: Tensor, reference: Tensor) -> Tensor:
    """Schulman's k3 estimate of KL(policy || reference) from the sampled action: r - 1 - log r with r = q / p, (N,)."""
    log_ratio = reference - policy
    return log_ratio.exp() - 1.0 - log_ratio


def exact_kl(policy: Tensor, reference: Tensor) -> Tensor:
    """KL(policy || reference) = sum over v of p_v (log p_v - log q_v), (N,), nats, from log-probabilities (N, V) each.

    Impossible actions have a finite, very low log-probability (-1e9), not -inf.
    """
    return (policy.exp() * (policy - reference)).sum(dim=1)


def exact_entropy(logprobs: Tensor) -> Tensor:
    """Shannon entropy of each row, (N,), nats, from log-probabilities (N, V)."""
    return -(logprobs.exp() * logprobs).sum(dim=1)


def coverage(advantage: npt.ArrayLike, logprob: npt.ArrayLike) -> Floats:
    """c_t of N actions, (N,): the term of each in the covariance of advantage and log-probability (natural log)."""
    a, p = np.asarray(advantage, np.float64), np.asarray(logprob, np.float64)
    out: Floats = (a - a.mean()) * (p - p.mean()) if len(a) else a
    return out


def coverage_set(advantage: npt.ArrayLike, logprob: npt.ArrayLike, share: float) -> npt.NDArray[np.bool_]:
    """Return the set S as a mask over N actions, (N,).

    advantage, logprob (N,), natural log. share: 0..1, of the actions that are not near-certain; means are over these
    too. Raises ValueError for a share outside of 0..1.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share is from 0 to 1, not {share}")
    a, p = np.asarray(advantage, np.float64), np.asarray(logprob, np.float64)
    covered = np.zeros(len(a), bool)
    open_ones = np.flatnonzero(p <= CERTAIN)
    if len(open_ones):
        a, p = a[open_ones], p[open_ones]
        candidates = np.flatnonzero((a > 0.0) & (p > p.mean()))
        order = np.argsort(-coverage(a, p)[candidates], kind="stable")
        covered[open_ones[candidates[order[: math.ceil(share * len(a) - 1e-9)]]]] = True
    return covered
