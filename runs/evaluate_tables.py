"""Numbers as Markdown tables and JSON, for runs/evaluate.py."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Triple = tuple[float, float, float]
SEED = 0
"""Of every bootstrap."""


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table; a dash where it is not defined."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def spread(value: Triple, digits: int = 3) -> str:
    """A value with its 95 % interval."""
    return f"{number(value[0], digits)} [{number(value[1], digits)}, {number(value[2], digits)}]"


def percent(value: float | Triple) -> str:
    """A share in percent, with its interval where there is one."""
    if isinstance(value, tuple):
        return f"{number(100 * value[0], 1)} % [{number(100 * value[1], 1)}, {number(100 * value[2], 1)}]"
    return f"{number(100 * value, 1)} %"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def publish(name: str, out: Path, tables: Sequence[tuple[str, str]], data: dict[str, Any]) -> None:
    """Print the titled tables; write them to OUT/NAME.md and the numbers to OUT/NAME.json."""
    text = "\n\n".join(f"### {title}\n\n{body}" for title, body in tables) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text, encoding="utf8")
    (out / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf8")
    print(text)
    print(f"written: {out / name}.md, {out / name}.json")
