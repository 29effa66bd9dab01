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
            "modes": {
                "two rounds": {"srcc": [0.845, 0.83, 0.86], "plcc": [None, None, None]},
                "plain rating": {"srcc": [0.858, 0.84, 0.87]},
                "brisque": {"srcc": [0.301, 0.27, 0.33]},
            }
        }
    },
    "calibration": {"biq2021": {"two rounds": {"interval": {"coverage": [0.901, 0.89, 0.91]}}}},
    "grounding": {
        "agreement": {"two rounds": {"srcc": [0.7, 0.65, 0.75]}, "brisque": {"srcc": [0.25, 0.2, 0.3]}},
        "crops": {"level 3-5": {"area": 0.5432}},
        "clean pictures": {"false-alarm rate": [0.125, 0.1, 0.15]},
    },
}
SRCC, PLCC = "BIQ2021 official test split, SRCC", "the same, PLCC"


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, imported as it imports its neighbours."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "recipes" / "bench")
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
        "baseline_samples": {}, "baselines": {}, "seconds per picture": {},
        "data": [{"name": "biq2021", "pictures": 7}],
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(facts | more))
    return folder


def cells(page: str) -> dict[str, list[str]]:
    """The rows of the tables of a page by their first cell."""
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return {line[0]: line[1:] for line in lines}


def test_the_headlines_are_read_from_the_suites(publish: ModuleType, root: Path, tmp_path: Path) -> None:
    publish.publish(root, [run(tmp_path / "all", SUITES)], [])
    rows = cells((root / "docs" / "results" / "evaluation.md").read_text())
    assert rows[SRCC] == [
        "0.845 [0.830, 0.860]",
        "0.858 [0.840, 0.870] (plain rating), 0.301 [0.270, 0.330] (BRISQUE)",
        "`snellen evaluate 'two rounds'`",
    ]
    assert rows["90 % interval contains the MOS"][0] == "90.1 % [89.0, 91.0]"
    local = rows["synthetic local faults, SRCC of the score with the expected one"]
    assert local[:2] == ["0.700 [0.650, 0.750]", "0.250 [0.200, 0.300]"]
    assert rows["area of the crops of local faults, levels 3 to 5"][0] == "0.54"
    assert rows["clean photographs with an issue (false alarms)"][0] == "12.5 % [10.0, 15.0]"


def test_what_is_missing_says_so(publish: ModuleType, root: Path, tmp_path: Path) -> None:
    publish.publish(root, [run(tmp_path / "all", SUITES)], [])
    rows = cells((root / "README.md").read_text())
    assert rows[PLCC][0] == rows["full assessment of a 12 MP JPEG on two cores; wheel"][0] == publish.MISSING
    first = list(rows)[2]
    assert first.startswith("real photographs") and rows[first][0] == publish.MISSING


def test_the_pages_change_between_the_marks_only(publish: ModuleType, root: Path, tmp_path: Path) -> None:
    publish.publish(root, [run(tmp_path / "all", SUITES)], [])
    for name in WRITTEN[:2]:
        text = (root / name).read_text()
        assert text.startswith(f"{name} before\n<!-- numbers -->\n") and "\nold\n" not in text
        assert text.endswith("\n<!-- /numbers -->\nafter \\1\n")
    card = (root / WRITTEN[1]).read_text()
    assert "Version 9.9.9;" in card and "| `encoder.onnx` | `abc` |" in card
    short = (root / "README.md").read_text()
    assert "snellen evaluate" not in short and len(cells(short)) == 2 + 8, "eight rows, without their commands"
    assert set(cells(short)) < set(cells(card))


def test_the_page_has_command_circumstances_tables_and_figures(publish: ModuleType, root: Path, tmp_path: Path) -> None:
    slow: dict[str, Any] = {"baselines": {"piqe": "piqe 1.2"}, "baseline_samples": {"pristine": 15}}
    folder = run(tmp_path / "some", {}, **slow, max_samples=3)
    publish.publish(root, [folder], [])
    page = (root / "docs" / "results" / "evaluation.md").read_text()
    assert "snellen evaluate 'two rounds'" in page and "#### A table" in page and "evaluation.md before" not in page
    assert "Baselines: piqe 1.2." in page and "slow: 15 of pristine" in page and "At most 3 pictures" in page
    assert "![scores-01](evaluation/some-scores-01.svg)" in page
    assert [path.name for path in (root / "docs" / "results" / "evaluation").iterdir()] == ["some-scores-01.svg"]


def test_scripts_are_read_where_there_are_any(publish: ModuleType, root: Path, tmp_path: Path) -> None:
    data = {
        "model": {"weights_sha256": weights_of("snellen-1")}, "command": ["python", "recipes/bench/speed.py"],
        "title": "Time", "numbers": {"wheel, MB": 29.16, "full assessment, 12 MP JPEG, warm, s": 0.637},
    }  # fmt: skip
    (tmp_path / "speed.json").write_text(json.dumps(data))
    publish.publish(root, [], [tmp_path])
    page = (root / "docs" / "results" / "evaluation.md").read_text()
    assert cells(page)["full assessment of a 12 MP JPEG on two cores; wheel"][0] == "0.64 s; 29 MB"
    assert "## Time" in page
    assert "python recipes/bench/speed.py" in page


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
