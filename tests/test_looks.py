"""What may be learned from: never a test picture, nor the scene of one."""

from __future__ import annotations

import pytest

from snellen.data.sample import Sample
from snellen.train.looks import hold_out, training_pictures

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
