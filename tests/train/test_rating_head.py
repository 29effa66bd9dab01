"""What points at ratings, taught by itself: where ratings are read, and whether it learns what it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from snellen.snellen1.tokenizer import train_tokenizer
from snellen.train.snellen1.batch import Round, encode_rounds

from snellen.region import FULL, Region
from snellen.reply import RATING_PREFIX
from snellen.snellen1.decoder import Decoder, DecoderShape
from snellen.snellen1.perception import SIZES
from snellen.snellen1.rating_head import TOLD, RatingPointer
from snellen.train.sft import SeenLooks
from snellen.train.snellen1.rating_head import GRID, Places, losses, places, train_rater
from snellen.vocabulary import KINDS

NOISE = 1 + KINDS.index("noise")
RATED = TOLD - len(KINDS) - 3
"""Where the plain head's rating of a look is told."""


def reply(rating: float) -> str:
    return f'{RATING_PREFIX}{rating:.2f}, "tool": "final", "issues": []}}</answer>'


def some(count: int, real: bool, cost: float) -> Places:
    """Ratings where noise costs `cost` more than the plain head says, in every second picture."""
    rng = np.random.default_rng(int(real))
    told = torch.zeros(count, TOLD)
    noisy = torch.arange(count) % 2 == 1
    told[:, 0], told[noisy, 0], told[noisy, NOISE] = 1.0, 0.0, 1.0
    plain = torch.from_numpy(rng.uniform(2.5, 4.0, count).astype(np.float32))
    told[:, RATED], told[:, -1] = plain, plain
    told[:, RATED + 1 : -1] = told[:, : len(KINDS) + 1]
    target = plain - cost * noisy
    flags = torch.full((count,), real)
    return Places(torch.zeros(count, 8), told, target, flags, torch.zeros(count, dtype=torch.bool))


def joined(*parts: Places) -> Places:
    return Places(*(torch.cat(those) for those in zip(*(vars(part).values() for part in parts), strict=True)))


def moved(rater: RatingPointer, places: Places) -> float:
    """How much lower than the plain head a noisy picture is rated."""
    with torch.no_grad():
        expected = rater(places.hidden, places.told).softmax(dim=1) @ GRID
    return float((places.told[:, -1] - expected)[1::2].mean())


def test_a_rating_is_read_once_in_each_row_with_what_was_told_there() -> None:
    tokenizer = train_tokenizer([reply(rating) for rating in (1.5, 2.5, 3.5, 4.5)], 300)
    rng = np.random.default_rng(0)
    rows = rng.uniform(size=(3, sum(SIZES))).astype(np.float16)
    rows[:, sum(SIZES[:3])] = 2.0, 3.0, 4.0  # the plain head's ratings
    seen = SeenLooks(rows)
    quick = encode_rounds(tokenizer, [Round(0, FULL, reply(3.5), 3.512, 0)])
    first = Round(1, FULL, reply(2.5), 2.5, 0, "nothing")
    second = encode_rounds(tokenizer, [first, Round(2, Region(0.0, 0.0, 0.5, 0.5), reply(4.5), 4.49, 0, "rating")])
    torch.manual_seed(0)
    model = Decoder(DecoderShape(tokenizer.get_vocab_size(), 32, 1, 2)).eval()
    found = places(model, [second, quick], [False, True], tokenizer, seen)
    assert found.target.tolist() == pytest.approx([3.512, 4.49])  # by length
    assert found.real.tolist() == [True, False] and found.late.tolist() == [False, True]
    assert found.told[:, RATED].tolist() == pytest.approx([2.0, 4.0], abs=1e-4)
    assert found.told[:, -1].tolist() == pytest.approx([2.0, 3.0], abs=1e-4)


def test_weights_of_losses_by_hand() -> None:
    rater, both = RatingPointer(8), joined(some(2, True, 0.0), some(2, False, 1.0))
    each = [losses(rater, both, torch.tensor([i]), torch.ones(1)).item() for i in range(4)]
    weight = torch.tensor([3.0, 3.0, 1.0, 1.0])
    together = losses(rater, both, torch.arange(4), weight).item()
    assert together == pytest.approx((3 * each[0] + 3 * each[1] + each[2] + each[3]) / 8, rel=1e-5)


def test_it_learns_what_a_finding_costs_and_human_ratings_outweigh() -> None:
    torch.manual_seed(0)
    alone = RatingPointer(8)
    train_rater(alone, some(400, False, 0.8), 1.0, 150)
    assert moved(alone, some(400, False, 0.8)) == pytest.approx(0.8, abs=0.1)
    both = joined(some(400, True, 0.0), some(400, False, 0.8))
    shared, outweighed = RatingPointer(8), RatingPointer(8)
    train_rater(shared, both, 1.0, 150)
    train_rater(outweighed, both, 20.0, 150)
    assert abs(moved(outweighed, both)) < 0.5 * moved(shared, both)


def test_a_finding_may_cost_less_where_the_plain_rating_is_low() -> None:
    """Who rates a picture low has seen what is wrong with it."""
    torch.manual_seed(0)
    rater, places = RatingPointer(8), some(800, False, 0.0)
    places.target[1::2] -= 0.8 * (places.told[1::2, -1] > 3.25)
    train_rater(rater, places, 1.0, 400)
    with torch.no_grad():
        cost = places.told[:, -1] - rater(places.hidden, places.told).softmax(dim=1) @ GRID
    noisy, high = torch.arange(800) % 2 == 1, places.told[:, -1] > 3.25
    assert cost[noisy & high].mean() > 0.6 and abs(cost[noisy & ~high].mean()) < 0.2
