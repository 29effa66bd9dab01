"""From answers to report and tables, and what evaluate and data make of them; agreement of a judge with people."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snellen.cli import main
from snellen.data.fault_labels import read_labels
from snellen.data.sample import read_manifest
from snellen.evaluate.datasets import open_data
from snellen.study.analysis import Analysis, analyse
from snellen.study.judge import Scores, judge_agreement, ordered_share, read_scores
from snellen.study.plan import create_study, find_sources
from snellen.study.report import write_analysis
from snellen.study.rubric import rubric_of
from snellen.study.session import Study
from snellen.study.store import Store
from snellen.table import ScoreRow, write_table
from snellen.usage import UsageError

QUALITIES = np.linspace(1.3, 4.7, 12)


def make(tmp_path: Path, count: int = 12, **rubric: Any) -> Study:
    """Return a study of pictures p00.png, ... whose true qualities QUALITIES are in truth.csv."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    lines = ["image,mos"]
    for n in range(count):
        Image.new("RGB", (40, 30), (20 * n, 90, 90)).save(folder / f"p{n:02d}.png")
        lines.append(f"p{n:02d}.png,{QUALITIES[n]}")
    (folder / "truth.csv").write_text("\n".join(lines))
    create_study(tmp_path / "study", find_sources([folder]), rubric_of(rubric), folder)
    Store(tmp_path / "study" / "answers.sqlite").create()
    return Study(tmp_path / "study")


