"""Tables of `reference.py`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from snellen.comparison.detail_difference import DetailDifference
from snellen.comparison.diagnosis import name_differences
from snellen.comparison.generated import REFERENCE_STD
from snellen.comparison.measured_difference import MeasuredDifference
from snellen.comparison.measures import MEASURES
from snellen.comparison.preference import NORMAL_95, difference_interval
from snellen.comparison.tone_difference import ColourDifference, ToneDifference
from snellen.evaluate.stats.correlation import srcc
from snellen.region import FULL, Region
from snellen.vocabulary import KINDS

LEAST_CHANGE = 2.5
"""Root mean square change of a region from which a fault counts as visible, levels."""
LEAST_PAIRS = 5
"""Pictures from which a correlation is printed."""
GROUPS = {
    "noise": ("noise",),
    "blur": ("blur", "motion blur"),
    "compression": ("compression",),
    "light and colour": ("underexposure", "overexposure", "low contrast", "saturation"),
    "all": KINDS,
}
Row = dict[str, Any]

FOUND: tuple[Callable[[Row], Any], ...] = (
    lambda row: row["pseudo"]["found"],
    lambda row: row["undone"],
    lambda row: row["judge"],
    lambda row: row["true"]["found"],
)
"""Issues of a row: by the pseudo-reference, that a repair undid, of the judge alone, by the true reference."""


def summary(rows: list[Row]) -> str:
    """Return the tables of the rows of one part."""
    for row in rows:
        for one in (row, row.get("true"), row.get("pseudo")):
            if one is not None and "measured" in one:
                one["found"] = named(one["measured"])
    return {"faults": _faults, "ladders": _ladders, "generated": _generated}[rows[0]["part"]](rows)


def named(measured: list[list[dict[str, Any]]]) -> list[tuple[str, int, list[float]]]:
    """Return kind, severity and box of the faults of measured regions."""
    regions = [(Region(**region), _read(values)) for region, values in measured]
    return [(one.issue.kind, one.issue.severity, one.issue.region.to_list()) for one in name_differences(regions)]


def _read(values: dict[str, Any]) -> MeasuredDifference:
    parts = {"tone": ToneDifference, "colour": ColourDifference, "detail": DetailDifference}
    return MeasuredDifference(**(values | {name: part(**values[name]) for name, part in parts.items()}))


def _first(row: Row) -> str:
    return row["found"][0][0] if row["found"] else "none"


def _share(flags: list[bool]) -> str:
    return f"{np.mean(flags):.1%} ({sum(flags)} of {len(flags)})" if flags else "none"


def _faults(rows: list[Row]) -> str:
    clean = [row for row in rows if row["box"] is None]
    made = [row for row in rows if row["box"] is not None and row["kind"] and row["change"] >= LEAST_CHANGE]
    lines = [f"{len({row['picture'] for row in rows})} photographs, {len(made)} visible faults", ""]
    lines += ["| | everywhere | in a box |", "| --- | --- | --- |"]
    groups = [[row for row in made if (Region(*row["box"]) == FULL) == whole] for whole in (True, False)]

    def line(title: str, values: list[str]) -> None:
        lines.append(f"| {title} | {' | '.join(values)} |")

    line("right kind first", [_share([_first(row) == row["kind"] for row in group]) for group in groups])
    line("right kind listed", [_share([_listed(row) for row in group]) for group in groups])
    line("no issue", [_share([not row["found"] for row in group]) for group in groups])
    line("issues for each picture", [f"{np.mean([len(row['found']) for row in group]):.2f}" for group in groups])
    overlaps = [_overlaps(group) for group in groups]
    line("IoU of the right issue's box, mean", [f"{np.mean(one):.2f}" for one in overlaps])
    line("the same at least 0.5", [_share([bool(value >= 0.5) for value in one]) for one in overlaps])
    line("severity off by (right kind), mean", [f"{np.mean(_severity_errors(group)):.2f}" for group in groups])
    lines += ["", "False alarms:", ""]
    for name in dict.fromkeys(row["distortion"] for row in clean):
        group = [row for row in clean if row["distortion"] == name]
        lines.append(f"- {name}: {_share([bool(row['found']) for row in group])}, {_kinds(group)}")
    unnamed = [row for row in rows if row["box"] is not None and not row["kind"] and row["change"] < 0.5]
    lines.append(f"- levels that change nothing: {_share([bool(row['found']) for row in unnamed])}")
    return "\n".join([*lines, "", *_confusion(made), "", *_by_distortion(made)])


def _listed(row: Row) -> bool:
    return any(found[0] == row["kind"] for found in row["found"])


def _kinds(rows: list[Row]) -> str:
    counts = Counter(found[0] for row in rows for found in row["found"])
    return ", ".join(f"{kind} {count}" for kind, count in counts.most_common()) or "none"


def _overlaps(rows: list[Row]) -> list[float]:
    """Return the largest IoU of an issue of the right kind with the box; 0 where none is."""
    return [
        max(
            (Region(*found[2]).iou(Region(*row["box"])) for found in row["found"] if found[0] == row["kind"]),
            default=0.0,
        )
        for row in rows
    ]


def _severity_errors(rows: list[Row]) -> list[float]:
    return [abs(found[1] - row["severity"]) for row in rows for found in row["found"] if found[0] == row["kind"]]


def _confusion(rows: list[Row]) -> list[str]:
    counts = Counter((row["kind"], _first(row)) for row in rows)
    found = [kind for kind in (*KINDS, "none") if any(one[1] == kind for one in counts)]
    lines = [f"| made \\ first issue | {' | '.join(found)} |", "| --- |" + " --- |" * len(found)]
    for kind in KINDS:
        if any(one[0] == kind for one in counts):
            lines.append(f"| {kind} | {' | '.join(str(counts[kind, other] or '') for other in found)} |")
    return lines


def _by_distortion(rows: list[Row]) -> list[str]:
    right: dict[str, list[bool]] = defaultdict(list)
    levels: dict[int, list[bool]] = defaultdict(list)
    for row in rows:
        right[row["distortion"]].append(_first(row) == row["kind"])
        levels[row["level"]].append(_first(row) == row["kind"])
    weak = [f"{name} {_share(flags)}" for name, flags in right.items() if np.mean(flags) < 0.9]
    by_level = [f"{level}: {np.mean(flags):.0%}" for level, flags in sorted(levels.items())]
    return [f"right kind first, by level: {', '.join(by_level)}", f"distortions below 90 %: {'; '.join(weak)}"]


def _ladders(rows: list[Row]) -> str:
    names = [measure.name for measure in MEASURES]
    steps: dict[str, list[bool]] = defaultdict(list)
    by_distortion: dict[tuple[str, str], list[bool]] = defaultdict(list)
    series: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        series[row["picture"], row["distortion"]].append(row)
    for (_, distortion), ladder in series.items():
        ladder.sort(key=lambda row: row["level"])
        for before, after in zip(ladder, ladder[1:], strict=False):
            for measure in MEASURES:
                pair = before["measures"][measure.name], after["measures"][measure.name]
                if None not in pair:
                    falls = (pair[1] < pair[0]) == measure.higher and pair[0] != pair[1]
                    steps[measure.name].append(falls)
                    by_distortion[distortion, measure.name].append(falls)
            worst = [max((found[1] for found in row["found"]), default=0) for row in (before, after)]
            steps["severity"].append(worst[1] >= worst[0])
            by_distortion[distortion, "severity"].append(worst[1] >= worst[0])
    names += ["severity"]
    lines = [f"{len(series)} ladders of five levels", "", f"| steps that fall | {' | '.join(names)} |"]
    lines.append("| --- |" + " --- |" * len(names))
    for distortion in dict.fromkeys(row["distortion"] for row in rows):
        lines.append(
            f"| {distortion} | "
            + " | ".join(f"{np.mean(by_distortion[distortion, name]):.0%}" for name in names)
            + " |"
        )
    lines.append("| all | " + " | ".join(f"{np.mean(steps[name]):.1%}" for name in names) + " |")
    return "\n".join(lines) + "\n\nSeverity: that of the worst issue does not fall."


def _generated(rows: list[Row]) -> str:
    changed = [row for row in rows if row["steps"]]
    lines = [
        f"{len(rows)} faulty pictures; something was repaired, so that there is a pseudo-reference, in {len(changed)}"
    ]
    return "\n".join([*lines, "", *_agreement(rows), "", *_kinds_named(rows), "", *_spread(changed)])


def _agreement(rows: list[Row]) -> list[str]:
    """Return how the verdicts by both references correlate, and those of the judge's score alone, by group of kinds."""
    names = [measure.name for measure in MEASURES]
    lines = [f"| SRCC with the true reference's | pictures | repaired | distance | {' | '.join(names)} |"]
    lines.append("| --- | --- | --- | --- |" + " --- |" * len(names))
    for group, kinds in GROUPS.items():
        members = [row for row in rows if row["kind"] in kinds]
        known = [row for row in members if row["steps"]]
        true, pseudo = ([_distance(row, at) for row in known] for at in (0, 2))
        values = [_srcc(pseudo, true)]
        values += [
            _srcc(*([row[one]["measures"][name] for row in known] for one in ("pseudo", "true"))) for name in names
        ]
        lines.append(f"| {group} | {len(members)} | {len(known)} | {' | '.join(values)} |")
    changed = [row for row in rows if row["steps"]]
    alone = [
        _srcc(
            [(1 if measure.higher else -1) * row["scores"][1] for row in changed],
            [row["true"]["measures"][measure.name] for row in changed],
        )
        for measure in MEASURES
    ]
    score = _srcc([-row["scores"][1] for row in changed], [_distance(row, 0) for row in changed])
    return [*lines, f"| all, the judge's score of the picture instead | {len(rows)} | {len(changed)} | {score} | "
            f"{' | '.join(alone)} |"]  # fmt: skip


