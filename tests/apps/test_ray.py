"""`snellen ray` without a cluster: shards of every kind, records, the judge's rows, and their way into tables.

What a cluster adds, and processes that are killed, is a proof: `scripts/proofs ray`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import noise, save_noise
from PIL import Image

from snellen.apps.folder import score_folder
from snellen.apps.ray import Judge
from snellen.apps.ray.command import add_arguments, collect, judges, read_records
from snellen.apps.ray.shards import Shard, find_shards, read_shard
from snellen.table import read_table
from snellen.usage import UsageError


@pytest.fixture
def model(tmp_path: Path) -> str:
    """--model for replies that rate 2.50 and list noise of severity 2."""
    issues = [{"kind": "noise", "severity": 2, "bbox_2d": [0, 0, 1, 1]}]
    answer = {"bbox_2d": [0, 0, 0, 0], "rating": 2.5, "tool": "final", "issues": issues}
    path = tmp_path / "replies.jsonl"
    path.write_text(json.dumps(f"<think></think><answer>{json.dumps(answer)}</answer>"))
    return f"scripted:{path}"


def encoded(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(64, 64, seed)).save(file, "PNG")
    return file.getvalue()


def save_tar(path: Path, members: dict[str, bytes]) -> str:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return str(path)


def shards_of(inputs: list[str], size: int, done: set[str], scored: set[str]) -> list[Shard]:
    return find_shards(inputs, size, done, scored)[0]


def rows_of(judge: Judge, shards: list[Shard], batch_size: int = 3) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each shard, judged in batches that mix the shards, last batch first."""
    described = {"at": list(range(len(shards))), "shard": [json.dumps(vars(shard)) for shard in shards]}
    records = pa.concat_tables(read_records(described, None, None)).to_pylist()
    records = [*records[1::2], *records[::2]]
    batches = [records[start : start + batch_size] for start in range(0, len(records), batch_size)]
    judged = (judge({name: [row[name] for row in batch] for name in batch[0]}) for batch in reversed(batches))
    return {shard.name: table.to_pylist() for shard, table in collect(judged, shards)}


def test_a_folder_is_cut_into_shards_and_new_pictures_get_shards_of_their_own(tmp_path: Path) -> None:
    for name in "abcde":
        save_noise(tmp_path / f"{name}.png", 40, 40)
    shards = shards_of([str(tmp_path)], 2, set(), set())
    assert [(shard.name, shard.names) for shard in shards] == [
        ("part-000000", ("a.png", "b.png")), ("part-000001", ("c.png", "d.png")), ("part-000002", ("e.png",)),
    ]  # fmt: skip
    first, second = shards_of([str(tmp_path)], 2, {"part-000000", "part-000002"}, {"a.png", "b.png"})
    assert (first.name, first.names, second.names) == ("part-000003", ("c.png", "d.png"), ("e.png",))


