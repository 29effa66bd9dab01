"""Suite `robustness`: equal scores where pictures are equal, falling scores where a distortion grows.

A picture is scored again in other batches and threads, and after imperceptible perturbations; distortions of rising
level follow (`ladders`); on pictures that are not photographs the rating distribution should widen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from snellen.evaluate.baselines import has_own_unit
from snellen.evaluate.datasets import DataSet, some
from snellen.evaluate.modes import CONTROLS
from snellen.evaluate.perturb import DRAWN, PERTURBATIONS, drawn, perturbed
from snellen.evaluate.predict import Job
from snellen.evaluate.report.tables import Figure, Table, number, percent
from snellen.evaluate.rows import Row
from snellen.evaluate.stats.arrays import Floats
from snellen.evaluate.stats.bootstrap import mean, share
from snellen.evaluate.stats.spread import largest_difference, within_std
from snellen.evaluate.suites import Suite, ladders

NAME = "robustness"
MAX_PERTURBED, MAX_RERUN = 48, 12
"""Pictures of all sets together that are perturbed, and that are scored again in other batches."""
RERUNS = {"again": (None, 1), "alone": (1, 1), "three at a time": (3, 1), "on two threads": (None, 2)}
"""Other batch sizes (None: that of the run) and numbers of threads."""
SAME = 1e-3
"""MOS; scores of one picture that differ by no more count as equal."""
DRAWN_EACH = 4
"""Pictures of each kind that is not a photograph."""
DRAWN_VARIANT = "drawn"


def jobs(sets: Sequence[DataSet], modes: Sequence[str], folder: Path) -> list[Job]:
    """Return some pictures of all sets, perturbed and rerun; clean photographs, distorted; drawn pictures."""
    main = (modes[0],)
    reruns = [
        Job(NAME, key, sample.path, sample.path, main, variant, batch=batch, threads=threads)
        for variant, (batch, threads) in RERUNS.items()
        for key, sample in some(sets, MAX_RERUN).items()
    ]
    not_photographs = [
        Job(NAME, f"drawn/{kind} {seed}", partial(drawn, kind, seed), "", main, DRAWN_VARIANT)
        for kind in DRAWN
        for seed in range(DRAWN_EACH)
    ]
    return [*perturbed_jobs(sets, modes), *reruns, *ladders.jobs(NAME, sets, without_controls(modes)), *not_photographs]


def without_controls(modes: Sequence[str]) -> tuple[str, ...]:
    """Return the modes without the control crops."""
    return tuple(mode for mode in modes if mode not in CONTROLS)


def perturbed_jobs(sets: Sequence[DataSet], modes: Sequence[str]) -> list[Job]:
    """Return pictures as they are and after each perturbation."""
    found = []
    for key, sample in some(sets, MAX_PERTURBED).items():
        found.append(Job(NAME, key, sample.path, sample.path, without_controls(modes)))
        found += [
            Job(NAME, key, partial(perturbed, sample.path, name), sample.path, without_controls(modes), name)
            for name in PERTURBATIONS
        ]
    return found


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return differences between reruns, effects of perturbations, ladders, and the width on drawn pictures."""
    scores = ladders.scores_of(rows)
    main = next(iter(scores))
    of_main = [row for row in rows if row.mode == main]
    found: dict[str, Any] = {
        "main": main,
        "reruns": reruns(of_main),
        "perturbations": {mode: perturbation_effects(those) for mode, those in scores.items()},
        "not photographs": drawn_widths(of_main),
    }
    with_clean = {
        mode: ladders.summarise(those) for mode, those in scores.items() if any(v == ladders.CLEAN for _, v in those)
    }
    others = {mode: ladders.difference(scores[main], those) for mode, those in scores.items() if mode != main}
    return found | {"ladders": with_clean, "ladders, main minus": others if with_clean else {}}


def reruns(rows: Sequence[Row]) -> dict[str, Any]:
    """Return, for each of `RERUNS`: largest score difference, share within `SAME`, share with the same text.

    A picture with a score in only one of two runs has an infinite difference.
    """
    base = {row.key: row for row in rows if not row.variant}
    found: dict[str, Any] = {}
    for name in RERUNS:
        pairs = [(row, base[row.key]) for row in rows if row.variant == name]
        differences = np.array([_difference(a, b) for a, b in pairs])
        texts = [[one.reply for one in a.rounds] == [one.reply for one in b.rounds] for a, b in pairs]
        found[name] = {
            "pictures": len(pairs),
            "largest difference": float(differences.max()) if pairs else math.nan,
            "same score": share(differences <= SAME),
            "same text": share(texts),
        }
    return found


