"""Suite `real-faults`: which pictures it takes, and its measures by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snellen.data.fault_labels import labels_of, ridge_predictions
from snellen.data.sample import Sample
from snellen.evaluate.datasets import data_set
from snellen.evaluate.report.tables import Table
from snellen.evaluate.rows import Round, Row
from snellen.evaluate.suites import open_suite
from snellen.evaluate.suites.real_faults import ALWAYS, RATER, RIDGE, labelled
from snellen.region import FULL
from snellen.reply import Issue
from snellen.snellen1.photo_faults import PHOTO_KINDS
from snellen.vocabulary import merged

DEV = labels_of("biq2021", "dev")
PICTURES = list(DEV)[:12]


def row(key: str, *issues: Issue) -> Row:
    one = Round(FULL, 3.0, 3.0, 0.4, 1.0, (), issues, 0, "", "stop", None, None)
    return Row("real-faults", key, "", "two rounds", "m", 3.0, None, "fair", 9, 9, (one,), None, None, None)


@pytest.fixture
def biq() -> object:
    train = next(iter(labels_of("biq2021", "train")))
    return data_set("biq2021", [Sample(f"/d/{name}", split="train") for name in (*PICTURES, train)])


def test_jobs_are_the_validation_part_in_the_main_mode(biq) -> None:  # type: ignore[no-untyped-def]
    jobs = open_suite("real-faults").jobs([biq], ("two rounds", "one round", "brisque"), Path())
    assert [job.key for job in jobs] == [f"biq2021/{name}" for name in PICTURES]
    assert {job.modes for job in jobs} == {("two rounds",)}
    assert not labelled(data_set("koniq10k", [Sample("/d/a.jpg")]))


def test_a_judge_that_repeats_a_rater_is_borne_out(biq) -> None:  # type: ignore[no-untyped-def]
    suite = open_suite("real-faults")
    rows = [row(f"biq2021/{name}", *DEV[name][0].minded) for name in PICTURES]
    summary = suite.summarise(rows, [biq])["biq2021"]
    judged = summary["judges"]
    assert judged["two rounds"]["named"].value == 1.0 and judged["two rounds"]["first"].value == 1.0
    assert judged["two rounds"]["borne out, strict"].value == 1.0
    assert judged[ALWAYS]["false alarms"].value in (1.0, pytest.approx(np.nan, nan_ok=True))
    assert judged[RATER]["faulty"] > 0 and judged[RIDGE]["faulty"] == judged["two rounds"]["faulty"]
    assert summary["named, minus ridge"].value == pytest.approx(1.0 - judged[RIDGE]["named"].value)
    first, by_severity, by_kind = suite.show({"biq2021": summary}, rows, [biq])
    assert isinstance(first, Table) and isinstance(by_severity, Table) and isinstance(by_kind, Table)
    assert "not by people" in first.markdown() and "kernel ridge" in by_kind.markdown()
    assert all(found.value == 1.0 for found in judged["two rounds"]["named by severity"].values())


def test_stated_probabilities_are_held_against_the_labels(biq) -> None:  # type: ignore[no-untyped-def]
    suite = open_suite("real-faults")
    rows = []
    for name in PICTURES:
        minded = {merged(fault.kind) for rater in DEV[name] for fault in rater.minded}
        stated = {kind: 0.9 if kind in minded else 0.02 for kind in PHOTO_KINDS}
        one = replace(row(f"biq2021/{name}").rounds[0], fault_probabilities=stated)
        rows.append(replace(row(f"biq2021/{name}"), rounds=(one,)))
    summary = suite.summarise(rows, [biq])
    held = summary["biq2021"]["probabilities"]
    assert held["named or possible"].value == 1.0 and held["skill"] > 0.9 and 0 < held["kinds"] < 4
    assert [(low, share) for low, _, _, _, share in held["reliability"]] == [(0.0, 0.0), (0.8, 1.0)]
    shown = suite.show(summary, rows, [biq])[3]
    assert isinstance(shown, Table) and "100.0" in shown.markdown()


def test_the_part_check_has_tables_of_its_own() -> None:
    check = labels_of("biq2021", "check")
    once = next(name for name, raters in check.items() if len(raters) == 1)
    twice = [name for name, raters in check.items() if len(raters) == 2 and all(one.minded for one in raters)][:3]
    both = data_set("biq2021", [Sample(f"/d/{name}") for name in (PICTURES[0], once, *twice)])
    rows = [row(f"biq2021/{name}", *check[name][1].minded) for name in twice] + [row(f"biq2021/{once}")]
    summary = open_suite("real-faults").summarise(rows, [both])
    assert list(summary) == ["biq2021, check", "biq2021, check, labelled twice"], "no row of the validation part"
    assert summary["biq2021, check"]["photographs"] == 4 and summary["biq2021, check"]["raters"] == 1
    second = summary["biq2021, check, labelled twice"]
    assert second["photographs"] == 3 and second["judges"]["two rounds"]["named"].value == 1.0
    assert RIDGE not in second["judges"], "the ridge predicts the validation part only"


def test_a_judge_that_lists_nothing_names_nothing(biq) -> None:  # type: ignore[no-untyped-def]
    rows = [row(f"biq2021/{name}") for name in PICTURES]
    judged = open_suite("real-faults").summarise(rows, [biq])["biq2021"]["judges"]["two rounds"]
    assert judged["named"].value == 0.0 and np.isnan(judged["borne out, lenient"].value)


def test_the_ridge_predicts_the_validation_part_and_nothing_else() -> None:
    assert ridge_predictions("biq2021").keys() == DEV.keys()
    assert ridge_predictions("live_challenge") == {}
