# mypy: disable-error-code="comparison-overlap"
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from evaluate_fakes import backend, rated_pictures, reply

from snellen.backend import BackendError, Calibration, Conversation, Reply
from snellen.backends.scripted import ScriptedBackend
from snellen.data.sample import Sample
from snellen.evaluate.datasets import data_set
from snellen.evaluate.modes import CENTRAL, ONE, ONLY, RANDOM, TWO, ControlCrop
from snellen.evaluate.perturb import clean_source
from snellen.evaluate.predict import Job, Options, identity, predict
from snellen.evaluate.rows import QUANTILES, row_from_dict
from snellen.evaluate.suites import scores
from snellen.image import Picture, View
from snellen.region import Region
from snellen.usage import UsageError
from snellen.zoom import ZOOM_PRESETS

TONES = {60: 1.5, 100: 2.0, 150: 3.2, 200: 4.4}
MODES = (TWO, ONE, RANDOM, CENTRAL)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    tiny = rated_pictures(tmp_path_factory.mktemp("pictures"), TONES)
    return [Job("scores", key, sample.path, sample.path, MODES) for key, sample in tiny.samples.items()][::-1]


def darker(path: str, by: int) -> Picture:
    source = clean_source(path)
    return Picture(source.pixels - np.uint8(by), source.name)


