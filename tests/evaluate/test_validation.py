"""Validation of a policy on held-out pictures, with replies fixed by the name of the picture and values by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snellen.backend import Conversation
from snellen.backends.scripted import ScriptedBackend
from snellen.data.sample import Fault, Sample
from snellen.evaluate.validation import Validation, evenly_spaced, srcc_gain, validate
from snellen.region import Region
from snellen.reply import Answer, Issue, Rationale, render_reply

LEFT = Region(0.0, 0.0, 0.5, 0.5)
FIRST = {"a": 2.0, "b": 3.0, "c": 4.0, "faulty": 2.0, "missed": 3.0, "clean": 4.0}
LAST = {"a": 1.5, "faulty": 1.5}
"""Ratings of the first round, and of the second for the pictures that get one: a crop of the left upper quarter."""


def judge(conversation: Conversation) -> str:
    name = Path(conversation[0].views[0].picture.name).stem
    words = Rationale("It is fine.", "Keep it.", "None.", "Done.")
    if len(conversation) > 1:
        answer = Answer(None, LAST[name], "final", (Issue("noise", 3, LEFT),))
        return render_reply(words, answer, 2)
    issues = (Issue("blur", 2, LEFT),) if name == "clean" else ()
    rating = FIRST[name]
    answer = Answer(LEFT, rating, "crop", issues) if name in LAST else Answer(None, rating, "final", issues)
    return render_reply(words, answer, 1)


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[list[Sample], list[Sample]]:
    for name in FIRST:
        noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{name}.png")
    fault = Fault("white_noise", "noise", 4, Region(0.1, 0.1, 0.4, 0.4))
    rated = [Sample(str(tmp_path / f"{name}.png"), mos) for name, mos in (("a", 1.0), ("b", 3.5), ("c", 4.5))]
    made = [
        Sample(str(tmp_path / f"{name}.png"), 2.0, faults=faults)
        for name, faults in (("faulty", (fault,)), ("missed", (fault,)), ("clean", ()))
    ]
    return rated, made


def test_numbers_by_hand(pictures: tuple[list[Sample], list[Sample]]) -> None:
    found = validate(ScriptedBackend(judge), *pictures).numbers
    assert found["srcc"] == pytest.approx(1.0) and found["readable"] == 1.0
    assert found["crop_rate"] == pytest.approx(1 / 3)
    assert (found["closer"], found["refinement"]) == pytest.approx((1.0, 0.5)), "from an error of 1 to one of 0.5"
    assert found["bias_1"] == pytest.approx(0.5), "a: 1.5 for 1"
    assert found["fault_covered"] == found["kind_listed"] == 0.5, "the second fault was missed"
    assert found["false_alarm"] == 1.0
    assert found["crop_area"] == pytest.approx(0.25, abs=0.1)
    assert np.isnan(found["rating_entropy"]), "scripted replies have no distribution"


def test_the_gain_is_over_the_pictures_that_both_scored() -> None:
    mos = np.array([1.0, 2.0, 3.0, 4.0])
    before = Validation({}, mos, np.array([4.0, 3.0, 2.0, 1.0]))
    after = Validation({}, mos, np.array([np.nan, 2.0, 3.0, 4.0]))
    value, low, high = srcc_gain(before, after)
    assert value == pytest.approx(2.0) and low <= value <= high


def test_pictures_are_evenly_spaced() -> None:
    samples = [Sample(str(i)) for i in range(10)]
    assert [one.path for one in evenly_spaced(samples, 3)] == ["0", "3", "6"]
    assert evenly_spaced(samples, 20) == samples
