"""Fixtures of training tests: pictures, and a snellen-1 policy whose features cost nothing."""

from __future__ import annotations

import copy
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snellen.data.sample import Fault, Sample
from snellen.image import Picture, View
from snellen.region import Region
from snellen.snellen1.decoder import DecoderShape
from snellen.snellen1.layout import GRID_SIDE, ViewFeatures
from snellen.train.snellen1.feature_cache import FeatureCache
from snellen.train.snellen1.policy import Snellen1Policy
from snellen.vocabulary import KINDS

BOX = Region(0.1, 0.1, 0.6, 0.6)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Results equal to the last bit need a fixed order of sums; and small models are faster on one thread."""
    torch.set_num_threads(1)


def picture(seed: int) -> Picture:
    """Random pixels, enough that a crop shows more."""
    pixels = np.random.default_rng(seed).integers(0, 256, (400, 400, 3), np.uint8)
    return Picture(pixels, f"picture {seed}")


def random_features(view: View) -> ViewFeatures:
    """Features that depend on the name of the picture and on the region alone."""
    rng = np.random.default_rng(zlib.crc32(f"{Path(view.picture.name).name} {view.region.to_list()}".encode()))
    kinds = rng.dirichlet(np.ones(len(KINDS) + 1)).astype(np.float32)
    rating = float(rng.uniform(1.5, 4.5))
    cells = rng.normal(0.0, 1.0, (2, GRID_SIDE * GRID_SIDE, 160)).astype(np.float32)
    x, y = rng.uniform(0.0, 0.5, 2)
    return ViewFeatures(
        region=view.region,
        kinds=kinds,
        severities=rng.uniform(1.0, 5.0, len(KINDS)).astype(np.float32),
        box=Region(x, y, x + 0.4, y + 0.4),
        box_area=0.16,
        rating=rating,
        score_head=rating,
        summary=rng.normal(0.0, 1.0, 128).astype(np.float32),
        overview=cells[0],
        fragments=cells[1],
    )


@pytest.fixture(scope="session")
def _opened() -> Snellen1Policy:
    policy = Snellen1Policy(shape=DecoderShape(width=32, layers=1, heads=2))
    policy.cache = FeatureCache(random_features, "random")
    with torch.no_grad():
        policy.reference.head.weight *= 0.1  # nearly uniform, so that every kind of rollout occurs
    return policy


@pytest.fixture
def policy(_opened: Snellen1Policy) -> Snellen1Policy:
    """snellen-1 with random features and a small new decoder; the same weights for each test."""
    _opened.decoder = copy.deepcopy(_opened.reference).requires_grad_(True)
    _opened.rounds = 2
    return _opened


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Sample], list[Sample]]:
    """Three human-rated pictures, and one with a known local fault."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for seed in range(4):
        paths.append(str(folder / f"{seed}.png"))
        Image.fromarray(picture(seed).pixels).save(paths[-1])
    real = [Sample(path, mos) for path, mos in zip(paths, (4.5, 4.4, 2.6), strict=False)]
    return real, [Sample(paths[3], 2.0, faults=(Fault("white_noise", "noise", 3, BOX),))]