def _distance(row: Row, reference: int) -> float:
    """Return the judge's score of the original (0) or of the pseudo-reference (2) less that of the picture."""
    return float(row["scores"][reference] - row["scores"][1])


def _srcc(one: Sequence[float | None], other: Sequence[float | None]) -> str:
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return f"{srcc([a for a, _ in pairs], [b for _, b in pairs]):.2f}" if len(pairs) >= LEAST_PAIRS else "too few"


def _kinds_named(rows: list[Row]) -> list[str]:
    lines = ["Pictures whose kind is named by:", ""]
    lines.append("| kind | pictures | repaired | measured against it | a repair | the judge | the true reference |")
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for kind in dict.fromkeys([*(row["kind"] for row in rows), "all"]):
        group = [row for row in rows if kind in ("all", row["kind"])]
        shares = [f"{sum(any(one[0] == row['kind'] for one in found(row)) for row in group)}" for found in FOUND]
        lines.append(f"| {kind} | {len(group)} | {sum(row['steps'] > 0 for row in group)} | {' | '.join(shares)} |")
    return lines


def _spread(changed: list[Row]) -> list[str]:
    """Return how far the judge's score of the original lies from that of the pseudo-reference, and the coverage."""
    errors = np.array([row["scores"][0] - row["scores"][2] for row in changed])
    lines = [
        f"judge's score, original less pseudo-reference: mean {errors.mean():+.2f}, root mean square "
        f"{np.sqrt((errors**2).mean()):.2f}, 90 % within {np.quantile(np.abs(errors), 0.9):.2f} MOS"
    ]
    alone = np.abs(errors) <= NORMAL_95 * REFERENCE_STD
    lines.append(
        f"within {NORMAL_95:.2f} REFERENCE_STD, that is {NORMAL_95 * REFERENCE_STD:.2f}: {_share(alone.tolist())}"
    )
    inside = []
    for row in changed:
        first, last = row["stds"]
        low, high = difference_interval(_distance(row, 2), first, float(np.hypot(last, REFERENCE_STD)))
        inside.append(low <= _distance(row, 0) <= high)
    lines.append(f"distance to the original inside the printed interval: {_share(inside)}")
    without = [abs(e) <= NORMAL_95 * np.hypot(*row["stds"]) for e, row in zip(errors, changed, strict=True)]
    lines.append(f"the same without REFERENCE_STD: {_share([bool(one) for one in without])}")
    return lines
