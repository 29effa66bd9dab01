"""`snellen score`: a table with one row for every picture in a folder. A run that was killed can be continued.

During a run, each row goes to a journal beside the table (`scores.csv.partial`), one JSON line per picture, as soon as
the picture is scored. At the end the rows are sorted by path and written as the table, and the journal is deleted. A
lock (`scores.csv.lock`) keeps a second run from the same table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from snellen.assessor import Assessor
from snellen.backend import BackendError
from snellen.backends import open_backend
from snellen.folder import Found, find_pictures
from snellen.lock import lock
from snellen.options import ModelOptions, add_assessor_arguments, assessor_arguments
from snellen.output import OutputError, replacing
from snellen.rows import score_rows, settings_of
from snellen.table import SETTINGS, ScoreRow, check_table, read_table, write_table
from snellen.terminal import Bars
from snellen.usage import (
    FAILED,
    OK,
    UsageError,
    add_quiet,
    complain,
    folder_path,
    positive,
    target,
    visible,
    wrong_usage,
)
from snellen.workers import append_lines, check_workers, cut_off_last_line, run_batches

NAMED = 5
"""Skipped files that the summary names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen score`."""
    parser.add_argument(
        "folder", metavar="FOLDER", type=folder_path, help="searched with its subfolders, hidden ones left out"
    )
    parser.add_argument(
        "--out", metavar="TABLE", type=Path, required=True, help="table to write: .csv, .jsonl or .parquet"
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="continue a run that did not end; add new pictures")
    existing.add_argument("--overwrite", action="store_true", help="replace an existing table")
    parser.add_argument(
        "--retry-errors",
        action="store_true",
        help="with --resume: assess pictures again that have an error in the table",
    )
    parser.add_argument("--features", action="store_true", help="also measure sharpness, noise, ...; adds a column")
    parser.add_argument("--workers", metavar="N", type=positive, default=1, help="processes")
    add_assessor_arguments(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Score the folder; return the exit code."""
    if args.retry_errors and not args.resume:
        raise UsageError("--retry-errors continues a table; add --resume")
    with wrong_usage():
        options = assessor_arguments(args)
    shown: set[str] = set()
    found = find_pictures(args.folder)

    def watch(done: int, total: int, row: ScoreRow | None) -> None:
        bars.update(done, total)
        if row is not None and row.error is not None:
            shown.add(row.path)
            with bars.aside():
                complain(f"{args.folder / row.path}: {row.problem}")

    try:
        with Bars(args.quiet) as bars:
            rows = score_folder(
                args.folder,
                args.out,
                args.model,
                found=found,
                resume=args.resume,
                retry_errors=args.retry_errors,
                overwrite=args.overwrite,
                features=args.features,
                workers=args.workers,
                watch=watch,
                **options,
            )
    except (BackendError, OutputError) as error:
        raise type(error)(f"{error}; rows that were written are kept, continue with --resume") from error
    for row in rows:
        if row.error is not None and row.path not in shown:  # of an earlier run
            complain(f"{args.folder / row.path}: {row.problem}")
    failed = sum(row.error is not None for row in rows)
    if not args.quiet:
        summary = f"{args.out}: {len(rows)} pictures, {failed} without a score{_skipped_text(found)}"
        print(visible(summary), file=sys.stderr)
    if not rows:
        complain(f"{args.folder}: no pictures in this folder; name another")
    return FAILED if failed or not rows else OK


def _skipped_text(found: Found) -> str:
    """Return the end of the summary: number and names of the files that are not pictures."""
    if not found.skipped:
        return ""
    more = len(found.skipped) - NAMED
    names = ", ".join(found.skipped[:NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"; skipped {len(found.skipped)} that are not pictures: {names}"


def score_folder(
    folder: Path,
    out: Path,
    model: str = "snellen-1",
    *,
    found: Found | None = None,
    resume: bool = False,
    retry_errors: bool = False,
    overwrite: bool = False,
    features: bool = False,
    workers: int = 1,
    watch: Callable[[int, int, ScoreRow | None], None] = lambda done, total, row: None,
    **options: Any,
) -> list[ScoreRow]:
    """Score every picture in `folder` (hidden files and folders left out), write the table `out`, return its rows.

    found: the content of the folder, where it is known. resume: continue a run that did not end, or add new pictures to
    a complete table; a picture that has a row is not assessed again, with `retry_errors` only if the row has no error.
    overwrite: replace an existing table. features: measure them too. workers: processes that share the work, each with
    its own model.
    `watch(done, total, row)` is called at the start with None, and for every new row. options: those of `Assessor`.

    Raises UsageError, also when another run writes `out`, and BackendError when the model cannot be opened or does not
    answer (rows made until then stay in the journal).
    """
    out = target(out)  # lock and journal are beside the table itself, whatever links lead there
    check_table(out)
    check_workers(model, workers)
    found = found or find_pictures(folder)
    with lock(out):
        _check_existing(out, resume, overwrite)
        assessor = _open(model, options)
        same = settings_of(assessor)
        with _journal(out, resume, same, features) as (rows, write):
            if retry_errors:
                _drop_listed_folders(rows, folder, found.problems)
            known = {path for path, row in rows.items() if row.error is None or not retry_errors}
            done, total = len(known), len(known.union(found.pictures, found.problems))
            watch(done, total, None)
            todo = [name for name in found.pictures if name not in known]
            batches = [todo[i : i + assessor.batch_size] for i in range(0, len(todo), assessor.batch_size)]
            if workers > 1:  # each has a model of its own
                del assessor
                results = run_batches(_work, batches, workers, _start_worker, (model, options, folder, features))
            else:
                results = run_batches(_work, batches, 1, _use, (assessor, folder, features))
            scored = chain.from_iterable(made for _, made in results)
            waiting: list[ScoreRow] = []
            for row in (replace(one, **same) for one in chain(_unlisted_rows(found, known), scored)):
                if row.error == "waiting":
                    waiting.append(row)
                    continue
                write(row)
                done += 1
                watch(done, total, row)
            _check_replies(waiting, total)
            table = [rows[name] for name in sorted(rows)]
            write_table(table, out)
    return table


def _unlisted_rows(found: Found, known: Collection[str]) -> Iterator[ScoreRow]:
    """Yield a row with an error for each folder that cannot be listed and has no row yet."""
    for name, problem in found.problems.items():
        if name not in known:
            yield ScoreRow(name, error="permission", problem=problem)


def _check_replies(waiting: Sequence[ScoreRow], total: int) -> None:
    """Raise BackendError for pictures whose requests have no reply yet: the table is written when all have one."""
    if waiting:
        first = waiting[0].problem
        raise BackendError(f"{len(waiting)} of {total} pictures wait for replies; the first: {first}")


def _check_existing(out: Path, resume: bool, overwrite: bool) -> None:
    """Raise UsageError for a journal or a table that is neither to be continued nor to be replaced."""
    if resume:
        return
    journal = _journal_path(out)
    if journal.exists():
        raise UsageError(f"{journal} is left from a run that did not end; continue it with --resume, or delete it")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists; replace it with --overwrite, or add new pictures to it with --resume")


def _journal_path(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def _drop_listed_folders(rows: dict[str, ScoreRow], folder: Path, problems: dict[str, str]) -> None:
    """Remove rows of folders that could not be listed and now can: their pictures get rows."""
    for path, row in list(rows.items()):
        if row.error is not None and path not in problems and (folder / path).is_dir():
            del rows[path]


def _open(model: str, options: dict[str, Any], threads: int | None = None) -> Assessor:
    with wrong_usage():
        opened: ModelOptions | None = options.get("options")
        return Assessor(open_backend(model, threads=threads, options=opened), **options)


_worker: tuple[Assessor, Path, bool]


def _use(assessor: Assessor, folder: Path, features: bool) -> None:
    """Set up this process for `_work`."""
    global _worker
    _worker = assessor, folder, features


def _start_worker(model: str, options: dict[str, Any], folder: Path, features: bool) -> None:
    """Open the model in a worker process, with one thread, since the processes share the cores."""
    _use(_open(model, options, threads=1), folder, features)


def _work(names: Sequence[str]) -> list[ScoreRow]:
    """Return the rows of pictures, which are named inside the folder."""
    assessor, folder, features = _worker
    rows = score_rows(assessor, (str(folder / name) for name in names), features)
    return [replace(row, path=name) for name, row in zip(names, rows, strict=True)]


@contextmanager
def _journal(
    out: Path, resume: bool, same: dict[str, Any], features: bool
) -> Iterator[tuple[dict[str, ScoreRow], Callable[[ScoreRow], None]]]:
    """Give the rows so far by path, and a function that adds one. The journal is deleted when the block succeeds."""
    path = _journal_path(out)
    rows: dict[str, ScoreRow] = {}
    if resume and path.exists():
        rows = {row.path: row for row in _read_journal(path)}
    elif resume and out.exists():
        rows = {row.path: row for row in read_table(out)}
    for row in rows.values():
        if row.error is None and (row.features is not None) != features:
            raise UsageError(f"{out} was begun {'without' if features else 'with'} --features; use the same again")
        for name in SETTINGS:
            before, now = asdict(row)[name], same[name]
            if before != now:
                problem = f"{out} was begun with {name} {before}, now it is {now}"
                raise UsageError(f"{problem}; use the same, or write another table")
    if rows and not path.exists():  # the rows of a complete table: a run that is stopped here leaves it as it is
        with replacing(path) as unfinished:
            unfinished.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows.values()), encoding="utf-8")
    with path.open("ab", buffering=0) as file:

        def write(row: ScoreRow) -> None:
            append_lines(file, [json.dumps(asdict(row))])
            rows[row.path] = row

        try:
            yield rows, write
        except BaseException:
            if not rows:
                path.unlink()  # nothing in it to continue from
            raise
    path.unlink()


def _read_journal(path: Path) -> list[ScoreRow]:
    """Return the rows of a journal; an incomplete last line is cut off."""
    try:
        return [ScoreRow(**json.loads(line)) for line in cut_off_last_line(path)]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error}); delete it and start again") from error
