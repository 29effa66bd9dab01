from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from evaluate_rows import one_round, pristine_set, reply, row

from snellen.backend import Backend, Conversation, Reply, Sampling
from snellen.backends.scripted import ScriptedBackend
from snellen.evaluate.predict import Options, predict
from snellen.evaluate.suites import consistency

PIQE = find_spec("pypiqe") is not None
"""Whether the baseline piqe can be measured."""


def test_ratios_by_hand() -> None:
    # ours: spread 1 for 2 points between the means; theirs: spread 10 for 10 points
    ours = {"a": np.array([2.0, 2.0 + math.sqrt(2)]), "b": np.array([5.0, 5.0 + math.sqrt(2)])}
    theirs = {key: 10.0 * (scores - ours["a"][0]) for key, scores in (("a", ours["a"]), ("b", ours["a"] + 1.0))}
    found = consistency.compared({"two rounds": ours, "one round": theirs, "piqe": theirs}, "two rounds")
    assert found["two rounds"]["spread"] == pytest.approx(1.0)
    assert found["two rounds"]["relative spread"] == pytest.approx(1.0 / (3.0 / math.sqrt(2)))
    assert found["piqe"]["spread"] == pytest.approx(10.0)
    assert found["piqe"]["ratio"][0] == pytest.approx((math.sqrt(2) / 3) / math.sqrt(2))
    assert math.isnan(found["piqe"]["ratio in MOS"][0]), "a baseline has another unit"
    assert found["one round"]["ratio in MOS"][0] == pytest.approx(0.1)
    assert found["two rounds"]["ratio"][0] == 1.0


def test_ratios_are_over_the_pictures_that_both_have() -> None:
    rng = np.random.default_rng(0)
    ours = {str(i): i + rng.normal(0, 1, 7) for i in range(9)}
    theirs = {key: 3.0 - 2.0 * ours[key] for key in "24680"}
    found = consistency.ratios(ours, theirs, "score only")
    assert found["both"] == 5
    assert found["ratio"] == (pytest.approx(1.0),) * 3, "the same but for the scale, in each resampling too"
    assert found["ratio in MOS"] == (pytest.approx(0.5),) * 3
    nothing = consistency.ratios(ours, {}, "piqe")
    assert nothing["both"] == 0 and math.isnan(nothing["ratio"][0])


def test_consistency_with_people_by_hand() -> None:
    # MOS a < c < b. b is above a in both scores; 4 of b is below 4.5 of c, and 2.5 of c below 3 of a
    ours = {"a": np.array([2.0, 3.0]), "b": np.array([4.0, 5.0]), "c": np.array([2.5, 4.5])}
    steady = {key: scores[:1].repeat(2) for key, scores in ours.items()} | {"not rated": np.array([1.0, 1.0])}
    people = {"a": (1.0, "one"), "b": (3.0, "one"), "c": (2.0, "one")}
    found = consistency.with_people({"two rounds": ours, "piqe": steady}, "two rounds", people)
    assert found["two rounds"]["first score"][0] == 1.0
    assert found["two rounds"]["consistency"][0] == pytest.approx(1 / 3)
    assert found["piqe"]["consistency"][0] == 1.0 and found["piqe"]["pictures"] == 3
    assert found["piqe"]["ratio"][0] == pytest.approx(1 / 3)
    both = consistency.with_people({"two rounds": ours, "model:mine": steady}, "two rounds", people)
    assert both["two rounds"]["ratio of model:mine"][0] == pytest.approx(3.0), "another model has ratios of its own"
    assert both["model:mine"]["ratio"][0] == pytest.approx(1 / 3)
    apart = {"a": (1.0, "one"), "b": (3.0, "other"), "c": (2.0, "one")}
    found = consistency.with_people({"two rounds": ours}, "two rounds", apart)
    assert found["two rounds"]["consistency"][0] == 0.0, "only a and c are of one set"


def test_runs_and_ratings_as_written() -> None:
    runs = {"run 1": (2.0, 4.0, 3.0), "run 2": (3.0, 4.0, None)}
    rows = [
        row("consistency", key, score, variant=run)
        for run, scores in runs.items()
        for key, score in zip("abc", scores, strict=True)
    ]
    rows[0] = replace(rows[0], rounds=(replace(one_round(2.0), rating=1.5),))
    found = {mode: {k: v.tolist() for k, v in those.items()} for mode, those in consistency.sampled_runs(rows).items()}
    assert found["two rounds"] == {"a": [2.0, 3.0], "b": [4.0, 4.0]}  # c has no score in one run
    assert found[consistency.WRITTEN] == {"a": [1.5, 3.0], "b": [4.0, 4.0]}


class Sampler(Backend):
    """Says something else in each sampled run, and the same in every greedy one."""

    name = "sampler"
    version = "1"

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        said = []
        for conversation in conversations:
            pixels = conversation[0].views[0].picture.pixels.astype(float)
            level = 1.0 + float(np.abs(np.diff(pixels, axis=1)).mean()) / 20
            level += 0.1 * sampling.seed if sampling.temperature else 0.0
            text = reply(round(min(5.0, level), 2))
            said.append(Reply(text))
        return said

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        return ScriptedBackend(lambda turns: self.reply([turns], Sampling())[0]).rate(conversations)


def test_from_pictures_to_tables(tmp_path: Path) -> None:
    sets = [pristine_set(tmp_path / "clean", 3)]
    jobs = consistency.jobs(sets, ("two rounds", "score only", "random crop", "piqe"), tmp_path)
    assert sum(job.seed is not None for job in jobs) == 2 * consistency.RUNS
    assert all(job.modes == ("two rounds",) for job in jobs if job.seed is not None)
    rows = predict(jobs, Options(Sampler()), tmp_path / "out")
    summary = consistency.summarise(rows, sets)
    json.dumps(summary)
    # 0.1 to 1.0 in steps of 0.1: standard deviation 0.30277
    assert summary["sampled runs"]["two rounds"]["spread"] == pytest.approx(0.30277, abs=1e-3)
    assert summary["sampled runs"]["two rounds"]["largest difference"] == pytest.approx(0.9)
    assert list(summary["sampled runs"]) == ["two rounds", consistency.WRITTEN]
    assert summary["perturbations"]["two rounds"]["spread"] < 0.1
    assert summary["perturbations"]["piqe"]["pictures"] == (3 if PIQE else 0)
    assert summary["with people"] == {}, "nobody rated these"
    tables = consistency.show(summary, rows, sets)
    assert all(len(line) == len(table.head) for table in tables for line in table.rows)


def test_rated_pictures_get_a_table_of_consistency_with_people(tmp_path: Path) -> None:
    clean = pristine_set(tmp_path / "clean", 3)
    samples = {key: replace(one, mos=2.0 + i) for i, (key, one) in enumerate(clean.samples.items())}
    sets = [replace(clean, samples=samples)]
    rows = predict(consistency.jobs(sets, ("two rounds",), tmp_path), Options(Sampler()), tmp_path / "out")
    summary = consistency.summarise(rows, sets)
    json.dumps(summary)
    of_runs = summary["with people, sampled runs"]["two rounds"]
    assert of_runs["pictures"] == 2 and of_runs["ratio"][0] == 1.0
    titles = [table.title for table in consistency.show(summary, rows, sets)]
    assert titles[0] == "Consistency with people over imperceptible perturbations" and len(titles) == 5


def test_a_model_that_cannot_be_sampled(tmp_path: Path) -> None:
    sets = [pristine_set(tmp_path / "clean", 2)]
    assert all(job.seed is None for job in consistency.jobs(sets, ("plain head", "piqe"), tmp_path))
