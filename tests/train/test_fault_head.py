"""The fault heads learn on stored looks; boxes worked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from snellen.image import GRID
from snellen.region import Region
from snellen.snellen1.encoder import SAID
from snellen.snellen1.fault_head import FaultHeads, likely_box
from snellen.snellen1.perception import Vision
from snellen.train.snellen1.example import Look, worst_target
from snellen.train.snellen1.fault_head import HeadOptions, StoredCells, fault_losses, train_heads, validate_heads
from snellen.train.snellen1.views import LookStore, store_looks

HALF = Region(0.0, 0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LookStore:
    """Ten looks, three of them held out: noise in the left half, or none."""
    folder: Path = tmp_path_factory.mktemp("looks")
    rng = np.random.default_rng(0)

    def looks():
        for number in (0, 1, 2, 3, 4, 5, 6, 7, 40, 80):
            faulty = number % 2 == 0 and number < 80
            pixels = np.full((320, 320, 3), 120, np.uint8)
            if faulty:
                pixels[:, :160] = rng.integers(0, 256, (320, 160, 3), np.uint8)
            fault = ("noise", 4, HALF) if faulty else None
            yield Look(pixels[::2, ::2], pixels, 3.0, False, fault), {"recipe": number, "clean": not faulty}

    store_looks(looks(), 10, folder)
    (folder / "change.txt").write_text("9.0\n" * 81)
    return LookStore(folder)


@pytest.fixture(scope="module")
def stored(store: LookStore) -> StoredCells:
    torch.manual_seed(0)
    vision = Vision()
    pixels = [store.pixels(i) for i in range(len(store))]
    with torch.no_grad():
        cells = vision.cells([one for one, _ in pixels], [other for _, other in pixels])
    assert cells.shape == (10, 2, SAID, GRID, GRID)
    return StoredCells([store], [cells.numpy().astype(np.float16)])


def test_looks_without_pixels_know_their_fault(stored: StoredCells) -> None:
    assert [look.fault for look in stored.looks[:2]] == [("noise", 4, HALF), None]
    assert stored.held_out == [0, 8, 9]


def test_two_stores_are_numbered_through(store: LookStore) -> None:
    first, second = (np.full((10, 2, SAID, GRID, GRID), value, np.float16) for value in (1, 2))
    both = StoredCells([store, store], [first, second])
    assert both.held_out == [0, 8, 9, 10, 18, 19]
    assert both.take([9, 10])[:, 0, 0, 0, 0].tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="store 1 has 10 looks but there are cells of 4"):
        StoredCells([store, store], [first, second[:4]])


def test_heads_learn(stored: StoredCells, tmp_path: Path) -> None:
    torch.manual_seed(0)
    heads = FaultHeads()
    options = HeadOptions(steps=60, batch=6, rate=3e-3, warmup=1)
    train_heads(options, heads, stored, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    held = [stored.looks[i] for i in stored.held_out]
    assert rows[-2]["kind"] < 0.5 * rows[1]["kind"]
    again = validate_heads(heads, held, stored.take(stored.held_out))
    np.testing.assert_equal(rows[-1], again)  # all faults are of one level: severity is NaN
    assert rows[-1]["right"] == rows[-1]["held"] == 1.0, "noise in one half is all there is to learn"


def test_a_sliver_is_neither_asked_for_nor_denied(stored: StoredCells) -> None:
    nothing = np.zeros((0, 0, 3), np.uint8)
    sliver = Look(nothing, nothing, 3.0, False, ("noise", 4, Region(0.0, 0.0, 0.1, 0.1)))
    assert worst_target(sliver) == (-1, 4.0)
    assert set(fault_losses(FaultHeads().eval(), [sliver], stored.take([0]))) == {"kind", "severity"}


def test_likely_box_by_hand() -> None:
    chances = torch.full((4, 5), 0.1)
    chances[1:3, 2:4] = 0.9
    chances[2, 4] = 0.4  # + 0.05, but the cell above it costs 0.25
    other = chances.clone()
    other[1, 4] = 0.34  # - 0.01 now: both together gain 0.04
    boxes = likely_box(torch.stack([chances, other]), 0.35)
    assert boxes[0].tolist() == pytest.approx([0.4, 0.25, 0.8, 0.75])
    assert boxes[1].tolist() == pytest.approx([0.4, 0.25, 1.0, 0.75])


def test_likely_box_where_nothing_is_likely_is_the_closest_cell() -> None:
    chances = torch.full((1, 2, 2), 0.1)
    chances[0, 1, 0] = 0.2
    assert likely_box(chances)[0].tolist() == [0.0, 0.5, 0.5, 1.0]


def test_boxes_are_told_in_fractions_of_the_picture() -> None:
    torch.manual_seed(0)
    vision = Vision().eval()
    cells = torch.rand(1, 2, SAID, GRID, GRID)
    with torch.no_grad():
        rated = torch.tensor([3.0])
        whole = vision.judge(cells, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), rated).box[0]
        part = vision.judge(cells, torch.tensor([[0.5, 0.2, 1.0, 0.6]]), rated).box[0]
    assert part.tolist() == pytest.approx(
        (torch.tensor([0.5, 0.2] * 2) + whole * torch.tensor([0.5, 0.4] * 2)).tolist()
    )


def test_a_finding_can_be_that_of_a_closer_look() -> None:
    torch.manual_seed(0)
    vision = Vision().eval()
    cells, near = torch.rand(2, 1, 2, SAID, GRID, GRID)
    region, part, rated = (
        torch.tensor([[0.2, 0.1, 0.9, 0.9]]),
        torch.tensor([[0.5, 0.2, 1.0, 0.6]]),
        torch.tensor([3.0]),
    )
    with torch.no_grad():
        far, close, both = (
            vision.judge(cells, region, rated),
            vision.judge(near, part, rated),
            vision.judge(cells, region, rated, (near, part)),
        )
    for name, value in both._asdict().items():
        of = close if name in ("found", "box") else far
        assert torch.equal(value, getattr(of, name)), name
    assert not torch.equal(far.found, close.found), "so it matters"


def test_what_is_kept_is_the_mean_of_the_weights_over_the_steps(stored: StoredCells, tmp_path: Path) -> None:
    weights = []
    for steps, average in ((0, 0.0), (1, 0.0), (1, 0.998)):
        torch.manual_seed(0)
        heads = FaultHeads()
        options = HeadOptions(steps=steps, batch=6, warmup=1, average=average)
        train_heads(options, heads, stored, tmp_path / f"{steps}-{average}")
        weights.append(heads.kind.weight.detach().clone())
    begun, after, kept = weights
    assert not torch.allclose(begun, after)
    torch.testing.assert_close(kept, 0.1 * begun + 0.9 * after)  # after one step 1 / 10 of the beginning is left


def test_two_steps_and_two_more_are_four(stored: StoredCells, tmp_path: Path) -> None:
    options = HeadOptions(steps=4, batch=6, warmup=1)
    weights = []
    for stops in ((None,), (2, None)):
        for stop in stops:
            torch.manual_seed(1)
            heads = FaultHeads()
            train_heads(options, heads, stored, tmp_path / str(len(stops)), stop)
        weights.append(heads.kind.weight.detach().clone())
    assert torch.equal(*weights)
    whole, resumed = ((tmp_path / name / "log.jsonl").read_text() for name in ("1", "2"))
    assert whole == resumed
