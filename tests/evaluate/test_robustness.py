from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from evaluate_rows import pristine_set, reply, row

from snellen.backend import Conversation, RatingDistribution, Reply
from snellen.backends.scripted import ScriptedBackend
from snellen.data.distort import DISTORTIONS
from snellen.data.levels import LEVELS, level_mos
from snellen.data.testsets import LADDERS
from snellen.evaluate.perturb import PERTURBATIONS
from snellen.evaluate.predict import Options, predict
from snellen.evaluate.report.tables import Table
from snellen.evaluate.suites import ladders, robustness

PIQE = find_spec("pypiqe") is not None
"""Whether the baseline piqe can be measured."""


def human(worse: float = 0.0) -> dict[tuple[str, str], float]:
    """What KADID's people would say of two photographs, the second one `worse`."""
    said = {}
    for key, less in (("p/0", 0.0), ("p/1", worse)):
        said[key, ladders.CLEAN] = said[key, ladders.NATIVE] = 4.7 - less
        for name in DISTORTIONS:
            said |= {(key, f"{name} {level}"): level_mos(name, level)[0] - less for level in LEVELS}
        for name, ladder in LADDERS.items():
            said |= {(key, f"native {name} {level}"): ladder.human_mean(level) - less for level in LEVELS}
    return said


def test_a_judge_like_people_passes_all_ladders() -> None:
    found = ladders.summarise(human())
    assert found["photographs"] == 2 and found["left out"] == 0
    assert found["D"] == (1.0, 1.0, 1.0)
    assert found["L"][0] == pytest.approx(1.0)
    assert found["P"][0] == 1.0
    assert found["monotony"]["mean_shift"][0] == pytest.approx(1.0)  # best in the middle, and so they say
    assert found["monotony, all"][0] == pytest.approx(1.0)
    assert found["native"]["pooled"][0] == pytest.approx(1.0)
    assert found["native"]["all ladders"][0] == pytest.approx(1.0)
    jpeg = LADDERS["jpeg"]
    assert found["native"]["ladders"]["jpeg"]["score drop"] == pytest.approx(jpeg.human_mean(1) - jpeg.human_mean(5))


def test_the_opposite_judge_fails_them() -> None:
    found = ladders.summarise({id: -score for id, score in human().items()})
    assert found["D"][0] == 0.5
    assert found["L"][0] == pytest.approx(-1.0)
    assert found["P"][0] == 0.0
    assert found["native"]["all ladders"][0] == pytest.approx(-1.0)


def test_against_a_mode_that_saw_fewer_photographs() -> None:
    ours, theirs = human(), {id: -score for id, score in human().items() if id[0] == "p/1"}
    found = ladders.difference(ours, theirs)
    assert found["photographs"] == 1 and math.isnan(found["pooled"][1]), "one photograph has no interval"
    assert found["all ladders"][0] == pytest.approx(2.0) and found["pooled"][0] == pytest.approx(2.0)
    theirs["p/1", "native jpeg 2"] = math.nan
    assert ladders.difference(ours, theirs)["photographs"] == 0, "a missing score drops the photograph"


def test_intervals_are_over_photographs() -> None:
    said = human()
    said |= {id: -score for id, score in said.items() if id[0] == "p/1"}
    found = ladders.summarise(said)
    for value in (found["L"], found["monotony, all"], found["native"]["all ladders"]):
        assert value == (pytest.approx(0.0), pytest.approx(-1.0), pytest.approx(1.0)), "one is right, one is wrong"


def test_content_lowers_D_and_P_but_not_L() -> None:
    found = ladders.summarise(human(worse=1.0))
    assert found["L"][0] == pytest.approx(1.0)  # within one photograph nothing changed
    assert found["D"][0] < 1.0 and 0.5 < found["P"][0] < 1.0  # across two it did


def test_levels_that_change_nothing_are_not_distorted_pictures() -> None:
    said = human()
    said["p/0", "gaussian_blur 1"] = said["p/1", "gaussian_blur 1"] = 4.9
    assert ladders.summarise(said)["D"][0] == 1.0


def test_a_photograph_with_a_missing_score_is_left_out() -> None:
    said = human()
    said["p/1", "jpeg 3"] = math.nan
    found = ladders.summarise(said)
    assert found["left out"] == 1
    assert found["D"][0] == 1.0


