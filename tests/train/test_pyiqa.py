"""The metric of pyiqa. Skipped where pyiqa is not installed; `scripts/proofs pyiqa` installs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from snellen.assessor import Assessor

pyiqa = pytest.importorskip("pyiqa")
EXAMPLES = [Path(__file__).parents[2] / "examples" / name for name in ("dandelion.jpg", "cat_compressed.jpg")]


def tensor(path: Path) -> torch.Tensor:
    """A picture as (1, 3, H, W), 0 to 1."""
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None] / 255.0


@pytest.fixture(scope="module")
def metric() -> Any:
    import snellen.apps.metric.pyiqa  # noqa: F401, PLC0415 - the documented line

    return pyiqa.create_metric("snellen", device="cpu")


def test_the_created_metric_gives_the_scores_of_snellen_score(metric: Any) -> None:
    expected = [one.score for one in Assessor().assess(EXAMPLES)]
    assert [float(metric(tensor(path))) for path in EXAMPLES] == pytest.approx(expected, abs=1e-4)
    assert [float(metric(str(path))) for path in EXAMPLES] == pytest.approx(expected, abs=1e-4)


def test_it_is_listed_and_described_as_pyiqa_does(metric: Any) -> None:
    assert "snellen" in pyiqa.list_models("NR") and "snellen" not in pyiqa.list_models("FR")
    assert (metric.metric_mode, metric.lower_better, metric.score_range) == ("NR", False, "1, 5")


def test_options_reach_the_assessor(metric: Any) -> None:
    quick = pyiqa.create_metric("snellen", device="cpu", score_only=True, threads=1)
    expected = Assessor(score_only=True).assess([EXAMPLES[0]])[0].score
    assert float(quick(tensor(EXAMPLES[0]))) == pytest.approx(expected, abs=1e-4)


def test_a_gradient_is_refused(metric: Any) -> None:
    loss = pyiqa.create_metric("snellen", device="cpu", as_loss=True)
    with pytest.raises(ValueError, match="no gradients"):
        loss(torch.rand(1, 3, 64, 64, requires_grad=True))
