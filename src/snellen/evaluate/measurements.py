"""Numbers that a script measured, with the command and the weights that they belong to: OUT/NAME.json."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snellen.evaluate.files import surroundings, write_json
from snellen.evaluate.predict import weights_of
from snellen.evaluate.report.tables import Table
from snellen.snellen1.files import read_card

Numbers = Mapping[str, float | int | str | None]


def write_measurements(name: str, out: Path, title: str, numbers: Numbers, model: str, version: str) -> None:
    """Print the numbers as a table and write them to out/NAME.json. model: as for `Options`."""
    data: dict[str, Any] = {
        **surroundings(),
        "command": ["python", *sys.argv],
        "title": title,
        "model": {"version": version, "weights_sha256": weights_of(model)},
        "numbers": dict(numbers),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(data, out / f"{name}.json")
    print(measurements_table(title, numbers).markdown())
    print(f"written: {out / name}.json")


def measurements_table(title: str, numbers: Numbers) -> Table:
    """Return a table of the numbers."""
    return Table(title, ["measurement", "value"], [[name, _words(value)] for name, value in numbers.items()])


def _words(value: float | int | str | None) -> str:
    """Format a value with four significant digits; a dash for None and NaN."""
    if value is None or value != value:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def card_version(folder: Path) -> str:
    """Return the version in the card of a model folder."""
    return str(read_card(folder)["version"])