def test_perturbation_effects_by_hand() -> None:
    variants = ("", *PERTURBATIONS)
    said = {("a", v): 3.0 for v in variants} | {("b", v): 4.0 for v in variants} | {("c", v): 2.0 for v in variants}
    said["a", "flipped"] = 3.7
    said["c", "png"] = math.nan
    found = robustness.perturbation_effects(said)
    assert (found["pictures"], found["left out"]) == (2, 1)
    flipped = found["by perturbation"]["flipped"]
    assert flipped == {"shift": pytest.approx(0.35), "rms": pytest.approx(0.7 / math.sqrt(2))}
    assert found["by perturbation"]["png"] == {"shift": 0.0, "rms": 0.0}
    # of seven scores one is 0.7 off: variance 0.7^2 (1/7 - 1/49) 7/6 = 0.07; the mean with 0 is 0.035
    assert found["spread"] == pytest.approx(math.sqrt(0.035))
    assert found["largest difference"] == pytest.approx(0.7)


def test_reruns_by_hand() -> None:
    rows = [row("robustness", key, 3.0) for key in "abc"]
    rows += [row("robustness", "a", 3.0005, variant="alone"), row("robustness", "b", 3.2, variant="alone")]
    rows += [row("robustness", "c", None, variant="alone")]
    found = robustness.reruns(rows)
    assert found["alone"]["pictures"] == 3
    assert found["alone"]["same score"][0] == pytest.approx(1 / 3)
    assert found["alone"]["largest difference"] == math.inf  # one has no score any more
    assert math.isnan(found["again"]["largest difference"])


def test_drawn_pictures_by_hand() -> None:
    rows = [row("robustness", str(std), 4.0, std=std, interval=(3.5, 4.5)) for std in (0.2, 0.3, 0.4)]
    rows += [
        row("robustness", f"drawn/noise {i}", 2.0, variant="drawn", std=0.2 + 0.2 * i, interval=(1, 4)) for i in (0, 1)
    ]
    found = robustness.drawn_widths(rows)
    assert found["noise"]["wider"][0] == 0.5
    assert found["noise"]["interval width"] == 3.0
    assert found["photographs"]["std"] == pytest.approx(0.3)
    assert found["all drawn"]["pictures"] == 2


def by_detail(conversation: Conversation) -> Reply:
    """Judges by fine detail, and is less sure where there is much of it."""
    pixels = conversation[0].views[0].picture.pixels.astype(float)
    rating = float(np.clip(1 + np.abs(np.diff(pixels, axis=1)).mean() / 10, 1.1, 4.9).round(2))
    spread = RatingDistribution(np.array([rating - 0.1, rating, rating + 0.1]), np.array([0.25, 0.5, 0.25]))
    return Reply(reply(rating), rating=spread)


def test_from_photographs_to_tables(tmp_path: Path) -> None:
    sets = [pristine_set(tmp_path / "clean")]
    jobs = robustness.jobs(sets, ("two rounds", "score only", "central crop", "piqe"), tmp_path)
    assert {mode for job in jobs for mode in job.modes} == {"two rounds", "score only", "piqe"}
    rows = predict(jobs, Options(ScriptedBackend(by_detail)), tmp_path / "out")
    summary = robustness.summarise(rows, sets)
    json.dumps(summary)
    assert all(v["same score"][0] == v["same text"][0] == 1.0 for v in summary["reruns"].values())
    changes = summary["perturbations"]["two rounds"]["by perturbation"]
    assert changes["png"]["rms"] == changes["webp lossless"]["rms"] == 0.0
    assert summary["ladders"]["two rounds"]["monotony"]["lens_blur"][0] == pytest.approx(1.0)
    assert summary["ladders"]["two rounds"]["monotony"]["white_noise"][0] == pytest.approx(-1.0)
    assert summary["ladders"]["piqe"]["left out"] == (0 if PIQE else 2)  # not installed: its rows are failures
    assert summary["not photographs"]["all drawn"]["pictures"] == 20
    tables = [part for part in robustness.show(summary, rows, sets) if isinstance(part, Table)]
    assert all(len(line) == len(table.head) for table in tables for line in table.rows)
