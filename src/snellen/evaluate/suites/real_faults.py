"""Suite `real-faults`: do the listed faults of real photographs agree with labels made by looking at them?

The photographs are those of the rated sets in the run that have labels in the package (`snellen.data.fault_labels`;
their README says who made them). Beside the model stand a constant list, a kernel ridge on frozen ImageNet features,
whose predictions are in the package, and one rater judged by the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.data.fault_labels import SETS, FaultLabel, labels_of, ridge_predictions
from snellen.evaluate.baselines import is_external
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.modes import CONTROLS
from snellen.evaluate.predict import Job
from snellen.evaluate.report.tables import Table, estimate, number, percent
from snellen.evaluate.rows import Row
from snellen.evaluate.stats.bootstrap import UNDEFINED, Estimate, bootstrap_interval, mean_interval, share
from snellen.evaluate.stats.correlation import srcc
from snellen.evaluate.stats.fault_agreement import Agreement, agreement, rater_as_judge
from snellen.evaluate.stats.probabilities import auc, brier_skill, reliability
from snellen.evaluate.suites import Suite
from snellen.region import FULL
from snellen.reply import Issue
from snellen.vocabulary import POSSIBLE, merged, possible

NAME = "real-faults"
CONSTANT = tuple(Issue(kind, 3, FULL) for kind in ("underexposure", "blur", "overexposure"))
"""The list that a judge would give that never looks: the three kinds that are the main fault most often."""
RIDGE, ALWAYS, RATER = "kernel ridge", "constant list", "one rater, judged by the other"
FEWEST = 20
"""Kinds that raters mind in fewer photographs than this get no recall."""
IOU = 0.3
"""A box counts as right from this IoU on."""

Judge = Callable[[str], Sequence[Issue] | None]


Labels = dict[str, list[FaultLabel]]
"""The raters' labels of each photograph, by the key of its sample."""


def labelled(each: DataSet) -> dict[str, Labels]:
    """Return the labels of a set's pictures by the name of their table.

    First the validation part, or the whole of a set without one. Then the part "check", on which nothing was chosen:
    all its photographs as rater 1 has them, and those that two raters labelled.
    """
    name = each.name.replace("-", "_")
    if name not in SETS:
        return {}
    keys = {Path(sample.path).name: key for key, sample in each.samples.items()}
    check = _keyed(labels_of(name, "check"), keys)
    tables = {
        each.name: _keyed(labels_of(name, "dev") or labels_of(name, "train"), keys),
        f"{each.name}, check": {key: raters[:1] for key, raters in check.items()},
        f"{each.name}, check, labelled twice": {key: raters for key, raters in check.items() if len(raters) > 1},
    }
    return {title: labels for title, labels in tables.items() if labels}


def _keyed(labels: Mapping[str, list[FaultLabel]], keys: Mapping[str, str]) -> Labels:
    return {keys[picture]: raters for picture, raters in labels.items() if picture in keys}


