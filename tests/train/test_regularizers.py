"""KL-Coverage: the set worked by hand, and why the reference is not the policy that sampled."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from snellen.train.regularizers import (
    coverage,
    coverage_set,
    covered_kl,
    entropy,
    entropy_bonus,
    exact_kl,
    k3,
    kl,
    no_regulariser,
    open_regulariser,
    ordinary_kl,
    taken_logprobs,
)

ADVANTAGE = [2.0, 1.0, -1.0, -2.0, 1.0, -1.0]  # mean 0
LOGPROB = [-1.0, -0.5, -0.5, -3.0, -3.0, -1.0]  # mean -1.5


def test_coverage_by_hand() -> None:
    assert coverage(ADVANTAGE, LOGPROB) == pytest.approx([1.0, 1.0, -1.0, 3.0, -1.5, -0.5])
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


def test_divergences_by_hand() -> None:
    p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log()
    wanted = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert exact_kl(p, q).item() == pytest.approx(wanted, rel=1e-5)
    assert exact_kl(p, p).item() == pytest.approx(0.0, abs=1e-7)
    # r = q / p = 1.5 for the first token
    assert k3(p[:, 0], q[:, 0]).item() == pytest.approx(1.5 - 1.0 - math.log(1.5), rel=1e-5)
    assert entropy(p).item() == pytest.approx(math.log(2.0))
    taken = torch.tensor([0])
    assert kl(p, q, taken).item() == pytest.approx(wanted, rel=1e-5)
    assert kl(p, q, taken, exact_up_to=1).item() == pytest.approx(k3(p[:, 0], q[:, 0]).item())


def test_the_estimate_is_right_on_average() -> None:
    torch.manual_seed(0)
    p, q = torch.randn(1, 5), torch.randn(1, 5)
    each = torch.stack([k3(taken_logprobs(p, t), taken_logprobs(q, t)) for t in torch.arange(5)[:, None]])[:, 0]
    assert (torch.softmax(p, 1)[0] @ each).item() == pytest.approx(exact_kl(p, q).item(), rel=1e-4)


def test_against_the_old_policy_it_is_inert_with_one_update_against_the_reference_it_is_not() -> None:
    torch.manual_seed(0)
    covered = torch.from_numpy(coverage_set(ADVANTAGE, LOGPROB, 1.0))
    taken = torch.tensor([0, 1, 2, 0, 1, 2])
    reference = torch.randn(6, 4)
    policy = (reference + 0.5 * torch.randn(6, 4)).requires_grad_()  # some steps away from where it began
    old = policy.detach().clone()  # the policy that sampled: at the first update it is the policy
    inert = covered_kl(policy, old, taken, covered)
    (gradient,) = torch.autograd.grad(inert, policy)
    assert inert.item() == pytest.approx(0.0, abs=1e-6) and gradient.abs().max().item() < 1e-6
    ours = covered_kl(policy, reference, taken, covered)
    (gradient,) = torch.autograd.grad(ours, policy)
    assert ours.item() > 0.01 and gradient[covered].abs().max().item() > 0.01
    assert not gradient[~covered].any(), "tokens outside the set are free"


def test_alternatives_sum_over_all_tokens() -> None:
    torch.manual_seed(0)
    policy, reference = torch.randn(6, 4), torch.randn(6, 4)
    taken, covered = torch.zeros(6, dtype=torch.int64), torch.zeros(6, dtype=torch.bool)
    assert ordinary_kl(policy, reference, taken, covered).item() == pytest.approx(
        exact_kl(policy, reference).sum().item()
    )
    assert entropy_bonus(policy, reference, taken, covered).item() == pytest.approx(-entropy(policy).sum().item())
    assert covered_kl(policy, reference, taken, covered).item() == 0.0
    assert no_regulariser(policy, reference, taken, covered).item() == 0.0


def test_impossible_tokens_do_not_make_nan() -> None:
    """Logits of -1e9, as ratings have outside the numbers, count as probability 0."""
    logits = torch.tensor([[0.0, 1.0, -1e9]], requires_grad=True)
    value = exact_kl(logits, torch.tensor([[1.0, 0.0, -1e9]])).sum() + entropy(logits).sum()
    (gradient,) = torch.autograd.grad(value, logits)
    assert np.isfinite(value.item()) and bool(torch.isfinite(gradient).all())


def test_regularisers_by_name() -> None:
    assert open_regulariser("kl_coverage") is covered_kl and open_regulariser("kl") is ordinary_kl
    assert open_regulariser("entropy") is entropy_bonus and open_regulariser("none") is no_regulariser
    with pytest.raises(ValueError, match="unknown regulariser 'cov'"):
        open_regulariser("cov")
