"""The model in the package, on generated pictures and on the examples."""

from __future__ import annotations

import hashlib
import json
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

from snellen.assessment import Assessment, Step
from snellen.assessor import Assessor
from snellen.backend import RATING_GRID, SNELLEN_1, BackendError, Sampling, Turn
from snellen.backends.grammar import occasion
from snellen.backends.onnx import BOX, FIRST_NUMBERS, BundledBackend, _said, closer
from snellen.backends.taught import PLACED, RELATED, phrases_of, read_phrases, suits
from snellen.data.distort import distort
from snellen.image import Picture, load
from snellen.region import Region
from snellen.snellen1.imagenet_view import imagenet_view
from snellen.vocabulary import KINDS, SEVERITIES, named

EXAMPLES = Path(__file__).parents[2] / "examples"
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def model() -> BundledBackend:
    return BundledBackend()


@pytest.fixture(scope="module")
def assessor(model: BundledBackend) -> Assessor:
    return Assessor(model)


@pytest.fixture(scope="module")
def scorer(model: BundledBackend) -> Assessor:
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


def test_cells_lie_as_in_the_picture_though_read_mirrored(model: BundledBackend, generated: list[Picture]) -> None:
    view = generated[0].view()
    turned = np.ascontiguousarray(view.overview[:, ::-1])
    assert np.array_equal(model.cells(turned, mirrored=True), model.cells(view.overview)[..., ::-1])
    assert not np.allclose(model.cells(turned), model.cells(view.overview)[..., ::-1], atol=1e-2), "so it matters"


def test_a_look_is_read_both_ways_and_a_quick_one_one_way(model: BundledBackend, generated: list[Picture]) -> None:
    picture = generated[0]
    turned = Picture(np.ascontiguousarray(picture.pixels[:, ::-1]), "turned")
    seen, mirrored = (model.see(one.view()) for one in (picture, turned))
    assert mirrored.ensemble == pytest.approx(seen.ensemble, abs=1e-4)
    assert mirrored.head == pytest.approx(seen.head, abs=1e-4)
    quick = [model.see(one.view(), mirrored=False) for one in (picture, turned)]
    assert abs(quick[0].ensemble - quick[1].ensemble) > 1e-3, "so it matters"
    view = picture.view()
    assert model.see(view) is model.see(view), "looked at once"


@pytest.fixture(scope="module")
def large() -> Picture:
    """Nine megapixels with noise in a part."""
    pixels = np.tile(load(EXAMPLES / "dandelion.jpg").pixels, (2, 2, 1))
    return Picture(distort(pixels, "white_noise", 5, np.random.default_rng(0), Region(0.6, 0.6, 0.8, 0.8)), "large")


def test_what_is_suspected_in_a_crop_is_looked_at_closer(large: Picture) -> None:
    crop, box = large.view(Region(0.3, 0.3, 0.9, 0.9)), [0.61, 0.6, 0.72, 0.7800001]
    near = closer(crop, box)
    assert near is not None and near.picture is large
    assert near.region.to_list() == pytest.approx([0.6, 0.6, 0.8, 0.8], abs=1e-3), "widened as any crop is"
    assert near.scale > crop.scale
    assert closer(large.view(), box) is None, "the whole is not zoomed into before a crop is asked for"
    assert closer(crop, [0.3, 0.3, 0.9, 0.8]) is None, "it would show hardly less"


def test_what_is_in_a_crop_is_found_by_looking_closer(model: BundledBackend, large: Picture) -> None:
    crop, ways, rated = large.view(Region(0.3, 0.3, 0.9, 0.9)), (False, True), np.array([3.0], np.float32)
    place = _said(crop, model._reads(crop, ways))
    far, rating = model._connect(*place, rated, *place)
    near = closer(crop, far[-1, BOX].tolist())
    assert near is not None
    told, same = model._connect(*place, rated, *_said(near, model._reads(near, ways)))
    assert same == rating, "only what is found is looked for closer"
    seen = model.vectors(crop)
    assert np.allclose(seen[-1, BOX], told[-1, BOX], atol=1e-5)
    noise = [one[-1, -FIRST_NUMBERS:-1][1 + KINDS.index("noise")] for one in (told, seen)]
    assert noise[0] > 0.9 and noise[1] == pytest.approx(noise[0], abs=1e-5)
    assert not np.allclose(far[-1, BOX], told[-1, BOX], atol=0.01), "so it matters"