def simulated(tmp_path: Path, raters: int = 12, cheaters: int = 0, **rubric: Any) -> Study:
    made = make(tmp_path, **rubric)
    truth = str(tmp_path / "pictures" / "truth.csv")
    options = ["--raters", str(raters), "--cheaters", str(cheaters), "--truth", truth]
    assert main(["study", "simulate", str(made.folder), *options]) == 0
    return made


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_study_becomes_a_report_and_tables_that_evaluate_and_data_read(tmp_path: Path) -> None:
    made = simulated(tmp_path, repeats=2, boxes=True, method="rubric")
    out = tmp_path / "out"
    assert main(["study", "analyse", str(made.folder), "--out", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "SIMULATED" in page and page.count("<svg") == 3 and "http" not in page.partition("<body")[2]
    assert len(rows(out / "answers.csv")) == 12 * 14 and len(rows(out / "clean.csv")) % 12 == 0
    pictures = rows(out / "pictures.csv")
    errors = [abs(float(row["mos"]) - QUALITIES[int(row["image"][-6:-4])]) for row in pictures]
    assert max(errors) < 0.8 and float(pictures[0]["sharpness"]) >= 1
    data = open_data(str(out / "mos.csv"))
    assert len(data.test_samples) == 12 and all(sample.std for sample in data.samples.values())
    assert [s.mos for s in read_manifest(out / "manifest.jsonl", check_files=True)][0] == pytest.approx(
        float(pictures[0]["mos"]), abs=1e-4
    )
    assert {label.overall for label in read_labels(out / "faults.jsonl")} <= {1.0, 2.0, 3.0, 4.0, 5.0}


def test_data_build_makes_conversations_of_a_study(tmp_path: Path) -> None:
    made = simulated(tmp_path, raters=3, boxes=True)
    assert main(["study", "analyse", str(made.folder), "--out", str(tmp_path)]) == 0
    assert main(["data", "build", str(tmp_path / "manifest.jsonl"), "--out", str(tmp_path / "c.jsonl"), "--quiet"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()]
    assert len({line["path"] for line in lines}) == 12
    labels = ["--teacher", f"labels:{tmp_path / 'faults.jsonl'}"]
    table, out = str(tmp_path / "manifest.jsonl"), tmp_path / "labelled.jsonl"
    assert main(["data", "build", table, *labels, "--out", str(out), "--quiet"]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({line["path"] for line in lines}) == 12 and all(Path(line["path"]).is_file() for line in lines)


def test_cheaters_are_named_with_reasons_and_kept_on_request(tmp_path: Path) -> None:
    honest = [int(np.floor(quality + 0.5)) for quality in QUALITIES]
    lenient = [min(5, level + 1) for level in honest]
    everybody = agreement_of(tmp_path, [[4] * 12, [6 - level for level in honest], honest, lenient, honest, lenient])
    assert everybody.kept.all() and "same answer" in everybody.raters[0].reasons[0]
    found = analyse(Study(tmp_path / "study"))
    assert found.kept.tolist() == [False, False, True, True, True, True]
    assert "correlation" in found.raters[1].reasons[0]


def test_pairs_become_a_scale_and_a_table_of_pairs(tmp_path: Path) -> None:
    made = simulated(tmp_path, raters=8, method="pairs", ties=True, items=20, block=10, repeats=2)
    assert main(["study", "analyse", str(made.folder), "--out", str(tmp_path / "out")]) == 0
    scale = [float(row["jod"]) for row in rows(tmp_path / "out" / "scale.csv")]
    assert np.corrcoef(scale, QUALITIES)[0, 1] > 0.8  # orders of items follow invitation codes, which are random
    pairs = open_data(str(tmp_path / "out" / "pairs.csv"))
    assert all(0 <= share <= 1 for *_, share in pairs.pairs) and len(pairs.samples) == 12
    with pytest.raises(UsageError, match=r"pairs\.csv"):
        judge_agreement(analyse(made), Scores("judge", *np.ones((3, 12))))


def test_golden_items_and_boxes_reach_the_analysis(tmp_path: Path) -> None:
    made = make(tmp_path, count=3, boxes=True, golden=[{"image": "p00.png", "low": 1, "high": 2}] * 3)
    box = {"kind": "blur", "severity": 4, "box": [0.0, 0.0, 0.5, 1.0]}
    for n, (code, token) in enumerate(made.store.invite(2)):
        made.store.open_link(token, None)
        made.store.note(code, consented=True, screen={})
        while (state := made.state(code))["stage"] == "items":
            task = made.store.tasks(code)[state["position"]]
            value = 5 if task.kind == "golden" and n else 1 + QUALITIES[0] // 2
            boxes = [box] if task.picture == made.plan.rated[0].key else []
            body = {"position": state["position"], "answers": {"overall": int(value)}, "boxes": boxes}
            made.answer(code, {**body, "seconds": 1.0, "shown": 0.0, "answered": 1.0})
    found = analyse(made, keep_all=True)
    assert [rater.golden for rater in found.raters] == [1.0, 0.0]
    assert found.raters[1].reasons == ("golden items: 0 % right",)
    assert found.faults is not None and found.faults.iou == 1.0 and found.faults.kappa["blur"] == 1.0


def agreement_of(tmp_path: Path, ratings: list[list[int]], again: int = 3, **rubric: Any) -> Analysis:
    """Return the analysis of ratings (raters, pictures), all kept; a picture that comes again is rated `again`."""
    made = make(tmp_path, count=len(ratings[0]), **rubric)
    row = {picture.key: at for at, picture in enumerate(made.plan.rated)}
    for (code, token), own in zip(made.store.invite(len(ratings)), ratings, strict=True):
        made.store.open_link(token, None)
        made.store.note(code, consented=True, screen={})
        made.state(code)
        for position, task in enumerate(made.store.tasks(code)):
            value = again if task.kind == "repeat" else own[row[task.picture]]
            body = {"position": position, "answers": {"overall": value}}
            made.answer(code, {**body, "seconds": 1.0, "shown": 0.0, "answered": 1.0})
    return analyse(made, keep_all=True)


def test_agreement_of_a_judge_worked_by_hand(tmp_path: Path) -> None:
    found = agreement_of(tmp_path, [[1, 3, 5, 4], [1, 3, 5, 4], [2, 3, 4, 4]])  # means 4/3, 3, 14/3, 4
    nan = np.full(4, np.nan)
    judged = judge_agreement(found, Scores("judge", np.array([1.0, 3.5, 3.0, 5.0]), nan, nan))
    # order of the people: 0 < 1 < 3 < 2; the judge turns (1, 2) and (3, 2) of the six pairs
    assert judged.all_pairs.value == pytest.approx(4 / 6)
    assert judged.one_step.value == 0.75  # off by 0.33, 0.5, 1.67, 1.0
    # others' means: [1.5 3 4.5 4] for raters 1 and 2, who order all right; [1 3 5 4] for rater 3, who ties 2 and 3
    assert judged.people_all_pairs.value == pytest.approx((1 + 1 + 5.5 / 6) / 3)
    assert judged.same_means.value == pytest.approx(4 / 6)
    assert judged.people_one_step.value == 1.0
    # 95 % intervals 4/3 +- 1.43, 3, 14/3 +- 1.43, 4: apart are 0 with 1, 2 and 3, and 1 with 2 and 3; one is turned
    assert judged.sure_share == pytest.approx(5 / 6) and judged.sure_pairs.value == pytest.approx(4 / 5)
    assert "one person" in judged.text() and json.loads(json.dumps(judged.to_dict()))["pictures"] == 4


def test_consistency_on_repeats_worked_by_hand(tmp_path: Path) -> None:
    found = agreement_of(tmp_path, [[1, 3, 5, 4]] * 3, again=3, repeats=1)
    judged = judge_agreement(found, Scores("judge", np.array([1.0, 2.0, 4.0, 5.0]), *np.full((2, 4), np.nan)))
    # the second rating 3 of the picture that was 1 ties with the one that is 3; of the 5 also falls below the 4
    people, judge = np.array([2.5 / 3, 1.0, 1.5 / 3, 2.5 / 3]), np.array([1.0, 1.0, 2 / 3, 2 / 3])
    places = {picture.key: at for at, picture in enumerate(found.plan.rated)}
    twice = [places[answer.task.picture] for answer in found.answers if answer.task.kind == "repeat"]
    assert len(twice) == 3
    assert judged.people_consistency.value == pytest.approx(people[twice].mean())
    assert judged.consistency.value == pytest.approx(judge[twice].mean())
    assert "both times" in judged.text()


def test_the_judges_own_intervals_make_pairs_unsure(tmp_path: Path) -> None:
    found = agreement_of(tmp_path, [[1, 3, 5, 4], [1, 3, 5, 4], [1, 3, 5, 4]])
    wide = Scores("judge", np.array([1.0, 3.0, 5.0, 4.0]), np.full(4, 1.0), np.full(4, 5.0))
    judged = judge_agreement(found, wide)
    assert judged.sure_share == 0.0 and np.isnan(judged.sure_pairs.value) and judged.all_pairs.value == 1.0


def test_a_tie_of_the_judge_counts_half() -> None:
    assert ordered_share(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 2.0])) == 0.75


def test_a_table_of_scores_is_matched_by_path(tmp_path: Path) -> None:
    made = make(tmp_path, count=3)
    table = [ScoreRow(f"pictures/p{n:02d}.png", 2.0 + n, 1.5 + n, 2.5 + n, model="judge 1") for n in range(2)]
    write_table([*table, ScoreRow("other/p02.png", 3.0)], tmp_path / "scores.csv")
    found = read_scores(tmp_path / "scores.csv", made.plan)
    assert found.score.tolist()[:2] == [2.0, 3.0] and np.isnan(found.score[2]) and found.name == "judge 1"
    write_table([ScoreRow("x.png", 3.0)], tmp_path / "scores.csv")
    with pytest.raises(UsageError, match="no score of a picture"):
        read_scores(tmp_path / "scores.csv", made.plan)
    with pytest.raises(UsageError, match="gone.csv is not there"):
        read_scores(tmp_path / "gone.csv", made.plan)


def test_a_study_without_answers_says_so(tmp_path: Path) -> None:
    made = make(tmp_path, count=2)
    with pytest.raises(UsageError, match="no answers yet"):
        analyse(made)


def test_where_nobody_is_left_the_reasons_are_named(tmp_path: Path) -> None:
    agreement_of(tmp_path, [[4] * 12, [2] * 12])
    with pytest.raises(UsageError, match="every rater is left out .*same answer.*; .*same answer.*--keep-all"):
        analyse(Study(tmp_path / "study"))


def test_a_report_without_two_ratings_of_a_picture_says_what_is_missing(tmp_path: Path) -> None:
    found = agreement_of(tmp_path, [[1, 2, 3, 4, 5, 4, 3, 2, 1, 2, 3, 4]])
    lines = write_analysis(found, tmp_path, 0.25)
    assert "ratings of a picture, fewest to most: 1 to 1" in lines and "invite more raters" in lines[-1]
