"""Samples (a picture with its labels) and manifests (files that list samples).

A manifest is JSON lines, one picture per line, made to be read and edited by a person:

    {"path": "Images/ss01 (1).jpg", "mos": 3.21, "split": "train", "group": "g00017", "subset": "ss01"}

Keys without a value are left out. Paths inside the manifest's folder (or inside `root`) are written relative to it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snellen.data.levels import KADID_NAMES, NEAREST_KADID, level_severity
from snellen.output import replacing
from snellen.region import Region
from snellen.usage import UsageError
from snellen.vocabulary import KINDS

SPLITS = ("train", "val", "test")
_KEYS = frozenset({"path", "mos", "std", "n", "split", "group", "subset", "reference", "faults"})


class ManifestError(UsageError):
    """A manifest row that cannot be used; the message names the file, the line, what is wrong and the remedy."""


@dataclass(frozen=True)
class Fault:
    """One fault that was applied to a picture on purpose.

    Attributes:
        distortion: name in `snellen.data.distort.DISTORTIONS`, or a rated set's own name for another one.
        kind: one of `snellen.vocabulary.KINDS`.
        level: 1 (slight) to 5 (severe).
        region: where, in fractions of the whole upright picture.
    """

    distortion: str
    kind: str
    level: int
    region: Region

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault kind {self.kind!r} is not one of {', '.join(KINDS)}")
        if not 1 <= self.level <= 5:
            raise ValueError(f"fault level {self.level} is outside 1..5")

    @property
    def severity(self) -> float:
        """Severity, 1..5: `level_severity`, or the level for a distortion that only a rated set has."""
        known = self.distortion in KADID_NAMES or self.distortion in NEAREST_KADID
        return level_severity(self.distortion, self.level) if known else float(self.level)


@dataclass(frozen=True)
class Sample:
    """One picture of a data set.

    Attributes:
        path: of the file.
        mos: mean opinion score, 1 (bad) to 5 (excellent); None for an unrated picture.
        std: standard deviation of the opinions on the same scale; None where unknown.
        n: number of opinions; None where unknown.
        split: "train", "val" or "test".
        group: name that pictures of one scene share; "" where unknown.
        reference: path of the pristine picture that this one was made from.
        faults: applied faults; empty for pictures as found.
        subset: the data set's own division.
    """

    path: str
    mos: float | None = None
    std: float | None = None
    n: int | None = None
    split: str = "train"
    group: str = ""
    reference: str | None = None
    faults: tuple[Fault, ...] = ()
    subset: str = ""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path is empty")
        if self.mos is not None and not 1.0 <= self.mos <= 5.0:  # false for NaN too
            raise ValueError(f"mos {self.mos} is outside 1..5")
        if self.std is not None and not 0.0 <= self.std < math.inf:
            raise ValueError(f"std {self.std} is negative or not a number")
        if self.n is not None and self.n < 1:
            raise ValueError(f"n {self.n} is less than 1")
        if self.split not in SPLITS:
            raise ValueError(f"split {self.split!r} is not one of {', '.join(SPLITS)}")


def write_manifest(samples: Iterable[Sample], file: str | Path, root: str | Path | None = None) -> int:
    """Write one JSON line per sample and return their number. Paths inside `root` (default: the manifest's folder)
    become relative to it."""
    target = Path(file)
    base = Path(root) if root is not None else target.parent
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_to_row(sample, base), ensure_ascii=False) + "\n" for sample in samples]
    with replacing(target) as part:
        part.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def read_manifest(file: str | Path, root: str | Path | None = None, *, check_files: bool = False) -> list[Sample]:
    """Read a manifest. Relative paths are taken from `root` (default: the manifest's folder).

    Raises:
        ManifestError: for the first row that cannot be used: no JSON object, an unknown key, a value out of range or
            not a number, a picture that an earlier row lists, and with `check_files` a missing file.
    """
    source = Path(file)
    base = Path(root) if root is not None else source.parent
    samples = []
    seen: dict[str, int] = {}
    with source.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                sample = _from_row(json.loads(line), base)
                first = seen.setdefault(sample.path, number)
                if first != number:
                    raise ValueError(f"{sample.path} is listed in line {first} already")
                if check_files:
                    _check_files(sample)
                samples.append(sample)
            except (ValueError, TypeError, KeyError) as error:
                problem = f"no {error}" if isinstance(error, KeyError) else str(error)
                raise ManifestError(f"{source}: line {number}: {problem}; correct or remove the line") from error
    return samples


def _check_files(sample: Sample) -> None:
    for path in (sample.path, sample.reference):
        if path is not None and not os.path.isfile(path):
            raise ValueError(f"{path} is not there")


def _to_row(sample: Sample, base: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"path": _relative(sample.path, base)}
    for key in ("mos", "std"):
        value = getattr(sample, key)
        if value is not None:
            row[key] = round(value, 5)
    if sample.n is not None:
        row["n"] = sample.n
    row["split"] = sample.split
    for key in ("group", "subset"):
        if getattr(sample, key):
            row[key] = getattr(sample, key)
    if sample.reference is not None:
        row["reference"] = _relative(sample.reference, base)
    if sample.faults:
        row["faults"] = [fault_to_row(fault) for fault in sample.faults]
    return row


def _from_row(row: object, base: Path) -> Sample:
    if not isinstance(row, dict):
        raise TypeError(f"expected a JSON object, found {type(row).__name__}")
    unknown = sorted(set(row) - _KEYS)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}")
    path = _text(row, "path")
    reference = _text(row, "reference") if "reference" in row else None
    faults = row.get("faults", [])
    if not isinstance(faults, list):
        raise TypeError("faults is not a list")
    return Sample(
        path=_absolute(path, base),
        mos=_number(row, "mos"),
        std=_number(row, "std"),
        n=_whole(row, "n"),
        split=_text(row, "split"),
        group=_text(row, "group") if "group" in row else "",
        reference=None if reference is None else _absolute(reference, base),
        faults=tuple(fault_from_row(fault) for fault in faults),
        subset=_text(row, "subset") if "subset" in row else "",
    )


def fault_to_row(fault: Fault) -> dict[str, Any]:
    """Return a fault as a JSON object; its box has four decimals, where `Region.to_list` has two."""
    region = fault.region
    box = [round(v, 4) for v in (region.x0, region.y0, region.x1, region.y1)]
    return {"distortion": fault.distortion, "kind": fault.kind, "level": fault.level, "region": box}


def fault_from_row(row: object) -> Fault:
    """Read a fault from a JSON object. Raises ValueError, TypeError or KeyError for one that is no fault."""
    if not isinstance(row, dict):
        raise TypeError("a fault is not a JSON object")
    box = row["region"]
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, (int, float)) for v in box):
        raise ValueError(f"fault region {box!r} is not four numbers")
    level = _whole(row, "level")
    if level is None:
        raise KeyError("level")
    return Fault(_text(row, "distortion"), _text(row, "kind"), level, Region(*map(float, box)))


def _text(row: Mapping[str, object], key: str) -> str:
    value = row[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is not text")
    return value


def _number(row: Mapping[str, object], key: str) -> float | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{key} is not a number")
    return float(value)


def _whole(row: Mapping[str, object], key: str) -> int | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{key} is not a whole number")
    return value


def _relative(path: str, base: Path) -> str:
    full, folder = os.path.abspath(path), os.path.abspath(base)
    inside = full.startswith(folder + os.sep)
    return Path(os.path.relpath(full, folder)).as_posix() if inside else Path(full).as_posix()


def _absolute(path: str, base: Path) -> str:
    return os.path.abspath(base / path)
