"""What may be learned from: never a test picture, nor the scene of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snellen.data.sample import Sample
from snellen.region import Region
from snellen.train.snellen1.example import Look
from snellen.train.snellen1.views import LookStore, Mixture, even, hold_out, store_looks, stored, training_pictures

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


def test_real_looks_see_nearly_all_of_a_picture_each_time_another_part(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 255, 400).astype(np.uint8)[None, :, None], 400, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    mixture = Mixture([Sample(str(tmp_path / "ramp.png"), 3.0)], None, real=1, synthetic=0, crops=0.0, seed=0)
    rows = [next_batch[0].overview[0, :, 0].astype(int) for next_batch, _ in zip(mixture, range(8), strict=False)]
    assert all(np.ptp(row) >= 0.88 * 255 for row in rows)
    assert len({tuple(sorted((row[0], row[-1]))) for row in rows}) > 4


def test_faults_of_every_kind_are_drawn_equally_often_and_clean_looks_as_often_as_they_are() -> None:
    kinds = ["noise"] * 6 + ["blur"] * 2 + [None] * 4
    chances = even(kinds)
    assert chances.sum() == pytest.approx(1.0)
    by_kind = {
        kind: sum(p for p, k in zip(chances, kinds, strict=True) if k == kind) for kind in ("noise", "blur", None)
    }
    assert by_kind == pytest.approx({"noise": 1 / 3, "blur": 1 / 3, None: 1 / 3})
    assert even([None, None]).tolist() == [0.5, 0.5]
    assert even(["noise", "blur", "blur"]).tolist() == pytest.approx([0.5, 0.25, 0.25])


def looks(first: int, last: int) -> list[tuple[Look, dict[str, object]]]:
    """Of every second one the picture is all as bright as its number says, of the others there is a fault in half."""
    faults = [("noise", 4, Region(0.0, 0.0, 0.5, 1.0)), None]
    return [
        (
            Look(np.full((90, 100, 3), i, np.uint8), np.full((320, 320, 3), i, np.uint8), 3.0, False, faults[i % 2]),
            {"recipe": i, "clean": i % 2 == 1},
        )
        for i in range(first, last)
    ]


def test_a_store_that_was_killed_goes_on_and_is_what_it_would_have_been(tmp_path: Path) -> None:
    assert stored(tmp_path / "whole") == 0
    store_looks(looks(0, 5), 5, tmp_path / "whole")
    store_looks(looks(0, 3), 5, tmp_path / "killed")
    with (tmp_path / "killed" / "looks.jsonl").open("a") as lines:
        lines.write('{"shape": [90, 1')  # in the middle of a line
    assert stored(tmp_path / "killed") == 3
    store_looks(looks(2, 5), 5, tmp_path / "killed", 2)
    for folder in ("whole", "killed"):
        (tmp_path / folder / "change.txt").write_text("9.0\n" * 5)
    whole, killed = (LookStore(tmp_path / folder) for folder in ("whole", "killed"))
    assert killed.rows == whole.rows and len(whole) == 5
    for i in range(5):
        for one, other in zip(whole.pixels(i), killed.pixels(i), strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match=r"overview.npy is for 5 looks, not 6; remove"):
        store_looks(looks(5, 6), 6, tmp_path / "whole", 5)
