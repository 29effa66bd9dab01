"""An Assessor inside a data loader of torch, whose workers are processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snellen.apps.metric import Metric
from snellen.assessor import Assessor

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))[:3]


class Scores(torch.utils.data.Dataset[float]):
    """The scores of the examples, computed where they are asked for."""

    def __init__(self) -> None:
        self.assessor = Assessor(score_only=True)

    def __len__(self) -> int:
        return len(EXAMPLES)

    def __getitem__(self, index: int) -> float:
        score = self.assessor.assess([EXAMPLES[index]])[0].score
        assert score is not None
        return score


@pytest.mark.parametrize(("how", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_of_a_data_loader_give_the_scores_of_this_process(how: str, workers: int) -> None:
    scores = Scores()
    here = [scores[index] for index in range(len(scores))]  # the model is used before its process is copied
    loader = torch.utils.data.DataLoader(scores, num_workers=workers, multiprocessing_context=how, timeout=120)
    assert [float(batch) for batch in loader] == pytest.approx(here, abs=1e-6)
    assert scores[0] == pytest.approx(here[0], abs=1e-6)


def tensors(side: int = 96) -> torch.Tensor:
    """The examples as (3, 3, side, side), 0 to 1."""
    pictures = [np.asarray(Image.open(path).convert("RGB").resize((side, side))) for path in EXAMPLES]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255.0


@pytest.fixture(scope="module")
def metric() -> Metric:
    return Metric(threads=1)


def test_a_batch_of_tensors_has_the_scores_of_its_pictures(metric: Metric) -> None:
    images = tensors()
    pixels = [(255 * one.permute(1, 2, 0).numpy()).round().astype(np.uint8) for one in images]
    expected = [one.score for one in metric.assessor.assess(pixels)]
    found = metric(images)
    assert found.dtype == torch.float32 and found.tolist() == pytest.approx(expected, abs=1e-4)
    assert metric(images.double().requires_grad_()).tolist() == pytest.approx(expected, abs=1e-4)
    assert not metric(images.double().requires_grad_()).requires_grad
    gray = images.mean(dim=1, keepdim=True)
    assert metric(gray).tolist() == pytest.approx(metric(gray.repeat(1, 3, 1, 1)).tolist(), abs=1e-4)
    assert metric(images[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (torch.rand(3, 64, 64), "images are floats"),
        (torch.rand(1, 4, 64, 64), "images are floats"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), "images are floats"),
        (255 * torch.rand(1, 3, 64, 64), "between 0 and 1"),
        (torch.full((1, 3, 64, 64), float("nan")), "between 0 and 1"),
        (torch.rand(1, 3, 8, 8), "picture 0 of the batch: too_small"),
    ],
)
def test_other_tensors_are_refused(metric: Metric, images: torch.Tensor, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        metric(images)


class Scored(torch.utils.data.Dataset[float]):
    """Pictures that a worker scores as it loads them."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.images = tensors(64)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> float:
        return float(self.metric(self.images[index : index + 1])[0])


def test_a_metric_scores_inside_workers(metric: Metric) -> None:
    here = metric(tensors(64)).tolist()
    loader = torch.utils.data.DataLoader(Scored(metric), num_workers=1, multiprocessing_context="spawn", timeout=120)
    assert [float(batch) for batch in loader] == pytest.approx(here, abs=1e-4)
