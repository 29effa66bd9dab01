"""A CSV table of your own rated pictures: `image,mos[,std,n,group,reference,split]`."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snellen.data.sample import ManifestError, Sample
from snellen.data.sets.split import split_by_group

COLUMNS = ("image", "mos", "std", "n", "group", "reference", "split")


def read_csv(file: str | Path, *, check_files: bool = True) -> list[Sample]:
    """Read a CSV table with a header line. The columns `image` and `mos` (1 bad to 5 excellent) are required.

    std is in units of MOS, n the number of opinions, group the scene, reference the pristine picture. Relative paths
    start at the folder of the table. Without a column split, the split is by group (see `split_by_group`).
    ManifestError names the first line that cannot be used: an unknown column, a value that is no number or out of
    range, a picture listed twice, and with `check_files` a file that is not there.
    """
    source = Path(file)
    rows = csv_rows(source)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    _check_header(source, header)
    samples: list[Sample] = []
    lines: dict[str, int] = {}
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        try:
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} cells under {len(header)} columns")
            row = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
            sample = _sample(row, source.parent, check_files)
            first = lines.setdefault(sample.path, line)
            if first != line:
                raise ValueError(f"{sample.path} is listed in line {first} already")
        except ValueError as error:
            problem = f"{source}: line {line}: {error}"
            raise ManifestError(f"{problem}; correct or remove the line") from error
        samples.append(sample)
    return samples if "split" in header else split_by_group(samples)


def csv_rows(file: Path, **dialect: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each row of a CSV table in UTF-8, with or without a byte order mark.

    dialect: options of `csv.reader`.

    Raises ManifestError, naming file, line and remedy, for another encoding and for a row that is no CSV: a field of
    more than 131072 characters, as after a quote that is never closed.
    """
    data = file.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = f"byte 0x{error.object[error.start]:02X} is not UTF-8"
        raise ManifestError(f"{file}: line {line}: {problem}; save the table in the encoding UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), **dialect)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        remedy = "shorten the field, or close the quote before it"
        raise ManifestError(f"{file}: line {reader.line_num}: {error}; {remedy}") from error


def _check_header(source: Path, header: list[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    problem = ""
    if unknown:
        problem = f"unknown column {unknown[0]!r}"
    elif len(set(header)) != len(header):
        problem = "a column is named twice"
    elif not {"image", "mos"} <= set(header):
        problem = "the columns image and mos are needed"
    if problem:
        raise ManifestError(f"{source}: line 1: {problem}; the columns are {', '.join(COLUMNS)}")


def _sample(row: dict[str, str], folder: Path, check_files: bool) -> Sample:
    for needed in ("image", "mos"):
        if needed not in row:
            raise ValueError(f"no {needed}")
    path = os.path.abspath(folder / row["image"])
    reference = os.path.abspath(folder / row["reference"]) if "reference" in row else None
    for there in (path, reference):
        if check_files and there is not None and not os.path.isfile(there):
            raise ValueError(f"{there} is not there")
    count = _number(row, "n")
    if count is not None and not (math.isfinite(count) and count.is_integer()):
        raise ValueError(f"n {row['n']} is not a whole number")
    return Sample(
        path,
        _number(row, "mos"),
        _number(row, "std"),
        None if count is None else int(count),
        row.get("split", "train"),
        row.get("group", ""),
        reference,
    )


def _number(row: dict[str, str], column: str) -> float | None:
    if column not in row:
        return None
    try:
        return float(row[column])
    except ValueError as error:
        raise ValueError(f"{column} {row[column]!r} is not a number") from error