def test_the_ensemble_is_the_mean_of_both_heads(model: BundledBackend, generated: list[Picture]) -> None:
    view = generated[0].view()
    (glimpsed,) = model._glimpse.run(None, {"picture": imagenet_view(view.overview)[None]})[0]
    seen = model.see(view, mirrored=False)
    assert seen.ensemble == pytest.approx((seen.head + glimpsed) / 2, abs=1e-5)


def test_every_reply_can_be_read_and_says_something(together: list[Assessment]) -> None:
    for assessment in together:
        assert assessment.error is None, assessment.error
        assert assessment.score is not None and 1.0 <= assessment.score <= 5.0
        assert assessment.interval is not None
        low, high = assessment.interval
        assert 1.0 <= low <= assessment.score <= high <= 5.0 and high - low < 4.0
        for step in assessment.steps:
            assert step.parsed is not None and step.parsed.rationale is not None
            assert step.reply.finish == "stop" and all(len(text) > 10 for text in step.parsed.rationale.sections)
            assert len(step.reply.token_ids) == len(step.reply.logprobs) > 0
        assert all(issue.kind in KINDS for issue in assessment.issues)
    scores = [assessment.score for assessment in together if assessment.score is not None]
    assert np.ptp(scores) > 1.0, "a photograph and noise are worlds apart"


def test_only_phrases_that_were_taught_are_written(together: list[Assessment]) -> None:
    taught = read_phrases(SNELLEN_1)
    for step in (step for assessment in together for step in assessment.steps):
        assert step.reply is not None
        assert phrases_of([step.reply.text]) <= taught.keys()


def test_issues_are_of_kinds_that_the_summary_names(together: list[Assessment]) -> None:
    listed = 0
    for step in (step for assessment in together for step in assessment.steps):
        assert step.parsed is not None and step.parsed.rationale is not None
        kinds = {issue.kind for issue in step.parsed.answer.issues}
        assert kinds <= named(step.parsed.rationale.summary), step.parsed
        listed += len(kinds)
    assert listed, "else the test shows nothing"


def found_by(model: BundledBackend, first: Step, last: Step) -> str | None:
    chances = model.vectors(first.view)[-1] + model.vectors(last.view)[-1]
    return (None, *KINDS)[int(chances[-FIRST_NUMBERS:-1].argmax())]


def test_the_fault_that_the_looks_show_is_listed(model: BundledBackend, together: list[Assessment]) -> None:
    seen = 0
    for assessment in together:
        for step in assessment.steps:
            found = found_by(model, assessment.steps[0], step)
            assert step.parsed is not None
            assert found is None or found in {issue.kind for issue in step.parsed.answer.issues}, step.parsed
            seen += found is not None
    assert seen >= 4, "else the test shows nothing"


def test_verdict_direction_and_finding_in_the_words_are_those_of_the_round(
    model: BundledBackend, together: list[Assessment]
) -> None:
    taught = read_phrases(SNELLEN_1)
    bound = 0
    for assessment in together:
        earlier = None
        for step in assessment.steps:
            assert step.reply is not None and step.score is not None and step.rating is not None
            now = occasion(step.score, earlier, found_by(model, assessment.steps[0], step))
            now |= {*SEVERITIES, *RELATED, *PLACED}  # tests of the grammar say how these are held to the lists
            for wants in filter(None, (taught[phrase] for phrase in phrases_of([step.reply.text]))):
                assert suits(wants, now)
                bound += 1
            earlier = round(100 * step.rating)
    assert bound > len(together), "every summary ends in a verdict"


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


