"""Fixtures of training tests: one thread, pictures on disk, and a snellen-1 policy with random features."""

from __future__ import annotations

import copy

import pytest
import torch
from PIL import Image
from tiny_snellen1 import BOX, picture, random_features

from snellen.data.sample import Fault, Sample
from snellen.snellen1.decoder import DecoderShape
from snellen.train.snellen1.feature_cache import FeatureCache
from snellen.train.snellen1.policy import Snellen1Policy


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Results equal to the last bit need a fixed order of sums; and small models are faster on one thread."""
    torch.set_num_threads(1)


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
