"""Numbers of finished runs go into README.md, the model card and docs/results/evaluation.md."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from snellen.evaluate.predict import weights_of

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>Bars</title></svg>'
WRITTEN = ("README.md", "docs/model-card.md", "docs/results/evaluation.md")
SUITES: dict[str, Any] = {
    "scores": {
        "biq2021": {
            "ways": {
                "two rounds": {"n": 2000, "srcc": [0.845, 0.83, 0.86], "plcc": [None, None, None]},
                "brisque": {"n": 2000, "srcc": [0.301, 0.27, 0.33]},
                "piqe": {"n": 0, "srcc": [None, None, None]},
            },
            "replies": {"two rounds": {"replies": 4000, "unparsable": 10}},
            "failures": {"piqe": {"peer_failed": {"pictures": 2000, "first": "biq2021/1.jpg: it broke"}}},
        }
    },
    "behaviour": {
        "crop bias": {"two rounds": {"bias": [-0.05, -0.1, 0.0]}},
        "second look at clean pictures": {"bias": [-0.01, -0.02, 0.0]},
        "portraits": {"two rounds": {"blurred background": {"blur named behind": [0.25, 0.1, 0.4]},
                                     "cost of the background": 0.31}},
        "refinement": {"biq2021": {"error after the first round": 0.4512, "error after the last round": 0.4266,
                                   "right way": [0.6, 0.55, 0.65]}},
        "diversity": {"biq2021": {"different ratings": 180, "rating entropy": 6.204, "different texts": 0.875}},
    },
    "faithfulness": {
        "all issues": {"pass": [0.2, 0.1, 0.3]},
        "of the right kind": {"gain": [0.31, 0.2, 0.4], "gain elsewhere": [0.02, 0.0, 0.04], "pass": [0.5, 0.4, 0.6]},
    },
    "robustness": {
        "ladders": {way: {test: [0.9, 0.8, 1.0] for test in "DLP"} for way in ("two rounds", "brisque")},
        "ladders, main minus": {"brisque": {"pooled": [0.14, 0.05, 0.23]}},
    },
    "consistency": {
        "invisible changes": {
            "plain head": {"ratio": [1.1, 0.9, 1.3], "ratio, MOS points": [0.8, 0.7, 0.9]},
            "plain ensemble": {"ratio": [1.2, 1.0, 1.4], "ratio, MOS points": [1.1, 1.0, 1.2]},
            "brisque": {"ratio": [0.44, 0.3, 0.6], "ratio, MOS points": [None, None, None]},
        },
        "sampled runs": {"two rounds": {"spread": 0.0312}},
        "sampled runs over the changes of others": {"plain head": {"ratio, MOS points": [0.7, 0.6, 0.8]}},
    },
}  # fmt: skip


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, imported as it imports its neighbours."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "runs")
    import publish as script  # type: ignore[import-not-found,unused-ignore]

    return script


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with the marks in two pages, a page and a figure of an earlier version."""
    top = tmp_path / "repository"
    for name in WRITTEN:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(f"{name} before\n<!-- numbers -->\nold\n<!-- /numbers -->\nafter \\1\n")
    card = {"name": "snellen-1", "version": "9.9.9", "sha256": {"encoder.onnx": "abc"}}
    (top / "src/snellen/snellen1/weights").mkdir(parents=True)
    (top / "src/snellen/snellen1/weights/card.json").write_text(json.dumps(card))
    (top / "docs" / "results" / "evaluation").mkdir()
    (top / "docs" / "results" / "evaluation" / "gone-scores-01.svg").write_text(SVG)
    return top


def run(folder: Path, summary: dict[str, Any], weights: str | None = None, **more: Any) -> Path:
    """The files of a finished evaluation, as far as they are read."""
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "scores-01.svg").write_text(SVG)
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "tables.md").write_text("## scores\n\n### A table\n\n| a |\n| --- |\n| 1 |\n")
    facts = {
        "model": {"weights_sha256": weights or weights_of("snellen-1")},
        "command": ["snellen", "evaluate", "two rounds"],
        "python": "3.11", "system": "Linux", "workers": 2, "suites": list(summary), "max_samples": None,
        "peer_samples": {}, "peers": {}, "seconds per picture": {}, "data": [{"name": "biq2021", "pictures": 7}],
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(facts | more))
    return folder


def cells(page: str) -> dict[str, str]:
    """What the tables of a page say was measured, by the row's name."""
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return {line[0]: line[2] for line in lines if len(line) > 2}