def test_score_only_is_the_rating_of_one_view(
    model: BundledBackend, scorer: Assessor, generated: list[Picture]
) -> None:
    replies = model.rate([(Turn("user", "", (picture.view(),)),) for picture in generated])
    for assessment, reply in zip(scorer.assess(generated), replies, strict=True):
        assert len(assessment.steps) == 1 and assessment.steps[0].reply.finish == "rating"
        assert reply.rating is not None and assessment.score == pytest.approx(reply.rating.mean, abs=1e-3)


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


def test_the_command_names_the_model(model: BundledBackend) -> None:
    command = [sys.executable, "-m", "snellen", "assess", str(EXAMPLES / "cat_compressed.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"snellen-1 {model.version}" in done.stdout and done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("distortion", ["gaussian_blur", "white_noise", "jpeg"])
def test_worse_pictures_score_lower_on_average(scorer: Assessor, distortion: str) -> None:
    ladders = np.array([ladder(scorer, pixels, distortion) for pixels in photos()])
    means = ladders.mean(axis=0)
    assert (np.diff(means) < 0.05).all() and (np.diff(means[1:]) < 0).all(), means
    assert means[0] - means[5] > 0.8, means
    assert (ladders[:, 0] > ladders[:, 5]).all()


@pytest.mark.slow
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


def test_text_is_greedy_and_repeatable_and_can_be_drawn_otherwise(model: BundledBackend) -> None:
    conversation = (Turn("user", "", (load(EXAMPLES / "cat_compressed.jpg").view(),)),)
    first, again = (model.reply([conversation], Sampling())[0] for _ in range(2))
    assert first.text == again.text and first.logprobs == pytest.approx(again.logprobs, abs=1e-4)
    hot = [model.reply([conversation], Sampling(temperature=1.0, seed=seed))[0] for seed in (1, 2, 2)]
    assert hot[1].text == hot[2].text and len({first.text, hot[0].text, hot[1].text}) == 3
    assert first.rating is not None and hot[0].rating is not None
    cut = model.reply([conversation], Sampling(max_tokens=5))[0]
    assert cut.finish == "length" and len(cut.token_ids) == 5 and first.text.startswith(cut.text)


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


def test_damaged_or_missing_weights_are_refused(copy: Path, tmp_path: Path) -> None:
    tokenizer = copy / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes() + b" ")
    with pytest.raises(BackendError, match=r"tokenizer\.json is not the file that the model card names"):
        BundledBackend(copy)
    tokenizer.unlink()
    with pytest.raises(BackendError, match=r"tokenizer\.json"):
        BundledBackend(copy)
    with pytest.raises(BackendError, match="holds no model"):
        BundledBackend(tmp_path)


def test_a_model_of_before_is_to_be_exported_again(copy: Path) -> None:
    card = json.loads((copy / "card.json").read_text())
    del card["sha256"]["glimpse.onnx"]
    (copy / "card.json").write_text(json.dumps(card | {"version": "0.7.0"}))
    with pytest.raises(BackendError, match=r"model: version 0\.7\.0 has no glimpse\.onnx; export it again"):
        BundledBackend(copy)


def test_a_model_that_cannot_look_closer_is_to_be_exported_again(copy: Path) -> None:
    shutil.copy(copy / "glimpse.onnx", copy / "connector.onnx")  # as in any of before, it takes no closer look
    card = json.loads((copy / "card.json").read_text())
    card["sha256"]["connector.onnx"] = card["sha256"]["glimpse.onnx"]
    (copy / "card.json").write_text(json.dumps(card | {"version": "0.11.0"}))
    with pytest.raises(BackendError, match=r"model: version 0\.11\.0 cannot look closer; export it again"):
        BundledBackend(copy)


def test_one_thread_gives_the_same_score(scorer: Assessor) -> None:
    name = EXAMPLES / "mountains.jpg"
    single = Assessor(BundledBackend(threads=1), score_only=True)
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
