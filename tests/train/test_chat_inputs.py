"""Conversations as inputs: padding, and the count of picture tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("peft")

from test_lora import asked, opened, picture
from tiny_vlm import make_tiny_vlm

from snellen.train.chat_inputs import padded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_vlm(tmp_path_factory.mktemp("tiny"))


def test_rows_are_padded_on_the_side_that_is_asked_for() -> None:
    rows = [
        {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
         "pixel_values": torch.full((2, 3), float(len(ids)))}
        for ids in ([5, 6, 7], [8])
    ]  # fmt: skip
    left, right = padded(rows, 9, "left"), padded(rows, 9, "right")
    assert left["input_ids"].tolist() == [[5, 6, 7], [9, 9, 8]] and left["attention_mask"].tolist()[1] == [0, 0, 1]
    assert right["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]] and right["attention_mask"].tolist()[1] == [1, 0, 0]
    assert left["pixel_values"].shape == (4, 3), "one picture after the other"


def test_a_reply_with_a_picture_token_is_refused(folder: Path) -> None:
    policy = opened(folder)
    token = policy.inputs.image_token
    assert token in policy.suppressed
    with pytest.raises(ValueError, match="picture 0: the input has 17 picture tokens for 16 picture features"):
        policy.encode(asked(picture(0, 224, 224)), (token or 0,))


def test_views_are_encoded_once_for_a_group_of_rollouts(folder: Path) -> None:
    policy, shown = opened(folder), picture(0)
    first = policy.inputs.encode(asked(shown))
    kept = list(policy.inputs._kept)
    again = policy.inputs.encode(asked(shown))
    assert list(policy.inputs._kept) == kept and torch.equal(again["pixel_values"], first["pixel_values"])
    policy.inputs.encode(asked(picture(1)))
    assert len(policy.inputs._kept) == len(kept) + 1
