"""Sources of synthetic faults: no scene twice, stable splits, chosen photographs are kept whatever the judge says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snellen.data.photographs import Photograph, blob_id, open_photograph
from snellen.data.sample import read_manifest
from snellen.train.snellen1.sources import (
    LEAST_SCORE,
    Folders,
    Source,
    chosen,
    is_drawn,
    rate,
    read_photographs,
    screened,
    wallpaper_split,
    write_sources,
)

SCORES = {"again": 4.0, "calm": 2.9, "known": 4.5, "sharp": 4.1, "unread": None}


def judge(paths: Sequence[str]) -> list[float | None]:
    """Scores by file name; 3.5 for any other."""
    return [SCORES.get(Path(path).stem, 3.5) for path in paths]


def save_scene(seed: int, path: Path, size: tuple[int, int] = (96, 96), brighter: int = 0) -> Photograph:
    """A random picture with coarse structure and grain, as a photograph has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 256, (size[1] // 3, size[0] // 3, 3), dtype=np.uint8)).resize(size)
    grain = rng.normal(0, 4, (size[1], size[0], 3))
    mixed = np.asarray(Image.blend(coarse, fine, 0.2), dtype=np.float64) + grain + brighter
    Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8)).save(path)
    return open_photograph(path)


@pytest.fixture
def listed(tmp_path: Path) -> dict[str, Photograph]:
    photographs = {name: save_scene(seed, tmp_path / f"{name}.png") for seed, name in enumerate(sorted(SCORES))}
    photographs["again"] = save_scene(3, tmp_path / "again.png", brighter=6)  # the scene of sharp
    return photographs


def test_chosen_photographs_are_taken_whatever_the_judge_says(listed: dict[str, Photograph], tmp_path: Path) -> None:
    names = ("calm", "known", "sharp", "again", "unread")
    sources = chosen([listed[name] for name in names], tmp_path, [listed["known"]], judge)
    assert sources == [  # no scene twice, no known scene, nothing without a score
        Source(listed["calm"], "train", LEAST_SCORE),
        Source(listed["sharp"], "train", 4.1),
    ]


def test_one_in_so_many_of_the_large_photographs_is_dev(tmp_path: Path) -> None:
    large = [Photograph(str(tmp_path / str(i) / "sharp.png"), 3000, 2000) for i in range(60)]
    small = [Photograph(str(tmp_path / str(i) / "calm.png"), 1500, 1000) for i in range(60)]
    sources = rate([*large, *small], tmp_path, 6, judge)
    dev = [one.photograph for one in sources if one.split == "dev"]
    assert 5 <= len(dev) <= 16
    assert dev == [one for one in large if is_drawn(str(Path(one.path).relative_to(tmp_path)), 6)]
    assert sources == rate([*large, *small], tmp_path, 6, judge)


def test_a_mixed_folder_is_screened_by_score(tmp_path: Path) -> None:
    save_scene(1, tmp_path / "more" / "sharp.png", (600, 400))
    save_scene(2, tmp_path / "more" / "calm.png", (600, 400))
    assert [Path(one.photograph.path).name for one in screened(tmp_path / "more", [], judge)] == ["sharp.png"]


def test_two_in_three_large_wallpapers_are_test() -> None:
    large = [Photograph(f"/x/usr/share/wallpapers/{i}.jpg", 3000, 2000) for i in range(90)]
    assert 50 <= sum(wallpaper_split(one) == "test" for one in large) <= 70
    assert {wallpaper_split(Photograph(one.path, 1000, 1000)) for one in large} == {"train"}
    assert wallpaper_split(Photograph("/x/kodak/1.png", 3000, 2000)) == "train"


def test_all_sources_are_listed_with_manifests_to_test_and_to_choose_by(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in (1, 2):
        save_scene(10 + number, data / "biq" / "Images" / f"ss01 ({number}).jpg")
    for split, number in (("Train", 1), ("Test", 2)):
        table = data / "biq" / f"{split} (Images and MOS).csv"
        table.write_text(f"Image Name,MOS\nss01 ({number}).jpg,0.5\n")
    for seed, name in enumerate(("CID22", "kodak", "clic2025")):
        save_scene(20 + seed, data / "codecs" / name / "a.png", (600, 400))
    save_scene(30, data / "wallpapers" / "w.png", (600, 400))
    save_scene(31, data / "held" / "h.png", (600, 400))
    save_scene(32, data / "more" / "m.png", (600, 400))
    save_scene(33, data / "chosen" / "ann+holiday" / "c.png", (600, 400))
    listed = tmp_path / "list.txt"
    listed.write_text(f"ann/holiday {blob_id((data / 'chosen' / 'ann+holiday' / 'c.png').read_bytes())}\n")
    folders = Folders(data / "wallpapers", data / "codecs", [data / "held"], [data / "more"], data / "chosen")
    sources = write_sources(data / "biq", folders, listed, judge, tmp_path / "out")
    assert list(read_photographs(tmp_path / "out" / "photographs.jsonl")) == sources
    assert {Path(one.photograph.path).name: (one.split, one.mos) for one in sources if one.mos is not None} == {
        "c.png": ("train", 3.5),
        "m.png": ("train", 3.5),
    }
    tested = [Path(sample.path).parent.name for sample in read_manifest(tmp_path / "out" / "pristine.jsonl")]
    assert tested == ["clic2025", "held"]
    assert read_manifest(tmp_path / "out" / "dev.jsonl") == []
    assert len(read_manifest(tmp_path / "out" / "biq2021.jsonl")) == 2
