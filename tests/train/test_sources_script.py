"""What runs/sources.py takes in of photographs that nobody rated."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "runs" / "sources.py"
SCORES = {"calm": 2.9, "sharp": 4.1, "again": 4.0, "known": 4.5, "unread": None}


def scene(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((96, 96))


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with a judge of known scores, a list of photographs and the folder that they lie in."""
    spec = importlib.util.spec_from_file_location("sources_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def judge(paths: Iterable[str]) -> Iterator[SimpleNamespace]:
        return (SimpleNamespace(score=SCORES[Path(path).stem]) for path in paths)

    monkeypatch.setattr(script, "Assessor", lambda score_only: judge)
    monkeypatch.setattr(script, "__file__", str(tmp_path / "sources.py"))
    for seed, name in enumerate(("calm", "sharp", "known", "unread")):
        scene(seed).save(tmp_path / f"{name}.png")
    scene(1).point(lambda value: min(255, value + 6)).save(tmp_path / "again.png")  # the scene of sharp
    (tmp_path / "chosen.txt").write_text("\n".join(f"{name}.png" for name in SCORES))
    return script


def test_what_was_chosen_is_taken_whatever_the_model_says_of_it(sources: ModuleType, tmp_path: Path) -> None:
    found = sources.chosen(tmp_path, [sources.opened(tmp_path / "known.png")])
    told = {Path(photograph.path).stem: row for photograph, row in found.items()}
    assert told == {  # no scene twice, none that is known, and nothing without a score
        "calm": {"split": "train", "mos": sources.LEAST_SCORE},
        "sharp": {"split": "train", "mos": 4.1},
    }


def test_what_was_chosen_and_is_not_there_is_missed(sources: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "sharp.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"sharp\.png"):
        sources.chosen(tmp_path, [])


def test_one_in_so_many_of_the_large_is_to_choose_by(sources: ModuleType, tmp_path: Path) -> None:
    large = [sources.Photograph(str(tmp_path / str(i) / "sharp.png"), 3000, 2000) for i in range(60)]
    small = [sources.Photograph(str(tmp_path / str(i) / "calm.png"), 1500, 1000) for i in range(60)]
    rows = sources.scored([*large, *small], tmp_path, 6)
    dev = [photograph for photograph, row in rows.items() if row["split"] == "dev"]
    assert 5 <= len(dev) <= 16 and not set(dev) & set(small)
    assert dev == [
        photograph for photograph in large if sources.drawn(str(Path(photograph.path).relative_to(tmp_path)), 6)
    ]
    assert rows == sources.scored([*large, *small], tmp_path, 6)
