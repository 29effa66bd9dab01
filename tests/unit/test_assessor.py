# mypy: disable-error-code="comparison-overlap"
from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import noise_picture, spread
from PIL import Image, ImageColor

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.backend import BackendError, Calibration, Conversation, Reply, Sampling
from snellen.backends.scripted import ScriptedBackend
from snellen.draw import CROP_COLOR, SEVERITY_COLORS
from snellen.image import ImageError, Picture, View
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, Rationale, parse_reply, render_reply
from snellen.zoom import ZOOM_PRESETS, ZoomPolicy

RATIONALE = Rationale("Soft at a glance.", "Crisp leaves.", "Blur in the corner.", "Unsure of the corner.")
LATER = Rationale("Blur confirmed.", "Crisp edges.", "Strong blur.", "It was 3.50, the crop moves it down.")
CORNER = Region(0.5, 0.5, 1.0, 1.0)
BLUR = Issue("blur", 4, Region(0.5, 0.5, 0.75, 0.75))
NOISE = Issue("noise", 1, FULL)


FIRST = Reply(render_reply(RATIONALE, Answer(CORNER, 3.5, "crop", (NOISE,)), 1), (5, 6), (-0.1, -0.2), spread(3.4))
SECOND = Reply(render_reply(LATER, Answer(None, 2.5, "final", (BLUR,)), 2), rating=spread(2.4))


def crop_at(region: Region, rating: float = 3.0) -> str:
    return render_reply(None, Answer(region, rating, "crop"), 1)


def final(rating: float) -> str:
    return render_reply(None, Answer(None, rating, "final"), 1)


def one(script: Any, shown: Any = None, **settings: Any) -> Assessment:
    (assessment,) = Assessor(ScriptedBackend(script), **settings).assess([noise_picture() if shown is None else shown])
    return assessment


class Recorder(ScriptedBackend):
    """Keeps what was asked, call by call."""

    def __init__(self, script: Any) -> None:
        super().__init__(script)
        self.calls: list[list[Conversation]] = []
        self.samplings: list[Sampling] = []

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        self.calls.append(list(conversations))
        self.samplings.append(sampling)
        return super().reply(conversations, sampling)

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        self.calls.append(list(conversations))
        return super().rate(conversations)


# the loop


def test_two_rounds() -> None:
    backend = Recorder([FIRST, SECOND])
    (a,) = Assessor(backend).assess([noise_picture()])
    assert (a.name, a.score, a.label, a.error) == ("noise", pytest.approx(2.4), "poor", None)
    assert a.issues == (BLUR,)  # the last round's
    assert a.prompts == {"positive": "Crisp edges.", "negative": "Strong blur."}
    first, second = a.steps
    assert (first.region, first.zoom, first.rating, first.score) == (FULL, CORNER, 3.5, pytest.approx(3.4))
    assert (second.region, second.zoom, second.rating, second.note) == (CORNER, None, 2.5, None)
    assert first.parsed == parse_reply(FIRST.text, 1)
    (asked_first,), (asked_second,) = backend.calls
    assert [view.region for turn in asked_first for view in turn.views] == [FULL]
    assert [view.region for turn in asked_second for view in turn.views] == [FULL, CORNER]
    assert asked_second[1] == FIRST.turn()  # with the tokens it was written in


def test_a_final_answer_ends_it() -> None:
    backend = Recorder([final(4.5), SECOND])
    (a,) = Assessor(backend, max_rounds=3).assess([noise_picture()])
    assert (a.score, a.label, len(a.steps), len(backend.calls)) == (4.5, "excellent", 1, 1)
    assert a.prompts is None  # nothing was said, so nothing is made up


def test_one_round_at_most() -> None:
    a = one([FIRST, SECOND], max_rounds=1)
    assert (a.score, len(a.steps), a.issues) == (pytest.approx(3.4), 1, (NOISE,))
    assert a.steps[0].zoom is None
    assert a.steps[0].note == "asked for a crop, but max_rounds is 1"