def test_every_suite_has_its_rows(publish: ModuleType, root: Path, tmp_path: Path) -> None:
    publish.publish(root, [run(tmp_path / "all", SUITES)], [])
    page = (root / "docs" / "results" / "evaluation.md").read_text()
    said = cells(page)
    assert said["BIQ2021 official test split, raw SRCC"] == "0.845 [0.830, 0.860]"
    assert said["replies that parse"] == "99.8 %"
    assert said["brisque, SRCC on the same pictures"] == "0.301 [0.270, 0.330]"
    assert said["piqe, SRCC on the same pictures"] == "failed: biq2021/1.jpg: it broke"
    assert said["error after the first and the last round"] == "0.451 to 0.427"
    assert said["ratings that moved in the second round, the right way"] == "60.0 % [55.0, 65.0]"
    assert said["clean part less clean whole, score"] == "-0.050 [-0.100, 0.000]"
    assert said["blurred background on purpose, called blur"] == "25.0 % [10.0, 40.0]"
    assert said["different ratings, and their entropy in bits"] == "180, 6.20"
    assert said["named faults repaired where named: MOS gained"] == "0.310 [0.200, 0.400]"
    assert said["the same, repaired elsewhere"] == "0.020 [0.000, 0.040]"
    assert said["issues of the right kind that pass both"] == "50.0 % [40.0, 60.0]"
    assert said["D-test, two rounds"] == said["P-test, brisque"] == "0.900 [0.800, 1.000]"
    assert said["native detail: pooled, ours less brisque, same photographs"] == "0.140 [0.050, 0.230]"
    assert said["spread over invisible changes, as a ratio to the plain head's"] == "0.800 [0.700, 0.900]"
    assert said["the same, to the plain ensemble's"] == "1.100 [1.000, 1.200]"
    assert said["the same, to brisque, for what each tells apart"] == "0.440 [0.300, 0.600]"
    assert "| spread over 10 sampled runs, in MOS | printed | 0.031 |" in page


def test_what_is_missing_says_so(publish: ModuleType, root: Path, tmp_path: Path) -> None:
    publish.publish(root, [run(tmp_path / "all", SUITES)], [])
    said = cells((root / "docs" / "results" / "evaluation.md").read_text())
    for row in ("the same, raw PLCC", "L-test, piqe", "90 % interval holds the MOS", "wheel, in MB"):
        assert said[row] == publish.MISSING, row


def test_the_pages_change_between_the_marks_only(publish: ModuleType, root: Path, tmp_path: Path) -> None:
    publish.publish(root, [run(tmp_path / "all", SUITES)], [])
    for name in WRITTEN[:2]:
        text = (root / name).read_text()
        assert text.startswith(f"{name} before\n<!-- numbers -->\n") and "\nold\n" not in text
        assert text.endswith("\n<!-- /numbers -->\nafter \\1\n")
    card = (root / WRITTEN[1]).read_text()
    assert "Version 9.9.9." in card and "| `encoder.onnx` | `abc` |" in card
    short = (root / "README.md").read_text()
    assert "snellen evaluate" not in short and len(short.splitlines()) < 45, "the README's table stays short"
    assert set(cells(short)) < set(cells(card))


def test_the_page_has_command_circumstances_tables_and_figures(publish: ModuleType, root: Path, tmp_path: Path) -> None:
    folder = run(tmp_path / "some", {}, peers={"piqe": "piqe 1.2"}, peer_samples={"pristine": 15}, max_samples=3)
    publish.publish(root, [folder], [])
    page = (root / "docs" / "results" / "evaluation.md").read_text()
    assert "snellen evaluate 'two rounds'" in page and "#### A table" in page and "evaluation.md before" not in page
    assert "Peers: piqe 1.2." in page and "at most 15 of pristine" in page and "At most 3 pictures" in page
    assert "![scores-01](evaluation/some-scores-01.svg)" in page
    assert [path.name for path in (root / "docs" / "results" / "evaluation").iterdir()] == ["some-scores-01.svg"]


def test_scripts_are_read_where_there_are_any(publish: ModuleType, root: Path, tmp_path: Path) -> None:
    data = {
        "model": {"weights_sha256": weights_of("snellen-1")}, "command": ["python", "runs/speed.py"],
        "title": "Time", "numbers": {"wheel, MB": 29.16, "cores": 2},
    }  # fmt: skip
    (tmp_path / "speed.json").write_text(json.dumps(data))
    publish.publish(root, [], [tmp_path])
    page = (root / "docs" / "results" / "evaluation.md").read_text()
    assert cells(page)["wheel, in MB"] == "29" and "## Time" in page and "python runs/speed.py" in page


def test_other_weights_and_half_a_run_are_refused_before_anything_is_written(
    publish: ModuleType, root: Path, tmp_path: Path
) -> None:
    before = {name: (root / name).read_text() for name in WRITTEN}
    good, bad = run(tmp_path / "good", SUITES), run(tmp_path / "bad", SUITES, weights="0" * 64)
    with pytest.raises(SystemExit, match="bad was measured on other weights"):
        publish.publish(root, [good, bad], [])
    (good / "summary.json").unlink()
    with pytest.raises(SystemExit, match=r"summary\.json is not there"):
        publish.publish(root, [good], [])
    assert before == {name: (root / name).read_text() for name in WRITTEN}


def test_a_page_without_marks_is_refused(publish: ModuleType, root: Path) -> None:
    (root / "README.md").write_text("nothing to replace")
    with pytest.raises(SystemExit, match="lacks the marks"):
        publish.publish(root, [], [])


def test_a_figure_that_is_too_large_is_refused(publish: ModuleType, root: Path, tmp_path: Path) -> None:
    folder = run(tmp_path / "large", {})
    (folder / "figures" / "scores-01.svg").write_text(SVG + " " * 100_000)
    with pytest.raises(SystemExit, match="draw fewer points"):
        publish.publish(root, [folder], [])
