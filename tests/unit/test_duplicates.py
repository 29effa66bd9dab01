"""Near-duplicates, and BIQ2021, whose scenes lie in both of its splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictures import scene
from PIL import Image

from snellen.data.sample import Sample
from snellen.data.sets import SourceError, open_set
from snellen.data.sets.duplicates import dhash, leak_free, near_duplicate_groups


@pytest.fixture
def biq(tmp_path: Path) -> Path:
    """A folder laid out as the public repository: real header lines, one file named .JPG, one scene in both splits."""
    images = tmp_path / "Images"
    images.mkdir()
    for number in range(1, 5):
        scene(number).save(images / f"ss01 ({number}).jpg")
    scene(2).point(lambda v: min(255, v + 9)).save(images / "ss03 (9).JPG")  # scene 2 again, a little brighter
    (tmp_path / "Train (Images and MOS).csv").write_text(
        "Image Name,MOS,,\r\nss01 (1).jpg,0.2874,,\r\nss01 (2).jpg,1,,\r\nss01 (3).jpg,0,,\r\n"
    )
    (tmp_path / "Test (Images and MOS).csv").write_text("Image Name,MOS\nss01 (4).jpg,0.5\nss03 (9).jpg,0.9647\n")
    return tmp_path


def test_biq2021_is_read_with_mos_split_subset_and_groups(biq: Path) -> None:
    samples = open_set("BIQ2021", biq)
    assert [sample.mos for sample in samples] == pytest.approx([2.1496, 5.0, 1.0, 3.0, 4.8588])
    assert [sample.split for sample in samples] == ["train"] * 3 + ["test"] * 2
    assert [sample.subset for sample in samples] == ["ss01"] * 4 + ["ss03"]
    assert [sample.n for sample in samples] == [30] * 5
    assert all(Path(sample.path).is_file() for sample in samples)
    groups = [sample.group for sample in samples]
    assert groups[1] == groups[4]
    assert len(set(groups)) == 4


def test_leak_free_drops_training_pictures_whose_scene_is_tested(biq: Path) -> None:
    samples = open_set("BIQ2021", biq)
    assert leak_free(samples) == [samples[i] for i in (0, 2, 3, 4)]
    assert leak_free(samples, "test", "train") == samples[:4]


def test_pictures_without_a_group_leak_nothing() -> None:
    samples = [Sample("a", split="train"), Sample("b", split="test")]
    assert leak_free(samples) == samples


def test_biq2021_names_what_is_missing_or_wrong(biq: Path) -> None:
    with pytest.raises(SourceError, match="Images: missing; BIQ2021 is published at https"):
        open_set("BIQ2021", biq / "elsewhere")
    (biq / "Images" / "ss01 (3).jpg").unlink()
    with pytest.raises(SourceError, match=r"Train .*line 4: .*ss01 \(3\).jpg is missing"):
        open_set("BIQ2021", biq)
    table = biq / "Train (Images and MOS).csv"
    table.write_text("Image Name,MOS,,\nss01 (1).jpg,1.5,,\n")
    with pytest.raises(SourceError, match="line 2: MOS 1.5 is outside 0..1"):
        open_set("BIQ2021", biq)
    table.write_text("Image Name,MOS,,\nss01 (1).jpg\n")
    with pytest.raises(SourceError, match="line 2"):
        open_set("BIQ2021", biq)
    table.write_text("name,score\n")
    with pytest.raises(SourceError, match="no line holds the columns Image Name, MOS"):
        open_set("BIQ2021", biq)
    table.unlink()
    with pytest.raises(SourceError, match="Train .*missing"):
        open_set("BIQ2021", biq)


def test_dhash_of_a_ramp_is_all_ones(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 252, 4, dtype=np.uint8), (40, 1))
    Image.fromarray(ramp).save(tmp_path / "up.png")
    Image.fromarray(ramp[:, ::-1]).save(tmp_path / "down.png")
    assert dhash(tmp_path / "up.png") == 2**64 - 1
    assert dhash(tmp_path / "down.png") == 0


def test_dhash_survives_size_format_and_brightness_but_not_another_scene(tmp_path: Path) -> None:
    scene(7, (200, 160)).save(tmp_path / "a.png")
    scene(7, (200, 160)).resize((100, 80)).point(lambda v: min(255, v + 6)).save(tmp_path / "b.jpg", quality=60)
    scene(8, (200, 160)).save(tmp_path / "c.png")
    a, b, c = (dhash(tmp_path / name) for name in ("a.png", "b.jpg", "c.png"))
    assert bin(a ^ b).count("1") <= 4
    assert bin(a ^ c).count("1") > 10


def test_groups_are_joined_by_chains_of_small_steps() -> None:
    # 0 and 0b1111 differ in 4 bits, 0b1111 and 0xFF in 4, 0 and 0xFF in 8: one group through the middle one.
    hashes = np.array([0xFFFF_0000_0000_0000, 0, 0b1111, 0xFF, 0x1FFF], dtype=np.uint64)
    assert near_duplicate_groups(hashes).tolist() == [0, 1, 1, 1, 4]
    assert near_duplicate_groups(hashes, 3).tolist() == [0, 1, 2, 3, 4]
    assert near_duplicate_groups(np.array([], dtype=np.uint64)).tolist() == []


def test_groups_agree_with_a_plain_search() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, 300, dtype=np.uint64)
    flips = np.uint64(1) << rng.integers(0, 64, (1200, 3)).astype(np.uint64)  # up to 3 bits of each differ
    hashes = np.tile(base, 4) ^ np.bitwise_xor.reduce(flips, axis=1)
    near = [[bin(int(a) ^ int(b)).count("1") <= 4 for b in hashes] for a in hashes[:40]]
    groups = near_duplicate_groups(hashes)
    for i, row in enumerate(near):
        assert all(groups[i] == groups[j] for j, close in enumerate(row) if close)
    assert len(set(groups.tolist())) < len(hashes)
