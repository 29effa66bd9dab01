"""The model in the package, on generated pictures and on the examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from snellen.assess import Assessor
from snellen.backends import BackendError, Sampling
from snellen.backends.bundled import WEIGHTS, BundledBackend
from snellen.image import load

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.jpg"))


@pytest.fixture(scope="module")
def backend() -> BundledBackend:
    return BundledBackend()


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    """The example photographs, which are good ones."""
    assert len(EXAMPLES) >= 3
    return [load(path).pixels for path in EXAMPLES]


def scores(assessor: Assessor, pictures: list[np.ndarray]) -> list[float]:
    out = []
    for assessment in assessor.assess(pictures):
        assert assessment.error is None and assessment.score is not None, assessment.error
        out.append(assessment.score)
    return out


def blurred(pixels: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


@pytest.mark.parametrize("score_only", [False, True])
def test_more_blur_never_scores_higher_on_average(backend, photographs, score_only) -> None:
    assessor = Assessor(backend, score_only=score_only)
    means = [float(np.mean(scores(assessor, [blurred(p, radius) for p in photographs]))) for radius in (0, 1, 2, 4, 8)]
    assert means == sorted(means, reverse=True)
    assert means[0] - means[-1] > 1.0


def test_noise_lowers_the_score(backend, photographs) -> None:
    rng = np.random.default_rng(0)
    noisy = [np.clip(p + rng.normal(0, 40, p.shape), 0, 255).astype(np.uint8) for p in photographs]
    assessor = Assessor(backend)
    assert np.mean(scores(assessor, noisy)) < np.mean(scores(assessor, photographs)) - 0.5


def test_same_score_alone_and_in_a_batch(backend, photographs) -> None:
    together = scores(Assessor(backend, batch_size=8), photographs)
    alone = [scores(Assessor(backend, batch_size=1), [p])[0] for p in photographs]
    assert np.allclose(together, alone, atol=1e-3)


def test_rounds_are_explained_and_the_interval_holds_the_score(backend, photographs) -> None:
    for assessment in Assessor(backend).assess(photographs):
        assert assessment.score is not None and assessment.interval is not None
        low, high = assessment.interval
        assert 1.0 <= low <= assessment.score <= high <= 5.0 and high > low
        for step in assessment.steps:
            assert step.parsed is not None and step.parsed.rationale is not None
            assert step.distribution is not None and step.distribution.probs.sum() == pytest.approx(1.0)
            assert len(step.reply.token_ids) == len(step.reply.logprobs) > 10


def test_sampling_is_reproducible_and_differs_by_seed(backend, photographs) -> None:
    def text(seed: int) -> str:
        assessor = Assessor(backend, sampling=Sampling(temperature=1.0, seed=seed), max_rounds=1)
        return assessor.assess(photographs[:1])[0].steps[0].reply.text

    assert text(1) == text(1)
    assert len({text(seed) for seed in range(4)}) > 1


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    for file in WEIGHTS.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "tokenizer.json").write_text((tmp_path / "tokenizer.json").read_text() + " ")
    with pytest.raises(BackendError, match=r"tokenizer\.json.*reinstall"):
        BundledBackend(tmp_path)
    with pytest.raises(BackendError, match=r"card\.json"):
        BundledBackend(tmp_path / "nothing")
