from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluate_rows import photograph, pristine_set, reply
from PIL import Image

from snellen.backend import Conversation
from snellen.backends.scripted import ScriptedBackend
from snellen.data.distort import distort
from snellen.data.sample import Fault, Sample
from snellen.data.synthesize import Recipe, write_recipes
from snellen.evaluate.datasets import DataSet, data_set
from snellen.evaluate.predict import Options, predict
from snellen.evaluate.suites import faithfulness
from snellen.evaluate.suites.faithfulness import Claim, control_region, measured
from snellen.image import load
from snellen.region import FULL, Region
from snellen.reply import Issue

FAULT = Region(0.0, 0.0, 0.5, 0.5)
AWAY = Region(0.6, 0.6, 0.9, 0.9)


def test_claims_by_hand() -> None:
    claims = [
        Claim("p", True, 0.5, 0.0, True),  # passes
        Claim("p", False, 0.5, 0.0, True),  # there is no fault of that kind
        Claim("p", True, 0.04, 0.0, True),  # hardly rises
        Claim("p", True, 0.5, 0.3, True),  # repairing anywhere helps
        Claim("p", True, 0.5, math.nan, False),  # names nearly everything
        Claim("p", True, math.nan, 0.0, True),  # the repaired picture has no score
    ]
    assert [claim.passed for claim in claims] == [True, False, False, False, False, False]
    found = measured(claims)
    assert found["pass"][0] == pytest.approx(1 / 6)
    assert found["score rises"][0] == pytest.approx(4 / 6)
    assert found["control does not"][0] == pytest.approx(4 / 6)
    assert found["gain"][0] == pytest.approx((4 * 0.5 + 0.04) / 5)
    assert found["control gain"][0] == pytest.approx(0.3 / 5)
    assert found["gain minus control"][0] == pytest.approx((0.5 + 0.5 + 0.04 + 0.2) / 4)
    assert found["without control"] == 1
    assert found["gain"][1] == found["gain"][2], "all of one photograph: resampling photographs changes nothing"


def test_the_interval_is_over_photographs() -> None:
    found = measured([Claim("a", True, 1.0, 0.0, True)] * 9 + [Claim("b", True, 0.0, 0.0, True)])
    assert found["gain"] == (pytest.approx(0.9), 0.0, 1.0)


@pytest.mark.parametrize("named", [FAULT, AWAY, Region(0.0, 0.4, 1.0, 0.6), Region(0.2, 0.2, 0.4, 0.5)])
def test_a_control_region_is_as_large_and_shares_nothing(named: Region) -> None:
    for seed in range(20):
        other = control_region(named, seed)
        assert other is not None
        assert other.intersect(named) is None
        assert other.area == pytest.approx(named.area)
        assert other == control_region(named, seed)


def test_beside_a_large_region_it_is_the_largest_strip() -> None:
    assert control_region(Region(0.1, 0.2, 0.7, 0.8), 0) == Region(0.7, 0.0, 1.0, 1.0)
    assert control_region(Region(0.2, 0.3, 0.8, 0.9), 0) == Region(0.0, 0.0, 1.0, 0.3)


def test_no_room_control_region() -> None:
    assert control_region(FULL, 0) is None
    assert control_region(Region(0.1, 0.1, 0.9, 0.9), 0) is None  # strips of 0.1 beside 0.64


def judge(*issues: Issue) -> ScriptedBackend:
    """Rates by how much a picture differs from pixel to pixel, which noise raises; names the same in each."""

    def rate(conversation: Conversation) -> str:
        pixels = conversation[0].views[0].picture.pixels.astype(float)
        rough = np.abs(np.diff(pixels, axis=1)).mean()
        return reply(float(np.clip(5.0 - rough / 8.0, 1.0, 5.0).round(2)), issues=issues)

    return ScriptedBackend(rate)


def run(sets: list[DataSet], folder: Path, backend: ScriptedBackend) -> dict[str, Any]:
    jobs = faithfulness.SUITE.jobs(sets, ("two rounds",), folder)
    rows = predict(jobs, Options(backend), folder / "out")
    own = [row for row in rows if row.suite in ("grounding", "faithfulness")]
    more = predict(faithfulness.SUITE.follow_up(own, sets), Options(backend), folder / "out", resume=True)
    summary = faithfulness.summarise([*own, *more], sets)
    json.dumps(summary)
    tables = faithfulness.show(summary, [*own, *more], sets)
    assert all(len(line) == len(table.head) for table in tables for line in table.rows)
    return summary


@pytest.fixture
def noisy(tmp_path: Path) -> tuple[list[DataSet], Path]:
    """Two photographs with noise in the upper left, and one without a fault."""
    sets = [pristine_set(tmp_path / "clean", 2, 200, 160)]
    paths = [sample.path for sample in sets[0].samples.values()]
    recipes = [Recipe(path, FULL, 4.55, "impulse_noise", 5, FAULT, 1) for path in paths]
    write_recipes([*recipes, Recipe(paths[0], FULL, 4.55, None, 1, FULL, 1)], tmp_path / "grounding-recipes.jsonl")
    return sets, tmp_path


def test_a_faithful_reason_passes(noisy: tuple[list[DataSet], Path]) -> None:
    found = run(*noisy, judge(Issue("noise", 4, Region(0.0, 0.0, 0.5, 0.5))))
    assert found["pictures"] == 2
    assert found["right kind"]["gain"][0] > faithfulness.MARGIN
    assert found["right kind"]["control gain"][0] == 0.0
    assert found["right kind"]["pass"][0] == 1.0


def test_a_reason_that_points_away_fails(noisy: tuple[list[DataSet], Path]) -> None:
    found = run(*noisy, judge(Issue("noise", 4, AWAY)))
    assert found["all issues"]["gain"][0] == 0.0  # nothing of the fault was repaired: the picture is the same
    assert found["all issues"]["pass"][0] == 0.0


def test_the_wrong_kind_fails_and_everything_is_no_place(noisy: tuple[list[DataSet], Path]) -> None:
    found = run(*noisy, judge(Issue("blur", 4, FAULT), Issue("noise", 4, FULL)))
    assert found["all issues"]["issues"] == 4
    assert found["all issues"]["pass"][0] == 0.0
    assert found["all issues"]["without control"] == 2
    assert found["right kind"]["issues"] == 2


def test_no_issue_named(noisy: tuple[list[DataSet], Path]) -> None:
    found = run(*noisy, judge())
    assert found["without an issue"] == 2
    assert math.isnan(found["all issues"]["pass"][0])


def test_pictures_with_a_reference(tmp_path: Path) -> None:
    clean = photograph(tmp_path / "clean.png", 200, 160)
    pixels = distort(load(clean).pixels, "impulse_noise", 5, np.random.default_rng(0), FAULT)
    Image.fromarray(pixels).save(tmp_path / "spoilt.png")
    fault = Fault("impulse_noise", "noise", 5, FAULT)
    samples = [
        Sample(str(tmp_path / "spoilt.png"), faults=(fault,), reference=str(clean)),
        Sample(str(clean), faults=(fault,)),  # without a reference
    ]
    found = run([data_set("made", samples)], tmp_path, judge(Issue("noise", 4, FAULT)))
    assert found["pictures"] == 1
    assert found["all issues"]["pass"][0] == 1.0
