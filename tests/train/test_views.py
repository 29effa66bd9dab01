"""Views to train on: never of a test picture or of its scene; stores that go on after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snellen.data.sample import Sample
from snellen.region import Region
from snellen.train.snellen1.example import Pixels, ViewFault
from snellen.train.snellen1.views import (
    Mixture,
    StoredView,
    ViewStore,
    balanced_chances,
    hold_out,
    store_views,
    stored_count,
    training_pictures,
)

SAMPLES = [
    *(Sample(f"train{i}", 3.0, split="train", group=f"g{i // 2}") for i in range(2000)),
    Sample("same scene", 3.0, split="train", group="shared"),
    Sample("tested", 3.0, split="test", group="shared"),
]


def test_no_test_picture_and_no_scene_of_one_is_trained_on_or_held_out() -> None:
    train, held = training_pictures(SAMPLES)
    assert len(held) == 800 and len(train) == 1200
    assert {sample.split for sample in [*train, *held]} == {"train"}
    assert "same scene" not in {sample.path for sample in [*train, *held]}


def test_scenes_are_whole_on_one_side_whatever_the_order() -> None:
    train, held = training_pictures(SAMPLES)
    assert not {sample.group for sample in train} & {sample.group for sample in held}
    again, _ = training_pictures(SAMPLES[::-1])
    assert {sample.path for sample in again} == {sample.path for sample in train}


def test_holding_out_refuses_test_pictures() -> None:
    with pytest.raises(ValueError, match="tested is a test picture"):
        hold_out(SAMPLES, 10)


def test_rated_views_show_nearly_all_of_a_picture_each_time_another_part(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 255, 400).astype(np.uint8)[None, :, None], 400, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    mixture = Mixture([Sample(str(tmp_path / "ramp.png"), 3.0)], None, rated=1, synthetic=0, crops=0.0, seed=0)
    rows = [next_batch[0].overview[0, :, 0].astype(int) for next_batch, _ in zip(mixture, range(8), strict=False)]
    assert all(np.ptp(row) >= 0.88 * 255 for row in rows)
    assert len({tuple(sorted((row[0], row[-1]))) for row in rows}) > 4


def test_faults_of_every_kind_are_drawn_equally_often_and_clean_views_as_often_as_they_are() -> None:
    kinds = ["noise"] * 6 + ["blur"] * 2 + [None] * 4
    chances = balanced_chances(kinds)
    assert chances.sum() == pytest.approx(1.0)
    by_kind = {
        kind: sum(p for p, k in zip(chances, kinds, strict=True) if k == kind) for kind in ("noise", "blur", None)
    }
    assert by_kind == pytest.approx({"noise": 1 / 3, "blur": 1 / 3, None: 1 / 3})
    assert balanced_chances([None, None]).tolist() == [0.5, 0.5]
    assert balanced_chances(["noise", "blur", "blur"]).tolist() == pytest.approx([0.5, 0.25, 0.25])


def views(first: int, last: int) -> list[tuple[StoredView, Pixels, Pixels]]:
    """Views of one gray level each; every second one has a fault in its left half."""
    fault = ViewFault("noise", 4.0, Region(0.0, 0.0, 0.5, 1.0))
    return [
        (
            StoredView(i, i % 2 == 1, Region(0.0, 0.1, 1.0, 0.9), (90, 100), 3.0, None if i % 2 else fault),
            np.full((90, 100, 3), i, np.uint8),
            np.full((320, 320, 3), i, np.uint8),
        )
        for i in range(first, last)
    ]


def test_a_store_that_was_killed_goes_on_and_is_what_it_would_have_been(tmp_path: Path) -> None:
    assert stored_count(tmp_path / "whole") == 0
    store_views(views(0, 5), 5, tmp_path / "whole")
    store_views(views(0, 3), 5, tmp_path / "killed")
    with (tmp_path / "killed" / "views.jsonl").open("a") as lines:
        lines.write('{"recipe": 3, "cl')  # in the middle of a line
    assert stored_count(tmp_path / "killed") == 3
    store_views(views(2, 5), 5, tmp_path / "killed", 2)
    for folder in ("whole", "killed"):
        (tmp_path / folder / "change.txt").write_text("9.0\n" * 5)
    whole, killed = (ViewStore(tmp_path / folder) for folder in ("whole", "killed"))
    assert killed.views == whole.views == [labels for labels, _, _ in views(0, 5)]
    for i in range(5):
        for one, other in zip(whole.pixels(i), killed.pixels(i), strict=True):
            np.testing.assert_array_equal(one, other)
            assert (one == i).all()
    with pytest.raises(ValueError, match=r"overview.npy is for 5 views, not 6; remove"):
        store_views(views(5, 6), 6, tmp_path / "whole", 5)


def test_views_of_invisible_faults_are_neither_trained_on_nor_validated_on(tmp_path: Path) -> None:
    store_views(views(0, 4), 4, tmp_path)
    (tmp_path / "change.txt").write_text("9.0\n0.0\n1.0\n0.0\n")  # recipes 1 and 3 are clean, 2 cannot be seen
    store = ViewStore(tmp_path)
    assert (store.held_out, store.trained) == ([0], [1, 3])
