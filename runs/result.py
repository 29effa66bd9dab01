"""What a script measured, as a table on the screen and as OUT/NAME.json for runs/publish.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snellen.evaluate.files import surroundings, write_json
from snellen.evaluate.predict import weights_of
from snellen.evaluate.report.tables import Table

Rows = Mapping[str, float | int | str | None]


def publish(name: str, out: Path, title: str, rows: Rows, model: str, version: str) -> None:
    """Print the numbers; write them with the command and the weights they belong to. model: as for `Options`."""
    data: dict[str, Any] = {
        **surroundings(),
        "command": ["python", *sys.argv],
        "title": title,
        "model": {"version": version, "weights_sha256": weights_of(model)},
        "numbers": dict(rows),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(data, out / f"{name}.json")
    print(table(title, rows).markdown())
    print(f"written: {out / name}.json")


def table(title: str, rows: Rows) -> Table:
    """The numbers in words; a dash where one is not defined."""
    return Table(title, ["what", "value"], [[name, words(value)] for name, value in rows.items()])


def words(value: float | int | str | None) -> str:
    """Small numbers keep their digits; a dash for None and NaN."""
    if value is None or value != value:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def card_version(folder: Path) -> str:
    """The version that the card of a model's folder names."""
    return str(json.loads((folder / "card.json").read_text(encoding="utf-8"))["version"])
