"""An Assessor inside a data loader of torch, whose workers are processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

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
