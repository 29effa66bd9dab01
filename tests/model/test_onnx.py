"""The model in the package, on generated pictures and on the examples."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import snellen
from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.backend import RATING_GRID, SNELLEN_1, BackendError, Sampling, Turn
from snellen.backends.onnx import Snellen1Backend, detail_view
from snellen.data.distort import distort
from snellen.domain import NOT_A_PHOTOGRAPH
from snellen.image import Picture, load
from snellen.region import Region
from snellen.snellen1.layout import Decision
from snellen.snellen1.photo_features import rating_features
from snellen.vocabulary import KINDS

EXAMPLES = Path(__file__).parents[2] / "examples"
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def model() -> Snellen1Backend:
    return Snellen1Backend()


@pytest.fixture(scope="module")
def assessor(model: Snellen1Backend) -> Assessor:
    return Assessor(model)


@pytest.fixture(scope="module")
def scorer(model: Snellen1Backend) -> Assessor:
    return Assessor(model, score_only=True)


def photos() -> list[Pixels]:
    """Four clean photographs of half a megapixel or so."""
    mountains, dandelion = (load(EXAMPLES / name).pixels for name in ("mountains.jpg", "dandelion.jpg"))
    path, rocks = mountains[300:900, 40:840], mountains[60:660, 440:1240]
    return [path, rocks, dandelion[20:620, 100:900], dandelion[500:, 600:1500]]


@pytest.fixture(scope="module")
def generated() -> list[Picture]:
    """Pictures of many kinds: photographs with and without faults, noise, flat, tiny, long."""
    rng = np.random.default_rng(0)
    first, second = photos()[:2]
    pixels = [
        first,
        distort(second, "gaussian_blur", 4, rng),
        distort(first, "jpeg", 5, rng),
        rng.integers(0, 256, (300, 400, 3), np.uint8),
        np.full((200, 200, 3), 128, np.uint8),
        first[:40, :40],
        second[:64],
        distort(first, "white_noise", 4, rng, Region(0.5, 0.5, 0.9, 0.9)),
    ]
    return [Picture(np.ascontiguousarray(one), f"picture {number}") for number, one in enumerate(pixels)]


@pytest.fixture(scope="module")
def together(assessor: Assessor, generated: list[Picture]) -> list[Assessment]:
    return assessor.assess(generated)


@pytest.fixture(scope="module")
def large() -> Picture:
    """Nine megapixels with noise in a part."""
    pixels = np.tile(load(EXAMPLES / "dandelion.jpg").pixels, (2, 2, 1))
    return Picture(distort(pixels, "white_noise", 5, np.random.default_rng(0), Region(0.6, 0.6, 0.8, 0.8)), "large")


def test_every_reply_can_be_read_and_says_something(together: list[Assessment]) -> None:
    for assessment in together:
        assert assessment.error is None, assessment.error
        assert assessment.score is not None and 1.0 <= assessment.score <= 5.0
        assert assessment.interval is not None
        low, high = assessment.interval
        assert 1.0 <= low <= assessment.score <= high <= 5.0
        unfit = any("one colour" in note or note == NOT_A_PHOTOGRAPH for note in assessment.notes)
        assert (high - low == 4.0) == unfit
        for step in assessment.steps:
            assert step.parsed is not None and step.parsed.rationale is not None
            assert step.reply.finish == "stop" and all(len(text) > 10 for text in step.parsed.rationale.sections)
        assert all(issue.kind in KINDS for issue in assessment.issues)
    scores = [assessment.score for assessment in together if assessment.score is not None]
    assert np.ptp(scores) > 1.0, "a photograph and noise are worlds apart"


def test_a_later_round_quotes_the_earlier_rating_as_it_was(together: list[Assessment]) -> None:
    quoted = 0
    for assessment in together:
        for before, after in pairwise(assessment.steps):
            words = after.reply.text.partition("</think>")[0]
            numbers = re.findall(r"\d\.\d\d", words)
            assert set(numbers) <= {re.findall(r'"rating": (\d\.\d\d)', before.reply.text)[-1]}
            quoted += bool(numbers)
    assert quoted


def test_the_score_is_the_mean_of_a_distribution_over_ratings(together: list[Assessment]) -> None:
    for assessment in together:
        for step in assessment.steps:
            assert step.distribution is not None and step.rating is not None
            np.testing.assert_array_equal(step.distribution.values, RATING_GRID)
            assert step.distribution.probs.sum() == pytest.approx(1.0)
        last = assessment.steps[-1].distribution
        assert last is not None and assessment.score == pytest.approx(float(last.values @ last.probs))


def test_a_picture_scores_the_same_alone_and_in_a_batch(
    assessor: Assessor, scorer: Assessor, generated: list[Picture], together: list[Assessment]
) -> None:
    for picture, before in zip(generated, together, strict=True):
        (alone,) = assessor.assess([picture])
        assert alone.score == pytest.approx(before.score, abs=1e-3)
        assert [step.region for step in alone.steps] == [step.region for step in before.steps]
    batch = [assessment.score for assessment in scorer.assess(generated)]
    assert batch == pytest.approx([scorer.assess([picture])[0].score for picture in generated], abs=1e-3)


def test_another_process_gives_the_same_score(assessor: Assessor) -> None:
    name = str(EXAMPLES / "coffee_dark.jpg")
    (here,) = assessor.assess([name])
    command = [sys.executable, "-m", "snellen", "assess", name, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    there = json.loads(done.stdout)
    assert there["score"] == pytest.approx(here.score, abs=1e-3)
    assert there["provenance"]["model"] == "snellen-1" and there["provenance"]["model_version"]


def test_the_command_names_the_model(model: Snellen1Backend) -> None:
    command = [sys.executable, "-m", "snellen", "assess", str(EXAMPLES / "cat_compressed.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"snellen-1 {model.version}" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("distortion", ["gaussian_blur", "white_noise", "jpeg"])
def test_worse_pictures_score_lower_on_average(scorer: Assessor, distortion: str) -> None:
    ladders = np.array([ladder(scorer, pixels, distortion) for pixels in photos()])
    means = ladders.mean(axis=0)
    assert (np.diff(means) < 0.05).all() and (np.diff(means[1:]) < 0).all(), means
    assert means[0] - means[5] > 0.6, means
    assert (ladders[:, 0] > ladders[:, 5]).all()


def test_more_blur_lowers_the_score_with_zoom_too(assessor: Assessor) -> None:
    means = np.mean([ladder(assessor, pixels, "gaussian_blur") for pixels in photos()], axis=0)
    assert (np.diff(means[1:]) < 0).all() and means[0] - means[5] > 0.8, means


def ladder(assessor: Assessor, pixels: Pixels, distortion: str) -> list[float]:
    """Scores of a picture as it is and distorted at levels 1 to 5."""
    rng = np.random.default_rng(0)
    rungs = [pixels, *(distort(pixels, distortion, level, rng) for level in range(1, 6))]
    scores = [assessment.score for assessment in assessor.assess(rungs)]
    return [score for score in scores if score is not None]


def test_the_local_fault_of_the_example_is_found(assessor: Assessor) -> None:
    """A fault in the middle, nowhere else. How often kind and extent are right is counted in the model card."""
    fault = Region(0.42, 0.34, 0.74, 0.74)
    (assessment,) = assessor.assess([EXAMPLES / "fig_local_compression.jpg"])
    assert len(assessment.steps) == 2, "it was looked at more closely"
    assert assessment.steps[1].region.covers(fault) >= 0.5
    assert any(issue.kind == "compression" and issue.region.covers(fault) >= 0.4 for issue in assessment.issues)


def test_the_card_names_what_is_there() -> None:
    card = json.loads((SNELLEN_1 / "card.json").read_text(encoding="utf-8"))
    assert card["name"] == "snellen-1" and card["version"]
    assert card["calibration"]["coverage"] == pytest.approx(0.9)
    for name, checksum in card["sha256"].items():
        assert hashlib.sha256((SNELLEN_1 / name).read_bytes()).hexdigest() == checksum


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "model"
    shutil.copytree(SNELLEN_1, folder)
    yield folder


def test_a_model_opens_by_its_folder(copy: Path, scorer: Assessor) -> None:
    name = EXAMPLES / "mountains.jpg"
    assert snellen.score([name], model=str(copy), score_only=True) == [scorer.assess([name])[0].score]


def test_one_thread_gives_the_same_score(scorer: Assessor) -> None:
    name = EXAMPLES / "mountains.jpg"
    single = Assessor(Snellen1Backend(threads=1), score_only=True)
    assert single.assess([name])[0].score == pytest.approx(scorer.assess([name])[0].score, abs=1e-3)


def test_a_large_picture_is_zoomed_into_in_native_pixels(assessor: Assessor, tmp_path: Path) -> None:
    """12 megapixels from a file: what the second look shows are pixels of the original."""
    pixels = np.asarray(Image.fromarray(photos()[0]).resize((4000, 3000), Image.Resampling.BICUBIC))
    Image.fromarray(distort(pixels, "white_noise", 5, np.random.default_rng(0), Region(0.6, 0.6, 0.75, 0.75))).save(
        tmp_path / "large.jpg", quality=95
    )
    (assessment,) = assessor.assess([tmp_path / "large.jpg"])
    assert assessment.error is None
    for step in assessment.steps[1:]:
        assert step.view.scale > assessment.steps[0].view.scale


def test_a_picture_and_its_mirror_image_are_rated_alike(model: Snellen1Backend, generated: list[Picture]) -> None:
    picture = generated[0]
    turned = Picture(np.ascontiguousarray(picture.pixels[:, ::-1]), "turned")
    both = [model.view_features(one.view()) for one in (picture, turned)]
    assert both[0].rating == pytest.approx(both[1].rating, abs=1e-4)
    assert both[0].score_head == pytest.approx(both[1].score_head, abs=1e-4)
    fast = [model.view_features(one.view(), mirrored=False) for one in (picture, turned)]
    assert abs(fast[0].rating - fast[1].rating) > 1e-3, "so it matters"
    view = picture.view()
    assert model.view_features(view) is model.view_features(view), "computed once"


def test_findings_of_a_crop_are_read_from_a_closer_view(model: Snellen1Backend, large: Picture) -> None:
    crop, box = large.view(Region(0.3, 0.3, 0.9, 0.9)), Region(0.61, 0.6, 0.72, 0.7800001)
    near = detail_view(crop, box)
    assert near is not None and near.picture is large
    assert near.region.to_list() == pytest.approx([0.6, 0.6, 0.8, 0.8], abs=1e-3), "widened as any crop is"
    assert near.scale > crop.scale
    assert detail_view(large.view(), box) is None, "the whole is not zoomed into before a crop is asked for"
    assert detail_view(crop, Region(0.3, 0.3, 0.9, 0.8)) is None, "it would show hardly less"
    seen = model.view_features(crop)
    assert seen.kinds[1 + KINDS.index("noise")] > 0.9
    assert Region(0.55, 0.55, 0.85, 0.85).covers(seen.box) > 0.9
    far = model.view_features(crop, mirrored=False)
    assert far.box != seen.box, "a fast reading takes no closer view"


def test_the_plain_rating_is_the_photo_rating_heads_mean_over_both_reads(
    model: Snellen1Backend, generated: list[Picture]
) -> None:
    view = generated[0].view()
    features = [np.concatenate(rating_features(one.imagenet, one.fragments)) for one in model.read(view, (False, True))]
    intercept, slope = model.rating_line
    each = intercept + slope * model.photo_rating_head(np.stack(features))
    assert model.plain_rating(view, "plain rating") == pytest.approx(each.mean(), abs=1e-5)
    rated = model.rate([(Turn("user", "", (view,)),)])[0].rating
    assert rated is not None and rated.mean == pytest.approx(each[0], abs=5e-3), "score only reads once"


def test_issues_are_exactly_the_findings_that_pass(model: Snellen1Backend, together: list[Assessment]) -> None:
    listed = 0
    for assessment in together:
        for step in assessment.steps:
            found = model.faults(assessment.steps[0].view, step.view)
            assert step.parsed is not None
            assert [one.kind for one in step.parsed.answer.issues] == [one.kind for one in found]
            assert [one.severity for one in step.parsed.answer.issues] == [one.severity for one in found]
            listed += len(found)
    assert listed >= 4, "else the test shows nothing"


def test_a_decision_moves_the_rating_and_asks_for_its_crop(model: Snellen1Backend, generated: list[Picture]) -> None:
    conversation = (Turn("user", "", (generated[0].view(),)),)
    kept, moved = (model.answer(conversation, Decision("final", None, move)) for move in (0.0, -0.5))
    assert kept.rating is not None and moved.rating is not None
    assert kept.rating.mean - moved.rating.mean == pytest.approx(0.5, abs=0.05)
    asked = model.answer(conversation, Decision("crop", Region(0.2, 0.2, 0.5, 0.5)))
    assert '"bbox_2d": [0.20, 0.20, 0.50, 0.50]' in asked.text and '"tool": "crop"' in asked.text


def test_score_only_rates_the_first_view_without_text(
    model: Snellen1Backend, scorer: Assessor, generated: list[Picture]
) -> None:
    conversations = [(Turn("user", "", (picture.view(),)),) for picture in generated]
    for fast, reply in zip(scorer.assess(generated), model.rate(conversations), strict=True):
        assert len(fast.steps) == 1 and fast.steps[0].reply.finish == "rating" and fast.steps[0].reply.text == ""
        assert reply.rating is not None and fast.score == pytest.approx(reply.rating.mean, abs=1e-6)


def test_the_same_picture_gets_the_same_text(model: Snellen1Backend) -> None:
    conversation = (Turn("user", "", (load(EXAMPLES / "cat_compressed.jpg").view(),)),)
    first, again = (model.reply([conversation], Sampling())[0] for _ in range(2))
    assert first.text == again.text


def _score_of(assessor: Assessor, queue: multiprocessing.Queue[float | None]) -> None:
    queue.put(assessor.assess([EXAMPLES / "dandelion.jpg"])[0].score)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork on this system")
def test_a_used_assessor_works_after_a_fork(scorer: Assessor) -> None:
    before = scorer.assess([EXAMPLES / "dandelion.jpg"])[0].score
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[float | None] = context.Queue()
    child = context.Process(target=_score_of, args=(scorer, queue))
    child.start()
    assert queue.get(timeout=60) == pytest.approx(before, abs=1e-6)
    child.join(10)


def test_a_backend_can_be_pickled(model: Snellen1Backend, generated: list[Picture]) -> None:
    again = pickle.loads(pickle.dumps(model))
    view = generated[1].view()
    assert again.plain_rating(view, "plain head") == model.plain_rating(view, "plain head")


def test_damaged_missing_or_older_weights_are_refused(copy: Path, tmp_path: Path) -> None:
    heads = copy / "heads.onnx"
    heads.write_bytes(heads.read_bytes() + b" ")
    with pytest.raises(BackendError, match=r"heads\.onnx is not the file that the model card names"):
        Snellen1Backend(copy)
    heads.unlink()
    with pytest.raises(BackendError, match=r"heads\.onnx is missing"):
        Snellen1Backend(copy)
    card = json.loads((copy / "card.json").read_text())
    del card["sha256"]["heads.onnx"]
    (copy / "card.json").write_text(json.dumps(card | {"version": "0.14.0"}))
    with pytest.raises(BackendError, match=r"version 0\.14\.0 has no heads\.onnx; export it again"):
        Snellen1Backend(copy)
    with pytest.raises(BackendError, match="holds no model"):
        Snellen1Backend(tmp_path)
