"""Supervised fine-tuning: targets worked by hand, and a run that is killed and resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from snellen.region import FULL
from snellen.reply import RATING_PREFIX
from snellen.snellen1.decoder import Decoder, DecoderShape, number_embeddings
from snellen.snellen1.perception import SIZES
from snellen.snellen1.tokenizer import train_tokenizer
from snellen.train.sft import SeenLooks, SftOptions, number_targets, rows_in_order, sft_losses, train_sft
from snellen.train.snellen1.batch import Round, collate, encode_rounds


def reply(rating: float) -> str:
    return f'{RATING_PREFIX}{rating:.2f}, "tool": "final", "issues": []}}</answer>'


@pytest.fixture(scope="module")
def setting():
    ratings = [1.5, 2.5, 3.5, 4.5]
    tokenizer = train_tokenizer([reply(r) for r in ratings], 300)
    rows = [encode_rounds(tokenizer, [Round(i, FULL, reply(r), r, 0)]) for i, r in enumerate(ratings)]
    rng = np.random.default_rng(0)
    vectors = SeenLooks(rng.uniform(size=(4, sum(SIZES))).astype(np.float16))
    return tokenizer, rows, vectors


def test_soft_targets_are_a_normal_on_the_grid() -> None:
    soft = number_targets(torch.tensor([3.0]), 1.0, 401, 0.1)[0]
    assert soft.sum().item() == pytest.approx(1.0)
    assert soft.argmax().item() == 200
    # one standard deviation off: exp(-1/2) of the peak
    assert (soft[210] / soft[200]).item() == pytest.approx(np.exp(-0.5), rel=1e-4)


def test_soft_targets_keep_the_mean_of_an_unrounded_rating() -> None:
    soft = number_targets(torch.tensor([3.456]), 1.0, 401, 0.15)[0]
    assert (soft @ (1.0 + 0.01 * torch.arange(401))).item() == pytest.approx(3.456, abs=1e-3)


def test_context_takes_no_part_in_the_loss(setting) -> None:
    """Changing the ids of context that the model never predicts from a masked place leaves the targets alone."""
    tokenizer, rows, vectors = setting
    torch.manual_seed(0)
    model = Decoder(DecoderShape(tokenizer.get_vocab_size(), 32, 1, 2)).eval()
    image, numbers = tokenizer.token_to_id("<image>"), tokenizer.token_to_id("0.00")
    batch = collate(rows, image)
    parts = sft_losses(model, batch, vectors, numbers, SftOptions())
    grads = torch.autograd.grad(sum(parts.values()), model.embedding.weight)[0]
    assert grads.abs().sum() > 0
    padded = collate([rows[0], encode_rounds(tokenizer, [Round(1, FULL, reply(2.5) * 2, 2.5, 0)])], image)
    padded.ids[0, len(rows[0].ids) :] = 7  # what stands on padding must not matter
    alone = sft_losses(model, collate(rows[:1], image), vectors, numbers, SftOptions())
    one = type(padded)(
        *(value[:1] for value in (padded.ids, padded.keys, padded.role, padded.target, padded.is_look)),
        padded.looks[:1],
    )
    again = sft_losses(model, one, vectors, numbers, SftOptions())
    for name in alone:
        assert again[name].item() == pytest.approx(alone[name].item(), abs=1e-5)


def test_rows_come_once_an_epoch(setting) -> None:
    _, rows, _ = setting
    batches = rows_in_order(rows, tokens=len(rows[0].ids) * 2, seed=3)
    first = [row for _ in range(2) for row in next(batches)]
    assert sorted(row.looks for row in first) == [(0,), (1,), (2,), (3,)]


def test_two_steps_then_resume_equals_four_steps(setting, tmp_path: Path) -> None:
    tokenizer, rows, vectors = setting
    shape = DecoderShape(tokenizer.get_vocab_size(), 32, 1, 2)
    options = SftOptions(steps=4, tokens=400, warmup=1, checkpoint_every=2, validate_every=4)

    def run(out: Path, stop: int | None = None) -> dict[str, torch.Tensor]:
        train_sft(options, shape, tokenizer, rows, rows[:2], vectors, out, stop=stop)
        weights: dict[str, torch.Tensor] = torch.load(out / "decoder.pt", weights_only=True)
        return weights

    straight = run(tmp_path / "a")
    run(tmp_path / "b", stop=2)
    assert torch.load(tmp_path / "b" / "checkpoint.pt", weights_only=True)["step"] == 2
    resumed = run(tmp_path / "b")
    for name, value in straight.items():
        assert torch.equal(value, resumed[name]), name
    assert len((tmp_path / "b" / "log.jsonl").read_text().splitlines()) == 4


def test_numbers_begin_alike_the_nearer_they_are() -> None:
    torch.manual_seed(0)
    one = number_embeddings(501, 64)
    assert one.shape == (501, 64) and one.std().item() == pytest.approx(0.02)
    apart = [(one[200] - one[200 + step]).norm().item() for step in (1, 5, 25)]
    assert apart[0] < 0.5 * apart[1] and apart[1] < apart[2]
