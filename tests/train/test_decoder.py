"""The decoder reads each view and the actions so far, and nothing that comes after."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_snellen1 import picture, random_features

from snellen.region import FULL, Region
from snellen.snellen1.actions import CROP, PAD, PLACES, SIDE, VOCABULARY, row
from snellen.snellen1.decoder import Decoder, DecoderShape, tenths
from snellen.train.snellen1.policy import stacked

ACTIONS = [[CROP, SIDE, SIDE, SIDE + 5, SIDE + 5], []]


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(DecoderShape(width=32, layers=2, heads=2)).eval()


def vectors(decoder: Decoder, *regions: Region) -> torch.Tensor:
    """The vectors of views of one picture, (1, R, PLACES, width)."""
    features = [random_features(picture(0).view(region)) for region in regions]
    region = torch.tensor([region.to_list() for region in regions])
    connected: torch.Tensor = decoder.connector(stacked(features, torch.device("cpu")), region)[None]
    return connected


def test_sides_are_given_by_their_nearness_to_tenths() -> None:
    found = tenths(torch.tensor([[0.3, 0.95]]))[0].view(2, 11)
    assert found[0, 3].item() == pytest.approx(1.0) and found[0, 4].item() == pytest.approx(0.60653, abs=1e-4)
    assert found[1, 9].item() == pytest.approx(found[1, 10].item(), abs=1e-5)


@torch.no_grad()
def test_nothing_later_is_read(decoder: Decoder) -> None:
    ids, positions = (torch.tensor([one]) for one in row(ACTIONS))
    seen = vectors(decoder, FULL, Region(0.0, 0.0, 0.5, 0.5))
    logits = decoder(ids, positions, seen)
    assert logits.shape == (1, 2 * (1 + PLACES) + 5, VOCABULARY)
    first = 1 + PLACES + 5
    alone = decoder(ids[:, :first], positions[:, :first], seen[:, :1])
    assert torch.allclose(alone, logits[:, :first], atol=1e-5)
    changed = seen.clone()
    changed[:, 1] += torch.linspace(-1.0, 1.0, 32)
    assert torch.allclose(decoder(ids, positions, changed)[:, :first], logits[:, :first], atol=1e-5)
    assert not torch.allclose(decoder(ids, positions, changed)[:, -1], logits[:, -1], atol=1e-3)


@torch.no_grad()
def test_every_part_of_a_view_is_read(decoder: Decoder) -> None:
    ids, positions = (torch.tensor([one]) for one in row([[]]))
    seen = vectors(decoder, FULL)
    logits = decoder(ids, positions, seen)[:, -1]
    for place in range(PLACES):
        changed = seen.clone()
        changed[:, :, place] += torch.linspace(-1.0, 1.0, 32)
        assert not torch.allclose(decoder(ids, positions, changed)[:, -1], logits, atol=1e-6), place


@torch.no_grad()
def test_padding_changes_nothing(decoder: Decoder) -> None:
    (ids, positions), seen = row(ACTIONS[:1]), vectors(decoder, FULL)
    logits = decoder(torch.tensor([ids]), torch.tensor([positions]), seen)
    padded = [torch.tensor([[*one, *[fill] * 9]]) for one, fill in ((ids, PAD), (positions, 0))]
    found = decoder(*padded, seen.expand(-1, 2, -1, -1))
    assert torch.allclose(found[:, : len(ids)], logits, atol=1e-5)


def test_saved_and_opened_it_is_the_same(decoder: Decoder, tmp_path: Path) -> None:
    decoder.save(tmp_path / "decoder.pt")
    again = Decoder.open(tmp_path / "decoder.pt")
    assert again.shape == decoder.shape and not again.training
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), decoder.parameters(), strict=True))
