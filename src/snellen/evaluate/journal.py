"""The journal of a run: one line for each row as soon as it is known, so that a killed run continues."""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

from snellen import __version__
from snellen.evaluate.rows import Row, RowId, row_from_dict
from snellen.output import writing
from snellen.usage import UsageError
from snellen.workers import append_lines, cut_off_last_line


def open_journal(path: Path, model: str, resume: bool) -> dict[RowId, Row]:
    """Return the rows of a journal by id; begin the journal where there is none.

    model: identity of model and settings; rows of another one, or of another version of Snellen, are never mixed in.
    An unfinished last line is cut off. Raises UsageError where the journal is there and `resume` is False, where it is
    another run's, and where it is damaged.
    """
    head = {"snellen": __version__, "model": model}
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.stat().st_size == 0:
        _begin(path, head)
        return {}
    if not resume:
        raise UsageError(f"{path} is there already; continue that run with --resume, or give another --out")
    try:
        lines = [json.loads(line) for line in cut_off_last_line(path)]
        before = dict(lines[0]) if lines else head
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error!r}); delete it and start again") from error
    if not lines:
        _begin(path, head)
    if before.get("snellen") != __version__:
        version = before.get("snellen", "an older version")
        raise UsageError(f"{path} was written by Snellen {version}, this is {__version__}; give another --out")
    if before.get("model") != model:
        raise UsageError(f"{path} was begun with {before.get('model')}, now it is {model}; "
                         "use the same, or give another --out")  # fmt: skip
    try:
        rows = [row_from_dict(line) for line in lines[1:]]
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path} is damaged ({error!r}); delete it and start again") from error
    return {row.id: row for row in rows}


def _begin(path: Path, head: dict[str, str]) -> None:
    with writing(path):
        path.write_text(json.dumps(head) + "\n", encoding="utf-8")


def append(file: FileIO, rows: Iterable[Row]) -> None:
    """Write rows, with their seconds, to the end of an open journal. Raises OutputError."""
    append_lines(file, (json.dumps(row.to_dict() | {"seconds": row.seconds}) for row in rows))
