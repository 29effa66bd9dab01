"""The folder of a data set as its authors publish it: find its files, read its label tables, name what is wrong."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from snellen.data.sample import ManifestError
from snellen.data.sets.csv_table import csv_rows
from snellen.usage import UsageError

T = TypeVar("T")


class SourceError(UsageError):
    """A data set folder that is not laid out as expected; the message names the file and the remedy."""


@dataclass(frozen=True)
class Scale:
    """The published scale of a set's scores, mapped linearly to MOS: `worst` becomes 1, `best` becomes 5.

    A difference score (DMOS), where less is better, has its `worst` above its `best`.
    """

    worst: float
    best: float

    def mos(self, score: float) -> float:
        """Return MOS = 1 + 4 (score - worst) / (best - worst). ValueError for a score outside the scale, or NaN."""
        low, high = sorted((self.worst, self.best))
        if not low <= score <= high:
            raise ValueError(f"{score} is outside {low:g}..{high:g}")
        return min(5.0, max(1.0, 1.0 + 4.0 * (score - self.worst) / (self.best - self.worst)))

    def std(self, deviation: float) -> float:
        """Return a standard deviation of scores in units of MOS. ValueError if it is negative, infinite or NaN."""
        if not 0.0 <= deviation < math.inf:
            raise ValueError(f"{deviation} is no standard deviation")
        return 4.0 * deviation / abs(self.best - self.worst)


@dataclass(frozen=True)
class LabelRow:
    """One row of a label table. `place` locates it for errors ("dmos.csv: line 3"); `cells` maps column to value."""

    place: str
    cells: Mapping[str, object]

    def text(self, column: str) -> str:
        """Return the cell as text, a whole number of a workbook without decimals ("1600"). SourceError if empty."""
        value = self.cells[column]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None or not str(value).strip():
            raise SourceError(f"{self.place}: no {column}")
        return str(value).strip()

    def number(self, column: str) -> float:
        """Return the cell as a number. SourceError if it is none."""
        try:
            return float(self.text(column))
        except ValueError as error:
            raise SourceError(f"{self.place}: {column} {self.cells[column]!r} is not a number") from error

    def whole(self, column: str) -> int:
        """Return the cell as a whole number. SourceError if it is none."""
        value = self.number(column)
        if not value.is_integer():
            raise SourceError(f"{self.place}: {column} {value} is not a whole number")
        return int(value)

    def choice(self, column: str, choices: Mapping[str, T]) -> T:
        """Return `choices[text]` for the text of the cell. SourceError if that is not a key."""
        name = self.text(column)
        if name not in choices:
            raise SourceError(f"{self.place}: {column} {name!r} is not one of {', '.join(choices)}")
        return choices[name]

    def mos(self, column: str, scale: Scale) -> float:
        """Return the score in the cell as MOS 1..5. SourceError if it is not on the scale."""
        return self.scaled(scale, self.number(column), column)

    def scaled(self, scale: Scale, score: float, column: str) -> float:
        """Return a score computed from this row as MOS 1..5; `column` names it in the SourceError."""
        try:
            return scale.mos(score)
        except ValueError as error:
            raise SourceError(f"{self.place}: {column} {error}") from error

    def std(self, column: str, scale: Scale) -> float:
        """Return the standard deviation in the cell in units of MOS. SourceError if it is none."""
        deviation = self.number(column)
        try:
            return scale.std(deviation)
        except ValueError as error:
            raise SourceError(f"{self.place}: {column} {error}") from error


@dataclass(frozen=True)
class Tree:
    """The folder `root` of the set `name`. `where` is the address that the set is published at, named in errors."""

    name: str
    where: str
    root: Path

    def file(self, *parts: str) -> Path:
        """Return the path of a file below the root. SourceError if it is missing."""
        path = self.root.joinpath(*parts)
        if not path.is_file():
            raise self._missing(path)
        return path

    def pictures(self, *folders: str) -> Pictures:
        """Return the files of those of `folders` that exist, by name. SourceError if none of the folders exists."""
        present = [self.root / folder for folder in folders if (self.root / folder).is_dir()]
        if not present:
            raise self._missing(self.root / folders[0])
        files: dict[str, str] = {}
        for folder in present:
            files.update((name.lower(), str(folder / name)) for name in sorted(os.listdir(folder)))
        return Pictures(self, present[0], files)

    def table(
        self, *parts: str, columns: Sequence[str], header: bool = True, delimiter: str = ",", sheet: str | None = None
    ) -> Iterator[LabelRow]:
        """Yield the rows of a text table or of a sheet of a workbook; empty rows are skipped.

        With a header, rows begin after the first line that holds all `columns`, in any order and among others;
        without, `columns` are the columns in order. If NAME.csv lies beside the workbook NAME.xlsx, it is read instead.
        SourceError for a missing file or column.
        """
        path = self.root.joinpath(*parts)
        if path.suffix == ".xlsx":
            exported = path.with_suffix(".csv")
            lines = _text_lines(exported, ",") if exported.is_file() else _sheet_lines(self.file(*parts), sheet)
            path = exported if exported.is_file() else path
        else:
            lines = _text_lines(self.file(*parts), delimiter)
        return _rows(path, lines, columns, header)

    def arrays(self, columns: Mapping[str, tuple[str, str]]) -> Iterator[LabelRow]:
        """Yield the rows of equally long arrays in MATLAB files; `columns` maps a column to (file below the root, key).

        SourceError for a missing file or key, and for arrays of different lengths.
        """
        loaded: dict[str, Mapping[str, Any]] = {}
        values: dict[str, list[object]] = {}
        for column, (name, key) in columns.items():
            if name not in loaded:
                loaded[name] = _load_matlab(self.file(name))
            if key not in loaded[name]:
                raise SourceError(f"{self.root / name}: holds no {key}; {self.name} is published at {self.where}")
            # a cell array is an array of arrays of one text each
            array = np.asarray(loaded[name][key]).ravel()
            values[column] = [cell.item() if isinstance(cell, np.ndarray) else cell for cell in array.tolist()]
        lengths = {column: len(entries) for column, entries in values.items()}
        if len(set(lengths.values())) != 1:
            raise SourceError(f"{self.root}: the arrays are not equally long: {lengths}")
        place = self.root / next(iter(columns.values()))[0]
        for number, cells in enumerate(zip(*values.values(), strict=True), 1):
            yield LabelRow(f"{place}: entry {number}", dict(zip(values, cells, strict=True)))

    def _missing(self, path: Path) -> SourceError:
        return SourceError(f"{path}: missing; {self.name} is published at {self.where}; name the folder it unpacks to")


@dataclass(frozen=True)
class Pictures:
    """The pictures of a tree by file name, ignoring case: TID2013 mixes i01 with I01, BIQ2021 .JPG with .jpg."""

    tree: Tree
    folder: Path
    files: Mapping[str, str]

    def find(self, name: str, listed: str) -> str:
        """Return the path of a picture. SourceError if it is missing; `listed` is the row that lists it."""
        found = self.files.get(name.lower())
        if found is None:
            raise SourceError(
                f"{listed}: {self.folder / name} is missing; the copy is incomplete, {self.tree.name} is published at "
                f"{self.tree.where}"
            )
        return found


def _load_matlab(path: Path) -> Mapping[str, Any]:
    try:
        loadmat = importlib.import_module("scipy.io").loadmat
    except ImportError as error:
        raise SourceError(f'{path}: MATLAB files are read by scipy: pip install "snellen[evaluate]"') from error
    contents: Mapping[str, Any] = loadmat(path)
    return contents


def _text_lines(path: Path, delimiter: str) -> Iterator[tuple[int, Sequence[object]]]:
    try:
        yield from csv_rows(path, delimiter=delimiter, skipinitialspace=True)
    except ManifestError as error:
        raise SourceError(str(error)) from error


def _sheet_lines(path: Path, sheet: str | None) -> Iterator[tuple[int, Sequence[object]]]:
    try:
        load_workbook = importlib.import_module("openpyxl").load_workbook
    except ImportError as error:
        remedy = f"save the sheet{f' {sheet!r}' if sheet else ''} as {path.with_suffix('.csv').name} beside it"
        raise SourceError(
            f'{path}: workbooks are read by openpyxl: pip install "snellen[evaluate]"; or {remedy}'
        ) from error
    book = load_workbook(path, read_only=True, data_only=True)
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise SourceError(f"{path}: no sheet {sheet!r}")
        page = book[sheet] if sheet is not None else book.worksheets[0]
        yield from enumerate(page.iter_rows(values_only=True), 1)
    finally:
        book.close()


def _rows(
    path: Path, lines: Iterable[tuple[int, Sequence[object]]], columns: Sequence[str], header: bool
) -> Iterator[LabelRow]:
    names: list[str] | None = None if header else list(columns)
    for number, line in lines:
        if all(cell is None or cell == "" for cell in line):
            continue
        if names is None:
            candidates = [str(cell).strip() for cell in line]
            names = candidates if set(columns) <= set(candidates) else None
            continue
        if len(line) < len(columns):
            raise SourceError(f"{path}: line {number}: {len(line)} cells, expected {', '.join(columns)}")
        yield LabelRow(f"{path}: line {number}", dict.fromkeys(columns) | dict(zip(names, line, strict=False)))
    if names is None:
        raise SourceError(f"{path}: no line holds the columns {', '.join(columns)}")