def test_three_rounds() -> None:
    closer = Region(0.5, 0.5, 0.9, 0.9)
    backend = Recorder([crop_at(CORNER), crop_at(closer), final(2.0)])
    (a,) = Assessor(backend, max_rounds=3).assess([noise_picture(900, 900)])
    assert [step.region for step in a.steps] == [FULL, CORNER, closer]
    assert [len(call[0]) for call in backend.calls] == [1, 3, 5]
    assert a.score == 2.0


def test_a_crop_that_shows_nothing_new_is_not_shown() -> None:
    note = "asked for a crop that would show no new pixels"
    again = one([crop_at(CORNER), crop_at(CORNER, 2.0)], max_rounds=3)
    assert ([step.note for step in again.steps], again.score) == ([None, note], 2.0)
    small = one([crop_at(CORNER, 4.0)], noise_picture(320, 256))  # the first look showed every pixel
    assert ([step.note for step in small.steps], small.score) == ([note], 4.0)
    anywhere = ZoomPolicy(0.0, 1.0, 1, "error")
    native, inside = Region(0.5, 0.5, 0.75, 0.75), Region(0.55, 0.55, 0.7, 0.7)
    nested = one([crop_at(native), crop_at(inside, 2.5)], max_rounds=3, zoom=anywhere)
    assert ([step.note for step in nested.steps], nested.score) == ([None, note], 2.5)
    beside = one([crop_at(native), crop_at(Region(0.4, 0.5, 0.7, 0.7)), final(1.0)], max_rounds=3, zoom=anywhere)
    assert [step.note for step in beside.steps] == [None, None, None]


def test_a_small_crop_is_widened_to_native_pixels() -> None:
    a = one([crop_at(Region(0.5, 0.5, 0.52, 0.52)), final(3.0)], noise_picture(1000, 500))
    (left, top, right, bottom) = a.steps[1].region.to_pixels(1000, 500)
    assert (right - left, bottom - top, a.steps[1].view.scale) == (320, 320, 1.0)
    asked = a.steps[0].parsed
    assert asked is not None and asked.answer.region == Region(0.5, 0.5, 0.52, 0.52)


def test_only_pictures_that_ask_for_a_crop_get_another_round() -> None:
    def script(conversation: Conversation) -> str:
        name = conversation[0].views[0].picture.name
        return final(2.0) if len(conversation) > 1 else {"b": crop_at(CORNER)}.get(name, final(4.0))

    backend = Recorder(script)
    assessments = Assessor(backend).assess([noise_picture(name=name) for name in "abc"])
    assert [len(call) for call in backend.calls] == [3, 1]
    assert [(a.name, a.score) for a in assessments] == [("a", 4.0), ("b", 2.0), ("c", 4.0)]


def by_content(conversation: Conversation) -> Reply:
    """A model whose rating depends on all that it sees, and that looks twice at every other picture."""
    means = [view.overview.mean() / 64 for turn in conversation for view in turn.views]
    rating = float(np.clip(1.0 + np.mean(means), 1.0, 4.0))
    again = len(means) == 1 and int(means[0] * 1000) % 2 == 0
    return Reply(crop_at(CORNER, rating) if again else final(rating), rating=spread(rating + 0.5))


def test_the_score_does_not_depend_on_the_batch() -> None:
    pictures = [noise_picture(340 + 20 * seed, 330, seed, str(seed)) for seed in range(5)]
    alone = {p.name: Assessor(ScriptedBackend(by_content)).assess([p])[0].to_dict() for p in pictures}
    assert len({a["score"] for a in alone.values()}) == 5
    assert len({len(a["steps"]) for a in alone.values()}) == 2
    for batch_size in (2, 8):
        for order in (pictures, pictures[::-1]):
            batch = Assessor(ScriptedBackend(by_content), batch_size=batch_size)(order)
            assert [a.name for a in batch] == [p.name for p in order]
            assert {a.name: a.to_dict() for a in batch} == alone


