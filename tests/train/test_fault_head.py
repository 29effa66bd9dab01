"""The fault head learns on stored views; boxes worked by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from snellen.image import GRID
from snellen.region import FULL, Region
from snellen.snellen1.encoder import CELL_FEATURES
from snellen.snellen1.fault_head import FaultHead, likely_box
from snellen.snellen1.perception import HeadOutputs, Perception
from snellen.train.snellen1.example import Pixels, ViewFault, worst_target
from snellen.train.snellen1.fault_head import (
    FaultHeadOptions,
    StoredCells,
    fault_losses,
    run_fault_head,
    train_fault_head,
    validate_fault_head,
)
from snellen.train.snellen1.views import StoredView, ViewStore, store_views

NOISE = ViewFault("noise", 4.0, Region(0.0, 0.0, 0.5, 1.0))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ViewStore:
    """Ten views, three of them held out: noise in the left half, or none."""
    folder: Path = tmp_path_factory.mktemp("views")
    rng = np.random.default_rng(0)

    def views() -> Iterator[tuple[StoredView, Pixels, Pixels]]:
        for number in (0, 1, 2, 3, 4, 5, 6, 7, 40, 80):
            faulty = number % 2 == 0 and number < 80
            pixels = np.full((320, 320, 3), 120, np.uint8)
            if faulty:
                pixels[:, :160] = rng.integers(0, 256, (320, 160, 3), np.uint8)
            labels = StoredView(number, not faulty, FULL, (160, 160), 3.0, NOISE if faulty else None)
            yield labels, pixels[::2, ::2], pixels

    store_views(views(), 10, folder)
    (folder / "change.txt").write_text("9.0\n" * 81)
    return ViewStore(folder)


@pytest.fixture(scope="module")
def stored(store: ViewStore) -> StoredCells:
    torch.manual_seed(0)
    perception = Perception()
    pixels = [store.pixels(i) for i in range(len(store))]
    with torch.no_grad():
        cells = perception.cells([one for one, _ in pixels], [other for _, other in pixels])
    assert cells.shape == (10, 2, CELL_FEATURES, GRID, GRID)
    return StoredCells([store], [cells.numpy().astype(np.float16)])


def test_views_without_pixels_know_their_fault(stored: StoredCells) -> None:
    assert stored.faults[:2] == [NOISE, None]
    assert stored.held_out == [0, 8, 9]


def test_two_stores_share_one_numbering(store: ViewStore) -> None:
    first, second = (np.full((10, 2, CELL_FEATURES, GRID, GRID), value, np.float16) for value in (1, 2))
    both = StoredCells([store, store], [first, second])
    assert both.held_out == [0, 8, 9, 10, 18, 19]
    assert both.take([9, 10])[:, 0, 0, 0, 0].tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="store 1 has 10 views but cell features of 4"):
        StoredCells([store, store], [first, second[:4]])


def test_the_head_learns(stored: StoredCells, tmp_path: Path) -> None:
    torch.manual_seed(0)
    head = FaultHead()
    options = FaultHeadOptions(steps=40, batch=6, rate=3e-3, warmup=1)
    train_fault_head(options, head, stored, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    held = [stored.faults[i] for i in stored.held_out]
    assert rows[-2]["kind"] < 0.5 * rows[1]["kind"]
    again = validate_fault_head(head, held, stored.take(stored.held_out))
    np.testing.assert_equal(rows[-1], again)  # all faults are of one level: severity is NaN
    assert rows[-1]["kind"] == rows[-1]["half_covered"] == 1.0, "noise in one half is all there is to learn"


def test_a_tiny_fault_counts_neither_as_a_fault_nor_as_none(stored: StoredCells) -> None:
    sliver = ViewFault("noise", 4.0, Region(0.0, 0.0, 0.1, 0.1))
    assert worst_target(sliver) == (-1, 4.0)
    assert set(fault_losses(FaultHead().eval(), [sliver], stored.take([0]))) == {"kind", "severity"}


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


HEADS = ("kinds", "severities", "box")
"""Outputs that are read from the detail view."""


def heads_of(perception: Perception, *views: tuple[torch.Tensor, torch.Tensor]) -> HeadOutputs:
    """Outputs for one view, given cell features and region of it and of its detail view."""
    (cells, _), (detail_cells, detail_region) = views[0], views[-1]
    with torch.no_grad():
        return perception.heads(cells, torch.tensor([3.0]), detail_cells, detail_region)


def test_boxes_are_in_fractions_of_the_picture() -> None:
    torch.manual_seed(0)
    perception = Perception().eval()
    cells = torch.rand(1, 2, CELL_FEATURES, GRID, GRID)
    whole = heads_of(perception, (cells, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))).box[0]
    part = heads_of(perception, (cells, torch.tensor([[0.5, 0.2, 1.0, 0.6]]))).box[0]
    assert part.tolist() == pytest.approx(
        (torch.tensor([0.5, 0.2] * 2) + whole * torch.tensor([0.5, 0.4] * 2)).tolist()
    )


def test_findings_are_read_from_the_detail_view_and_the_rest_from_the_view() -> None:
    torch.manual_seed(0)
    perception = Perception().eval()
    cells, detail = torch.rand(2, 1, 2, CELL_FEATURES, GRID, GRID)
    view = cells, torch.tensor([[0.2, 0.1, 0.9, 0.9]])
    closer = detail, torch.tensor([[0.5, 0.2, 1.0, 0.6]])
    far, close, both = heads_of(perception, view), heads_of(perception, closer), heads_of(perception, view, closer)
    for name, value in both._asdict().items():
        of = close if name in HEADS else far
        assert torch.equal(value, getattr(of, name)), name
    assert not torch.equal(far.kinds, close.kinds)


def test_the_result_is_the_mean_of_the_weights_over_the_steps(stored: StoredCells, tmp_path: Path) -> None:
    weights = []
    for steps, average in ((0, 0.0), (1, 0.0), (1, 0.998)):
        torch.manual_seed(0)
        head = FaultHead()
        options = FaultHeadOptions(steps=steps, batch=6, warmup=1, average=average)
        train_fault_head(options, head, stored, tmp_path / f"{steps}-{average}")
        weights.append(head.kind.weight.detach().clone())
    begun, after, kept = weights
    assert not torch.allclose(begun, after)
    torch.testing.assert_close(kept, 0.1 * begun + 0.9 * after)  # after one step 1 / 10 of the beginning is left


def test_two_steps_and_two_more_are_four(stored: StoredCells, tmp_path: Path) -> None:
    options = FaultHeadOptions(steps=4, batch=6, warmup=1)
    weights = []
    for stops in ((None,), (2, None)):
        for stop in stops:
            torch.manual_seed(1)
            head = FaultHead()
            train_fault_head(options, head, stored, tmp_path / str(len(stops)), stop)
        weights.append(head.kind.weight.detach().clone())
    assert torch.equal(*weights)
    whole, resumed = ((tmp_path / name / "log.jsonl").read_text() for name in ("1", "2"))
    assert whole == resumed


def test_the_stage_changes_the_fault_head_only(store: ViewStore, stored: StoredCells, tmp_path: Path) -> None:
    cells = stored.take(range(len(store))).numpy().astype(np.float16)
    np.save(tmp_path / f"{store.name}.npy", cells)
    torch.manual_seed(0)
    Perception().save(tmp_path / "perception.pt")
    options = FaultHeadOptions(steps=1, batch=2, warmup=1)
    folder = Path(str(store.overview.filename)).parent
    run_fault_head(options, tmp_path / "perception.pt", [folder], tmp_path, tmp_path / "out")
    before, after = (torch.load(one / "perception.pt", weights_only=True) for one in (tmp_path, tmp_path / "out"))
    changed = {
        part for part, weights in before.items() for k, v in weights.items() if not torch.equal(v, after[part][k])
    }
    assert changed == {"fault_head"}
