"""Decisions as a table: CSV with the columns path, pick and stars, one row for each picture that has any."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from snellen.output import replacing
from snellen.sidecar import Decision
from snellen.usage import UsageError

COLUMNS = ("path", "pick", "stars")


def read_decisions(path: Path) -> dict[str, Decision]:
    """Return the decisions in a file by path; also from the table that the page downloads, which has more columns.

    Raises:
        UsageError: the file is none of decisions; the text names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            table = csv.DictReader(file)
            missing = set(COLUMNS) - set(table.fieldnames or ())
            if missing:
                raise UsageError(f"{path} has no column {', '.join(sorted(missing))}; name a file of decisions")
            found = {}
            for row in table:
                try:
                    decision = Decision(row["pick"] or None, int(row["stars"] or 0))  # type: ignore[arg-type]
                except (ValueError, TypeError) as error:
                    raise UsageError(f"{path}, line {table.line_num}: {error}; correct it") from error
                if decision:
                    found[row["path"]] = decision
            return found
    except (OSError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read ({error}); name a file of decisions") from error


def write_decisions(decisions: Mapping[str, Decision], path: Path) -> None:
    """Write the decisions, sorted by path. The file is replaced at once or not at all. Raises OutputError."""
    with (
        replacing(path) as unfinished,
        unfinished.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for name, decision in sorted(decisions.items()):
            if decision:
                table.writerow((name, decision.pick or "", decision.stars or ""))