def test_batches_are_cut_by_number_and_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Recorder([final(3.0)])
    Assessor(backend, batch_size=2).assess([noise_picture() for _ in range(5)])
    assert [len(call) for call in backend.calls] == [2, 2, 1]
    monkeypatch.setattr(importlib.import_module("snellen.assessor"), "BATCH_MEGAPIXELS", 1.0)
    backend = Recorder([final(3.0)])
    Assessor(backend).assess([noise_picture(), noise_picture(), noise_picture(1100, 1000), noise_picture()])
    assert [len(call) for call in backend.calls] == [2, 1, 1]


def test_a_stream_reads_no_further_than_one_batch() -> None:
    read = []

    def sources() -> Iterator[Picture]:
        for seed in range(5):
            read.append(seed)
            yield noise_picture(seed=seed)

    stream = Assessor(ScriptedBackend([final(3.0)]), batch_size=2).stream(sources())
    assert read == []
    next(stream)
    assert len(read) <= 3
    assert len(list(stream)) == 4


# what can go wrong


def test_bad_pictures_do_not_stop_the_others(tmp_path: Path) -> None:
    good, text, missing = tmp_path / "good.png", tmp_path / "text.jpg", tmp_path / "missing.jpg"
    Image.fromarray(noise_picture(64, 48).pixels).save(good)
    text.write_text("not a picture")
    known = ImageError("too_large", "huge.tif", "is too large", "make it smaller")
    backend = Recorder([final(3.0)])
    assessments = Assessor(backend).assess([missing, good, b"", text, known, Image.open(good)])
    codes = [a.error and a.error.code for a in assessments]
    assert codes == ["missing", None, "empty", "unreadable", "too_large", None]
    assert [a.score for a in assessments] == [None, 3.0, None, None, None, 3.0]
    assert assessments[0].name == str(missing)
    assert (assessments[4].error and assessments[4].error.remedy) == "make it smaller"
    assert [len(call) for call in backend.calls] == [2]
    backend = Recorder([final(3.0)])
    assert len(Assessor(backend).assess([missing, missing])) == 2
    assert backend.calls == []
    assert Assessor(backend).assess([]) == []


def test_a_source_of_an_unknown_type_raises_type_error() -> None:
    with pytest.raises(TypeError):
        one([FIRST], 42)


def test_an_unreadable_first_reply_is_an_error_and_no_score() -> None:
    a = one([Reply("I like it.", rating=spread(3.0))])
    assert (a.score, a.interval, a.label, a.issues, a.prompts) == (None, None, None, (), None)
    assert a.error is not None and a.error.code == "unparsable_reply"
    assert "round 1" in a.error.problem and "no_answer" in a.error.problem
    (step,) = a.steps
    assert (step.parsed, step.rating) == (None, None)
    assert step.error is not None and step.error.code == "no_answer"
    assert step.reply.text == "I like it."


def test_an_unreadable_later_reply_is_an_error_and_no_score() -> None:
    a = one([FIRST, "Hm."])
    assert (a.score, a.label, a.issues) == (None, None, ())
    assert a.error is not None and a.error.code == "unparsable_reply" and "round 2" in a.error.problem
    assert [step.rating for step in a.steps] == [3.5, None]
    assert [step.error is None for step in a.steps] == [True, False]


def test_a_reply_that_was_cut_off_says_so() -> None:
    a = one([Reply(FIRST.text[:40], finish="length")], sampling=Sampling(max_tokens=9))
    assert a.error is not None
    assert "cut off at 9 tokens" in a.error.problem
    assert a.error.remedy == "allow more tokens"


def test_a_repaired_reply_counts_and_lists_its_repairs() -> None:
    a = one([f"```\n{final(2.25)}\n```"])
    assert (a.score, a.error) == (2.25, None)
    assert a.to_dict()["steps"][0]["repaired"] == ["code fence"]
    assert one([final(2.25)]).to_dict()["steps"][0]["repaired"] == []


