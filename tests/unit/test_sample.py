from __future__ import annotations

import json
from pathlib import Path

import pytest

from snellen.data.sample import Fault, ManifestError, Sample, read_manifest, write_manifest
from snellen.region import Region


def full_sample(folder: Path) -> Sample:
    return Sample(
        str(folder / "a b.jpg"),
        mos=3.25,
        std=0.5,
        n=30,
        split="test",
        group="g00001",
        reference=str(folder / "clean" / "ä.png"),
        faults=(Fault("jpeg", "compression", 4, Region(0.1, 0.2, 0.6, 0.8)),),
        subset="ss01",
    )


def test_severity_is_that_of_the_level_mean_or_else_the_level() -> None:
    whole = Region(0.0, 0.0, 1.0, 1.0)
    assert Fault("gaussian_blur", "blur", 3, whole).severity == pytest.approx(6 - 2.911)
    assert Fault("a rated set's own", "blur", 3, whole).severity == 3.0


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    samples = [full_sample(tmp_path), Sample(str(tmp_path / "b.jpg"))]
    assert write_manifest(samples, tmp_path / "m.jsonl") == 2
    assert read_manifest(tmp_path / "m.jsonl") == samples


def test_rows_are_short_and_paths_relative_to_the_manifest(tmp_path: Path) -> None:
    write_manifest([Sample(str(tmp_path / "pictures" / "b.jpg"), mos=2.0)], tmp_path / "m.jsonl")
    row = json.loads((tmp_path / "m.jsonl").read_text())
    assert row == {"path": "pictures/b.jpg", "mos": 2.0, "split": "train"}


def test_a_manifest_moves_with_its_folder(tmp_path: Path) -> None:
    write_manifest([full_sample(tmp_path / "old")], tmp_path / "old" / "m.jsonl")
    (tmp_path / "old").rename(tmp_path / "new")
    assert read_manifest(tmp_path / "new" / "m.jsonl") == [full_sample(tmp_path / "new")]


def test_relative_paths_can_be_taken_from_a_root(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_manifest([Sample(str(root / "b.jpg"))], tmp_path / "lists" / "m.jsonl", root)
    assert json.loads((tmp_path / "lists" / "m.jsonl").read_text())["path"] == "b.jpg"
    assert read_manifest(tmp_path / "lists" / "m.jsonl", root)[0].path == str(root / "b.jpg")


def test_paths_outside_the_folder_stay_absolute(tmp_path: Path) -> None:
    write_manifest([Sample(str(tmp_path / "b.jpg"))], tmp_path / "lists" / "m.jsonl")
    assert read_manifest(tmp_path / "lists" / "m.jsonl")[0].path == str(tmp_path / "b.jpg")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{", "Expecting"),
        ("[1]", "JSON object"),
        ('{"split": "train"}', "path"),
        ('{"path": "a.jpg"}', "split"),
        ('{"path": "", "split": "train", "mos": 7}', "mos 7.0"),
        ('{"path": "a.jpg", "split": "train", "mos": "3"}', "mos is not a number"),
        ('{"path": "a.jpg", "split": "train", "mos": NaN}', "mos nan"),
        ('{"path": "a.jpg", "split": "train", "mos": 5.01}', "mos 5.01 is outside 1..5"),
        ('{"path": "a.jpg", "split": "train", "std": NaN}', "std nan"),
        ('{"path": "a.jpg", "split": "train", "std": Infinity}', "std inf"),
        ('{"path": "x/../ok.jpg", "split": "test"}', "ok.jpg is listed in line 1 already"),
        ('{"path": "a.jpg", "split": "train", "n": 2.5}', "n is not a whole number"),
        ('{"path": "a.jpg", "split": "training"}', "split 'training'"),
        ('{"path": "a.jpg", "split": "train", "moss": 3}', "unknown key 'moss'"),
        ('{"path": "a.jpg", "split": "train", "faults": [{"kind": "fog"}]}', "region"),
        (
            '{"path": "a.jpg", "split": "train", "faults":'
            ' [{"distortion": "x", "kind": "fog", "level": 1, "region": [0, 0, 1, 1]}]}',
            "fault kind 'fog'",
        ),
        (
            '{"path": "a.jpg", "split": "train", "faults":'
            ' [{"distortion": "x", "kind": "blur", "level": 1, "region": [0, 0, 0, 1]}]}',
            "region",
        ),
    ],
)
def test_a_bad_row_is_refused_and_named(tmp_path: Path, row: str, says: str) -> None:
    manifest = tmp_path / "m.jsonl"
    manifest.write_text('{"path": "ok.jpg", "split": "train"}\n\n' + row + "\n")
    with pytest.raises(ManifestError) as caught:
        read_manifest(manifest)
    assert "m.jsonl: line 3: " in str(caught.value)
    assert says in str(caught.value)


def test_missing_files_are_refused_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "b.jpg").touch()
    manifest = tmp_path / "m.jsonl"
    first = '{"path": "a.jpg", "split": "test", "reference": "b.jpg"}\n'
    manifest.write_text(first + '{"path": "gone.jpg", "split": "test"}\n')
    assert len(read_manifest(manifest)) == 2
    with pytest.raises(ManifestError, match=r"m.jsonl: line 2: .*gone.jpg is not there"):
        read_manifest(manifest, check_files=True)
    manifest.write_text(first)
    assert len(read_manifest(manifest, check_files=True)) == 1
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(ManifestError, match=r"line 1: .*b.jpg is not there"):
        read_manifest(manifest, check_files=True)


def test_a_failed_write_leaves_the_old_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    write_manifest([Sample(str(tmp_path / "a.jpg"))], manifest)

    def breaks() -> object:
        yield Sample(str(tmp_path / "b.jpg"))
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_manifest(breaks(), manifest)  # type: ignore[arg-type]
    assert [sample.path for sample in read_manifest(manifest)] == [str(tmp_path / "a.jpg")]


def test_faults_have_a_known_kind_and_level() -> None:
    with pytest.raises(ValueError, match="level 6"):
        Fault("jpeg", "compression", 6, Region(0, 0, 1, 1))
    with pytest.raises(ValueError, match="fault kind"):
        Fault("jpeg", "blocks", 1, Region(0, 0, 1, 1))
