"""Suite `grounding`: localisation and recognition of faults of known kind, level and region (`local_faults`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snellen.data.sample import Fault
from snellen.evaluate.baselines import has_own_unit
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.modes import TWO
from snellen.evaluate.report.plot import bars
from snellen.evaluate.report.tables import Figure, Table, estimate, number, percent
from snellen.evaluate.rows import Row
from snellen.evaluate.stats import bootstrap
from snellen.evaluate.stats.bootstrap import UNDEFINED, Estimate, mean, share
from snellen.evaluate.stats.boxes import detection_counts, localisation_with_baselines, precision_recall_f1
from snellen.evaluate.stats.correlation import rmse, srcc
from snellen.evaluate.suites import Suite
from snellen.evaluate.suites.local_faults import Truth, drops_by_round, jobs, truth

LEVELS = {"level 3-5": (3, 4, 5), "level 1-2": (1, 2)}


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return localisation of crops and issue boxes, detection of kinds, severity, score drops, agreement by mode."""
    known = [(row, truth(row, sets)) for row in rows if row.mode == TWO]
    faulty = [(row, main) for row, true in known if (main := true.main) is not None]
    groups = {name: [(row, fault) for row, fault in faulty if fault.level in levels] for name, levels in LEVELS.items()}
    clean = [row for row, true in known if not true.faults]
    return {
        "pictures": {name: len(group) for name, group in groups.items()} | {"clean": len(clean)},
        "without a score": sum(row.score is None for row, _ in known),
        "crops": {name: crops(group) for name, group in groups.items()},
        "issue boxes": {name: issue_boxes(group) for name, group in groups.items()},
        "IoU by round": iou_by_round(faulty),
        "kinds": kinds(known),
        "kind recall": {name: kind_recall(group) for name, group in groups.items()},
        "severity": severity(faulty),
        "clean pictures": {
            "false-alarm rate": share([bool(row.issues) for row in clean]),
            "false-alarm rate, severity 2 or more": share([highest_severity(row) >= 2 for row in clean]),
            "crop rate": share([row.crop is not None for row in clean]),
        },
        "score drop": drop_summary([row for row, _ in known]),
        "agreement": agreement(rows, sets),
    }


def highest_severity(row: Row, kind: str | None = None) -> int:
    """Return the highest severity of a row's issues (of one kind), 0 for none."""
    return max((issue.severity for issue in row.issues if kind is None or issue.kind == kind), default=0)


def crops(group: Sequence[tuple[Row, Fault]]) -> dict[str, Any]:
    """Return the crop rate, the area of the crops, and their localisation; without a crop it counts 0."""
    boxes = [([row.crop] if row.crop else [], fault.region) for row, fault in group]
    return {
        "crop rate": share([row.crop is not None for row, _ in group]),
        "area": mean(row.crop.area for row, _ in group if row.crop),
        "localisation": localisation_with_baselines(boxes),
    }


def issue_boxes(group: Sequence[tuple[Row, Fault]]) -> dict[str, Any]:
    """Return the localisation of all issues together, and of those of the right kind where there is one."""
    every = [([issue.region for issue in row.issues], fault.region) for row, fault in group]
    right = [([i.region for i in row.issues if i.kind == fault.kind], fault.region) for row, fault in group]
    return {
        "issues per picture": mean(len(boxes) for boxes, _ in every),
        "area": mean(box.area for boxes, _ in every for box in boxes),
        "all issues": localisation_with_baselines(every),
        "right kind": localisation_with_baselines([one for one in right if one[0]]),
    }


def iou_by_round(faulty: Sequence[tuple[Row, Fault]]) -> dict[str, Any]:
    """Return the IoU of the best box of the right kind after the first and the last round, where both have one."""

    def iou(row: Row, number: int, fault: Fault) -> float | None:
        boxes = [issue.region for issue in row.rounds[number].issues if issue.kind == fault.kind]
        return max((box.iou(fault.region) for box in boxes), default=None)

    pairs = [
        (first, last)
        for row, fault in faulty
        if row.crop is not None
        and row.score is not None
        and (first := iou(row, 0, fault)) is not None
        and (last := iou(row, -1, fault)) is not None
    ]
    first, last = np.array(pairs, float).reshape(-1, 2).T
    found = {"pictures": len(pairs), "first": mean(first), "last": mean(last)}
    return found | {"last minus first": bootstrap.mean_interval((last - first).tolist())}


