"""All suites in one run: they share pictures, and everything they find can be written down and shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from evaluate_rows import photograph, pristine_set, reply

from snellen.backend import Conversation, RatingDistribution, Reply
from snellen.backends.scripted import ScriptedBackend
from snellen.data.sample import Sample
from snellen.data.synthesize import Recipe, write_recipes
from snellen.evaluate import data_set, evaluate
from snellen.evaluate.predict import Options
from snellen.evaluate.suites import NAMES, Suite, open_suite
from snellen.region import FULL, Region
from snellen.reply import Issue

CORNER = Region(0.0, 0.0, 0.4, 0.4)
SUITES = [name for name in NAMES if name != "pairs"]


def judge(conversation: Conversation) -> Reply:
    """Rate by detail, report noise in the corner, and zoom in there."""
    pixels = conversation[0].views[0].picture.pixels.astype(float)
    rating = float(np.clip(np.abs(np.diff(pixels, axis=1)).mean() / 10, 1.1, 4.9).round(2))
    spread = RatingDistribution(np.array([rating - 0.1, rating, rating + 0.1]), np.array([0.25, 0.5, 0.25]))
    issues = [Issue("noise", 3, CORNER)]
    first = len(conversation) == 1
    return Reply(reply(rating, CORNER if first else None, issues, 1 if first else 2), rating=spread)


def test_all_suites_in_one_run(tmp_path: Path) -> None:
    rated = [Sample(str(photograph(tmp_path / f"{i}.png", 120, 90, i)), 1.5 + i / 2, split="test") for i in range(6)]
    sets = [data_set("rated", rated), pristine_set(tmp_path / "clean", 2, 400, 330)]
    out = tmp_path / "out"
    out.mkdir()
    paths = [sample.path for sample in sets[1].samples.values()]
    recipes = [Recipe(path, FULL, 4.55, "white_noise", level, CORNER, 1) for path in paths for level in (2, 5)]
    write_recipes([*recipes, Recipe(paths[0], FULL, 4.55, None, 1, FULL, 1)], out / "grounding-recipes.jsonl")
    summary = evaluate(sets, out, Options(ScriptedBackend(judge)), suites=SUITES, baselines=["brisque"])
    assert set(summary) == set(SUITES) - {"real-faults"}, "no set here has labels"
    assert json.loads((out / "summary.json").read_text())["grounding"]["pictures"]["clean"] == 1
    assert summary["faithfulness"]["pictures"] == 4
    assert summary["behaviour"]["refinement"]["rated"]["pictures"] == 6
    assert summary["consistency"]["perturbations"]["two rounds"]["pictures"] == 8
    page = (out / "report.html").read_text()
    for title in ("Localisation of faults", "D-, L- and P-test", "Shallow depth of field", "Score after repairing",
                  "Repeatability over", "agreement of text"):  # fmt: skip
        assert title in page, title


def test_every_suite_has_the_one_shape() -> None:
    for name in NAMES:
        suite = open_suite(name)
        assert isinstance(suite, Suite) and suite.name == name
        assert suite.jobs([], ("two rounds",), Path("unused")) == [] or name == "robustness", "no data, no jobs"
        assert suite.follow_up([], []) == []
