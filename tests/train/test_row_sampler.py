"""Sampling with a random stream for each row."""

from __future__ import annotations

import math

import pytest
import torch

from snellen.backend import Sampling
from snellen.backends.transformers_sampler import RowSampler, restricted

NONE = torch.zeros(1, 1, dtype=torch.long)
SCORES = torch.log(torch.tensor([[0.5, 0.3, 0.1, 0.1]]))


def drawn(seeds: list[int], steps: int, suppressed: tuple[int, ...] = (), **options: float) -> torch.Tensor:
    sampler = RowSampler(Sampling(**{"temperature": 1.0, **options}), seeds, suppressed=suppressed)  # type: ignore[arg-type]
    tokens = [sampler(NONE, SCORES.repeat(len(seeds), 1)).argmax(dim=1) for _ in range(steps)]
    assert len(sampler.logprobs) == steps
    return torch.stack(tokens)


def test_a_row_draws_the_same_whatever_else_is_in_the_batch() -> None:
    alone, together = drawn([7], 50), drawn([3, 7, 8], 50)
    assert torch.equal(alone[:, 0], together[:, 1])
    assert not torch.equal(together[:, 0], together[:, 1]) and not torch.equal(together[:, 1], together[:, 2])


def test_tokens_come_as_often_as_their_probability_says() -> None:
    share = torch.bincount(drawn([1], 4000)[:, 0], minlength=4) / 4000
    assert share.tolist() == pytest.approx([0.5, 0.3, 0.1, 0.1], abs=0.03)


def test_suppressed_tokens_never_come_and_the_rest_is_scaled_up() -> None:
    sampler = RowSampler(Sampling(1.0), [0], suppressed=(0,))
    for _ in range(200):
        token = int(sampler(NONE, SCORES).argmax())
        assert token != 0
        assert float(sampler.logprobs[-1][0]) == pytest.approx(math.log(0.6 if token == 1 else 0.2), abs=1e-6)


def test_temperature_zero_takes_the_most_probable_token_that_is_allowed() -> None:
    assert set(drawn([0, 1], 3, temperature=0.0).ravel().tolist()) == {0}
    assert set(drawn([0], 3, (0,), temperature=0.0).ravel().tolist()) == {1}


def test_a_nucleus_holds_the_fewest_tokens_that_reach_its_probability() -> None:
    assert restricted(SCORES, Sampling(1.0, top_p=0.7)).isfinite().tolist() == [[True, True, False, False]]
    assert restricted(SCORES, Sampling(1.0, top_p=0.5)).isfinite().tolist() == [[True, False, False, False]]
    assert restricted(SCORES, Sampling(1.0, top_k=1)).isfinite().tolist() == [[True, False, False, False]]
    assert torch.equal(restricted(SCORES, Sampling(1.0)), SCORES)
    assert set(drawn([5], 200, top_p=0.7)[:, 0].tolist()) == {0, 1}
