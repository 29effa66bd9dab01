"""Agreement of listed faults with raters' labels of real photographs. Issues and labels in, counts of each picture
out.

Blur and motion blur count as one kind: raters often cannot tell them apart. At most the first three listed faults
count. A photograph is faulty where every rater lists a fault of severity 2 or more, and clean where none does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snellen.data.fault_labels import MINDED, FaultLabel
from snellen.region import LOCAL_AREA
from snellen.reply import Issue
from snellen.vocabulary import merged

MOST_LISTED = 3


@dataclass(frozen=True)
class Agreement:
    """One photograph's outcome; None where a measure does not apply.

    named: the main fault of a rater is among the listed; first: it is the first of them; main_severity: of the main
    fault, as the mildest rater has it (faulty photographs). lenient,
    strict: for each listed kind, whether it is borne out. alarm: something is listed (clean photographs). listed_kinds,
    true_kinds: merged kinds that are listed, and that a rater minds. severities: (listed, mean of the raters) of kinds
    that are named rightly. ious: best IoU with a rater's box of the kind, for local faults that every rater boxes.
    """

    named: bool | None
    first: bool | None
    main_severity: int | None
    lenient: tuple[bool, ...]
    strict: tuple[bool, ...]
    alarm: bool | None
    listed_kinds: tuple[str, ...]
    true_kinds: frozenset[str]
    severities: tuple[tuple[float, float], ...]
    ious: tuple[float, ...]


def agreement(issues: Sequence[Issue], raters: Sequence[FaultLabel]) -> Agreement:
    """Compare the listed faults of one photograph with its raters' labels."""
    listed: list[Issue] = []
    for issue in issues:
        if merged(issue.kind) not in {merged(one.kind) for one in listed}:
            listed.append(issue)
    listed = listed[:MOST_LISTED]
    kinds = tuple(merged(issue.kind) for issue in listed)
    minded = [{merged(fault.kind) for fault in rater.minded} for rater in raters]
    any_listed = [{merged(fault.kind) for fault in rater.faults} for rater in raters]
    allowed = [
        found | {merged(kind) for kind in rater.debatable} for found, rater in zip(any_listed, raters, strict=True)
    ]
    faulty, clean = all(minded), not any(minded)
    main = {merged(rater.minded[0].kind) for rater in raters if rater.minded}
    return Agreement(
        named=bool(main & set(kinds)) if faulty else None,
        first=bool(kinds) and kinds[0] in main if faulty else None,
        main_severity=min(rater.minded[0].severity for rater in raters) if faulty else None,
        lenient=tuple(
            any(kind in found for found in any_listed) or all(kind in found for found in allowed) for kind in kinds
        ),
        strict=tuple(any(kind in found for found in minded) for kind in kinds),
        alarm=bool(listed) if clean else None,
        listed_kinds=kinds,
        true_kinds=frozenset().union(*minded),
        severities=_severities(listed, raters),
        ious=_ious(listed, raters),
    )


def _of_kind(rater: FaultLabel, kind: str) -> list[Issue]:
    return [fault for fault in rater.minded if merged(fault.kind) == kind]


def _severities(listed: Sequence[Issue], raters: Sequence[FaultLabel]) -> tuple[tuple[float, float], ...]:
    pairs = []
    for issue in listed:
        given = [fault.severity for rater in raters for fault in _of_kind(rater, merged(issue.kind))[:1]]
        if given:
            pairs.append((float(issue.severity), sum(given) / len(given)))
    return tuple(pairs)


def _ious(listed: Sequence[Issue], raters: Sequence[FaultLabel]) -> tuple[float, ...]:
    found = []
    for issue in listed:
        boxes = [[fault.region for fault in _of_kind(rater, merged(issue.kind))] for rater in raters]
        if all(boxes) and all(box.area < LOCAL_AREA for those in boxes for box in those):
            found.append(max(issue.region.iou(box) for those in boxes for box in those))
    return tuple(found)


def rater_as_judge(raters: Sequence[FaultLabel], number: int) -> Sequence[Issue]:
    """The issues that rater `number` of a photograph would list: its faults of severity MINDED and more."""
    return [fault for fault in raters[number].faults if fault.severity >= MINDED]
