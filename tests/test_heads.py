"""The fault heads learn on stored looks, and nothing else of the model moves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from snellen.model.vision import WIDTH, Encoder, Glance
from snellen.region import Region
from snellen.train.heads import HEADS, HeadOptions, known_looks, store_cells, train_heads, validate_heads
from snellen.train.looks import LookStore, store_looks
from snellen.train.vision import Look

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


def test_looks_without_pixels_know_their_fault(store: LookStore) -> None:
    assert [look.fault for look in known_looks(store)[:2]] == [("noise", 4, HALF), None]
    assert store.held_out == [0, 8, 9]


def test_heads_learn_and_the_rest_stays(store: LookStore, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder, glance = Encoder().eval(), Glance()
    before = {name: value.clone() for name, value in glance.state_dict().items()}
    cells = store_cells(encoder, store, tmp_path / "cells.npy")
    assert cells.shape == (10, 2, WIDTH, 10, 10)
    options = HeadOptions(steps=30, batch=6, rate=3e-3, warmup=1, dropout=0.0)
    train_heads(options, glance, store, cells, tmp_path / "log.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-2]["kind"] < 0.5 * rows[1]["kind"]
    assert rows[-1] == validate_heads(glance, known_looks(store), cells, store.held_out)
    moved = {name for name, value in glance.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.split(".")[0] in HEADS}