def kinds(known: Sequence[tuple[Row, Truth]]) -> dict[str, Any]:
    """Return precision, recall and F1 of the issue kinds over all pictures, clean ones included, and by kind.

    A picture without a score has no issues.
    """
    predicted = [frozenset(issue.kind for issue in row.issues) for row, _ in known]
    true = [what.kinds for _, what in known]

    def measure(only: frozenset[str]) -> dict[str, Any]:
        counts = detection_counts([a & only for a in predicted], [b & only for b in true])
        precision, recall, f1 = precision_recall_f1(*counts)
        return {"pictures": counts[0] + counts[2], "precision": precision, "recall": recall, "F1": f1}

    every = sorted(frozenset().union(*predicted, *true))
    first = [
        any(issue.kind == what.main.kind for issue in row.rounds[0].issues) if row.rounds else False
        for row, what in known
        if what.main is not None
    ]
    return {
        "all": measure(frozenset(every)),
        "recall in the first round": share(first),
        "by kind": {kind: measure(frozenset([kind])) for kind in every},
    }


def kind_recall(group: Sequence[tuple[Row, Fault]]) -> Estimate:
    """Return the share of pictures with an issue of the kind of their main fault."""
    return share([any(issue.kind == fault.kind for issue in row.issues) for row, fault in group])


def severity(faulty: Sequence[tuple[Row, Fault]]) -> dict[str, Any]:
    """Return the SRCC of predicted severity with the level, and with the opinion of that level (`Fault.severity`).

    "all": of the highest severity of any kind, 0 for none, over all faults. The others: of the severity of the right
    kind, over the pictures that have one.
    """
    right = [(predicted, fault) for row, fault in faulty if (predicted := highest_severity(row, fault.kind))]
    return {
        "all, level": _ranked([(highest_severity(row), fault.level) for row, fault in faulty]),
        "right kind, level": _ranked([(predicted, fault.level) for predicted, fault in right]),
        "right kind, opinion": _ranked([(predicted, fault.severity) for predicted, fault in right]),
        "pictures, right kind": len(right),
    }


def _ranked(pairs: Sequence[tuple[int, float]]) -> Estimate:
    if not pairs:
        return UNDEFINED
    predicted, true = zip(*pairs, strict=True)
    return bootstrap.bootstrap_interval(srcc, predicted, true)


def drop_summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return means of the expected drop and of that of each round, their absolute errors, and the share improved."""
    known = [(row.key, row.variant, [one.score for one in row.rounds]) for row in rows]
    drops = [drop for drop in drops_by_round(known) if drop is not None]
    return {
        "pictures": len(drops),
        "expected": mean(wanted for wanted, _, _ in drops),
        "first round": mean(first for _, first, _ in drops),
        "last round": mean(last for _, _, last in drops),
        "error, first round": mean(abs(first - wanted) for wanted, first, _ in drops),
        "error, last round": mean(abs(last - wanted) for wanted, _, last in drops),
        "last round closer": share([abs(last - wanted) < abs(first - wanted) for wanted, first, last in drops]),
    }


def agreement(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return SRCC and RMSE with the synthetic MOS by mode, and the paired difference in SRCC of two rounds.

    External baselines have another unit and no RMSE.
    """
    mos = {(row.key, row.variant): truth(row, sets).mos for row in rows if row.mode == TWO}
    known: dict[str, dict[tuple[str, str], float]] = {}
    for row in rows:
        if row.score is not None and mos.get((row.key, row.variant)) is not None:
            known.setdefault(row.mode, {})[row.key, row.variant] = row.score
    found: dict[str, Any] = {}
    for mode, scores in known.items():
        wanted = [float(mos[one] or math.nan) for one in scores]
        both = [one for one in scores if one in known.get(TWO, {})]
        a, b = ([known.get(name, {})[one] for one in both] for name in (TWO, mode))
        target = [float(mos[one] or math.nan) for one in both]
        found[mode] = {
            "n": len(scores),
            "srcc": bootstrap.bootstrap_interval(srcc, list(scores.values()), wanted),
            "rmse": math.nan if has_own_unit(mode) else rmse(list(scores.values()), wanted),
            "srcc, two rounds minus this": bootstrap.bootstrap_difference(srcc, a, b, target),
        }
    return found


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table | Figure]:
    """Return the tables and bars of the report."""
    named = {"all": summary["kinds"]["all"]} | summary["kinds"]["by kind"]
    kind_rows = [
        [kind, str(v["pictures"]), percent(v["precision"]), percent(v["recall"]), number(v["F1"])]
        for kind, v in named.items()
    ]
    modes = [
        [mode, str(v["n"]), estimate(v["srcc"]), number(v["rmse"]), estimate(v["srcc, two rounds minus this"], 4)]
        for mode, v in summary["agreement"].items()
    ]
    recall = bars({kind: v["recall"] for kind, v in named.items() if v["pictures"]})
    return [
        *_localisation_tables(summary),
        Table("Detection by kind", ["kind", "pictures", "precision", "recall", "F1"], kind_rows),
        Figure("Recall by kind, all levels", recall),
        _details_table(summary),
        _drop_table(summary["score drop"]),
        Table(
            "Agreement with the synthetic MOS",
            ["mode or baseline", "pictures", "SRCC", "RMSE", "SRCC of two rounds − this"],
            modes,
        ),
    ]


