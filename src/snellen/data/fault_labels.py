"""Labels of the faults of real photographs; see data/labels/README.md for the protocol and where they come from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from snellen.region import FULL, Region
from snellen.reply import Issue
from snellen.vocabulary import KINDS

FOLDER = Path(__file__).parent / "labels"
SETS = ("biq2021", "live_challenge", "large_photographs")
"""Sets of which labels are in the package."""
PARTS = ("train", "dev", "check")
"""Parts of a set: to learn from, to choose by, and to report on. Nothing is learned from or chosen by "check"."""
MINDED = 2
"""A fault counts from this severity on; raters list severity 1, just visible, more or less freely."""


@dataclass(frozen=True)
class FaultLabel:
    """One rater's account of one photograph.

    overall: quality, 1..5. faults: worst first, at most three. debatable: kinds that one could also name.
    """

    picture: str
    rater: int
    part: str
    overall: float
    faults: tuple[Issue, ...]
    debatable: frozenset[str]
    why: str

    @property
    def minded(self) -> tuple[Issue, ...]:
        """The faults of severity MINDED and more, worst first."""
        return tuple(fault for fault in self.faults if fault.severity >= MINDED)


def read_labels(file: Path) -> list[FaultLabel]:
    """Return the labels in a JSON Lines file.

    Raises ValueError, naming file and line, for a line that is not of the protocol's form.
    """
    labels = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                labels.append(_label(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                problem = f"{file}, line {number}: not a fault label ({error})"
                raise ValueError(f"{problem}; see data/labels/README.md") from error
    return labels


def labels_of(name: str, part: str | None = None) -> dict[str, list[FaultLabel]]:
    """Return the labels in the package of a set of `SETS`, by picture, one for each rater. part: only one of
    `PARTS`."""
    if name not in SETS:
        raise ValueError(f"no fault labels of {name!r}; there are labels of {', '.join(SETS)}")
    return by_picture(label for label in read_labels(FOLDER / f"{name}.jsonl") if part in (None, label.part))


def ridge_predictions(name: str) -> dict[str, list[Issue]]:
    """Return the faults that the ridge baseline lists in each photograph of a set's validation part, the worst first.

    Empty where there are none. recipes/bench/fault_ridge.py made them, with no photograph of that part in training.
    """
    file = FOLDER / f"{name}_ridge.json"
    if not file.is_file():
        return {}
    rows = json.loads(file.read_text(encoding="utf-8"))
    return {
        picture: [Issue(kind, severity, FULL) for kind, severity in listed]
        for picture, listed in rows["listed"].items()
    }


def by_picture(labels: Iterable[FaultLabel]) -> dict[str, list[FaultLabel]]:
    """Group labels by picture, in order."""
    grouped: dict[str, list[FaultLabel]] = {}
    for label in labels:
        grouped.setdefault(label.picture, []).append(label)
    return grouped


def labels_at(path: str, grouped: Mapping[str, list[FaultLabel]]) -> list[FaultLabel]:
    """Return the labels of the picture at a path: those that name the path itself, else those that name its file."""
    return grouped.get(path) or grouped.get(Path(path).name, [])


def _label(row: dict[str, object]) -> FaultLabel:
    faults, debatable = row["faults"], row["ok"]
    if not isinstance(faults, list) or not isinstance(debatable, list):
        raise TypeError("faults and ok are lists")
    if unknown := set(debatable) - set(KINDS):
        raise ValueError(f"unknown kind {sorted(unknown)[0]!r}")
    return FaultLabel(
        picture=str(row["picture"]),
        rater=int(str(row["rater"])),
        part=str(row["part"]),
        overall=float(str(row["overall"])),
        faults=tuple(
            Issue(one["kind"], one["severity"], FULL if one["box"] == "whole" else Region(*one["box"]))
            for one in faults
        ),
        debatable=frozenset(debatable),
        why=str(row["why"]),
    )