def jobs(sets: Sequence[DataSet], modes: Sequence[str], folder: Path) -> list[Job]:
    """Return the labelled pictures, in the modes that list issues."""
    taken = tuple(mode for mode in modes if mode not in CONTROLS and not is_external(mode))[:1]
    return [
        Job(NAME, key, each.samples[key].path, each.samples[key].path, taken)
        for each in sets
        for key in dict.fromkeys(key for labels in labelled(each).values() for key in labels)
    ]


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return, by table of `labelled` and judge, the measures of `measures`, and the paired difference to the ridge in
    "named"."""
    summary: dict[str, Any] = {}
    for each in sets:
        ridge = ridge_predictions(each.name.replace("-", "_"))
        for title, labels in labelled(each).items():
            found = _compared([row for row in rows if row.key in labels], labels, ridge)
            if found:
                summary[title] = found
    return summary


def _compared(rows: Sequence[Row], labels: Labels, ridge: Mapping[str, Sequence[Issue]]) -> dict[str, Any]:
    """Measures of all judges on the photographs of one table; empty where none was assessed."""
    if not rows:
        return {}
    issues = {row.key: row.issues for row in rows}
    main = rows[0].mode
    judges: dict[str, Judge] = {main: issues.get, ALWAYS: lambda key: CONSTANT}
    if any(Path(key).name in ridge for key in labels):
        judges[RIDGE] = lambda key: ridge.get(Path(key).name)
    outcomes = {name: _outcomes(judge, labels) for name, judge in judges.items()}
    if all(len(raters) > 1 for raters in labels.values()):
        outcomes[RATER] = {
            f"{key} {i}": agreement(rater_as_judge(raters, i), [raters[1 - i]])
            for key, raters in labels.items()
            for i in (0, 1)
        }
    return {
        "photographs": len(issues),
        "probabilities": _probabilities(rows, labels),
        "raters": max(len(raters) for raters in labels.values()),
        "judges": {name: measures(list(found.values())) for name, found in outcomes.items()},
        "named, minus ridge": _difference(outcomes.get(main, {}), outcomes.get(RIDGE, {})),
    }


def _probabilities(rows: Sequence[Row], labels: Labels) -> dict[str, Any]:
    """Measures of the stated probabilities of each kind against whether a rater minds it; empty where the model states
    none.

    skill: against the share of these photographs in which a rater minds the kind. kinds: how many a photograph has on
    average that are listed or possible.
    """
    stated = [(row, given) for row in rows if row.rounds and (given := row.rounds[0].fault_probabilities)]
    if not stated:
        return {}
    kinds = sorted(stated[0][1])
    raters = [labels[row.key] for row, _ in stated]
    probability = np.array([[given[kind] for kind in kinds] for _, given in stated])
    minded_kinds = [{merged(fault.kind) for one in each for fault in one.minded} for each in raters]
    minded = np.array([[kind in found for kind in kinds] for found in minded_kinds])
    listed = [{merged(issue.kind) for issue in row.issues} for row, _ in stated]
    named = [found | possible(given, found).keys() for found, (_, given) in zip(listed, stated, strict=True)]
    mains = [
        {merged(one.minded[0].kind) for one in each} if all(one.minded for one in each) else None for each in raters
    ]
    return {
        "named or possible": share([bool(main & found) for main, found in zip(mains, named, strict=True) if main]),
        "kinds": float(np.mean([len(found) for found in named])),
        "skill": brier_skill(probability, minded, np.broadcast_to(minded.mean(axis=0), minded.shape)),
        "AUC": {
            kind: auc(probability[:, i], minded[:, i]) for i, kind in enumerate(kinds) if minded[:, i].sum() >= FEWEST
        },
        "reliability": reliability(probability.ravel(), minded.ravel()),
    }


def _outcomes(judge: Judge, labels: Labels) -> dict[str, Agreement]:
    return {key: agreement(listed, raters) for key, raters in labels.items() if (listed := judge(key)) is not None}


def measures(outcomes: Sequence[Agreement]) -> dict[str, Any]:
    """Return the measures of one judge over its photographs, with 95 % intervals."""
    severities = [pair for one in outcomes for pair in one.severities]
    ious = [iou >= IOU for one in outcomes for iou in one.ious]
    kinds = sorted({kind for one in outcomes for kind in one.true_kinds})
    minded = {kind: [kind in one.listed_kinds for one in outcomes if kind in one.true_kinds] for kind in kinds}
    return {
        "faulty": sum(one.named is not None for one in outcomes),
        "clean": sum(one.alarm is not None for one in outcomes),
        "named": share([one.named for one in outcomes if one.named is not None]),
        "first": share([one.first for one in outcomes if one.first is not None]),
        "borne out, lenient": share([hit for one in outcomes for hit in one.lenient]),
        "borne out, strict": share([hit for one in outcomes for hit in one.strict]),
        "false alarms": share([one.alarm for one in outcomes if one.alarm is not None]),
        "severity": _ranked(severities),
        "IoU": share(ious),
        "boxes": len(ious),
        "named by severity": {
            severity: share([bool(one.named) for one in outcomes if one.main_severity == severity])
            for severity in sorted({one.main_severity for one in outcomes if one.main_severity is not None})
        },
        "recall": {kind: share(hits) for kind, hits in minded.items() if len(hits) >= FEWEST},
    }


def _ranked(pairs: Sequence[tuple[float, float]]) -> Estimate:
    if len(pairs) < 2:
        return UNDEFINED
    listed, given = zip(*pairs, strict=True)
    return bootstrap_interval(srcc, listed, given)


def _difference(model: Mapping[str, Agreement], ridge: Mapping[str, Agreement]) -> Estimate:
    """Mean paired difference of "named" over the faulty photographs of both."""
    both = [key for key in model if key in ridge and model[key].named is not None]
    if not both:
        return UNDEFINED
    return mean_interval([float(bool(model[key].named)) - float(bool(ridge[key].named)) for key in both])


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table]:
    """Return the tables of each set: the measures of all judges, the main fault named by its severity, recall by kind,
    and where the model states probabilities, how they hold."""
    return [table for name, data in summary.items() for table in _tables(name, data)]


def _tables(name: str, data: Mapping[str, Any]) -> list[Table]:
    judges = data["judges"]
    one = next(iter(judges.values()))
    severities = sorted({severity for row in judges.values() for severity in row["named by severity"]})
    kinds = sorted({kind for row in judges.values() for kind in row["recall"]})
    return [
        Table(
            f"{name}: faults of real photographs ({one['faulty']} faulty, {one['clean']} clean)",
            ["judge", "main fault named", "named first", "borne out, lenient", "borne out, strict", "false alarms",
             "severity, SRCC", f"boxes, IoU >= {IOU}"],
            [[judge, percent(row["named"]), percent(row["first"]), percent(row["borne out, lenient"]),
              percent(row["borne out, strict"]), percent(row["false alarms"]), estimate(row["severity"]),
              f"{percent(row['IoU'])} (n = {row['boxes']})"] for judge, row in judges.items()],
            "Labels by a large vision-language model under a written protocol, not by people "
            "(data/labels/README.md). Blur and motion blur count as one kind, faults from severity 2 on. Main "
            f"fault named, model minus ridge: {estimate(data['named, minus ridge'])}.",
        ),
        Table(
            f"{name}: main fault named, by its severity",
            ["severity", *judges],
            [[str(severity), *(percent(row["named by severity"].get(severity, UNDEFINED)) for row in judges.values())]
             for severity in severities],
            "2 mild, 3 moderate, 4 strong, 5 ruins the picture; of two raters, the milder one.",
        ),
        Table(
            f"{name}: share of photographs with a kind in which it is listed",
            ["kind", *judges],
            [[kind, *(percent(row["recall"].get(kind, UNDEFINED)) for row in judges.values())] for kind in kinds],
            f"Kinds that raters mind in fewer than {FEWEST} photographs are left out.",
        ),
        *([_probability_table(name, data["probabilities"])] if data["probabilities"] else []),
    ]  # fmt: skip


def _probability_table(name: str, data: Mapping[str, Any]) -> Table:
    ranked = "; ".join(f"{kind} {number(value)}" for kind, value in data["AUC"].items())
    return Table(
        f"{name}: stated probabilities of kinds of fault",
        ["stated", "kinds", "mean stated", "share that a rater minds"],
        [[f"{low:g} to {high:g}", str(count), f"{mean:.1%}", f"{part:.1%}"]
         for low, high, count, mean, part in data["reliability"]],
        f"Main fault listed or possible (from {POSSIBLE:g} on): {percent(data['named or possible'])}, with "
        f"{data['kinds']:.1f} kinds a photograph. Brier skill over each kind's share: {number(data['skill'])}. "
        f"Area under the ROC curve: {ranked or 'too few photographs'}.",
    )  # fmt: skip


SUITE = Suite(NAME, jobs, summarise, show)
