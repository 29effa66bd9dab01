"""Log-probabilities in chunks: the same numbers and gradients as from whole tables, which are never kept."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from snellen.train import action_head
from snellen.train.action_head import Places, action_numbers, log_softmax

ACTIONS, WIDTH, WORDS = 24, 6, 500


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action_head, "CHUNK", 5)


def case() -> tuple[nn.Linear, Tensor, Places, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = nn.Linear(WIDTH, WORDS, bias=False).requires_grad_(False)
        states = torch.randn(2, 20, WIDTH, requires_grad=True)
        row, at = torch.tensor([0, 1]).repeat_interleave(12), torch.arange(3, 15).repeat(2)
        places = Places(row, at, torch.randint(0, 490, (ACTIONS,)), (495, 499))
        return layer, states, places, torch.randn(ACTIONS, WIDTH)


def test_numbers_of_two_words_by_hand() -> None:
    layer = nn.Linear(1, 3, bias=False)
    layer.weight.data = torch.tensor([[0.0], [math.log(3.0)], [5.0]])
    states = torch.ones(1, 2, 1)
    places = Places(torch.tensor([0]), torch.tensor([1]), torch.tensor([1]), (2,))  # the third word is never sampled
    numbers = action_numbers(layer, states, places, torch.zeros(1, 1))[0].tolist()
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    kl = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert numbers == pytest.approx([math.log(0.75), entropy, kl, math.log(0.5)], abs=1e-6)


@pytest.mark.usefixtures("small_chunks")
def test_chunks_give_the_numbers_and_gradients_of_a_whole_table() -> None:
    layer, states, places, reference = case()
    weight = torch.arange(1.0, 4 * ACTIONS + 1).reshape(ACTIONS, 4).cos()
    numbers = action_numbers(layer, states, places, reference)
    (numbers * weight).sum().backward()  # type: ignore[no-untyped-call]
    chunked, states.grad = states.grad, None
    logp = log_softmax(layer, places.hidden(states), places.suppressed)
    ref = log_softmax(layer, reference, places.suppressed)
    taken, p = places.tokens[:, None], logp.exp()
    columns = [logp.gather(1, taken)[:, 0], -(p * logp).sum(1), (p * (logp - ref)).sum(1), ref.gather(1, taken)[:, 0]]
    whole = torch.stack(columns, dim=1)
    (whole * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert chunked is not None and states.grad is not None
    assert torch.allclose(numbers, whole, atol=1e-5) and torch.allclose(chunked, states.grad, atol=1e-5)


@pytest.mark.usefixtures("small_chunks")
def test_no_table_of_words_is_kept_for_the_backward_pass() -> None:
    layer, states, places, reference = case()
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() != layer.weight.data_ptr():
            kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        action_numbers(layer, states, places, reference)
    assert kept and max(kept) < 5 * WORDS, "not even one chunk's"