def test_every_mode_has_its_row_in_the_order_of_the_jobs(jobs: list[Job], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    rows = predict(jobs, Options(backend(), batch=3), tmp_path / "out", on_progress=lambda *now: seen.append(now))
    assert [row.id for row in rows] == [("scores", job.key, "", mode) for job in jobs for mode in MODES]
    assert [job.key for job in jobs] == [f"tiny/tone{tone}.png" for tone in ("200", "150", "100", "060")]
    assert seen == [(0, 16), (12, 16), (16, 16)]
    two, one, random, central = rows[:4]
    assert (two.score, one.score) == (pytest.approx(4.1), pytest.approx(4.0))
    assert (two.crop, one.crop) == (Region(0.1, 0.1, 0.6, 0.6), None)
    assert central.crop == Region(0.25, 0.25, 0.75, 0.75) and random.crop not in (None, two.crop, central.crop)
    assert (two.width, two.height, two.error, two.label) == (640, 640, None, "good")
    assert [issue.kind for issue in two.issues] == ["blur"] and two.model == "scripted 1"
    assert two.seconds is not None and one.seconds is None, "only the first mode's time is that of a run of its own"
    first, last = two.rounds
    assert (first.rating, first.tokens, last.rating) == (4.0, 200 % 7 + 1, 4.1)
    assert len(first.quantiles) == len(QUANTILES) and first.quantiles[9] == 4.0
    assert "Tone 200" in first.reply and "Crop Inspection" in last.reply


def test_rows_survive_json(jobs: list[Job], tmp_path: Path) -> None:
    for row in predict(jobs, Options(backend()), tmp_path / "out"):
        again = row_from_dict(json.loads(json.dumps(row.to_dict())))
        assert again == row and "seconds" not in row.to_dict()


def test_a_run_killed_at_any_moment_goes_on_to_the_same_rows(jobs: list[Job], tmp_path: Path) -> None:
    options = Options(backend(), batch=2)
    whole = predict(jobs, options, tmp_path / "whole")
    data = (tmp_path / "whole" / "journal.jsonl").read_bytes()
    for cut in np.linspace(0, len(data), 5).astype(int):
        out = tmp_path / f"cut{cut}"
        out.mkdir()
        (out / "journal.jsonl").write_bytes(data[:cut])
        assert predict(jobs, options, out, resume=True) == whole


def test_the_batches_do_not_depend_on_what_is_done(jobs: list[Job], tmp_path: Path) -> None:
    def batches_of(out: Path, modes: tuple[str, ...], resume: bool) -> list[list[str]]:
        asked: list[list[str]] = []

        class Watched(ScriptedBackend):
            def reply(self, conversations: list[Conversation], sampling: object) -> list[Reply]:  # type: ignore[override]
                asked.append([Path(c[0].views[0].picture.name).stem for c in conversations])
                return super().reply(conversations, sampling)  # type: ignore[arg-type]

            def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
                asked.append([Path(c[0].views[0].picture.name).stem for c in conversations])
                return super().rate(conversations)

        those = [replace(job, modes=modes) for job in jobs]
        predict(those, Options(Watched(backend().script), batch=2), out, resume=resume)
        return asked

    assert batches_of(tmp_path / "out", (ONE,), False) == [["tone060", "tone100"], ["tone150", "tone200"]]
    journal = tmp_path / "out" / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    assert batches_of(tmp_path / "out", (ONE,), True) == [["tone150", "tone200"]], "a batch is made as a whole"
    assert batches_of(tmp_path / "out", (ONE,), True) == []
    first, second, *_ = batches_of(tmp_path / "out", (ONE, ONLY), True)
    assert first == ["tone060", "tone100"] and second == ["tone150", "tone200"], "only the new mode runs"


def test_workers_give_the_same_rows(jobs: list[Job], tmp_path: Path) -> None:
    script = tmp_path / "replies.jsonl"
    text = '<think></think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.50, "tool": "final"}</answer>'
    script.write_text(json.dumps(text) + "\n")
    todo = [replace(job, modes=(TWO,), picture=partial(darker, job.source, 9), variant="darker") for job in jobs]
    options = Options(f"scripted:{script}", batch=1)
    together = predict(todo, options, tmp_path / "two", workers=2)
    assert together == predict(todo, options, tmp_path / "one")
    assert {row.score for row in together} == {2.5}
    with pytest.raises(ValueError, match="by name"):
        predict(todo, Options(backend()), tmp_path / "no", workers=2)


def test_what_fails_is_a_row(jobs: list[Job], tmp_path: Path) -> None:
    rated_pictures(tmp_path / "pictures", {250: 4.0})
    unreadable = Job("scores", "a", str(tmp_path / "pictures" / "tone250.png"), "", (TWO, ONE))
    gone = Job("scores", "b", str(tmp_path / "gone.png"), "", (TWO, ONE))
    unmeasured = replace(jobs[0], modes=("pyiqa:nobody's measure",))
    rows = predict([unreadable, gone, unmeasured], Options(backend()), tmp_path / "out")
    assert [row.error for row in rows] == ["unparsable_reply"] * 2 + ["missing"] * 2 + ["baseline_failed"]
    assert all(row.score is None and row.problem for row in rows)
    assert rows[0].rounds[0].reply == "no idea" and rows[0].rounds[0].score is None and rows[0].issues == ()


def test_both_plain_ratings_read_the_same_view(jobs: list[Job], tmp_path: Path) -> None:
    views: list[View] = []

    class Headed(ScriptedBackend):
        plain_ratings = ("plain head", "plain rating")

        def plain_rating(self, view: View, name: str) -> float:
            views.append(view)
            return {"plain head": 2.0, "plain rating": 3.0}[name]

    job = replace(jobs[0], modes=Headed.plain_ratings)
    rows = predict([job], Options(Headed(backend().script)), tmp_path / "out")
    assert [(row.mode, row.score) for row in rows] == [("plain head", 2.0), ("plain rating", 3.0)]
    assert views[0] is views[1]


@pytest.mark.parametrize("asked", [Region(0.12, 0.31, 0.55, 0.7), Region(0.1, 0.1, 0.6, 0.6), None])
def test_a_control_crop_has_the_size_of_the_models_own(asked: Region | None) -> None:
    policy = ZOOM_PRESETS["zoom-iqa" if asked is None else "snellen"]
    shown = policy.settle(asked, 4000, 3000)
    central = ControlCrop(CENTRAL, policy, "a").settle(asked, 4000, 3000)
    random = ControlCrop(RANDOM, policy, "a").settle(asked, 4000, 3000)
    for control in (central, random):
        assert (control.width, control.height) == pytest.approx((shown.width, shown.height))
    assert central.center == pytest.approx((0.5, 0.5))
    assert random == ControlCrop(RANDOM, policy, "a").settle(asked, 4000, 3000), "drawn by the name of the picture"
    assert random != ControlCrop(RANDOM, policy, "b").settle(asked, 4000, 3000)


@pytest.mark.usefixtures("authors_package")
def test_an_evaluation_with_protocol_zoom_iqa_has_two_rounds(jobs: list[Job], tmp_path: Path) -> None:
    script = [
        '<answer>{"bbox_2d": [0.1, 0.1, 0.6, 0.6], "rating": 3, "tool": "crop"}</answer>',
        '<answer>{"rating": 4}</answer>',
    ]
    job = replace(jobs[0], modes=(TWO, ONE))
    rows = predict([job], Options(ScriptedBackend(script), protocol="zoom-iqa"), tmp_path / "out")
    assert [(row.mode, row.score, len(row.rounds)) for row in rows] == [(TWO, 4.0, 2), (ONE, 3.0, 1)]


def test_random_crops_reach_every_edge() -> None:
    asked = Region(0.1, 0.1, 0.6, 0.6)
    crops = [ControlCrop(RANDOM, ZOOM_PRESETS["snellen"], str(i)).settle(asked, 4000, 3000) for i in range(200)]
    room = 1 - crops[0].width
    assert min(c.x0 for c in crops) < 0.05 * room and max(c.x0 for c in crops) > 0.95 * room
    assert min(c.y0 for c in crops) < 0.05 * room and max(c.y0 for c in crops) > 0.95 * room


def test_another_place_is_refused() -> None:
    with pytest.raises(ValueError, match="random crop, central crop"):
        ControlCrop("left", ZOOM_PRESETS["snellen"], "a")


def test_sampled_jobs_are_kept_apart_from_greedy_ones(jobs: list[Job], tmp_path: Path) -> None:
    asked: list[tuple[float, int, int]] = []

    class Watched(ScriptedBackend):
        def reply(self, conversations: list[Conversation], sampling: object) -> list[Reply]:  # type: ignore[override]
            asked.append((sampling.temperature, sampling.seed, len(conversations)))  # type: ignore[attr-defined]
            return super().reply(conversations, sampling)  # type: ignore[arg-type]

    greedy = replace(jobs[0], modes=(ONE,))
    sampled = [replace(greedy, variant=f"run {seed}", seed=seed) for seed in (3, 4)]
    rows = predict([greedy, *sampled], Options(Watched(backend().script)), tmp_path / "out")
    assert asked == [(0.0, 0, 1), (1.0, 3, 1), (1.0, 4, 1)] and [row.variant for row in rows] == ["", "run 3", "run 4"]
    with pytest.raises(ValueError, match="two jobs"):
        predict([greedy, replace(greedy, seed=1)], Options(backend()), tmp_path / "other")


def test_equal_jobs_count_once(jobs: list[Job], tmp_path: Path) -> None:
    made = replace(jobs[0], modes=(ONE,), picture=partial(darker, jobs[0].source, 1))
    again = replace(made, picture=partial(darker, jobs[0].source, 1))
    assert len(predict([made, again], Options(backend()), tmp_path / "out")) == 1


def test_a_journal_is_neither_overwritten_nor_mixed(jobs: list[Job], tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(jobs, Options(backend()), out)
    left = (out / "journal.jsonl").read_bytes()
    with pytest.raises(UsageError, match="--resume"):
        predict(jobs, Options(backend()), out)
    with pytest.raises(UsageError, match="batch 8, now it is .* batch 4"):
        predict(jobs, Options(backend(), batch=4), out, resume=True)
    assert (out / "journal.jsonl").read_bytes() == left
    for damage in ("damaged\n", "[1]\n", left.splitlines()[0].decode() + '\n{"suite": "scores"}\n'):
        (out / "journal.jsonl").write_text(damage)
        with pytest.raises(UsageError, match="damaged"):
            predict(jobs, Options(backend()), out, resume=True)


@pytest.mark.parametrize(
    ("head", "version"), [({"model": "m"}, "an older version"), ({"snellen": "0.1", "model": "m"}, "Snellen 0.1, this")]
)
def test_the_journal_of_another_version_is_refused(
    head: dict[str, str], version: str, jobs: list[Job], tmp_path: Path
) -> None:
    (tmp_path / "journal.jsonl").write_text(json.dumps(head) + "\n")
    with pytest.raises(UsageError, match=f"written by .*{version}.*give another --out"):
        predict(jobs, Options(backend()), tmp_path, resume=True)


def test_what_is_known_when_the_model_fails_is_kept(jobs: list[Job], tmp_path: Path) -> None:
    def fails_on_light_ones(conversation: Conversation) -> Reply:
        if conversation[0].views[0].picture.pixels.mean() > 180:
            raise BackendError("out of reach")
        return reply(conversation)

    with pytest.raises(BackendError):
        predict(jobs, Options(ScriptedBackend(fails_on_light_ones), batch=1), tmp_path / "out")
    kept = [json.loads(line)["key"] for line in (tmp_path / "out" / "journal.jsonl").read_text().splitlines()[1:]]
    assert list(dict.fromkeys(kept)) == ["tiny/tone060.png", "tiny/tone100.png", "tiny/tone150.png"]


def test_the_identity_knows_weights_and_calibration() -> None:
    model = backend()
    plain = identity(model, Options(model))
    model.calibration = Calibration(1.5, 0.2)
    assert identity(model, Options(model)) != plain and plain.startswith("scripted 1 (")


def test_keys_are_paths_below_the_shared_folder() -> None:
    samples = [Sample("/data/a/x.png", 3.0), Sample("/data/b/c/y.png", 2.0)]
    assert list(data_set("some", samples).samples) == ["some/a/x.png", "some/b/c/y.png"]
    with pytest.raises(UsageError, match=r"y\.png is listed twice"):
        data_set("some", [*samples, samples[1]])
    with pytest.raises(UsageError, match="no pictures"):
        data_set("some", [])


def test_repairs_and_written_ratings_are_counted(jobs: list[Job], tmp_path: Path) -> None:
    text = 'Sure! <think></think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.50, "tool": "final"}</answer>'
    job = replace(jobs[0], modes=(ONE,))
    (row,) = predict([job], Options(ScriptedBackend([text])), tmp_path / "out")
    assert row.score == 2.5 and row.rounds[0].repaired == ("text around the reply",)
    assert row_from_dict(json.loads(json.dumps(row.to_dict()))) == row
    data = data_set("tiny", [Sample(job.source, 3.0, split="test")])
    counted = scores.summarise([replace(row, key=next(iter(data.samples)))], [data])["tiny"]["replies"][ONE]
    assert (counted["repaired"], counted["written ratings"], counted["unparsable"]) == (1, 1, 0)