def test_boxes_are_read_in_the_units_of_the_backend() -> None:
    class Thousandths(ScriptedBackend):
        def box_scale(self, view: View) -> tuple[float, float]:
            assert view.region == FULL  # also in later rounds: boxes are of the whole picture
            return 1000.0, 1000.0

    box = crop_at(CORNER).replace("[0.50, 0.50, 1.00, 1.00]", "[500, 500, 1000, 1000]")
    (a,) = Assessor(Thousandths([box, box])).assess([noise_picture()])
    assert [step.region for step in a.steps] == [FULL, CORNER]
    assert [step.parsed.repaired for step in a.steps if step.parsed] == [("box units",)] * 2
    refused = one([box])
    assert refused.error is not None and "bad_bbox" in refused.error.problem


INVALID_BOX = crop_at(CORNER).replace("[0.50, 0.50, 1.00, 1.00]", "[0.90, 0.90, 0.20, 0.20]")


NO_BOX = crop_at(CORNER).replace("[0.50, 0.50, 1.00, 1.00]", '"corner"')


def test_an_invalid_box_under_our_protocol_is_an_error() -> None:
    a = one([INVALID_BOX, final(3.0)])
    assert a.error is not None and a.error.code == "unparsable_reply" and "bad_bbox" in a.error.problem
    assert (a.score, len(a.steps)) == (None, 1)


@pytest.mark.usefixtures("authors_package")
def test_an_invalid_box_under_zoom_iqa_shows_the_central_half() -> None:
    a = one([NO_BOX, final(3.0)], protocol="zoom-iqa")
    assert (a.score, a.error) == (3.0, None)
    assert a.steps[1].region == Region(0.25, 0.25, 0.75, 0.75)
    assert a.steps[0].note == "asked for a crop with an invalid box; the zoom policy chose one"


@pytest.mark.usefixtures("authors_package")
def test_an_invalid_box_that_the_policy_refuses_is_an_error() -> None:
    a = one([NO_BOX, final(3.0)], protocol="zoom-iqa", zoom=ZOOM_PRESETS["snellen"])
    assert (a.score, len(a.steps), a.steps[0].rating) == (None, 1, 3.0)
    assert a.error is not None and a.error.code == "invalid_box"


@pytest.mark.usefixtures("authors_package")
def test_zoom_iqa_clamps_the_crop_and_has_two_rounds() -> None:
    backend = Recorder([crop_at(Region(0.4, 0.4, 0.5, 0.5)), crop_at(Region(0.1, 0.1, 0.9, 0.9), 2.0)])
    (a,) = Assessor(backend, protocol="zoom-iqa").assess([noise_picture()])
    assert a.steps[1].region.area == pytest.approx(0.25, abs=0.01)
    assert a.steps[1].region.center == pytest.approx((0.45, 0.45), abs=0.01)
    assert (a.score, a.steps[1].note) == (2.0, None), "the second round is the last one, whatever its tool"
    assert [view.region for view in backend.calls[1][0][-1].views] == [FULL, a.steps[1].region]
    wide = one([crop_at(FULL), final(2.0)], protocol="zoom-iqa")
    assert wide.steps[1].region.area == pytest.approx(0.75, abs=0.01)
    with pytest.raises(ValueError, match="at most 2 rounds"):
        Assessor(backend, protocol="zoom-iqa", max_rounds=3)


@pytest.mark.usefixtures("authors_package")
def test_zoom_iqa_crops_small_pictures_too_and_needs_no_rating_before_the_last_round() -> None:
    unrated = crop_at(CORNER).replace('"rating": 3.00', '"rating": "unsure"')
    small = np.full((64, 64, 3), 90, np.uint8)
    (a,) = Assessor(ScriptedBackend([unrated, final(2.0)]), protocol="zoom-iqa").assess([small])
    assert (a.score, [step.rating for step in a.steps]) == (2.0, [None, 2.0])
    assert a.steps[0].zoom == CORNER
    (cut,) = Assessor(ScriptedBackend([unrated]), protocol="zoom-iqa", max_rounds=1).assess([small])
    assert cut.score is None
    assert cut.error is not None and cut.error.code == "unparsable_reply" and "bad_rating" in cut.error.problem