def _difference(a: Row, b: Row) -> float:
    if a.score is None or b.score is None:
        return 0.0 if a.score is b.score else math.inf
    return abs(a.score - b.score)


def perturbed_scores(scores: ladders.Scores) -> tuple[list[str], Floats]:
    """Return keys and scores (pictures, 1 + perturbations), unperturbed first, of the pictures that have all."""
    keys = list(dict.fromkeys(key for key, variant in scores if variant == ""))
    table = np.array([[scores[key, variant] for variant in ("", *PERTURBATIONS)] for key in keys], float)
    table = table.reshape(-1, 1 + len(PERTURBATIONS))
    whole = ~np.isnan(table).any(axis=1)
    return [key for key, complete in zip(keys, whole, strict=True) if complete], table[whole]


def perturbation_effects(scores: ladders.Scores) -> dict[str, Any]:
    """Return the spread over perturbations in the mode's own unit, and the mean and rms shift by each of them."""
    keys, table = perturbed_scores(scores)
    moved = table[:, 1:] - table[:, :1]
    return {
        "pictures": len(keys),
        "left out": len({key for key, variant in scores if variant == ""}) - len(keys),
        "spread": within_std(table),
        "largest difference": largest_difference(table),
        "by perturbation": {
            name: {"shift": mean(moved[:, i]), "rms": math.sqrt(mean(moved[:, i] ** 2)) if len(keys) else math.nan}
            for i, name in enumerate(PERTURBATIONS)
        },
    }


def drawn_widths(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the width of interval and distribution on drawn pictures, by kind, and on the pictures of the data sets.

    "wider": share of pictures whose distribution has a larger std than that of the median photograph. The interval is
    no measure for it, since near the ends of the scale it is clipped.
    """
    photographs = [row for row in rows if not row.variant]
    kinds = {kind: [row for row in rows if row.variant == DRAWN_VARIANT and row.key.startswith(f"drawn/{kind} ")]
             for kind in DRAWN}  # fmt: skip
    known = [row.std for row in photographs if row.std is not None]
    median = float(np.median(known)) if known else math.nan
    groups = {"photographs": photographs} | kinds | {"all drawn": [row for those in kinds.values() for row in those]}
    return {name: _widths(those, median) for name, those in groups.items()}


def _widths(rows: Sequence[Row], median: float) -> dict[str, Any]:
    stds = [row.std for row in rows if row.std is not None]
    return {
        "pictures": len(rows),
        "without a score": sum(row.score is None for row in rows),
        "score": mean(row.score for row in rows if row.score is not None),
        "std": mean(stds),
        "interval width": mean(row.interval[1] - row.interval[0] for row in rows if row.interval is not None),
        "wider": share([std > median for std in stds]),
    }


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table | Figure]:
    """Return the tables and bars of the report."""
    rerun = [
        [name, str(v["pictures"]), f"{v['largest difference']:.2g}", percent(v["same score"]), percent(v["same text"])]
        for name, v in summary["reruns"].items()
    ]
    effects = [
        [mode + (", own unit" if has_own_unit(mode) else ""), str(v["pictures"]), number(v["spread"]),
         number(v["largest difference"]), *(number(c["rms"]) for c in v["by perturbation"].values())]
        for mode, v in summary["perturbations"].items()
    ]  # fmt: skip
    widths = [
        [name, str(v["pictures"]), number(v["score"], 2), number(v["std"], 2), number(v["interval width"], 2),
         percent(v["wider"])]
        for name, v in summary["not photographs"].items()
    ]  # fmt: skip
    main = summary["main"]
    by_perturbation = summary["perturbations"][main]["by perturbation"]
    mean_shifts = ", ".join(f"{name} {v['shift']:+.3f}" for name, v in by_perturbation.items())
    found: list[Table | Figure] = [
        Table(
            f"Other batches and threads: {main}",
            ["run", "pictures", "largest difference", f"difference up to {SAME:g}", "same text"],
            rerun,
        ),
        Table(
            "Imperceptible perturbations: root mean square shift of the score",
            ["mode or baseline", "pictures", "std over all", "largest difference", *PERTURBATIONS],
            effects,
            f"Mean shift, {main}: {mean_shifts}.",
        ),
    ]
    if summary["ladders"]:
        found += ladders.show(summary["ladders"], summary["ladders, main minus"])
    head = ["pictures", "number", "score", "std of the rating", "interval width", "wider than the median photograph"]
    return [*found, Table("Pictures that are not photographs", head, widths)]


SUITE = Suite(NAME, jobs, summarise, show)
