from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from evaluate_fakes import backend, rated_pictures

from snellen.data.sample import Sample
from snellen.evaluate import DataSet, Options, data_set, evaluate
from snellen.evaluate.files import COLUMNS, plain, read_predictions, write_predictions
from snellen.evaluate.harness import described, limit_baselines, thin
from snellen.evaluate.modes import ONE, ONLY, TWO
from snellen.evaluate.predict import Job
from snellen.evaluate.report.tables import Table, estimate, percent
from snellen.usage import UsageError

TONES = {60: 1.5, 90: 1.6, 110: 2.4, 130: 2.2, 150: 3.9, 170: 3.0, 190: 4.4, 210: 4.0, 250: 4.9}
SUITES = ("scores", "calibration")
FILES = ("predictions.parquet", "summary.json", "tables.md")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return rated_pictures(tmp_path_factory.mktemp("pictures"), TONES, side=400)


@pytest.fixture(scope="module")
def done(tiny: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("done")
    options = Options(backend(), batch=3)
    evaluate([tiny], out / "out", options, suites=SUITES, modes=(TWO, ONE), command=["snellen", "x"])
    return out / "out"


def test_all_files_are_written(done: Path, tiny: DataSet) -> None:
    assert {path.name for path in done.iterdir()} == {*FILES, "run.json", "report.html", "journal.jsonl", "figures"}
    summary = json.loads((done / "summary.json").read_text())
    mode = summary["scores"]["tiny"]["modes"][TWO]
    assert mode["n"] == 8 and mode["missing"] == 1 and 0.8 < mode["srcc"][0] < 1.0
    assert summary["calibration"]["tiny"][TWO]["n"] == 8
    run = json.loads((done / "run.json").read_text())
    assert run["command"] == ["snellen", "x"] and run["model"]["name"] == "scripted" and run["seed"] == 0
    assert run["data"][0]["pictures"] == 9 and len(run["data"][0]["sha256"]) == 64
    assert run["seconds per picture"]["scores"][TWO] > 0 and "numpy" in run["packages"]


def test_predictions_have_one_row_for_each_picture_and_round(done: Path) -> None:
    lines = read_predictions(done)
    assert all(list(line) == list(COLUMNS) for line in lines)
    two = [line for line in lines if line["key"] == "tiny/tone150.png" and line["mode"] == TWO]
    assert [(line["round"], line["rating"]) for line in two] == [(1, 3.0), (2, 3.1)]
    assert two[0]["score"] == two[1]["score"] == pytest.approx(3.1) and two[0]["mos"] == 3.9
    assert "Crop Inspection" in two[1]["reply"] and json.loads(two[1]["issues"])[0]["kind"] == "blur"
    failed = [line for line in lines if line["key"] == "tiny/tone250.png"]
    assert [line["error"] for line in failed] == ["unparsable_reply"] * 2 and failed[0]["reply"] == "no idea"
    assert failed[0]["score"] is None and failed[0]["reply_error"].startswith("no_answer")


@pytest.mark.parametrize("share", [0.0, 0.4, 0.7, 0.99])
def test_killed_and_resumed_gives_the_same_bytes(done: Path, tiny: DataSet, tmp_path: Path, share: float) -> None:
    journal = (done / "journal.jsonl").read_bytes()
    (tmp_path / "journal.jsonl").write_bytes(journal[: int(share * len(journal))])
    evaluate([tiny], tmp_path, Options(backend(), batch=3), suites=SUITES, modes=(TWO, ONE), resume=True)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (done / name).read_bytes(), name


def test_the_report_needs_nothing_else_and_shows_the_largest_errors(done: Path) -> None:
    page = (done / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:|#)', page), "nothing is loaded from elsewhere"
    assert page.count("<article") == 8 and page.index("tone150.png</h2>") < page.index("tone060.png</h2>")
    assert "MOS 3.90, error 0.80" in page and "Tone 150." in page and "data:image/jpeg" in page
    assert 'class="dots"' in page and "<h2>Settings</h2>" in page
    assert "<small>[" in page, "intervals stand under their values"


def test_a_later_run_adds_what_is_new(done: Path, tiny: DataSet, tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes((done / "journal.jsonl").read_bytes())
    told: list[tuple[int, int]] = []
    summary = evaluate(
        [tiny], tmp_path, Options(backend(), batch=3), suites=["scores"], modes=(TWO, ONE, ONLY), resume=True,
        on_progress=lambda *now: told.append(now),
    )  # fmt: skip
    assert told[0] == (18, 27) and told[-1] == (27, 27)
    assert list(summary["scores"]["tiny"]["modes"]) == [TWO, ONE, ONLY]


def test_without_pyarrow_the_predictions_are_json_lines(
    done: Path, tiny: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert write_predictions([], [tiny], tmp_path).name == "predictions.jsonl"
    with pytest.raises(UsageError, match=r"snellen\[parquet\]"):
        read_predictions(done)


def test_what_cannot_be_run_is_refused(tiny: DataSet, tmp_path: Path) -> None:
    options = Options(backend())
    with pytest.raises(UsageError, match="unknown suite 'beauty'"):
        evaluate([tiny], tmp_path, options, suites=["beauty"])
    with pytest.raises(UsageError, match="unknown mode 'three rounds'"):
        evaluate([tiny], tmp_path, options, suites=["scores"], modes=["three rounds"])
    with pytest.raises(UsageError, match="unknown baseline"):
        evaluate([tiny], tmp_path, options, suites=["scores"], baselines=["taste"])
    with pytest.raises(UsageError, match="model:nowhere: "):
        evaluate([tiny], tmp_path, options, suites=["scores"], baselines=["model:nowhere"])
    unrated = DataSet("u", {key: sample.__class__(sample.path) for key, sample in tiny.samples.items()})
    with pytest.raises(UsageError, match="hold no picture for scores"):
        evaluate([unrated], tmp_path, options, suites=["scores"])


def test_thinning_keeps_all_variants_of_evenly_drawn_pictures() -> None:
    jobs = [Job("s", f"{name}/{i}", "x", "x", (TWO,), variant) for name in "ab" for i in range(5) for variant in "vw"]
    kept = thin(jobs, 3)
    assert [(job.key, job.variant) for job in kept] == [
        (f"{name}/{i}", variant) for name in "ab" for i in (0, 2, 4) for variant in "vw"
    ]
    assert thin(jobs, None) == jobs and thin(jobs, 9) == jobs


def test_baselines_are_spared_evenly_in_all_suites_and_never_silently(tiny: DataSet, tmp_path: Path) -> None:
    sets = [DataSet(name, {f"{name}/{i}": next(iter(tiny.samples.values())) for i in range(6)}) for name in "ab"]
    jobs = [
        Job("s", f"{name}/{i}", "x", "x", (TWO, "piqe"), variant) for name in "ab" for i in range(6) for variant in "vw"
    ]
    jobs += [Job("s", "a/1", "x", "x", ("piqe",), "baseline only"), Job("s", "drawn/noise 1", "x", "x", (TWO, "piqe"))]
    found = limit_baselines(jobs, sets, {"a": 2})
    assert {job.key for job in found if "piqe" in job.modes and job.key.startswith("a/")} == {"a/0", "a/3"}
    assert all(job.modes == (TWO, "piqe") for job in found if not job.key.startswith("a/"))
    assert all(TWO in job.modes for job in found) and len(found) == len(jobs) - 1
    assert limit_baselines(jobs, sets, {}) == jobs and limit_baselines(jobs, sets, {"a": 9}) == jobs
    with pytest.raises(UsageError, match="no data set 'c'"):
        limit_baselines(jobs, sets, {"c": 2})


def test_json_has_null_for_what_is_not_defined() -> None:
    value = {"a": (1.0, math.nan), "b": np.float64(2.5), "c": np.array([1, 2]), 3: [np.inf], "d": None, "e": True}
    assert plain(value) == {"a": [1.0, None], "b": 2.5, "c": [1, 2], "3": [None], "d": None, "e": True}


def test_tables_in_words() -> None:
    table = Table("T", ["a|b", "c"], [["x", estimate((0.5, 0.25, math.nan))]], "note")
    assert table.markdown() == "### T\n\n| a\\|b | c |\n| --- | --- |\n| x | 0.500 [0.250, -] |\n\nnote\n"
    assert percent((0.5, 0.25, 0.75)) == "50.0 % [25.0, 75.0]" and percent(math.nan) == "-" and percent(1) == "100.0 %"
    assert estimate((math.nan,) * 3) == percent((math.nan,) * 3) == "-" and percent(-1e-12) == "0.0 %"


def test_scenes_in_several_splits_are_counted_where_samples_name_their_scene() -> None:
    def scenes(groups: str) -> int | None:
        splits = ["train", "test", "train", "test"]
        samples = [Sample(f"/{i}.png", 3.0, split=splits[i], group=groups[i].strip()) for i in range(4)]
        count: int | None = described(data_set("s", samples))["scenes in several splits"]
        return count

    assert scenes("xxyz") == 1 and scenes("xxyy") == 2 and scenes("wxyz") == 0
    assert scenes("xxy ") is None, "one sample names no scene"