@pytest.mark.usefixtures("authors_package")
def test_zoom_iqa_draws_as_the_authors_and_asks_one_of_their_questions_by_the_pixels() -> None:
    backend = Recorder([final(3.0)])
    pictures = [np.full((64, 64, 3), 20 * number, np.uint8) for number in range(12)]
    results = Assessor(backend, protocol="zoom-iqa").assess(pictures)
    asked = [a.provenance["question"] for a in results if a.provenance]
    assert set(asked) == {"How good is it?", "Rate it.", "Your opinion?"}
    alone = Assessor(backend, protocol="zoom-iqa", batch_size=1).assess(reversed(pictures))
    assert [a.provenance["question"] for a in alone if a.provenance] == asked[::-1]
    given = results[0].provenance and results[0].provenance["sampling"]
    assert given == {"temperature": 1.0, "top_p": 0.95, "top_k": 50, "max_tokens": 1024, "seed": 0}
    (own,) = Assessor(backend, protocol="zoom-iqa", question="Sharp?").assess(pictures[:1])
    assert own.provenance is not None and own.provenance["question"] == "Sharp?"


def test_zooming_can_be_replaced() -> None:
    class Centre:
        def settle(self, region: Region | None, width: int, height: int) -> Region:
            return Region(0.3, 0.3, 0.7, 0.7)

    a = one([FIRST, SECOND], zoom=Centre())
    assert a.steps[1].region == Region(0.3, 0.3, 0.7, 0.7)
    assert a.provenance is not None and a.provenance["zoom"] == "Centre"


