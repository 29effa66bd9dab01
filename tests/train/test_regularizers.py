"""KL-Coverage: the set worked by hand, and why the reference is not the policy that sampled."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from snellen.backend import LogProbs
from snellen.train.regularizers import (
    CERTAIN,
    coverage,
    coverage_set,
    divergence,
    entropy_bonus,
    exact_entropy,
    exact_kl,
    k3,
    kl_coverage,
    no_regulariser,
    open_regulariser,
    ordinary_kl,
)

ADVANTAGE = [2.0, 1.0, -1.0, -2.0, 1.0, -1.0]  # mean 0
LOGPROB = [-1.0, -0.5, -0.5, -3.0, -3.0, -1.0]  # mean -1.5


def test_coverage_by_hand() -> None:
    assert coverage(ADVANTAGE, LOGPROB) == pytest.approx([1.0, 1.0, -1.0, 3.0, -1.5, -0.5])
    assert coverage([3.0, 1.0], [-1.0, -3.0]) == pytest.approx([1.0, 1.0])  # means 2 and -2
    assert coverage([], []).shape == (0,)


def test_the_set_has_high_advantage_and_high_probability() -> None:
    # the largest c_t, 3.0, is a token of low advantage and low probability: not in it
    assert coverage_set(ADVANTAGE, LOGPROB, 1.0).tolist() == [True, True, False, False, False, False]
    # a sixth of six tokens is one; of equals the earlier one
    assert coverage_set(ADVANTAGE, LOGPROB, 1 / 6).tolist() == [True, False, False, False, False, False]
    assert not coverage_set(ADVANTAGE, LOGPROB, 0.0).any()
    with pytest.raises(ValueError, match="share is from 0 to 1"):
        coverage_set(ADVANTAGE, LOGPROB, 1.5)


def test_what_is_certain_is_not_covered() -> None:
    """A bracket of log p 0 has the largest c_t of all; with it away, the set is the one from before."""
    found = coverage_set([*ADVANTAGE, 2.0], [*LOGPROB, 0.0], 1 / 6)
    assert found.tolist() == [True, False, False, False, False, False, False]
    assert not coverage_set([1.0, -1.0], [0.0, -0.005], 1.0).any()
    assert coverage_set([1.0, -1.0], [CERTAIN, CERTAIN - 1.0], 1.0).tolist() == [True, False], "at the bound: open"


def test_an_action_of_advantage_0_is_not_covered() -> None:
    assert not coverage_set([0.0, -1.0], [-0.5, -2.0], 1.0).any()
    assert not coverage_set([1.0], [-1.0], 1.0).any(), "nor one of the mean probability"


def test_divergences_by_hand() -> None:
    p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log()
    wanted = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert exact_kl(p, q).item() == pytest.approx(wanted, rel=1e-5)
    assert exact_kl(p, p).item() == pytest.approx(0.0, abs=1e-7)
    # r = q / p = 1.5 for the first token
    assert k3(p[:, 0], q[:, 0]).item() == pytest.approx(1.5 - 1.0 - math.log(1.5), rel=1e-5)
    assert exact_entropy(p).item() == pytest.approx(math.log(2.0))


def logprobs(policy: torch.Tensor, reference: torch.Tensor, taken: torch.Tensor, exact: bool = True) -> LogProbs:
    """Log-probabilities from logits (N, V)."""
    p, q = policy.log_softmax(dim=1), reference.log_softmax(dim=1)
    now, before = (one.gather(1, taken[:, None])[:, 0] for one in (p, q))
    return LogProbs(now, before, exact_entropy(p), exact_kl(p, q) if exact else None)


def test_the_divergence_is_exact_where_the_policy_gives_it_and_estimated_elsewhere() -> None:
    policy, reference = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 1.0]]).log()
    taken = torch.tensor([0])
    estimate = divergence(logprobs(policy, reference, taken, exact=False))
    assert estimate.item() == pytest.approx(0.5 - math.log(1.5), rel=1e-5)
    assert divergence(logprobs(policy, reference, taken)).item() == pytest.approx(0.14384, rel=1e-4)


def test_k3_is_the_divergence_on_average() -> None:
    torch.manual_seed(0)
    p, q = torch.tensor([[0.6, 0.3, 0.1]]), torch.tensor([[0.3, 0.3, 0.4]])
    taken = torch.multinomial(p.expand(40_000, 3), 1)[:, 0]
    estimate = k3(p.log()[0, taken], q.log()[0, taken]).mean()
    assert estimate.item() == pytest.approx(exact_kl(p.log(), q.log()).item(), rel=0.03)


def test_against_the_policy_that_sampled_the_term_is_inert() -> None:
    """With one update per rollout policy and sampler are one model, so the divergence has value and gradient 0."""
    torch.manual_seed(0)
    policy, reference = torch.randn(4, 5, requires_grad=True), torch.randn(4, 5)
    taken, covered = torch.tensor([0, 1, 2, 3]), torch.tensor([True, False, True, False])
    advantage = torch.ones(4)
    inert = kl_coverage(logprobs(policy, policy.detach().clone(), taken), advantage, covered)
    (gradient,) = torch.autograd.grad(inert, policy)
    assert inert.item() == pytest.approx(0.0, abs=1e-6) and gradient.abs().max().item() < 1e-6
    ours = kl_coverage(logprobs(policy, reference, taken), advantage, covered)
    (gradient,) = torch.autograd.grad(ours, policy)
    assert ours.item() > 0.01 and gradient[covered].abs().max().item() > 0.01
    assert not gradient[~covered].any(), "actions outside the set are free"


def test_alternatives_sum_over_all_actions() -> None:
    torch.manual_seed(0)
    policy, reference = torch.randn(6, 4), torch.randn(6, 4)
    one = logprobs(policy, reference, torch.zeros(6, dtype=torch.int64))
    rest = torch.ones(6), torch.zeros(6, dtype=torch.bool)
    assert one.kl is not None
    assert ordinary_kl(one, *rest).item() == pytest.approx(one.kl.sum().item())
    assert entropy_bonus(one, *rest).item() == pytest.approx(-one.entropy.sum().item())
    assert kl_coverage(one, *rest).item() == 0.0
    assert no_regulariser(one, *rest).item() == 0.0


def test_impossible_actions_do_not_make_nan() -> None:
    logits = torch.tensor([[0.0, 1.0, -1e9]], requires_grad=True)
    one = logprobs(logits, torch.tensor([[1.0, 0.0, -1e9]]), torch.tensor([0]))
    assert one.kl is not None
    value = one.kl.sum() + one.entropy.sum()
    (gradient,) = torch.autograd.grad(value, logits)
    assert np.isfinite(value.item()) and bool(torch.isfinite(gradient).all())


def test_regularisers_by_name() -> None:
    assert open_regulariser("kl_coverage") is kl_coverage and open_regulariser("kl") is ordinary_kl
    assert open_regulariser("entropy") is entropy_bonus and open_regulariser("none") is no_regulariser
    with pytest.raises(ValueError, match="unknown regulariser 'cov'"):
        open_regulariser("cov")
