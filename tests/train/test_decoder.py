"""Tests of snellen.snellen1.decoder."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch

from snellen.backends.onnx import FIRST_NUMBERS
from snellen.snellen1.decoder import STOPS, Decoder, DecoderShape, laid_out, stops


def looks(*numbers: float) -> torch.Tensor:
    """Looks of two vectors (v, r, r, ...): v counts on, r is the same in both vectors of a look."""
    first = [[r] * FIRST_NUMBERS for r in numbers]
    return torch.tensor([[[2.0 * i + 1, *r], [2.0 * i + 2, *r]] for i, r in enumerate(first)])


def test_after_a_look_its_last_vector_goes_on() -> None:
    """Two rows: nothing is carried before the first look, nor from one row into the next; the last numbers stay."""
    is_look = torch.tensor([[0, 1, 1, 0, 1, 1, 0], [0, 0, 1, 1, 0, 0, 0]]).bool()
    seen = laid_out(looks(0.7, 0.8, 0.9), is_look)
    assert seen[..., 0].tolist() == [[0, 1, 2, 2, 3, 4, 4], [0, 0, 5, 6, 6, 6, 6]]
    expected = torch.tensor([[0, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7], [0, 0, 0.9, 0.9, 0.9, 0.9, 0.9]])
    assert torch.equal(seen[..., 1], expected) and torch.equal(seen[..., -1], expected)


def test_a_token_may_be_treated_like_an_earlier_one() -> None:
    is_look = torch.tensor([[1, 1, 0, 1, 1, 0, 0]]).bool()
    as_at = torch.tensor([[0, 1, 2, 3, 4, 1, 4]])
    seen = laid_out(looks(0.7, 0.8), is_look, as_at)
    assert seen[0, :, 0].tolist() == [1, 2, 2, 3, 4, 2, 4]
    assert torch.equal(seen[0, :, 1], torch.full((7,), 0.7))


def test_stops_by_hand() -> None:
    told = stops(torch.tensor([[0.0, 1.0 / (STOPS - 1)]]))[0]
    assert told.shape == (2 * STOPS,)
    assert torch.allclose(told[:3], torch.tensor([1.0, 0.60653, 0.13534]), atol=1e-4)
    assert torch.allclose(told[STOPS : STOPS + 3], torch.tensor([0.60653, 1.0, 0.60653]), atol=1e-4)


def test_what_points_at_ratings_can_be_left_out_of_what_is_read(tmp_path: Path) -> None:
    shape = DecoderShape(700, 32, 1, 2)
    kept = Decoder(shape)
    with torch.no_grad():
        kept.rater.say.bias.fill_(0.5)
        kept.embedding.weight.fill_(0.25)
    torch.save(kept.state_dict(), tmp_path / "decoder.pt")
    (tmp_path / "options.json").write_text(json.dumps({"shape": asdict(shape)}))
    for rater, bias in ((True, 0.5), (False, 0.0)):
        read = Decoder.open(tmp_path, rater)
        assert read.rater.say.bias.item() == bias and (read.embedding.weight == 0.25).all()
