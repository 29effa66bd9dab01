"""Fitting the photo fault head: made-up features in which one number is a kind's severity."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from snellen.backend import SNELLEN_1
from snellen.backends.onnx import Snellen1Backend
from snellen.data.fault_labels import FaultLabel
from snellen.region import FULL
from snellen.reply import Issue
from snellen.snellen1.photo_faults import PHOTO_KINDS
from snellen.train.snellen1.photo_faults import FALSE_ALARMS, Fitted, add_to_model, fit, further_share, targets

BLOCKS = (30, 6)


def label(*faults: tuple[str, int]) -> FaultLabel:
    issues = tuple(Issue(kind, severity, FULL) for kind, severity in faults)
    return FaultLabel("a", 1, "train", 3.0, issues, frozenset(), "")


def test_targets_are_means_over_raters_and_blur_stands_for_motion_blur() -> None:
    severity, minded = targets([[label(("motion blur", 4)), label(("noise", 1))]])
    assert severity[0, PHOTO_KINDS.index("blur")] == 2.0 and severity[0, PHOTO_KINDS.index("noise")] == 0.5
    assert minded[0, PHOTO_KINDS.index("blur")]
    assert not minded[0, PHOTO_KINDS.index("noise")], "severity 1 is not minded"


@pytest.fixture(scope="module")
def fitted() -> tuple[Fitted, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    severity = rng.integers(0, 6, 240)
    features = rng.normal(size=(240, sum(BLOCKS)))
    features[:, :6] += severity[:, None]
    labels = [[label(("noise", int(level)))] if level else [label()] for level in severity]
    return fit(features, BLOCKS, labels), features, severity


def test_what_was_learned_is_found_again(fitted: tuple[Fitted, np.ndarray, np.ndarray]) -> None:
    found, features, severity = fitted
    noise = PHOTO_KINDS.index("noise")
    assert np.corrcoef(found.crossed[:, noise], severity)[0, 1] > 0.7, "on pictures that were left out"
    strong = found.head(features[[int(np.argmax(severity))]])[0]
    assert strong.kind == "noise" and strong.severity >= 4 and strong.probability > found.thresholds["noise"]


def test_the_threshold_lets_a_known_share_of_clean_pictures_through(
    fitted: tuple[Fitted, np.ndarray, np.ndarray],
) -> None:
    found, _, severity = fitted
    highest = found.head.probabilities(found.crossed[severity < 2]).max(axis=1)
    (threshold,) = set(found.thresholds.values())
    assert (highest >= threshold).mean() == pytest.approx(FALSE_ALARMS, abs=0.02)


def test_further_kinds_are_listed_as_long_as_four_of_five_are_borne_out() -> None:
    probability = np.array([[0.9, 0.42], [0.9, 0.32], [0.9, 0.22], [0.1, 0.1]])
    borne_out = np.array([[True, True], [True, False], [True, False], [False, False]])
    assert further_share(probability, borne_out, 0.5) == pytest.approx(0.45), "4 of 5 listed at 0.225, 4 of 6 at 0.2"
    assert further_share(probability, ~borne_out, 0.5) == 1.0
    assert further_share(np.zeros((4, 2)), borne_out, 0.5) == 1.0, "nothing is listed"


def test_the_head_is_written_into_a_model_folder(fitted: tuple[Fitted, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(SNELLEN_1, folder)
    add_to_model(fitted[0], folder)
    backend = Snellen1Backend(folder)
    assert backend.photo_further == pytest.approx(fitted[0].further, abs=0.01)
    assert backend.photo_thresholds == pytest.approx(fitted[0].thresholds, abs=1e-4)
    assert json.loads((folder / "card.json").read_text())["photo_thresholds"] == backend.photo_thresholds
