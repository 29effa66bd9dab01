"""Photographs are found by a filter, or by the hashes of their content."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pictures import scene
from PIL import Image, ImageDraw, ImageFilter

from snellen.data.photographs import (
    blob_id,
    find_photographs,
    is_photograph,
    listed_photographs,
    read_photograph_list,
)


def drawing() -> Image.Image:
    canvas = Image.new("RGB", (600, 400), (30, 90, 160))
    pen = ImageDraw.Draw(canvas)
    for i in range(12):
        pen.ellipse((40 * i, 20 * i, 40 * i + 150, 20 * i + 120), fill=(20 * i, 255 - 20 * i, 90))
    return canvas


def test_photographs_are_told_from_drawings_and_smooth_renders() -> None:
    assert is_photograph(np.asarray(scene(1, (600, 400))))
    assert not is_photograph(np.asarray(drawing()))
    assert not is_photograph(np.asarray(scene(1, (600, 400), grain=0.0).filter(ImageFilter.GaussianBlur(12))))
    assert not is_photograph(np.full((400, 600, 3), 128, dtype=np.uint8))
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    assert not is_photograph(noise)


def test_find_photographs_walks_filters_and_keeps_the_largest(tmp_path: Path) -> None:
    folder = tmp_path / "usr" / "share"
    folder.mkdir(parents=True)
    large = scene(3, (900, 600))
    large.save(folder / "b.png")
    large.resize((700, 467)).save(folder / "a.png")
    scene(4, (800, 500)).save(tmp_path / "other.jpg", quality=95)
    scene(5, (60, 60)).save(tmp_path / "icon.png")
    drawing().save(tmp_path / "drawing.png")
    (tmp_path / "readme.txt").write_text("not a picture")
    (tmp_path / "link.png").symlink_to(folder / "b.png")
    found = find_photographs([tmp_path])
    assert [(Path(one.path).name, one.width, one.height) for one in found] == [
        ("other.jpg", 800, 500),
        ("b.png", 900, 600),
    ]
    assert [Path(one.path).name for one in find_photographs([tmp_path], max_megapixels=0.45)] == ["other.jpg", "a.png"]
    with pytest.raises(ValueError, match="no such folder"):
        find_photographs([tmp_path / "nowhere"])
    assert find_photographs([]) == []


def test_find_photographs_names_what_it_cannot_read_and_goes_on(tmp_path: Path) -> None:
    scene(3, (900, 600)).save(tmp_path / "whole.jpg", quality=95)
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match=r"cut\.jpg.*cut off or damaged"):
        found = find_photographs([tmp_path])
    assert [Path(one.path).name for one in found] == ["whole.jpg"]


def test_a_blob_id_is_that_of_git() -> None:
    assert blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def clone_with(folder: Path, *names: str) -> dict[str, str]:
    """Pictures in a folder: name -> blob id."""
    blobs = {}
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        scene(number, (60, 40)).save(path)
        blobs[name] = blob_id(path.read_bytes())
    return blobs


def test_listed_photographs_are_found_by_content_wherever_they_lie(tmp_path: Path) -> None:
    first = clone_with(tmp_path / "ann+holiday", "b.png", "deep/a.jpg", "unlisted.png")
    (second,) = clone_with(tmp_path / "bob+walls", "c.webp").values()
    listed = tmp_path / "photographs.txt"
    listed.write_text(
        f"# a comment\n\nann/holiday {first['b.png']}\nann/holiday {first['deep/a.jpg']}\nbob/walls {second}\n"
    )
    assert list(read_photograph_list(listed)) == ["ann/holiday", "bob/walls"]
    found = [Path(one.path).relative_to(tmp_path).as_posix() for one in listed_photographs(listed, tmp_path)]
    assert found == ["ann+holiday/b.png", "ann+holiday/deep/a.jpg", "bob+walls/c.webp"]
    (tmp_path / "ann+holiday" / "b.png").rename(tmp_path / "ann+holiday" / "z.png")
    found = [Path(one.path).name for one in listed_photographs(listed, tmp_path)]
    assert found == ["a.jpg", "z.png", "c.webp"]


def test_a_clone_that_lacks_a_listed_photograph_is_named(tmp_path: Path) -> None:
    listed = tmp_path / "photographs.txt"
    listed.write_text(f"ann/holiday {blob_id(b'gone')}\n")
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="holiday lacks 1 of 1 .* clone https://github.com/ann/holiday"):
            listed_photographs(listed, tmp_path)
        clone_with(tmp_path / "ann+holiday", "other.png")


@pytest.mark.parametrize("line", ["ann/holiday", "holiday " + "0" * 40, "ann/holiday picture.jpg"])
def test_a_line_that_is_no_repository_and_hash_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.txt").write_text(f"# list\n{line}\n")
    with pytest.raises(ValueError, match=re.escape(f"line 2: {line!r} is not OWNER/NAME")):
        read_photograph_list(tmp_path / "list.txt")


def test_the_list_of_snellen_1_names_repositories_and_hashes_only() -> None:
    file = Path(__file__).parents[2] / "recipes" / "snellen-1" / "photographs.txt"
    if not file.exists():
        pytest.skip("the source distribution leaves the list out")
    listed = read_photograph_list(file)
    blobs = [blob for those in listed.values() for blob in those]
    assert (len(listed), len(blobs), len(set(blobs))) == (75, 1255, 1255)
