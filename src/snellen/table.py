"""Table of scores: one row per picture, as CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from snellen.features import FEATURES
from snellen.output import replacing
from snellen.usage import MissingExtra, UsageError, check_writable
from snellen.vocabulary import KINDS


@dataclass(frozen=True)
class ScoreRow:
    """One picture of a table of scores. The fields are the columns, in order; None is an empty cell.

    Attributes:
        path: inside the folder, with forward slashes.
        score: 1..5; None where there is an error.
        low, high: ends of the interval.
        std: standard deviation of the rating distribution.
        issues: {"kind", "severity", "region"} each, the most probable first; JSON text in CSV.
        width, height: px, upright.
        error: a code, None where there is a score.
        model: name and version.
        options: what was set for a vision-language model (sampling, question, sizes), a JSON object; None for nothing.
        main_kind: kind of the first issue; None where there is none.
        features: {name: value} of `snellen features` for the whole picture; None where they were not asked for.
        fault_probabilities: {kind: 0..1} of `Assessment.fault_probabilities`; None where the model gives none.
        notes: `Assessment.notes`, separated by "; "; None without any.
    """

    path: str
    score: float | None = None
    low: float | None = None
    high: float | None = None
    label: str | None = None
    std: float | None = None
    issues: list[dict[str, Any]] | None = None
    rounds: int | None = None
    width: int | None = None
    height: int | None = None
    error: str | None = None
    problem: str | None = None
    model: str = ""
    protocol: str = ""
    max_rounds: int = 0
    score_only: bool = False
    options: str | None = None
    main_kind: str | None = None
    features: dict[str, float] | None = None
    fault_probabilities: dict[str, float] | None = None
    notes: str | None = None


COLUMNS = tuple(field.name for field in fields(ScoreRow))
SETTINGS = ("model", "protocol", "max_rounds", "score_only", "options")
"""Columns that are the same for all pictures of a table."""
TEXT = ("path", "label", "error", "problem", "model", "protocol", "options", "main_kind", "notes")
"""Columns of text; cells of the others are JSON in CSV."""

LATER = ("options", "main_kind", "features", "fault_probabilities", "notes")
"""Columns that tables of earlier versions lack."""

_NOT_TEXT = re.compile(r"[\ud800-\udfff]|\\(?=ud[89a-f][0-9a-f]{2}|x5c)")
_ESCAPED = re.compile(r"\\(?:u(d[89a-f][0-9a-f]{2})|x5c)")

TABLE_SUFFIXES = (".csv", ".jsonl", ".parquet")


def check_table(out: Path) -> None:
    """Raise UsageError when a table of that name could not be written."""
    if out.suffix.lower() not in TABLE_SUFFIXES:
        raise UsageError(f"{out}: tables end in {', '.join(TABLE_SUFFIXES)}")
    check_writable(out)
    if out.suffix.lower() == ".parquet":
        _parquet()


def write_table(rows: Sequence[ScoreRow], out: Path) -> None:
    """Write rows as CSV, JSON lines or Parquet, by the suffix of `out`. The file is replaced at once or not at all.

    Raises OutputError.
    """
    suffix = out.suffix.lower()
    with replacing(out) as unfinished:
        if suffix == ".csv":
            # surrogateescape: file names that are no valid text are written as the bytes they are
            with unfinished.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                table = csv.writer(file)
                table.writerow(COLUMNS)
                table.writerows([_to_cell(value) for value in asdict(row).values()] for row in rows)
        elif suffix == ".jsonl":
            unfinished.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows), encoding="utf-8")
        else:
            _write_parquet(rows, unfinished)


def read_table(out: Path) -> list[ScoreRow]:
    """Read a table that `write_table` wrote. Raises UsageError for any other file."""
    suffix = out.suffix.lower()
    try:
        if suffix == ".csv":
            # utf-8-sig: spreadsheets write a byte order mark
            with out.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                cells = list(csv.DictReader(file))
            return [ScoreRow(**{name: _from_cell(name, row[name]) for name in _columns(row)}) for row in cells]
        if suffix == ".jsonl":
            lines = [json.loads(line) for line in out.read_text(encoding="utf-8").split("\n") if line.strip()]
        else:
            lines = [_without_nulls(unescape(line)) for line in _parquet().read_table(out).to_pylist()]
        return [ScoreRow(**{name: line[name] for name in _columns(line)}) for line in lines]
    except KeyError as error:
        raise UsageError(f"{out} is no table of scores: it has no column {error.args[0]}; write to another") from error
    except (ValueError, TypeError, OSError, csv.Error) as error:
        raise UsageError(f"{out} is no table of scores ({error}); write to another file") from error


def _columns(row: dict[str, Any]) -> list[str]:
    """Return the columns to read: all of them, but those of `LATER` only where the row has them."""
    return [name for name in COLUMNS if name in row or name not in LATER]


def _to_cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else json.dumps(value)


def _from_cell(name: str, cell: str) -> Any:
    if cell == "":
        return None
    return cell if name in TEXT else json.loads(cell)


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("Parquet tables need pyarrow", "parquet") from error
    return pyarrow.parquet


def _write_parquet(rows: Sequence[ScoreRow], path: Path) -> None:
    _parquet().write_table(to_arrow(rows), path)


def to_arrow(rows: Sequence[ScoreRow]) -> Any:
    """Return rows as a `pyarrow.Table`, always with the same types."""
    _parquet()
    import pyarrow as pa

    issue = pa.struct([("kind", pa.string()), ("severity", pa.int64()), ("region", pa.list_(pa.float64()))])
    types = dict.fromkeys(COLUMNS, pa.float64()) | dict.fromkeys(TEXT, pa.string())
    types |= dict.fromkeys(("rounds", "width", "height", "max_rounds"), pa.int64())
    features, kinds = (pa.struct([(name, pa.float64()) for name in names]) for names in (FEATURES, KINDS))
    types |= {"issues": pa.list_(issue), "score_only": pa.bool_(), "features": features}
    types["fault_probabilities"] = kinds
    return pa.Table.from_pylist([_escape(asdict(row)) for row in rows], pa.schema(list(types.items())))


def _escape(line: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose text is valid Unicode, which Parquet requires: `unescape` gives the same row back."""
    return line | {name: valid_text(line[name]) for name in TEXT if line[name] is not None}


def _without_nulls(line: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a Parquet table without the kinds of fault that the model has no probability for."""
    known = line.get("fault_probabilities")
    return line if known is None else line | {"fault_probabilities": {k: v for k, v in known.items() if v is not None}}


def valid_text(text: str) -> str:
    r"""Return text that is valid Unicode.

    A byte of a file name that is no UTF-8 (0xE9, in Python "\udce9") becomes the six characters \udce9. A backslash
    before text that looks like such an escape becomes \x5c, so that no two names become one.
    """

    def escaped(found: re.Match[str]) -> str:
        return r"\x5c" if found[0] == "\\" else f"\\u{ord(found[0]):04x}"

    return _NOT_TEXT.sub(escaped, text)


def unescape(line: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a Parquet table with the text before `_escape`."""

    def unescaped(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else "\\"

    return line | {name: _ESCAPED.sub(unescaped, line[name]) for name in TEXT if line.get(name) is not None}