def _localisation_tables(summary: Mapping[str, Any]) -> list[Table]:
    head = ["pictures", "box", "coverage", "half of the fault covered", "IoU", "centre inside"]

    def lines(name: str, found: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
        return [
            [name, box, number(v["coverage"]), percent(v["half covered"]), number(v["IoU"]),
             percent(v["centre inside"])]
            for box, v in found.items()
            if not math.isnan(v["coverage"])
        ]  # fmt: skip

    crop_rows = [line for name, group in summary["crops"].items() for line in lines(name, group["localisation"])]
    box_rows = [
        line
        for name, group in summary["issue boxes"].items()
        for which in ("all issues", "right kind")
        for line in lines(f"{name}, {which}", group[which])
    ]
    rates = "; ".join(f"{name}: crop rate {percent(group['crop rate'])}, area {number(group['area'])}"
                      for name, group in summary["crops"].items())  # fmt: skip
    note = f"{rates}. Baselines: a box as large as the crop in the centre of the picture, and the whole picture."
    return [
        Table("Localisation of faults by the crop", head, crop_rows, note),
        Table("Localisation of faults by issue boxes", head, box_rows),
    ]


def _details_table(summary: Mapping[str, Any]) -> Table:
    boxes = summary["IoU by round"]
    lines = [[f"severity: SRCC, {name}", estimate(value)] for name, value in summary["severity"].items()
             if isinstance(value, tuple)]  # fmt: skip
    lines += [[f"IoU of the right kind's box, {one} round", number(boxes[one])] for one in ("first", "last")]
    lines.append([f"IoU, last minus first, {boxes['pictures']} pictures", estimate(boxes["last minus first"])])
    lines += [[f"recall of the kind, {name}", percent(value)] for name, value in summary["kind recall"].items()]
    lines.append(["recall of the kind, first round", percent(summary["kinds"]["recall in the first round"])])
    lines += [[f"clean pictures: {name}", percent(value)] for name, value in summary["clean pictures"].items()]
    note = "Severity is ranked against the level of the distortion and against people's opinion of that level."
    return Table("Severity, refinement of boxes, false alarms", ["measure", "value"], lines, note)


def _drop_table(found: Mapping[str, Any]) -> Table:
    lines = [[name, number(value)] for name, value in found.items() if isinstance(value, float)]
    lines.append(["last round closer than the first", percent(found["last round closer"])])
    note = (
        f"{found['pictures']} pictures; each round against the same round of the clean picture. Expected: the drop of "
        "the synthetic MOS."
    )
    return Table("Score drop of a fault, in MOS below the clean photograph", ["measure", "value"], lines, note)


SUITE = Suite("grounding", jobs, summarise, show)
