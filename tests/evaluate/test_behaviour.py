from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path

import pytest
from evaluate_rows import photograph, pristine_set, reply, row

from snellen.backend import Conversation
from snellen.backends.scripted import ScriptedBackend
from snellen.data.sample import Sample
from snellen.evaluate.datasets import data_set
from snellen.evaluate.perturb import SUBJECT
from snellen.evaluate.predict import Options, predict
from snellen.evaluate.suites import behaviour
from snellen.region import FULL, Region
from snellen.reply import Issue

PIQE = find_spec("pypiqe") is not None
"""Whether the baseline piqe can be measured."""

CORNER = Region(0.0, 0.0, 0.2, 0.2)


def test_crop_bias_by_hand() -> None:
    rows = [row("behaviour", key, score, variant="whole") for key, score in (("a", 4.0), ("b", 3.0), ("c", None))]
    rows += [
        row("behaviour", "a", 3.0, variant="crop left"),
        row("behaviour", "a", 4.2, variant="crop right"),
        row("behaviour", "b", 3.2, variant="crop left"),
        row("behaviour", "c", 3.2, variant="crop left"),  # its whole has no score
    ]
    found = behaviour.crop_bias(rows)
    assert found["photographs"] == 2
    assert found["bias"][0] == pytest.approx((-0.4 + 0.2) / 2)  # a: the mean of -1.0 and 0.2
    assert found["crop scores lower"][0] == pytest.approx(1 / 3)
    assert found["by crop"]["crop left"] == pytest.approx((-1.0 + 0.2) / 2)
    assert math.isnan(found["by crop"]["crop small"])


def test_second_look_by_hand() -> None:
    rows = [
        row("behaviour", "a", 3.5, first=4.0, crop=CORNER, variant="whole"),
        row("behaviour", "b", 4.0, variant="whole"),
        row("behaviour", "c", None, first=4.0, crop=CORNER, variant="whole"),
    ]
    found = behaviour.second_round(rows)
    assert (found["pictures"], found["two rounds"], found["bias"][0]) == (3, 1, -0.5)


def test_portraits_by_hand() -> None:
    blur = [Issue("blur", 3, CORNER)]
    rows = [
        row("behaviour", "a", 4.5, variant="all sharp"),
        row("behaviour", "a", 4.0, variant="blurred background", issues=blur),
        row("behaviour", "b", 4.0, variant="blurred background", issues=[Issue("motion blur", 1, SUBJECT)]),
        row("behaviour", "c", 4.0, variant="blurred background", issues=[Issue("noise", 1, FULL)]),
        row("behaviour", "d", 4.0, variant="blurred background", issues=[Issue("blur", 1, Region(0.4, 0.4, 0.6, 0.6))]),
        row("behaviour", "a", 2.5, variant="all blurred", issues=blur),
    ]
    found = behaviour.portraits(rows)
    assert found["relative drop"] == pytest.approx(0.5 / 2.0)
    assert found["all sharp"]["blur issue"][0] == 0.0
    assert found["blurred background"]["blur issue"][0] == 0.75
    assert found["blurred background"]["background blur issue"][0] == 0.5  # not the box inside the subject


def test_refinement_by_hand() -> None:
    mos = {"a": 3.0, "b": 3.0, "c": 3.0, "d": 3.0}
    rows = [
        row("scores", "a", 3.5, first=4.0, crop=CORNER),  # towards the MOS, closer
        row("scores", "b", 5.0, first=4.0, crop=CORNER),  # away from it
        row("scores", "c", 1.5, first=4.0, crop=CORNER),  # towards it, but beyond: farther off
        row("scores", "d", 4.0, first=4.0, crop=CORNER),  # did not move
        row("scores", "a", 1.0),  # one round
    ]
    found = behaviour.refinement(rows, mos)
    assert (found["pictures"], found["two rounds"]) == (5, 4)
    assert found["error, first round"] == pytest.approx(1.0)
    assert found["error, last round"] == pytest.approx(math.sqrt((0.25 + 4.0 + 2.25 + 1.0) / 4))
    difference = found["error, last round"] - found["error, first round"]
    assert found["error, last minus first"][0] == pytest.approx(difference)
    assert found["moved"][0] == 0.75
    assert found["towards MOS"][0] == pytest.approx(2 / 3)
    assert found["closer"][0] == 0.25
    assert found["mean move"] == pytest.approx((0.5 + 1.0 + 2.5) / 4)


def by_size(conversation: Conversation) -> str:
    """Thinks less of small pictures, and looks again at every picture."""
    picture = conversation[0].views[0].picture
    rating = 4.0 if picture.width > 500 else 3.0
    return reply(rating, CORNER) if len(conversation) == 1 else reply(rating - 0.25, number=2)


def test_from_photographs_to_tables(tmp_path: Path) -> None:
    rated = [Sample(str(photograph(tmp_path / f"r{i}.png", 520, 330, seed=i)), 2.0 + i, split="test") for i in (0, 1)]
    sets = [data_set("rated", rated), pristine_set(tmp_path / "clean", 2, 520, 330)]
    jobs = behaviour.jobs(sets, ("two rounds", "central crop", "piqe"), tmp_path)
    assert [job.suite for job in jobs[:2]] == ["scores", "scores"]
    rows = predict(jobs, Options(ScriptedBackend(by_size)), tmp_path / "out")
    summary = behaviour.summarise(rows, sets)
    json.dumps(summary)
    # 4 - 0.25 for the whole; parts of 260 px score 3, as one look shows all of their pixels
    assert summary["crop bias"]["two rounds"]["bias"][0] == -0.75
    assert summary["crop bias"]["piqe"]["photographs"] == (2 if PIQE else 0)
    assert summary["second round on clean pictures"]["bias"][0] == -0.25
    assert summary["refinement"]["rated"]["two rounds"] == 2
    tables = behaviour.show(summary, rows, sets)
    assert [table.title.split(":")[0] for table in tables][:2] == ["Crop bias", "Shallow depth of field"]
    assert all(len(line) == len(table.head) for table in tables for line in table.rows)


def test_without_clean_photographs_or_without_rated_ones(tmp_path: Path) -> None:
    backend = Options(ScriptedBackend([reply(3.0)]))
    for name, sets in {
        "rated": [data_set("rated", [Sample(str(photograph(tmp_path / "a.png")), 3.0)])],
        "clean": [pristine_set(tmp_path / "clean", 1)],
    }.items():
        rows = predict(behaviour.jobs(sets, ("two rounds",), tmp_path), backend, tmp_path / name)
        summary = behaviour.summarise(rows, sets)
        assert bool(summary["refinement"]) == (name == "rated")
        assert bool(summary["crop bias"]) == (name == "clean")
        assert bool(behaviour.show(summary, rows, sets)) == (name == "clean"), "one round refines nothing"