@pytest.mark.parametrize("wrong", [{"max_rounds": 0}, {"batch_size": 0}, {"protocol": "x"}, {"model": "x"}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Assessor(**{"model": ScriptedBackend([FIRST]), **wrong})


def test_a_backend_that_loses_replies_is_an_error() -> None:
    class Lossy(ScriptedBackend):
        def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
            return super().reply(conversations, sampling)[1:]

    with pytest.raises(BackendError, match="2 conversations, 1 replies"):
        Assessor(Lossy([FIRST])).assess([noise_picture(), noise_picture()])


def test_a_backend_that_fails_is_not_covered_up() -> None:
    with pytest.raises(BackendError, match="script has 1 replies"):
        one([FIRST])


# the score


def test_without_a_distribution_the_written_rating_counts_and_the_source_is_stated() -> None:
    written, read = one([final(2.25)]), one([Reply(final(2.25), rating=spread(2.4))])
    assert (written.score, read.score) == (2.25, pytest.approx(2.4))
    for assessment, source in ((written, "written"), (read, "distribution")):
        assert assessment.provenance is not None and assessment.provenance["rating_source"] == source
        assert assessment.to_dict()["steps"][0]["rating_source"] == source


def test_interval_is_the_calibrations() -> None:
    class Calibrated(ScriptedBackend):
        calibration = Calibration(q=2.0, floor=0.1)

    (a,) = Assessor(Calibrated([FIRST, SECOND])).assess([noise_picture()])
    assert a.interval == pytest.approx((1.4, 3.4))  # 2.4 +- 2 * 0.5
    (without_spread,) = Assessor(Calibrated([final(3.0)])).assess([noise_picture()])
    assert without_spread.interval is None
    assert one([FIRST, SECOND]).interval is None


def test_score_only_is_one_round_without_text() -> None:
    backend = Recorder([Reply(FIRST.text, rating=spread(3.7))])
    (a,) = Assessor(backend, score_only=True, max_rounds=3).assess([noise_picture()])
    assert (a.score, a.label, a.error, a.issues, a.prompts) == (pytest.approx(3.7), "good", None, (), None)
    assert len(a.steps) == len(backend.calls) == 1
    assert (backend.samplings, a.steps[0].reply) == ([], Reply("", rating=a.steps[0].distribution, finish="rating"))
    assert a.provenance is not None and (a.provenance["score_only"], a.provenance["max_rounds"]) == (True, 1)


@pytest.mark.parametrize(("text", "score"), [("3.47", 3.47), (final(4.0), 4.0), (" 2.5\n", 2.5), ("5.00", 5.0)])
def test_score_only_without_a_distribution_reads_the_number(text: str, score: float) -> None:
    a = one([text], score_only=True)
    assert (a.score, a.error) == (score, None)


@pytest.mark.parametrize("text", ["", "good", "7.00", "5.01", "35", "3.", "3.475", "0.5", "-3", '"rating": 6}'])
def test_score_only_invents_no_rating(text: str) -> None:
    a = one([text], score_only=True)
    assert a.score is None
    assert a.error is not None and a.error.code == "unparsable_reply"


# what comes out


def test_provenance() -> None:
    a = one([FIRST, SECOND], sampling=Sampling(temperature=1.0, seed=7), question="Sharp?")
    assert a.provenance is not None
    expected = {"model": "scripted", "model_version": "1", "protocol": "snellen", "rounds": 2, "max_rounds": 2}
    assert a.provenance | expected == a.provenance
    assert a.provenance["picture"] == {"width": 700, "height": 640}
    assert a.provenance["sampling"]["seed"] == 7
    assert a.provenance["zoom"]["invalid"] == "error"
    assert a.provenance["question"] == "Sharp?"


def test_conversions_of_the_picture_are_listed() -> None:
    a = one([final(3.0)], Image.new("RGBA", (64, 64), (255, 0, 0, 128)))
    assert a.notes == ("alpha composited on white", "the picture is one colour: there is nothing to judge")


def test_an_assessment_holds_no_large_pixels() -> None:
    a = one([FIRST, SECOND], noise_picture(1500, 1000))
    assert a.picture is not None
    assert (a.picture.width, a.picture.height) == (1024, 683)
    assert all(step.view.picture is a.picture for step in a.steps)


def test_dict_is_json_with_the_same_keys_always(tmp_path: Path) -> None:
    dicts = [one([FIRST, SECOND]).to_dict(), one(["Hm."]).to_dict(), one([FIRST], tmp_path / "missing.jpg").to_dict()]
    assert all(json.loads(json.dumps(d, allow_nan=False)) == d for d in dicts)
    assert len({tuple(d) for d in dicts}) == 1
    good, unread, missing = dicts
    assert len({tuple(step) for d in dicts for step in d["steps"]}) == 1
    assert (good["score"], good["label"], good["error"]) == (2.4, "poor", None)
    assert good["issues"] == [{"kind": "blur", "severity": 4, "region": [0.5, 0.5, 0.75, 0.75], "place": "centre"}]
    first, second = good["steps"]
    assert (first["asked"], first["zoom"], first["tool"], first["tokens"]) == (
        [0.5, 0.5, 1, 1],
        [0.5, 0.5, 1, 1],
        "crop",
        2,
    )
    assert first["distribution"]["mean"] == 3.4
    assert first["distribution"]["std"] == 0.5
    assert {n: part for n, part in enumerate(first["distribution"]["histogram"]) if part} == {19: 0.5, 29: 0.5}
    assert first["distribution"]["quantiles"] == {"0.05": 2.9, "0.5": 2.9, "0.95": 3.9}
    assert second["rationale"]["avoid"] == "Strong blur."
    assert second["reply"] == SECOND.text
    assert (unread["error"]["code"], unread["score"], len(unread["steps"])) == ("unparsable_reply", None, 1)
    assert (missing["error"]["code"], missing["steps"], missing["provenance"]) == ("missing", [], None)


def has(pixels: Any, color: str) -> bool:
    return bool((pixels == np.array(ImageColor.getrgb(color))).all(axis=-1).any())


@pytest.mark.parametrize("size", [(700, 640), (64, 48), (1200, 30), (30, 1200)])
def test_drawing_shows_boxes_crops_score_and_legend(size: tuple[int, int]) -> None:
    wherever = ZoomPolicy(0.0, 1.0, 16, "error")
    first = render_reply(None, Answer(CORNER, 3.5, "crop", (BLUR,)), 1)
    gray = Picture(np.full((size[1], size[0], 3), 128, np.uint8), "gray")
    a = one([first, SECOND], gray, zoom=wherever)
    drawn = a.draw()
    pixels = np.asarray(drawn)
    assert drawn.mode == "RGB" and drawn.width >= 480
    assert has(pixels, SEVERITY_COLORS[3]) and not has(pixels, SEVERITY_COLORS[0])
    assert has(pixels, CROP_COLOR) == (len(a.steps) == 2)
    header = pixels[:36]
    assert (header < 128).any() and (header == 255).mean() > 0.8  # dark text on white, outside the picture
    assert (pixels[-80:] < 128).any()


def test_drawing_marks_the_right_place() -> None:
    a = one([FIRST, SECOND], Picture(np.full((1000, 1000, 3), 128, np.uint8), "gray"))
    pixels = np.asarray(a.draw())
    assert a.picture is not None
    rows, columns = np.nonzero((pixels[:1000] == np.array(ImageColor.getrgb(SEVERITY_COLORS[3]))).all(axis=-1))
    assert (columns.min() / 1000, columns.max() / 1000) == pytest.approx((0.5, 0.75), abs=0.005)
    assert ((rows.min() - 36) / 1000, (rows.max() - 36) / 1000) == pytest.approx((0.5, 0.75), abs=0.005)


def test_drawing_an_error_states_it(tmp_path: Path) -> None:
    drawn = one([FIRST], tmp_path / "missing.jpg").draw()
    assert (np.asarray(drawn)[36:] < 128).any()
    unread = one(["Hm."]).draw()
    assert unread.height > 640 + 36


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("readable", [True, False])
def test_html_is_self_contained_and_escaped(readable: bool) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    rationale = Rationale(evil, "b", "c", "d")
    said = render_reply(rationale, Answer(None, 3.0, "final"), 1) if readable else evil
    page = Tags()
    page.feed(one([Reply(said, rating=spread(3.0) if readable else None)], noise_picture(name=evil))._repr_html_())
    assert page.tags == {"div", "p", "b", "img", "details", "summary", "small"}
    assert len(page.sources) == 1 and page.sources[0].startswith("data:image/jpeg;base64,")
    assert page.text.count("<script>") == 2  # the name and the reply, as text
    assert ("3.00 of 5, fair" in page.text) == readable
    assert ("no_answer" in page.text) != readable


def test_html_lists_the_rounds() -> None:
    page = Tags()
    page.feed(one([FIRST, SECOND])._repr_html_())
    assert "Round 1, the whole picture: 3.40 ± 0.50; zooms into lower right [0.50, 0.50, 1.00, 1.00]" in page.text
    assert "Blur confirmed." in page.text and "scripted 1, snellen" in page.text


def test_score_only_has_an_interval_of_its_own() -> None:
    backend = ScriptedBackend([final(3.0)])
    assert Assessor(backend).calibration is None
    backend.calibration = Calibration(2.0, 0.1, 0.9)
    assert Assessor(backend, score_only=True).calibration == backend.calibration, "without one of its own"
    backend.score_calibration = Calibration(3.0, 0.2, 0.9)
    assert Assessor(backend, score_only=True).calibration == Calibration(3.0, 0.2, 0.9)
    assert Assessor(backend).calibration == Calibration(2.0, 0.1, 0.9)


def test_possible_faults_are_likely_kinds_that_are_no_issue() -> None:
    stated = {"noise": 0.6, "blur": 0.5, "compression": 0.1, "saturation": 0.09}
    text = render_reply(None, Answer(None, 2.0, "final", (BLUR,)), 1)
    found = one([Reply(text, fault_probabilities=stated)])
    assert found.fault_probabilities == stated and found.to_dict()["fault_probabilities"] == stated
    assert found.possible_faults == {"noise": 0.6, "compression": 0.1}  # blur is listed
    assert one([final(2.0)]).fault_probabilities is None and not one([final(2.0)]).possible_faults
