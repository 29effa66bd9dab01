"""Teachers that are wrong on purpose: the script that docs/train.md names, on few pictures."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from snellen.data.teacher import TeacherOptions
from snellen.region import Region

SCRIPT = Path(__file__).parents[2] / "recipes" / "bench" / "teachers.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("teachers", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["teachers"] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_right_samples_are_kept_and_those_of_another_picture_dropped(bench: ModuleType, tmp_path: Path) -> None:
    samples = bench.make_pictures(tmp_path, 3)
    assert [[fault.kind for fault in one.faults] for one in samples] == [[], ["noise"], ["blur"]]
    teachers, checker = bench.wrong_teachers(samples), bench.scripted_checker()
    once = TeacherOptions(attempts=1)
    right = bench.run(teachers["right"], checker, samples, tmp_path / "right.jsonl", once)
    assert right.startswith("0 of 3 (0 %) | 0 of 0 |")
    swapped = bench.run(teachers["swapped pictures"], checker, samples, tmp_path / "swapped.jsonl", once)
    assert swapped == "0 of 0 | 3 of 3 (100 %) | contradicted 3"


def test_the_scripted_checker_by_hand(bench: ModuleType) -> None:
    there = {"noise": (False, "0.50, 0.50, 1.00, 1.00"), "blur": (False, ""), "underexposure": (True, "")}
    verdicts = {
        "Strong noise shows in the lower right.": "supported",
        "Strong noise shows in the upper left.": "contradicted",
        "There is severe blur across the whole picture.": "contradicted",
        "Mild underexposure in the upper left.": "supported",
        "No fault stands out.": "contradicted",
        "The blur is not confirmed.": "unclear",
        "Keep the rich colors.": "unclear",
    }
    assert {sentence: bench._verdict(sentence, there) for sentence in verdicts} == verdicts
    assert Region(0.5, 0.5, 1.0, 1.0).place == "lower right"