def test_files_of_one_name_in_two_folders_are_two_shards_and_two_paths(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        save_noise(tmp_path / folder / "0.png", 40, 40)
    (shard,) = shards_of([str(tmp_path / "a"), str(tmp_path / "b")], 9, set(), set())
    assert shard.names == (f"{tmp_path}/a/0.png", f"{tmp_path}/b/0.png")
    for folder in "ab":
        save_tar(tmp_path / folder / "0.tar", {})
    names = {shard.name for shard in shards_of([str(tmp_path)], 9, set(), set())}
    assert len(names) == 2 and all(name.startswith("0-") for name in names)
    assert shards_of([str(tmp_path)], 9, names, set()) == []


def test_files_that_spark_writes_are_shards_each_once(tmp_path: Path) -> None:
    folder = tmp_path / "pictures.parquet"
    folder.mkdir()
    file = folder / "part-00000-5f3a.parquet"
    pq.write_table(pa.table({"bytes": [encoded(0)]}), file)
    (shard,) = shards_of([str(tmp_path), str(file)], 9, set(), set())
    assert shard.source == str(file)
    save_noise(tmp_path / "a.png", 40, 40)
    (tmp_path / "list.txt").write_text(f"{tmp_path}/a.png\n")
    (listed,) = shards_of([str(folder), str(tmp_path / "list.txt")], 9, {shard.name, "part-000003"}, set())
    assert listed.name == "part-000004"


def test_pictures_beside_shards_are_told(tmp_path: Path) -> None:
    save_tar(tmp_path / "0.tar", {"a.png": encoded(0)})
    assert find_shards([str(tmp_path)], 9, set(), set())[1] == []
    save_noise(tmp_path / "b.png", 40, 40)
    shards, problems = find_shards([str(tmp_path)], 9, set(), set())
    assert [shard.source for shard in shards] == [str(tmp_path / "0.tar")]
    assert problems == [f"{tmp_path}: pictures beside shards are left out: 1; name them in a list"]


@pytest.mark.parametrize("name", ["missing", "text.csv"])
def test_other_inputs_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.csv").touch()
    with pytest.raises(UsageError, match=name):
        shards_of([str(tmp_path / name)], 9, set(), set())


def test_rows_are_those_of_snellen_score(tmp_path: Path, model: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        save_noise(folder / f"{number}.png", 60 + number, 50)
    (folder / "bad.jpg").write_bytes(b"no picture")
    (folder / os.fsdecode(b"\xe9.jpg")).write_bytes(b"neither")
    score_folder(folder, tmp_path / "scores.parquet", model, features=True)
    expected = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    shards = shards_of([str(folder)], 3, set(), set())
    judged = rows_of(Judge(model, features=True), shards)
    found = [row for shard in shards for row in judged[shard.name]]
    assert [row.pop("key") for row in found] == [row["path"] for row in expected]
    assert found == expected
    assert {row["main_kind"] for row in found} == {"noise", None} and found[0]["features"]["noise"] > 10
    kept = {row.path for row in read_table(tmp_path / "scores.parquet")}
    assert shards_of([str(folder)], 3, set(), kept) == []


def test_a_list_names_paths_as_they_are_written(tmp_path: Path, model: str) -> None:
    names = [save_noise(tmp_path / f"{number}.png", 40, 40) for number in range(3)]
    (tmp_path / "list.txt").write_text("\n".join([*names, names[0], "", "missing.png"]) + "\n")
    shards = shards_of([str(tmp_path / "list.txt")], 10, set(), set())
    (rows,) = rows_of(Judge(model), shards).values()
    assert [(row["path"], row["error"]) for row in rows] == [
        *((name, None) for name in names),
        ("missing.png", "missing"),
    ]


def test_webdataset_shards(tmp_path: Path, model: str) -> None:
    members = {"d/001.png": encoded(1), "d/001.json": b"{}", "d/002.jpg": b"no picture", "d/003.seg.png": encoded(3)}
    shard = save_tar(tmp_path / "0.tar", members)
    (rows,) = rows_of(Judge(model), shards_of([shard], 10, set(), set())).values()
    assert [(row["key"], row["path"], row["error"]) for row in rows] == [
        ("d/001", "0.tar:d/001.png", None), ("d/002", "0.tar:d/002.jpg", "unreadable"),
        ("d/003", "0.tar:d/003.seg.png", None),
    ]  # fmt: skip
    assert (rows[0]["score"], rows[0]["width"]) == (2.5, 64)


def test_a_shard_that_is_cut_off_gives_what_is_there_and_a_row_for_what_is_not(tmp_path: Path, model: str) -> None:
    shard = save_tar(tmp_path / "0.tar", {"1.png": encoded(1), "2.png": encoded(2)})
    data = Path(shard).read_bytes()
    Path(shard).write_bytes(data[: len(data) * 2 // 3])
    (tmp_path / "1.tar").write_bytes(b"no archive" * 99)
    (tmp_path / "2.parquet").write_bytes(b"no table")
    save_tar(tmp_path / "3.tar", {})
    found = rows_of(Judge(model), shards_of([str(tmp_path)], 10, set(), set()))
    by_name = {name.partition("-")[0]: rows for name, rows in found.items()}
    assert [(row["path"].rpartition("/")[2], row["score"]) for row in by_name["0"]] == [
        ("0.tar:1.png", 2.5), ("0.tar:2.png", None), ("0.tar", None),
    ]  # fmt: skip
    assert [rows[-1]["error"] for name, rows in sorted(by_name.items()) if name in "12"] == ["unreadable"] * 2
    assert "make it again" in by_name["1"][0]["problem"] and by_name["3"] == []


@pytest.mark.parametrize("cell", ["bytes", "struct"])
def test_parquet_with_encoded_pictures(tmp_path: Path, model: str, cell: str) -> None:
    pictures: list[Any] = [encoded(1), encoded(2), None]
    if cell == "struct":
        pictures = [{"bytes": data, "path": "x.png"} for data in pictures]
    pq.write_table(pa.table({"image": pictures, "id": [7, 8, 9], "caption": ["a", "b", "c"]}), tmp_path / "a.parquet")
    shards = shards_of([str(tmp_path / "a.parquet")], 10, set(), set())
    (rows,) = rows_of(Judge(model), shards).values()
    assert [(row["key"], row["path"], row["score"]) for row in rows] == [
        ("7", "a.parquet:0", 2.5), ("8", "a.parquet:1", 2.5), ("9", "a.parquet:2", None),
    ]  # fmt: skip
    count, records = read_shard(shards[0], image="caption", key="id")
    assert count == 3 and "str, not an encoded picture" in next(records).problem
    (lost,) = read_shard(shards[0], image="picture")[1]
    assert "no column picture" in lost.problem


def test_the_judge_takes_arrays_and_carries_other_columns_along(model: str) -> None:
    batch = {
        "path": np.array(["a", "b"]),
        "image": np.stack([noise(40, 50, 1), noise(40, 50, 2)]),
        "year": np.array([1, 2]),
    }
    rows = Judge(model)(batch).to_pylist()
    assert [(row["path"], row["score"], row["year"]) for row in rows] == [("a", 2.5, 1), ("b", 2.5, 2)]
    assert "image" not in rows[0]


def test_every_batch_has_the_same_types(model: str) -> None:
    judge = Judge(model)
    good, bad = (judge({"key": ["a"], "bytes": [data]}) for data in (encoded(1), b""))
    assert good.schema == bad.schema


@pytest.mark.parametrize(
    ("options", "cluster", "expected"),
    [
        ([], {"CPU": 8}, (8, 0.0)),
        (["--cpus", "4"], {"CPU": 10, "GPU": 2}, (2, 0.0)),
        (["--model", "hf:x"], {"CPU": 64, "GPU": 4}, (4, 1.0)),
        (["--model", "hf:x"], {"CPU": 2}, (2, 0.0)),
        (["--model", "hf:x", "--gpus", "0.5"], {"CPU": 64, "GPU": 4}, (8, 0.5)),
        (["--gpus", "1", "--actors", "3"], {"CPU": 2}, (3, 1.0)),
    ],
)
def test_there_are_as_many_judges_as_fit(
    options: list[str], cluster: dict[str, float], expected: tuple[int, float]
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert judges(parser.parse_args(["pictures", "--out", "out", *options]), cluster) == expected
