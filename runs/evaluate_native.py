"""`native`: does the score follow what only native pixels show? Ladders of five settings, BRISQUE beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from evaluate_biq import scores, with_one_round
from evaluate_pictures import BRISQUE, ONE, ONLY, PLAIN, TWO, Job, Options, assess_jobs
from evaluate_tables import SEED, number, publish, spread, table

from snellen import metrics
from snellen.data.sources import Photograph
from snellen.data.testsets import LADDERS, Rung, native_detail

MODES = (TWO, ONLY, PLAIN)
Floats = npt.NDArray[np.float64]


def native(
    photographs: Sequence[Photograph],
    options: Options,
    modes: Sequence[str] = MODES,
    *,
    brisque: bool = True,
    max_megapixels: float = 4.0,
) -> dict[str, Any]:
    """Tables of rank correlation within ladders and over all, for each way to score.

    `options.every` takes each so many-th photograph here, so that ladders stay whole.
    """
    rungs = native_detail(photographs[:: options.every], max_megapixels)
    jobs = [Job(key(rung), rung) for rung in rungs]
    each = replace(options, every=1)
    name = f"native-{max_megapixels:g}"
    found = with_one_round(assess_jobs(name, jobs, modes, each)) if modes else {}
    if brisque:
        found |= assess_jobs(f"{name}-brisque", jobs, (BRISQUE,), each)
    by_way = {mode: dict(zip(rows, scores(rows, list(rows)), strict=True)) for mode, rows in found.items()}
    if BRISQUE in by_way:  # higher is worse there
        by_way[BRISQUE] = {picture: -score for picture, score in by_way[BRISQUE].items()}
    ways = [way for way in (TWO, ONE, ONLY, PLAIN, BRISQUE) if way in by_way]
    data: dict[str, Any] = {"photographs": len({r.source for r in rungs}), "pictures": len(rungs), "ways": {}}
    for way in ways:
        data["ways"][way] = summary(by_way[way], rungs)
    names = [*LADDERS, "all ladders"]
    tables = [
        ("Rank correlation of score with level, mean over ladders of five rungs", ladder_table(data["ways"], names)),
        ("Over all pictures, against the human level means", pooled_table(data["ways"])),
    ]
    publish("native", options.out, tables, data)
    return data


def key_of(source: str, ladder: str | None, level: int) -> str:
    return f"{source}|{ladder if level else 'clean'}|{level}"


def key(rung: Rung) -> str:
    return key_of(rung.source, rung.ladder, rung.level)


def ladder_scores(by_key: Mapping[str, float], rungs: Sequence[Rung], ladder: str, first: int) -> Floats:
    """(photographs, levels) scores of the rungs `first`..5; rung 0 is the photograph as it is.

    A picture without a score takes its whole row out; rows are counted in the table.
    """
    sources = dict.fromkeys(rung.source for rung in rungs)
    rows = [[by_key[key_of(source, ladder, level)] for level in range(first, 6)] for source in sources]
    out = np.array(rows, float)
    whole: Floats = out[~np.isnan(out).any(axis=1)]
    return whole


def summary(by_key: Mapping[str, float], rungs: Sequence[Rung]) -> dict[str, Any]:
    """Mean ladder rank correlation (over rungs 1-5, and with the original as rung 0) and the pooled SRCC."""
    data: dict[str, Any] = {"ladders": {}}
    five, six = [], []
    for ladder in LADDERS:
        rows = ladder_scores(by_key, rungs, ladder, 1)
        rows_with_original = ladder_scores(by_key, rungs, ladder, 0)
        five.append(rows)
        six.append(rows_with_original)
        data["ladders"][ladder] = ladder_row(rows, rows_with_original)
    data["ladders"]["all ladders"] = ladder_row(np.concatenate(five), np.concatenate(six))
    there = [rung for rung in rungs if rung.level and not np.isnan(by_key[key(rung)])]
    score, wanted = ([by_key[key(rung)] for rung in there], [rung.human_mean for rung in there])
    data["missing"] = sum(bool(np.isnan(value)) for value in by_key.values())
    data["pooled"] = metrics.bootstrap_interval(metrics.srcc, score, wanted, seed=SEED)
    data["pooled plcc"] = metrics.plcc(score, wanted)
    data["pooled by ladder"] = {
        ladder: metrics.srcc(
            [by_key[key(rung)] for rung in there if rung.ladder == ladder],
            [rung.human_mean for rung in there if rung.ladder == ladder],
        )
        for ladder in LADDERS
    }
    return data


def ladder_row(rows: Floats, rows_with_original: Floats) -> dict[str, Any]:
    return {
        "n": len(rows),
        "five": metrics.bootstrap_interval(over_levels, rows, seed=SEED),
        "six": over_levels(rows_with_original),
        "points lost": float(np.mean(rows[:, 0] - rows[:, -1])) if len(rows) else float("nan"),
    }


def over_levels(rows: Floats) -> float:
    return metrics.mean_rank_correlation(rows, -np.arange(rows.shape[1]))


def ladder_table(ways: Mapping[str, Any], names: Sequence[str]) -> str:
    cells = [
        [name, *(f"{spread(w['ladders'][name]['five'])} ({number(w['ladders'][name]['six'])})" for w in ways.values())]
        for name in names
    ]
    counts = [str(w["ladders"]["all ladders"]["n"]) for w in ways.values()]
    return table(["ladder", *(f"{way} (with the original)" for way in ways)], [*cells, ["ladders counted", *counts]])


def pooled_table(ways: Mapping[str, Any]) -> str:
    head = ["way", "SRCC", "PLCC", *(f"SRCC, {name}" for name in LADDERS), "without a score"]
    cells = [
        [way, spread(w["pooled"]), number(w["pooled plcc"]), *map(number, w["pooled by ladder"].values()), w["missing"]]
        for way, w in ways.items()
    ]
    return table(head, cells)
