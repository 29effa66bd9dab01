"""Scores for every picture in a folder, as a table; a run that was killed can be continued.

While it runs, rows go to a journal beside the table (`scores.csv.partial`), one JSON line for each picture, written as
soon as it is known. At the end they are sorted by path, written as the table, and the journal is deleted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from snellen.apps.table import COLUMNS, SETTINGS, Row, UsageError, check_table, read_table, write_table
from snellen.assessor import Assessment, Assessor
from snellen.backend import Backend, open_backend
from snellen.imagefile import RAW_SUFFIXES
from snellen.workers import cut_off_last_line, run_batches

PICTURE_SUFFIXES = RAW_SUFFIXES | frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp", ".dib", ".jp2",
     ".j2k", ".heic", ".heif", ".ppm", ".pgm", ".pbm", ".pnm")
)  # fmt: skip
"""Files that are taken for pictures; whatever is in them, they get a row."""


@dataclass(frozen=True)
class Settings:
    """How to assess; see `Assessor`."""

    model: str = "snellen-1"
    protocol: str = "snellen"
    max_rounds: int = 2
    batch_size: int = 8
    score_only: bool = False
    max_megapixels: float = 100.0

    def assessor(self, threads: int | None = None) -> Assessor:
        """An Assessor; `threads` as in `open_backend`. Raises UsageError for wrong settings, else as Assessor does."""
        try:
            return Assessor(
                open_backend(self.model, threads),
                self.protocol,
                self.max_rounds,
                self.batch_size,
                self.score_only,
                max_megapixels=self.max_megapixels,
            )
        except ValueError as error:
            raise UsageError(str(error)) from error

    def columns(self, backend: Backend) -> Row:
        """The values of `SETTINGS`."""
        rounds = 1 if self.score_only else self.max_rounds
        return {
            "model": f"{backend.name} {backend.version}",
            "protocol": self.protocol,
            "max_rounds": rounds,
            "score_only": self.score_only,
        }


def score_folder(
    folder: Path,
    out: Path,
    settings: Settings,
    *,
    resume: bool = False,
    workers: int = 1,
    watch: Callable[[int, int, Row | None], None] = lambda done, total, row: None,
) -> list[Row]:
    """Score every picture in `folder`, hidden files and folders left out, and write the table `out`; the rows by path.

    `resume` continues a run that did not end, or adds new pictures to a table that is complete; pictures that have a
    row, be it an error, are not looked at again. `workers` processes share the work, each with its own model.
    `watch(done, total, row)` is called at the start with None, and for every new row.

    Raises UsageError, and BackendError when the model cannot be opened or does not answer (what is scored by then stays
    in the journal).
    """
    check_table(out)
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; name one that holds pictures")
    names, problems = find_pictures(folder)
    assessor = settings.assessor()
    same = settings.columns(assessor.backend)
    with _journal(out, resume, same) as (rows, write):
        known = set(rows)
        todo = [name for name in names if name not in known]
        total = len(known.union(names, problems))
        watch(len(known), total, None)

        def keep(row: Row) -> None:
            write(row)
            watch(len(rows), total, row)

        for name, problem in problems.items():
            if name not in known:
                keep(_blank() | {"path": name, "error": "permission", "problem": problem} | same)
        if workers == 1:
            for name, row in zip(todo, _rows(assessor, folder, todo), strict=True):
                keep({**_blank(), "path": name, **row, **same})
        else:
            del assessor  # each worker has its own
            for name, row in _rows_by_workers(settings, folder, todo, workers):
                keep({**_blank(), "path": name, **row, **same})
        table = [rows[name] for name in sorted(rows)]
        write_table(table, out)
    return table


def find_pictures(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Paths of all pictures inside `folder`, sorted; and of folders that cannot be listed, with the reason."""
    names = []
    problems = {}

    def cannot_list(error: OSError) -> None:
        path = Path(os.path.relpath(error.filename, folder)).as_posix()
        problems[path] = f"the folder cannot be listed ({error.strerror})"

    for parent, folders, files in os.walk(folder, onerror=cannot_list):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES:
                names.append(Path(os.path.relpath(os.path.join(parent, name), folder)).as_posix())
    return sorted(names), problems


def to_row(assessment: Assessment) -> Row:
    """What the table says about one picture, without its path and without the settings."""
    row: Row = {"rounds": len(assessment.steps)}
    if assessment.provenance is not None:
        row |= assessment.provenance["picture"]
    if assessment.error is not None:
        return row | {
            "error": assessment.error.code,
            "problem": f"{assessment.error.problem}; {assessment.error.remedy}",
        }
    assert assessment.score is not None
    spread = assessment.steps[-1].distribution
    low, high = assessment.interval or (None, None)
    return row | {
        "score": round(assessment.score, 4),
        "low": None if low is None else round(low, 4),
        "high": None if high is None else round(high, 4),
        "label": assessment.label,
        "std": None if spread is None else round(spread.std, 4),
        "issues": [
            {"kind": issue.kind, "severity": issue.severity, "region": issue.region.to_list()}
            for issue in assessment.issues
        ],
    }


def _blank() -> Row:
    return dict.fromkeys(COLUMNS)


def _rows(assessor: Assessor, folder: Path, names: Iterable[str]) -> Iterator[Row]:
    return (to_row(assessment) for assessment in assessor.stream(str(folder / name) for name in names))


def _rows_by_workers(settings: Settings, folder: Path, names: Sequence[str], workers: int) -> Iterator[tuple[str, Row]]:
    batches = [names[i : i + settings.batch_size] for i in range(0, len(names), settings.batch_size)]
    for batch, rows in run_batches(_work, batches, workers, _start_worker, (settings, folder)):
        yield from zip(batch, rows, strict=True)


_worker: tuple[Assessor, Path]


def _start_worker(settings: Settings, folder: Path) -> None:
    """One thread each, since the processes share the cores."""
    global _worker
    _worker = settings.assessor(threads=1), folder


def _work(names: Sequence[str]) -> list[Row]:
    return list(_rows(*_worker, names))


@contextmanager
def _journal(out: Path, resume: bool, same: Row) -> Iterator[tuple[dict[str, Row], Callable[[Row], None]]]:
    """Rows so far by path, and how to add one. The journal is deleted where the block ends without an error."""
    path = out.with_name(out.name + ".partial")
    if path.exists() and not resume:
        raise UsageError(f"{path} is left of a run that did not end; continue it with --resume, or delete it")
    rows: dict[str, Row] = {}
    if resume and path.exists():
        rows = {row["path"]: row for row in _read_journal(path)}
    elif resume and out.exists():
        rows = {row["path"]: row for row in read_table(out)}
    for row in rows.values():
        for name in SETTINGS:
            if row[name] != same[name]:
                problem = f"{out} was begun with {name} {row[name]}, now it is {same[name]}"
                raise UsageError(f"{problem}; use the same, or write another table")
    with path.open("a", encoding="utf-8") as file:

        def write(row: Row) -> None:
            rows[row["path"]] = row
            file.write(json.dumps(row) + "\n")
            file.flush()

        if file.tell() == 0:
            for row in list(rows.values()):
                write(row)
        try:
            yield rows, write
        except BaseException:
            if not rows:
                path.unlink()  # nothing in it to continue from
            raise
    path.unlink()


def _read_journal(path: Path) -> list[Row]:
    """The rows of a journal; a last line that was not written to its end is cut off."""
    try:
        return [{**_blank(), **json.loads(line)} for line in cut_off_last_line(path)]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error}); delete it and start again") from error
