"""`DataSet`: pictures with their labels, read from what --data names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from snellen.data.sample import ManifestError, Sample
from snellen.data.sets import parse_data_option
from snellen.data.sets.csv_table import csv_rows
from snellen.usage import UsageError

PRISTINE = "pristine"
"""Name of the data set of clean photographs, in which suites make synthetic faults."""
PAIR_COLUMNS = ["first", "second", "preferred"]


@dataclass(frozen=True)
class DataSet:
    """Pictures with their labels.

    Attributes:
        name: in lower case.
        samples: by key, `name/path inside the set`; keys are the same on every machine.
        pairs: pairs between which people chose: (key, key, share of people who chose the first, 0..1).
    """

    name: str
    samples: Mapping[str, Sample]
    pairs: tuple[tuple[str, str, float], ...] = ()

    @property
    def test_samples(self) -> dict[str, Sample]:
        """Samples of the test split by key; all samples where the set has no test split."""
        test = {key: sample for key, sample in self.samples.items() if sample.split == "test"}
        return test or dict(self.samples)


def data_set(name: str, samples: Sequence[Sample]) -> DataSet:
    """Return a data set of samples, in order. Keys are paths below the deepest folder that holds all of them.

    Raises UsageError for no samples, or for a file that is listed twice.
    """
    if not samples:
        raise UsageError(f"{name}: no pictures in it; check the manifest or the folder")
    top = os.path.commonpath([os.path.dirname(sample.path) for sample in samples])
    keyed: dict[str, Sample] = {}
    for sample in samples:
        key = f"{name}/{Path(os.path.relpath(sample.path, top)).as_posix()}"
        if key in keyed:
            raise UsageError(f"{name}: {sample.path} is listed twice; remove one of the rows")
        keyed[key] = sample
    return DataSet(name, keyed)


def pristine(sets: Sequence[DataSet], most: int | None = None) -> dict[str, Sample]:
    """Return the clean photographs of a run by key, at most `most` of them, evenly spaced; empty where it has none."""
    return _spaced({k: s for one in sets if one.name == PRISTINE for k, s in one.test_samples.items()}, most)


def some(sets: Sequence[DataSet], most: int) -> dict[str, Sample]:
    """Return at most `most` samples of all sets together by key, evenly spaced."""
    return _spaced({key: sample for one in sets for key, sample in one.test_samples.items()}, most)


def _spaced(samples: Mapping[str, Sample], most: int | None) -> dict[str, Sample]:
    keys = list(samples)
    if most is not None and len(keys) > most:
        keys = [keys[i * len(keys) // most] for i in range(most)]
    return {key: samples[key] for key in keys}


def open_data(text: str) -> DataSet:
    """Read the data set that one --data option names: NAME=ROOT of a known set, FILE, or NAME=FILE.

    A table is a table of pairs or of ratings by its header. A table of ratings without a split is one test split.
    Raises UsageError naming `text`.
    """
    name, _, place = text.partition("=")
    if not place or Path(text).is_file():  # no name: the path itself may hold a "="
        name, place = "", text
    name, path = name.lower(), Path(place)
    try:
        if path.suffix.lower() == ".jsonl":
            return data_set(name or path.stem, parse_data_option(place))
        if path.suffix.lower() != ".csv":
            return data_set(name, parse_data_option(text))
        header = _header(path)
        if "preferred" in header:
            return read_pairs(name or path.stem, path)
        samples = parse_data_option(place)
        if "split" not in header:
            samples = [replace(sample, split="test") for sample in samples]
        return data_set(name or path.stem, samples)
    except (UsageError, OSError) as error:
        problem = str(error)
        if isinstance(error, FileNotFoundError):
            problem = f"{error.filename}: there is no such file; check the path"
        raise UsageError(problem if problem.startswith(place) else f"{text}: {problem}") from error


def _header(path: Path) -> list[str]:
    return [cell.strip() for cell in next(csv_rows(path), (1, []))[1]]


def read_pairs(name: str, file: Path) -> DataSet:
    """Read a table of pairs, CSV with the columns first, second, preferred.

    first, second: picture files, relative to the table's folder; they are not opened. preferred: share of people who
    chose the first, 0..1. Raises ManifestError naming the line that cannot be used.
    """
    samples: dict[str, Sample] = {}
    pairs = []
    rows = csv_rows(file)
    if next(rows, (1, []))[1] != PAIR_COLUMNS:
        raise ManifestError(
            f"{file}: line 1: the columns are {','.join(PAIR_COLUMNS)}, in this order; correct the header"
        )
    for line, row in rows:
        try:
            first, second, preferred = row[0], row[1], float(row[2])
            if len(row) != 3 or first == second or not 0.0 <= preferred <= 1.0:
                raise ValueError
        except (IndexError, ValueError):
            problem = f"{row!r} is not two different files and a share from 0 to 1"
            raise ManifestError(f"{file}: line {line}: {problem}; correct or remove the line") from None
        keys = [f"{name}/{Path(picture).as_posix()}" for picture in (first, second)]
        for key, picture in zip(keys, (first, second), strict=True):
            samples[key] = Sample(os.path.abspath(file.parent / picture), split="test")
        pairs.append((keys[0], keys[1], preferred))
    if not pairs:
        raise ManifestError(f"{file}: there are no pairs in it; add a line for each")
    return DataSet(name, samples, tuple(pairs))
