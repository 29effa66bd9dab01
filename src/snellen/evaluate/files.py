"""Files of a run: predictions, summary.json, run.json, figures. All but run.json are the same for every run."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from snellen import __version__
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.report.plot import standalone
from snellen.evaluate.report.tables import Figure
from snellen.evaluate.rows import Row
from snellen.output import replacing
from snellen.table import valid_text
from snellen.usage import MissingExtra, UsageError

COLUMNS: dict[str, type] = {
    "suite": str,
    "key": str,  # data set and path inside it
    "variant": str,  # what was done to the picture, empty for nothing
    "mode": str,  # or the name of a baseline
    "model": str,
    "mos": float,  # of the data set, 1..5
    "score": float,  # of the picture, repeated for each of its rounds
    "low": float,  # ends of the interval
    "high": float,
    "label": str,
    "width": int,
    "height": int,
    "error": str,
    "problem": str,
    "round": int,  # from 1; empty for baselines and unreadable pictures
    "region": list,  # of the view: x0 y0 x1 y1, fractions
    "rating": float,  # as written in the reply
    "mean": float,  # of the rating distribution
    "std": float,
    "entropy": float,
    "quantiles": list,  # at 0.05, 0.10, ... 0.95
    "issues": str,  # JSON: [{"kind", "severity", "region"}]
    "tokens": int,
    "reply": str,
    "finish": str,
    "reply_error": str,
    "note": str,
    "repaired": str,  # repairs of form, separated by commas
}
"""Columns of the predictions; one row for each picture, mode and round."""


def flatten(rows: Iterable[Row], sets: Sequence[DataSet]) -> list[dict[str, Any]]:
    """Return rows as dicts of `COLUMNS`, one for each round."""
    mos = {key: sample.mos for each in sets for key, sample in each.samples.items()}
    flat = []
    for row in rows:
        data = row.to_dict()
        rounds = data.pop("rounds")
        low, high = data.pop("interval") or (None, None)
        same = data | {"low": low, "high": high, "mos": None if row.variant else mos.get(row.key)}
        for number, one in enumerate(rounds, start=1):
            more = {"round": number, "reply_error": one.pop("error"), "issues": json.dumps(one.pop("issues"))}
            flat.append(same | one | more | {"repaired": ", ".join(one["repaired"])})
        if not rounds:
            flat.append(same)
    return [{name: line.get(name) for name in COLUMNS} for line in flat]


def write_predictions(rows: Iterable[Row], sets: Sequence[DataSet], out: Path) -> Path:
    """Write OUT/predictions.parquet, or .jsonl where pyarrow is not installed; return the path."""
    flat = flatten(rows, sets)
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        return write_lines(flat, out / "predictions.jsonl")
    types = {str: pa.string(), float: pa.float64(), int: pa.int64(), list: pa.list_(pa.float64())}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    path = out / "predictions.parquet"
    with replacing(path) as part:
        parquet.write_table(pa.Table.from_pylist([_valid(line) for line in flat], schema), part)
    return path


def _valid(line: dict[str, Any]) -> dict[str, Any]:
    """Return a row with invalid Unicode escaped, which Parquet cannot hold."""
    return {k: valid_text(v) if isinstance(v, str) else v for k, v in line.items()}


def write_lines(lines: Iterable[Mapping[str, Any]], path: Path) -> Path:
    """Write JSON lines; the file is replaced at once or not at all."""
    with replacing(path) as part:
        part.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def read_predictions(out: Path) -> list[dict[str, Any]]:
    """Return the rows that `write_predictions` wrote; UsageError for none and for those of an older version."""
    if (out / "predictions.parquet").is_file():
        try:
            import pyarrow.parquet as parquet
        except ImportError as error:
            raise MissingExtra(f"{out}: reading Parquet needs pyarrow", "parquet") from error
        lines: list[dict[str, Any]] = parquet.read_table(out / "predictions.parquet").to_pylist()
    elif (out / "predictions.jsonl").is_file():
        lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    else:
        raise UsageError(f"{out} holds no predictions; name the --out of a finished `snellen evaluate`")
    if lines and set(lines[0]) != set(COLUMNS):
        raise UsageError(f"{out} was written by another version of Snellen; run the evaluation again")
    return lines


def write_json(value: Any, path: Path) -> None:
    """Write JSON with null for NaN and infinities; the file is replaced at once or not at all."""
    with replacing(path) as part:
        part.write_text(json.dumps(plain(value), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_figures(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write FOLDER/NAME.svg for each name; remove those of an earlier run."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, figure in figures.items():
        (folder / f"{name}.svg").write_text(standalone(figure.svg, figure.title), encoding="utf-8")


def plain(value: Any) -> Any:
    """Return a JSON-able copy: tuples as lists, NaN and infinities as None, numpy's numbers as Python's."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def surroundings() -> dict[str, Any]:
    """Return versions of Snellen, Python, system and packages."""
    packages = {}
    for name in ("numpy", "pillow", "onnxruntime", "scipy", "pyarrow"):
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "snellen": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "packages": packages,
    }


def checksum(each: DataSet) -> str:
    """Return the SHA-256 over keys and labels of a data set, without the paths of its files."""
    digest = hashlib.sha256()
    for key, s in each.samples.items():
        known = [key, s.mos, s.std, s.n, s.split, s.group, s.subset, [(f.distortion, f.level) for f in s.faults]]
        digest.update(json.dumps(known).encode() + b"\n")
    digest.update(json.dumps(each.pairs).encode())
    return digest.hexdigest()
