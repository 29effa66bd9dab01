from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pyarrow import parquet

from snellen.table import COLUMNS, ScoreRow, check_table, read_table, write_table
from snellen.usage import UsageError

GOOD = ScoreRow(
    'a/"quoted", café.jpg', 2.5, 1.75, None, "poor", 0.3536,
    [{"kind": "blur", "severity": 4, "region": [0.5, 0.5, 0.75, 1.0]}], 2, 700, 640, None, None,
    "scripted 1", "snellen", 2, False,
)  # fmt: skip
BAD = ScoreRow(
    "b.jpg", error="empty", problem="it is empty; copy it", model="scripted 1", protocol="snellen", max_rounds=2
)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"scores{suffix}"
    write_table([GOOD, BAD], out)
    assert read_table(out) == [GOOD, BAD]
    write_table([BAD], out)
    assert read_table(out) == [BAD]
    assert [path.name for path in tmp_path.iterdir()] == [out.name], "nothing else is left"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_an_empty_table_has_its_columns(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"scores{suffix}"
    write_table([], out)
    assert read_table(out) == []
    if suffix == ".csv":
        assert out.read_text().splitlines() == [",".join(COLUMNS)]


def test_other_programs_can_read_it(tmp_path: Path) -> None:
    write_table([GOOD, BAD], tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        good, bad = csv.DictReader(file)
    assert (good["path"], good["score"], good["high"], good["label"]) == (GOOD.path, "2.5", "", "poor")
    assert json.loads(good["issues"])[0]["kind"] == "blur"
    assert (bad["score"], bad["error"], bad["problem"]) == ("", "empty", "it is empty; copy it")
    write_table([BAD], tmp_path / "scores.parquet")
    schema = parquet.read_schema(tmp_path / "scores.parquet")
    assert schema.names == list(COLUMNS), "types do not depend on what the rows hold"
    assert [str(schema.field(name).type) for name in ("score", "rounds", "score_only")] == ["double", "int64", "bool"]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    odd = replace(BAD, path="caf\udce9.jpg")
    like = [replace(BAD, path=path) for path in ("caf\\udce9.jpg", "\\x5cudce9", "\\\\udce9", "a\\b", "\\\udce9")]
    for suffix in (".csv", ".jsonl", ".parquet"):
        write_table([odd, *like], tmp_path / f"scores{suffix}")
        assert read_table(tmp_path / f"scores{suffix}") == [odd, *like]
    assert b"caf\xe9.jpg" in (tmp_path / "scores.csv").read_bytes(), "the bytes of the name, as the system has it"
    paths = parquet.read_table(tmp_path / "scores.parquet")["path"].to_pylist()
    assert paths[:2] == ["caf\\udce9.jpg", "caf\\x5cudce9.jpg"]


def test_tables_that_other_programs_saved_are_read(tmp_path: Path) -> None:
    rows = [replace(BAD, path="a\u2028b\x85c.jpg"), GOOD]
    write_table(rows, tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.csv").read_bytes())
    assert read_table(tmp_path / "a.csv") == rows
    lines = "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "b.jsonl").write_text(lines + "\n", encoding="utf-8")
    assert read_table(tmp_path / "b.jsonl") == rows
    (tmp_path / "c.csv").write_text("path;score\na.jpg;3\n")
    with pytest.raises(UsageError, match=r"c\.csv is no table of scores: it has no column path; write to another"):
        read_table(tmp_path / "c.csv")


@pytest.mark.parametrize("name", ["scores", "scores.txt", "gone/scores.csv", "folder.csv"])
def test_tables_that_cannot_be_written_are_refused_before_any_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=name):
        check_table(tmp_path / name)


@pytest.mark.parametrize("name", ["notes.csv", "notes.jsonl", "notes.parquet"])
def test_other_files_are_not_taken_for_tables(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('path\n{"path": 3}\n')
    with pytest.raises(UsageError, match="no table of scores"):
        read_table(tmp_path / name)
