"""Does the score stay where it should, and move where it should?

It stays when the same picture is assessed again, or after a change that people do not see; it falls as a distortion
grows (`snellen.evaluate.suites.ladders`); and the interval widens on pictures that are no photographs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.evaluate.modes import CONTROLS, WAYS
from snellen.evaluate.odd import ODD, odd
from snellen.evaluate.perturb import INVISIBLE, invisible
from snellen.evaluate.predict import DataSet, Job, Row
from snellen.evaluate.pristine import some
from snellen.evaluate.report.tables import Figure, Table, number, percent
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.stats.spread import largest, within
from snellen.evaluate.suites import ladders

Floats = npt.NDArray[np.float64]
SUITE = "robustness"
MOST, MOST_AGAIN = 48, 12
"""Pictures at most, out of all sets: that are changed invisibly, and that are assessed again in other ways."""
AGAIN = {"again": (None, 1), "alone": (1, 1), "three at a time": (3, 1), "on two threads": (None, 2)}
"""Other ways to run the same: pictures at a time (None as in the run), and threads."""
SAME = 1e-3
"""How far scores of one picture may lie apart and still be called the same."""
ODD_EACH = 4
"""Pictures of each odd kind."""


def jobs(sets: Sequence[DataSet], ways: Sequence[str], folder: Path) -> list[Job]:
    """A few pictures of all sets, as they are and changed; the clean photographs, distorted; drawn odd pictures."""
    main = (ways[0],)
    again = [
        Job(SUITE, key, sample.path, sample.path, main, variant, batch=batch, threads=threads)
        for variant, (batch, threads) in AGAIN.items()
        for key, sample in some(sets, MOST_AGAIN).items()
    ]
    strange = [
        Job(SUITE, f"drawn/{kind} {seed}", partial(odd, kind, seed), "", main, ODD_MARK)
        for kind in ODD
        for seed in range(ODD_EACH)
    ]
    return [*invisible_jobs(sets, ways), *again, *ladders.jobs(SUITE, sets, comparable(ways)), *strange]


ODD_MARK = "odd"
"""The variant of drawn pictures."""


def comparable(ways: Sequence[str]) -> tuple[str, ...]:
    """Of the ways of a run those that are measures of their own, without the other crops."""
    return tuple(way for way in ways if way not in CONTROLS)


def invisible_jobs(sets: Sequence[DataSet], ways: Sequence[str]) -> list[Job]:
    """Pictures as they are, and after each of the changes that people do not see."""
    found = []
    for key, sample in some(sets, MOST).items():
        found.append(Job(SUITE, key, sample.path, sample.path, comparable(ways)))
        found += [
            Job(SUITE, key, partial(invisible, sample.path, change), sample.path, comparable(ways), change)
            for change in INVISIBLE
        ]
    return found


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """What is the same again, what invisible changes do, the label-free tests, and the width on odd pictures."""
    scores = ladders.scores_of(rows)
    main = next(iter(scores))
    found: dict[str, Any] = {
        "main": main,
        "again": again([row for row in rows if row.way == main]),
        "invisible": {way: invisible_changes(those) for way, those in scores.items()},
        "odd": oddness([row for row in rows if row.way == main]),
    }
    with_clean = {
        way: ladders.summarise(those) for way, those in scores.items() if any(v == ladders.CLEAN for _, v in those)
    }
    others = {way: ladders.against(scores[main], those) for way, those in scores.items() if way != main}
    return found | {"ladders": with_clean, "ladders, main minus": others if with_clean else {}}


def again(rows: Sequence[Row]) -> dict[str, Any]:
    """For each other way to run the same: largest difference in score, share within `SAME`, share with equal texts.

    A picture that has a score in one run and none in the other is as far apart as can be.
    """
    base = {row.key: row for row in rows if not row.variant}
    found: dict[str, Any] = {}
    for name in AGAIN:
        pairs = [(row, base[row.key]) for row in rows if row.variant == name]
        apart = np.array([_apart(a, b) for a, b in pairs])
        texts = [[r.reply for r in a.rounds] == [r.reply for r in b.rounds] for a, b in pairs]
        found[name] = {
            "pictures": len(pairs),
            "largest difference": float(apart.max()) if pairs else math.nan,
            "same score": metrics.share(apart <= SAME),
            "same text": metrics.share(texts),
        }
    return found


def _apart(a: Row, b: Row) -> float:
    if a.score is None or b.score is None:
        return 0.0 if a.score is b.score else math.inf
    return abs(a.score - b.score)


def changed(scores: ladders.Scores) -> tuple[list[str], Floats]:
    """Keys, and scores (pictures, 1 + changes) of the pictures that have them all: as they are, then changed."""
    keys = list(dict.fromkeys(key for key, variant in scores if variant == ""))
    table = np.array([[scores[key, variant] for variant in ("", *INVISIBLE)] for key in keys], float)
    table = table.reshape(-1, 1 + len(INVISIBLE))
    whole = ~np.isnan(table).any(axis=1)
    return [key for key, there in zip(keys, whole, strict=True) if there], table[whole]


def invisible_changes(scores: ladders.Scores) -> dict[str, Any]:
    """Spread over the changes, in the way's own unit (MOS for the model): see `snellen.evaluate.stats.spread`.

    changes: how far each moves the score, on average with its sign, and root mean square.
    """
    keys, table = changed(scores)
    moved = table[:, 1:] - table[:, :1]
    return {
        "pictures": len(keys),
        "left out": len({key for key, variant in scores if variant == ""}) - len(keys),
        "spread": within(table),
        "largest difference": largest(table),
        "changes": {
            name: {
                "shift": float(moved[:, i].mean()) if len(keys) else math.nan,
                "rms": float(np.sqrt(np.mean(moved[:, i] ** 2))) if len(keys) else math.nan,
            }
            for i, name in enumerate(INVISIBLE)
        },
    }


def oddness(rows: Sequence[Row]) -> dict[str, Any]:
    """Interval and spread of the rating on odd pictures, beside those on the pictures of the data sets as they are.

    wider: share of odd pictures whose rating is spread more than that of the median ordinary picture. It is asked of
    the distribution, since an interval near the end of the scale is cut short.
    """
    ordinary = [row for row in rows if not row.variant]
    kinds = {kind: [row for row in rows if row.variant == ODD_MARK and row.key.startswith(f"drawn/{kind} ")]
             for kind in ODD}  # fmt: skip
    known = [row.std for row in ordinary if row.std is not None]
    usual = float(np.median(known)) if known else math.nan
    groups = {"ordinary": ordinary} | kinds | {"all odd": [row for those in kinds.values() for row in those]}
    return {name: _widths(those, usual) for name, those in groups.items()}


def _widths(rows: Sequence[Row], usual: float) -> dict[str, Any]:
    stds = [row.std for row in rows if row.std is not None]
    return {
        "pictures": len(rows),
        "without a score": sum(row.score is None for row in rows),
        "score": _mean([row.score for row in rows if row.score is not None]),
        "std": _mean(stds),
        "interval width": _mean([row.interval[1] - row.interval[0] for row in rows if row.interval is not None]),
        "wider": metrics.share([std > usual for std in stds]),
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table | Figure]:
    """The tables and bars of the report."""
    same = [
        [name, str(v["pictures"]), f"{v['largest difference']:.2g}", percent(v["same score"]), percent(v["same text"])]
        for name, v in summary["again"].items()
    ]
    unseen = [
        [way + ("" if way in WAYS else ", own unit"), str(v["pictures"]), number(v["spread"]),
         number(v["largest difference"]), *(number(c["rms"]) for c in v["changes"].values())]
        for way, v in summary["invisible"].items()
    ]  # fmt: skip
    strange = [
        [name, str(v["pictures"]), number(v["score"], 2), number(v["std"], 2), number(v["interval width"], 2),
         percent(v["wider"])]
        for name, v in summary["odd"].items()
    ]  # fmt: skip
    shift = summary["invisible"][summary["main"]]["changes"]
    shifts = ", ".join(f"{name} {v['shift']:+.3f}" for name, v in shift.items())
    found: list[Table | Figure] = [
        Table(
            f"The same again: {summary['main']}",
            ["against the run itself", "pictures", "largest difference", f"within {SAME:g}", "same text"],
            same,
        ),
        Table(
            "Changes that nobody sees: how far scores move, root mean square",
            ["way", "pictures", "spread", "largest difference", *INVISIBLE],
            unseen,
            f"On average, {summary['main']}: {shifts}.",
        ),
    ]
    if summary["ladders"]:
        found += ladders.show(summary["ladders"], summary["ladders, main minus"])
    head = ["pictures", "n", "score", "spread of the rating", "interval width", "wider than the median ordinary one"]
    return [*found, Table("Pictures that are no photographs", head, strange)]
