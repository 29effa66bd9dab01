"""Suite `scores`: agreement of the scores with MOS, for every mode and baseline.

Correlations are raw, with bootstrap 95 % intervals, over the pictures that have a score; the number without one stands
beside them. What is fitted to the labels (logistic, isotonic) has a table of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snellen.data.sample import Sample
from snellen.evaluate.baselines import has_own_unit
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.modes import MODES
from snellen.evaluate.predict import Job
from snellen.evaluate.report.plot import Axes, bars, scatter, span
from snellen.evaluate.report.tables import Figure, Table, estimate, number, percent
from snellen.evaluate.rows import Row
from snellen.evaluate.stats import correlation
from snellen.evaluate.stats.arrays import Floats
from snellen.evaluate.stats.bootstrap import UNDEFINED, Estimate, bootstrap_difference, bootstrap_interval, mean, share
from snellen.evaluate.suites import Suite

MISSES = 10
"""Number of worst misses in the report."""
MIN_PICTURES = 5
"""With fewer pictures nothing is correlated."""
UNSEEN = "no scene of the training split"


def jobs(sets: Sequence[DataSet], modes: Sequence[str], folder: Path) -> list[Job]:
    """Return the rated pictures of each set: of its test split where it has one, else all."""
    return [
        Job("scores", key, sample.path, sample.path, tuple(modes))
        for each in sets
        for key, sample in rated(each).items()
    ]


def rated(each: DataSet) -> dict[str, Sample]:
    """Return the rated test samples of a set by key."""
    return {key: sample for key, sample in each.test_samples.items() if sample.mos is not None}


def by_set(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, dict[str, dict[str, Row]]]:
    """Return the rows of unchanged rated pictures by name of the set, mode and key, in the order of the rows."""
    owner = {key: each.name for each in sets for key in rated(each)}
    found: dict[str, dict[str, dict[str, Row]]] = {}
    for row in rows:
        if not row.variant and row.key in owner:
            found.setdefault(owner[row.key], {}).setdefault(row.mode, {})[row.key] = row
    return found


def score_of(row: Row) -> float:
    """Return the score, NaN where there is none."""
    return np.nan if row.score is None else row.score


def written_rating(row: Row) -> float:
    """Return the rating as the last reply states it, which the authors' evaluator reads; NaN where there is none."""
    rating = row.rounds[-1].rating if row.rounds and row.score is not None else None
    return np.nan if rating is None else rating


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return, by set: agreement by mode, differences of the main mode, its parts, replies and failures."""
    summary: dict[str, Any] = {}
    for each in sets:
        found = by_set(rows, [each]).get(each.name)
        if not found:
            continue
        main = next(iter(found))
        summary[each.name] = {
            "pictures": len(found[main]),
            "main": main,
            "modes": {mode: _one_mode(those, each.samples) for mode, those in found.items()},
            "main minus": {
                mode: _difference(found[main], those, each.samples) for mode, those in found.items() if mode != main
            },
            "parts": {
                name: agreement([score_of(found[main][key]) for key in keys], [each.samples[key].mos for key in keys])
                for name, keys in parts(each, list(found[main])).items()
            },
            "replies": {mode: _replies(list(those.values())) for mode, those in found.items() if mode in MODES},
            "failures": {mode: failed for mode, those in found.items() if (failed := _failures(those.values()))},
        }
    return summary


def parts(each: DataSet, keys: Sequence[str]) -> dict[str, list[str]]:
    """Return keys by part: pictures without a near-duplicate in the training split, subsets, distortions."""
    trained = {sample.group for sample in each.samples.values() if sample.split == "train" and sample.group}
    found: dict[str, list[str]] = {}
    apart = [key for key in keys if each.samples[key].group not in trained]
    if trained and len(apart) < len(keys):
        found[UNSEEN] = apart
    for key in keys:
        sample = each.samples[key]
        name = sample.subset or (sample.faults[0].distortion if sample.faults else "")
        if name:
            found.setdefault(name, []).append(key)
    return found


def agreement(scores: Sequence[float], mos: Sequence[float | None], mos_scale: bool = True) -> dict[str, Any]:
    """Return srcc, plcc, krcc and rmse over the `n` pictures with a score; `missing` have none.

    mos_scale: the scores are on the MOS scale, 1..5; without it there is no rmse.
    """
    predicted, wanted = np.array(scores, float), np.array(mos, float)
    known = ~np.isnan(predicted)
    a, b = predicted[known], wanted[known]
    row: dict[str, Any] = {"n": len(a), "missing": int((~known).sum())}
    metrics = (correlation.srcc, correlation.plcc, correlation.krcc, *((correlation.rmse,) if mos_scale else ()))
    for metric in metrics:
        row[metric.__name__] = bootstrap_interval(metric, a, b) if len(a) >= MIN_PICTURES else UNDEFINED
    return row


def _one_mode(found: Mapping[str, Row], known: Mapping[str, Sample]) -> dict[str, Any]:
    """Return all numbers of one mode: raw agreement, after fits, ordered pairs, outliers."""
    rows, samples = list(found.values()), [known[key] for key in found]
    scores, mos = np.array([score_of(row) for row in rows]), np.array([sample.mos for sample in samples], float)
    mos_scale = not has_own_unit(rows[0].mode)
    result = agreement(scores.tolist(), mos.tolist(), mos_scale)
    scored = ~np.isnan(scores)
    if scored.sum() < MIN_PICTURES:
        return result
    a, b = scores[scored], mos[scored]
    result |= _logistic(a, b)
    result["pairs"] = correlation.pair_agreement(a, b)
    std = np.array([np.nan if s.std is None else s.std for s in samples])[scored]
    count = np.array([np.nan if s.n is None else s.n for s in samples])[scored]
    if mos_scale and not np.isnan(std).any():
        result["outlier ratio"] = bootstrap_interval(correlation.outlier_ratio, a, b, std)
    half = 1.96 * std / np.sqrt(count)
    if not np.isnan(half).any():
        result["pairs, disjoint MOS intervals"] = correlation.pair_agreement(a, b, b - half, b + half)
    ends = np.array([row.interval or (np.nan, np.nan) for row in rows], float)[scored]
    if not np.isnan(ends).any():
        result["pairs, disjoint score intervals"] = correlation.pair_agreement(a, b, ends[:, 0], ends[:, 1])
    written = np.array([written_rating(row) for row in rows])
    stated = ~np.isnan(written)
    if stated.sum() >= MIN_PICTURES:
        plcc, srcc = correlation.isotonic_fit(written[stated], mos[stated])
        result["isotonic"] = {"n": int(stated.sum()), "plcc": plcc, "srcc": srcc}
    return result


def _logistic(a: Floats, b: Floats) -> dict[str, Any]:
    """Return PLCC and RMSE after the logistic fit, with its parameters; their intervals take the curve as given."""
    try:
        if np.ptp(a) == 0.0:
            raise RuntimeError("all scores are equal")
        curve = correlation.fit_logistic(a, b)
    except RuntimeError as error:
        return {"plcc, logistic": UNDEFINED, "rmse, logistic": UNDEFINED, "logistic": None, "problem": str(error)}
    fitted = correlation.logistic(a, curve)
    return {
        "plcc, logistic": bootstrap_interval(correlation.plcc, fitted, b),
        "rmse, logistic": bootstrap_interval(correlation.rmse, fitted, b),
        "logistic": curve,
    }


def _difference(first: Mapping[str, Row], second: Mapping[str, Row], known: Mapping[str, Sample]) -> Estimate:
    """Return the paired difference in SRCC over the pictures that both scored."""
    keys = [key for key in first if key in second and not np.isnan([score_of(first[key]), score_of(second[key])]).any()]
    if len(keys) < MIN_PICTURES:
        return UNDEFINED
    a, b = ([score_of(rows[key]) for key in keys] for rows in (first, second))
    return bootstrap_difference(correlation.srcc, a, b, np.array([known[key].mos for key in keys], float))


def _replies(rows: Sequence[Row]) -> dict[str, Any]:
    """Return counts of replies, unparsable, repaired and without a distribution; crop rate, rounds and tokens."""
    answered = [row for row in rows if row.rounds]
    replies = [one for row in answered for one in row.rounds]
    return {
        "replies": len(replies),
        "unparsable": sum(one.error is not None for one in replies),
        "repaired": sum(bool(one.repaired) for one in replies),
        "written ratings": sum(one.error is None and one.mean is None for one in replies),
        "crop rate": share([row.crop is not None for row in answered]),
        "rounds": mean(len(row.rounds) for row in answered),
        "tokens": mean(sum(one.tokens for one in row.rounds) for row in answered),
    }


def _failures(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Return, by error code, the number of pictures and the first one's problem."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.error is not None:
            found.setdefault(row.error, {"pictures": 0, "first": f"{row.key}: {row.problem}"})["pictures"] += 1
    return found


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table | Figure]:
    """Return, for each set: agreement by mode and by part, fits, ordered pairs, replies, misses, a scatter plot."""
    shown: list[Table | Figure] = []
    found = by_set(rows, sets)
    for name, data in summary.items():
        main = found[name][data["main"]]
        samples = next(each.samples for each in sets if each.name == name)
        shown += [_agreement_table(name, data), _scatter(name, data, main, samples), _fits_table(name, data)]
        if data["parts"]:
            shown.append(_parts_table(name, data))
        ranked = {part: row["srcc"] for part, row in data["parts"].items() if row["n"] >= MIN_PICTURES}
        if len(ranked) >= MIN_PICTURES:
            shown.append(Figure(f"{name}: SRCC by part, {data['main']}", bars(ranked)))
        shown += [_pairs_table(name, data), _replies_table(name, data)]
        if data["main"] in MODES:
            shown.append(_misses_table(name, data["main"], main, samples))
    return shown


def _agreement_table(name: str, data: Mapping[str, Any]) -> Table:
    head = ["mode or baseline", "pictures", "SRCC", "KRCC", "PLCC", "RMSE", f"SRCC of {data['main']} − this"]
    cells = []
    for mode, row in data["modes"].items():
        n = f"{row['n']}" + (f" of {data['pictures']}" if row["n"] < data["pictures"] else "")
        values = [estimate(row.get(key, UNDEFINED)) for key in ("srcc", "krcc", "plcc", "rmse")]
        cells.append([mode, n, *values, estimate(data["main minus"].get(mode, UNDEFINED), 4)])
    note = "Raw scores against MOS. 95 % bootstrap intervals over pictures; differences over pictures that both scored."
    return Table(f"{name}: agreement with MOS", head, cells, note)


def _fits_table(name: str, data: Mapping[str, Any]) -> Table:
    cells = []
    for mode, row in data["modes"].items():
        isotonic = row.get("isotonic", {})
        fitted = [estimate(row.get(key, UNDEFINED)) for key in ("plcc, logistic", "rmse, logistic")]
        cells.append([mode, *fitted, number(isotonic.get("srcc")), number(isotonic.get("plcc"))])
    head = ["mode or baseline", "PLCC, logistic", "RMSE, logistic", "SRCC, isotonic", "PLCC, isotonic"]
    note = (
        "Both curves are fitted to the labels of these very pictures, so these values are too high. Logistic: VQEG's "
        "four parameters. Isotonic: of the rating as written, as the authors of Zoom-IQA evaluate."
    )
    return Table(f"{name}: after a fit to the test labels", head, cells, note)


def _parts_table(name: str, data: Mapping[str, Any]) -> Table:
    cells = [
        [part, str(row["n"]), *(estimate(row[key]) for key in ("srcc", "plcc", "krcc", "rmse"))]
        for part, row in data["parts"].items()
    ]
    return Table(f"{name}: parts, {data['main']}", ["part", "pictures", "SRCC", "PLCC", "KRCC", "RMSE"], cells)


def _pairs_table(name: str, data: Mapping[str, Any]) -> Table:
    keys = ("pairs", "pairs, disjoint MOS intervals", "pairs, disjoint score intervals", "outlier ratio")
    cells = [[mode, *(percent(row.get(key)) for key in keys)] for mode, row in data["modes"].items()]
    head = ["mode or baseline", "all pairs", "disjoint MOS intervals", "disjoint score intervals", "outlier ratio"]
    note = (
        "Share of pairs of pictures in the order of their MOS. Outlier ratio: share of errors above two standard "
        "deviations of the opinions. A dash: the data set or the model gives no intervals."
    )
    return Table(f"{name}: ordered pairs", head, cells, note)


def _replies_table(name: str, data: Mapping[str, Any]) -> Table:
    counted = ("replies", "unparsable", "repaired", "written ratings")
    head = ["mode or baseline", *counted, "crop rate", "rounds", "tokens per picture", "failures"]
    cells = []
    for mode in data["modes"]:
        row = data["replies"].get(mode)
        counts = ["-"] * 7
        if row is not None and row["replies"]:
            counts = [*(str(row[name]) for name in counted), percent(row["crop rate"])]
            counts += [number(row["rounds"], 2), number(row["tokens"], 1)]
        failed = "; ".join(
            f"{f['pictures']} {code}, first {f['first']}" for code, f in data["failures"].get(mode, {}).items()
        )
        cells.append([mode, *counts, failed or "-"])
    note = "Repaired: parsed after a repair of form. Written ratings: scores without a rating distribution."
    return Table(f"{name}: replies and failures", head, cells, note)


def _misses_table(name: str, main: str, rows: Mapping[str, Row], samples: Mapping[str, Sample]) -> Table:
    cells = [
        [row.key.partition("/")[2], number(samples[row.key].mos, 2), number(row.score, 2),
         "-" if row.interval is None else f"{number(row.interval[0], 2)} to {number(row.interval[1], 2)}",
         ", ".join(f"{issue.kind} {issue.severity}" for issue in row.issues) or "-"]
        for row in worst_misses(rows.values(), samples)[:MISSES]
    ]  # fmt: skip
    head = ["picture", "MOS", "score", "90 % interval", "issues with severity"]
    return Table(f"{name}: {len(cells)} largest errors, {main}", head, cells, "report.html shows these pictures.")


def worst_misses(rows: Iterable[Row], samples: Mapping[str, Sample]) -> list[Row]:
    """Return the rows with a score and a MOS, largest absolute error first, equal ones by key."""
    known = [(abs(row.score - mos), row) for row in rows
             if row.score is not None and (mos := samples[row.key].mos) is not None]  # fmt: skip
    return [row for _, row in sorted(known, key=lambda miss: (-miss[0], miss[1].key))]


def _scatter(name: str, data: Mapping[str, Any], rows: Mapping[str, Row], samples: Mapping[str, Sample]) -> Figure:
    known = [key for key, row in rows.items() if row.score is not None]
    scores, mos = [score_of(rows[key]) for key in known], [float(samples[key].mos or np.nan) for key in known]
    axes = Axes(span(scores, (1.0, 5.0)), span(mos, (1.0, 5.0)), "score", "MOS")
    curve, note = None, "Dashed: identity."
    if data["modes"][data["main"]].get("logistic"):
        xs = np.linspace(min(scores), max(scores), 80)
        curve = (xs, correlation.logistic(xs, data["modes"][data["main"]]["logistic"]))
        note = "Dashed: identity. Line: logistic fit to these labels."
    return Figure(f"{name}: score and MOS, {data['main']}", scatter(scores, mos, axes, curve=curve), note)


SUITE = Suite("scores", jobs, summarise, show)
