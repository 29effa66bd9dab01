from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluate_rows import one_round, pristine_set, reply, row

from snellen.backends import Conversation, Reply, Sampling
from snellen.evaluate import consistency
from snellen.evaluate.predict import Options, predict


def test_ratios_by_hand() -> None:
    # ours: spread 1 for 2 points between the means; theirs: spread 10 for 10 points
    ours = np.array([[2.0, 2.0 + math.sqrt(2)], [5.0, 5.0 + math.sqrt(2)]])
    theirs = np.array([[0.0, 10.0 * math.sqrt(2)], [10.0, 10.0 + 10.0 * math.sqrt(2)]])
    found = consistency.compared(
        {"two rounds": ours, "peer": theirs, "steady": ours.mean(axis=1, keepdims=True)}, "two rounds"
    )
    assert found["two rounds"]["spread"] == pytest.approx(1.0)
    assert found["two rounds"]["noise share"] == pytest.approx(1.0 / (3.0 / math.sqrt(2)))
    assert found["peer"]["spread"] == pytest.approx(10.0)
    assert found["peer"]["ours as a ratio"] == pytest.approx((math.sqrt(2) / 3) / math.sqrt(2))
    assert found["two rounds"]["ours as a ratio"] == 1.0
    assert math.isnan(found["steady"]["ours as a ratio"])  # one repeat says nothing


def test_runs_and_ratings_as_written() -> None:
    runs = {"run 1": (2.0, 4.0, 3.0), "run 2": (3.0, 4.0, None)}
    rows = [
        row("consistency", key, score, variant=run)
        for run, scores in runs.items()
        for key, score in zip("abc", scores, strict=True)
    ]
    rows[0] = replace(rows[0], rounds=(replace(one_round(2.0), rating=1.5),))
    found = consistency.sampled_runs(rows)
    assert found["two rounds"].tolist() == [[2.0, 3.0], [4.0, 4.0]]  # c has no score in one run
    assert found[consistency.WRITTEN].tolist() == [[1.5, 3.0], [4.0, 4.0]]


class Sampler:
    """Says something else in each sampled run, and the same in every greedy one."""

    name = "sampler"
    version = "1"

    def reply(self, conversations: list[Conversation], sampling: Sampling) -> list[Reply]:
        said = []
        for conversation in conversations:
            pixels = conversation[0].views[0].picture.pixels.astype(float)
            level = 1.0 + float(np.abs(np.diff(pixels, axis=1)).mean()) / 20
            level += 0.1 * sampling.seed if sampling.temperature else 0.0
            text = reply(round(min(5.0, level), 2))
            said.append(Reply(text if not sampling.prefix else f"{sampling.prefix}{min(5.0, level):.2f}"))
        return said


def test_from_pictures_to_tables(tmp_path: Path) -> None:
    sets = [pristine_set(tmp_path / "clean", 3)]
    jobs = consistency.jobs(sets, ("two rounds", "score only", "random crop", "peer"), tmp_path)
    assert sum(job.seed is not None for job in jobs) == 3 * consistency.RUNS
    assert all(job.ways == ("two rounds", "score only") for job in jobs if job.seed is not None)
    rows = predict(jobs, Options(Sampler()), tmp_path / "out")
    summary = consistency.summarise(rows, sets)
    json.dumps(summary)
    # 0.1 to 1.0 in steps of 0.1: standard deviation 0.30277
    assert summary["sampled runs"]["two rounds"]["spread"] == pytest.approx(0.30277, abs=1e-3)
    assert summary["sampled runs"]["two rounds"]["largest difference"] == pytest.approx(0.9)
    assert summary["sampled runs"]["score only"]["ours as a ratio"] == pytest.approx(1.0)
    assert summary["invisible changes"]["two rounds"]["spread"] < 0.1
    assert summary["invisible changes"]["peer"]["pictures"] == 0
    tables = consistency.show(summary, rows, sets)
    assert all(len(line) == len(table.head) for table in tables for line in table.rows)


def test_a_model_that_cannot_be_sampled(tmp_path: Path) -> None:
    sets = [pristine_set(tmp_path / "clean", 2)]
    assert all(job.seed is None for job in consistency.jobs(sets, ("plain head", "peer"), tmp_path))
