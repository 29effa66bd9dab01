from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from evaluate_fakes import backend, rated_pictures
from PIL import Image

from snellen.data.sample import Sample
from snellen.evaluate import DataSet, Options, evaluate
from snellen.evaluate.files import COLUMNS, plain, read_predictions, write_predictions
from snellen.evaluate.harness import described, spare_peers, thin
from snellen.evaluate.modes import ONE, ONLY, TWO
from snellen.evaluate.predict import Job, data_set
from snellen.evaluate.report.tables import Table, percent, spread
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
    evaluate([tiny], out / "out", Options(backend(), batch=3), suites=SUITES, ways=(TWO, ONE), command=["snellen", "x"])
    return out / "out"


def test_all_files_are_written(done: Path, tiny: DataSet) -> None:
    assert {path.name for path in done.iterdir()} == {*FILES, "run.json", "report.html", "journal.jsonl", "figures"}
    summary = json.loads((done / "summary.json").read_text())
    way = summary["scores"]["tiny"]["ways"][TWO]
    assert way["n"] == 8 and way["missing"] == 1 and 0.8 < way["srcc"][0] < 1.0
    assert summary["calibration"]["tiny"][TWO]["n"] == 8
    run = json.loads((done / "run.json").read_text())
    assert run["command"] == ["snellen", "x"] and run["model"]["name"] == "scripted" and run["seed"] == 0
    assert run["data"][0]["pictures"] == 9 and len(run["data"][0]["sha256"]) == 64
    assert run["seconds per picture"]["scores"][TWO] > 0 and "numpy" in run["packages"]


def test_predictions_have_one_row_for_each_picture_and_round(done: Path) -> None:
    lines = read_predictions(done)
    assert all(list(line) == list(COLUMNS) for line in lines)
    two = [line for line in lines if line["key"] == "tiny/tone150.png" and line["way"] == TWO]
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
    evaluate([tiny], tmp_path, Options(backend(), batch=3), suites=SUITES, ways=(TWO, ONE), resume=True)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (done / name).read_bytes(), name


def test_the_report_needs_nothing_else_and_tells_the_worst_misses(done: Path) -> None:
    page = (done / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:|#)', page), "nothing is loaded from elsewhere"
    assert page.count("<article") == 8 and page.index("tone150.png</h2>") < page.index("tone060.png</h2>")
    assert "people say 3.90, off by 0.80" in page and "Tone 150." in page and "data:image/jpeg" in page
    assert 'class="dots"' in page and "How it was run" in page
    assert "<small>[" in page, "intervals stand under their values"


def test_a_later_run_adds_what_is_new(done: Path, tiny: DataSet, tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes((done / "journal.jsonl").read_bytes())
    told: list[tuple[int, int]] = []
    summary = evaluate(
        [tiny], tmp_path, Options(backend(), batch=3), suites=["scores"], ways=(TWO, ONE, ONLY), resume=True,
        watch=lambda *now: told.append(now),
    )  # fmt: skip
    assert told[0] == (18, 27) and told[-1] == (27, 27)
    assert list(summary["scores"]["tiny"]["ways"]) == [TWO, ONE, ONLY]


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
    with pytest.raises(UsageError, match="unknown way 'three rounds'"):
        evaluate([tiny], tmp_path, options, suites=["scores"], ways=["three rounds"])
    with pytest.raises(UsageError, match="no plain regression head"):
        evaluate([tiny], tmp_path, options, suites=["scores"], ways=["plain head"])
    with pytest.raises(UsageError, match="unknown peer"):
        evaluate([tiny], tmp_path, options, suites=["scores"], peers=["taste"])
    unrated = DataSet("u", {key: sample.__class__(sample.path) for key, sample in tiny.samples.items()})
    with pytest.raises(UsageError, match="no picture for scores"):
        evaluate([unrated], tmp_path, options, suites=["scores"])


def test_thinning_keeps_all_variants_of_evenly_drawn_pictures() -> None:
    jobs = [Job("s", f"{name}/{i}", "x", "x", (TWO,), variant) for name in "ab" for i in range(5) for variant in "vw"]
    kept = thin(jobs, 3)
    assert [(job.key, job.variant) for job in kept] == [
        (f"{name}/{i}", variant) for name in "ab" for i in (0, 2, 4) for variant in "vw"
    ]
    assert thin(jobs, None) == jobs and thin(jobs, 9) == jobs


def test_peers_are_spared_evenly_in_all_suites_and_never_silently(tiny: DataSet, tmp_path: Path) -> None:
    sets = [DataSet(name, {f"{name}/{i}": next(iter(tiny.samples.values())) for i in range(6)}) for name in "ab"]
    jobs = [
        Job("s", f"{name}/{i}", "x", "x", (TWO, "piqe"), variant) for name in "ab" for i in range(6) for variant in "vw"
    ]
    jobs += [Job("s", "a/1", "x", "x", ("piqe",), "peer only"), Job("s", "drawn/noise 1", "x", "x", (TWO, "piqe"))]
    found = spare_peers(jobs, sets, {"a": 2})
    assert {job.key for job in found if "piqe" in job.ways and job.key.startswith("a/")} == {"a/0", "a/3"}
    assert all(job.ways == (TWO, "piqe") for job in found if not job.key.startswith("a/"))
    assert all(TWO in job.ways for job in found) and len(found) == len(jobs) - 1
    assert spare_peers(jobs, sets, {}) == jobs and spare_peers(jobs, sets, {"a": 9}) == jobs
    with pytest.raises(UsageError, match="no data set 'c'"):
        spare_peers(jobs, sets, {"c": 2})


def test_json_has_null_for_what_is_not_defined() -> None:
    value = {"a": (1.0, math.nan), "b": np.float64(2.5), "c": np.array([1, 2]), 3: [np.inf], "d": None, "e": True}
    assert plain(value) == {"a": [1.0, None], "b": 2.5, "c": [1, 2], "3": [None], "d": None, "e": True}


def test_tables_in_words() -> None:
    table = Table("T", ["a|b", "c"], [["x", spread((0.5, 0.25, math.nan))]], "note")
    assert table.markdown() == "### T\n\n| a\\|b | c |\n| --- | --- |\n| x | 0.500 [0.250, -] |\n\nnote\n"
    assert percent((0.5, 0.25, 0.75)) == "50.0 % [25.0, 75.0]" and percent(math.nan) == "-" and percent(1) == "100.0 %"
    assert spread((math.nan,) * 3) == percent((math.nan,) * 3) == "-" and percent(-1e-12) == "0.0 %"


def test_scenes_in_several_splits_are_counted_where_groups_are_known_or_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        rough = Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8))
        rough.resize((64, 64), Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    (tmp_path / "again.png").write_bytes((tmp_path / "a.png").read_bytes())

    def made(groups: str) -> DataSet:
        names = [("a", "train"), ("again", "test"), ("b", "train"), ("c", "test")]
        paths = [(str(tmp_path / f"{name}.png"), split) for name, split in names]
        return data_set(
            "s",
            [Sample(path, 3.0, split=split, group=g.strip()) for (path, split), g in zip(paths, groups, strict=True)],
        )

    told = "scenes in several splits"
    assert described(made("    "), near_duplicates=False)[told] is None
    assert described(made("    "), near_duplicates=True)[told] == 1
    assert described(made("xxyz"), near_duplicates=False)[told] == 1
    assert described(made("wxyz"), near_duplicates=False)[told] == 0
