"""Table of scores: one row per picture, as CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snellen.usage import MissingExtra, UsageError, check_writable

Row = dict[str, Any]

COLUMNS: dict[str, type] = {
    "path": str,  # inside the folder, with forward slashes
    "score": float,  # 1..5; empty where there is an error
    "low": float,  # the interval
    "high": float,
    "label": str,
    "std": float,  # of the rating distribution
    "issues": list,  # [{"kind", "severity", "region"}]; JSON text in CSV
    "rounds": int,
    "width": int,  # px, upright
    "height": int,
    "error": str,  # a code, empty where there is a score
    "problem": str,
    "model": str,  # name and version
    "protocol": str,
    "max_rounds": int,
    "score_only": bool,
}
"""The columns of a table, in order."""
SETTINGS = ("model", "protocol", "max_rounds", "score_only")
"""Columns that are the same for all pictures of a table."""

TABLE_SUFFIXES = (".csv", ".jsonl", ".parquet")


def check_table(out: Path) -> None:
    """Raise UsageError when a table of that name could not be written."""
    if out.suffix.lower() not in TABLE_SUFFIXES:
        raise UsageError(f"{out}: tables end in {', '.join(TABLE_SUFFIXES)}")
    check_writable(out)
    if out.suffix.lower() == ".parquet":
        _parquet()


def write_table(rows: Sequence[Row], out: Path) -> None:
    """Write rows as CSV, JSON lines or Parquet, by the suffix of `out`. The file is replaced at once or not at all."""
    unfinished = out.with_name(out.name + ".tmp")
    suffix = out.suffix.lower()
    if suffix == ".csv":
        # surrogateescape: file names that are no valid text are written as the bytes they are
        with unfinished.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            table = csv.DictWriter(file, list(COLUMNS))
            table.writeheader()
            table.writerows({name: _to_cell(row[name]) for name in COLUMNS} for row in rows)
    elif suffix == ".jsonl":
        unfinished.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        _write_parquet(rows, unfinished)
    os.replace(unfinished, out)


def read_table(out: Path) -> list[Row]:
    """Read a table that `write_table` wrote. Raises UsageError for any other file."""
    suffix = out.suffix.lower()
    try:
        if suffix == ".csv":
            with out.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                return [{name: _from_cell(name, row[name]) for name in COLUMNS} for row in csv.DictReader(file)]
        if suffix == ".jsonl":
            lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        else:
            lines = _parquet().read_table(out).to_pylist()
        return [{name: line[name] for name in COLUMNS} for line in lines]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UsageError(f"{out} is no table of scores ({error!r}); write to another file") from error


def _to_cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else json.dumps(value)


def _from_cell(name: str, cell: str) -> Any:
    if cell == "":
        return None
    return cell if COLUMNS[name] is str else json.loads(cell)


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("Parquet tables need pyarrow", "parquet") from error
    return pyarrow.parquet


def _write_parquet(rows: Sequence[Row], path: Path) -> None:
    parquet = _parquet()
    import pyarrow as pa

    issue = pa.struct([("kind", pa.string()), ("severity", pa.int64()), ("region", pa.list_(pa.float64()))])
    types = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_(), list: pa.list_(issue)}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    # Parquet holds valid text only; a file name that is none is escaped
    valid = [{**row, "path": row["path"].encode("utf-8", "backslashreplace").decode()} for row in rows]
    parquet.write_table(pa.Table.from_pylist(valid, schema), path)
