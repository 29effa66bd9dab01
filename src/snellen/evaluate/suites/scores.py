"""Suite `scores`: how the scores agree with people's, for every way to run the model and for its peers.

Correlations are raw, with bootstrap 95 % intervals, over the pictures that have a score; how many have none stands
beside them. What is fitted to the labels (logistic, isotonic) is never shown without the raw value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.data.sample import Sample
from snellen.evaluate.modes import CONTROLS, FULL_CROP, HEADS, WAYS
from snellen.evaluate.predict import DataSet, Job, Row
from snellen.evaluate.report.plot import Axes, bars, scatter, span
from snellen.evaluate.report.tables import Figure, Table, number, percent, spread
from snellen.evaluate.stats import correlation as metrics

Floats = npt.NDArray[np.float64]
SEED = 0
"""Of every bootstrap."""
MISSES = 10
"""Of the worst, in the report."""
FEWEST = 5
"""Under so many pictures nothing is correlated."""


def jobs(sets: Sequence[DataSet], ways: Sequence[str], folder: Path) -> list[Job]:
    """The rated pictures of each set: of its test split where it has one, otherwise all."""
    chosen = tuple(way for way in ways if way != FULL_CROP)
    return [
        Job("scores", key, sample.path, sample.path, chosen) for each in sets for key, sample in rated(each).items()
    ]


def rated(each: DataSet) -> dict[str, Sample]:
    """Pictures of a set that count here, by key."""
    return {key: sample for key, sample in each.counted.items() if sample.mos is not None}


def by_set(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, dict[str, dict[str, Row]]]:
    """Rows of rated pictures as they are, by name of the set, way and key; in the order of the rows."""
    owner = {key: each.name for each in sets for key in rated(each)}
    found: dict[str, dict[str, dict[str, Row]]] = {}
    for row in rows:
        if not row.variant and row.key in owner:
            found.setdefault(owner[row.key], {}).setdefault(row.way, {})[row.key] = row
    return found


def score_of(row: Row) -> float:
    """NaN where there is none."""
    return np.nan if row.score is None else row.score


def written_of(row: Row) -> float:
    """The rating as the last reply writes it, which is what the authors' evaluator reads; NaN where there is none."""
    rating = row.rounds[-1].rating if row.rounds and row.score is not None else None
    return np.nan if rating is None else rating


def summarise(rows: Sequence[Row], sets: Sequence[DataSet], *, official_fit: bool = False) -> dict[str, Any]:
    """By set: agreement by way, that of the main way by subset, and what the replies are like."""
    summary: dict[str, Any] = {}
    for each in sets:
        found = by_set(rows, [each]).get(each.name)
        if not found:
            continue
        main = next(iter(found))
        summary[each.name] = {
            "pictures": len(found[main]),
            "main": main,
            "ways": {way: _way(those, each.samples, official_fit) for way, those in found.items()},
            "minus": {
                way: _difference(found[main], those, each.samples) for way, those in found.items() if way != main
            },
            "parts": {
                name: _agreement([score_of(found[main][key]) for key in keys], [each.samples[key].mos for key in keys])
                for name, keys in parts(each, list(found[main])).items()
            },
            "replies": {way: _replies(list(those.values())) for way, those in found.items() if way in WAYS},
            "failures": {way: failed for way, those in found.items() if (failed := _failures(those.values()))},
        }
    return summary


def parts(each: DataSet, keys: Sequence[str]) -> dict[str, list[str]]:
    """Keys of parts of a set: pictures no near-duplicate of which is in the training split, subsets, distortions."""
    seen = {sample.group for sample in each.samples.values() if sample.split == "train" and sample.group}
    found: dict[str, list[str]] = {}
    apart = [key for key in keys if each.samples[key].group not in seen]
    if seen and len(apart) < len(keys):
        found["no scene of the training split"] = apart
    for key in keys:
        sample = each.samples[key]
        name = sample.subset or (sample.faults[0].distortion if sample.faults else "")
        if name:
            found.setdefault(name, []).append(key)
    return found


def _agreement(predicted: Sequence[float], wanted: Sequence[float | None], on_scale: bool = True) -> dict[str, Any]:
    """Raw agreement over the `n` pictures with a score; `missing` have none. `on_scale`: scores are on 1..5."""
    said, mos = np.array(predicted, float), np.array(wanted, float)
    there = ~np.isnan(said)
    a, b = said[there], mos[there]
    row: dict[str, Any] = {"n": len(a), "missing": int((~there).sum())}
    chosen = (metrics.srcc, metrics.plcc, metrics.krcc, *((metrics.rmse,) if on_scale else ()))
    for metric in chosen:
        enough = len(a) >= FEWEST
        row[metric.__name__] = metrics.bootstrap_interval(metric, a, b, seed=SEED) if enough else (np.nan,) * 3
    return row


def _way(found: Mapping[str, Row], known: Mapping[str, Sample], official_fit: bool) -> dict[str, Any]:
    """Everything about one way, by key of the pictures it was given: raw agreement, after fits, pairs, outliers."""
    rows, samples = list(found.values()), [known[key] for key in found]
    said, mos = np.array([score_of(row) for row in rows]), np.array([sample.mos for sample in samples], float)
    on_scale = rows[0].way in WAYS
    result = _agreement(said.tolist(), mos.tolist(), on_scale)
    there = ~np.isnan(said)
    a, b = said[there], mos[there]
    if len(a) < FEWEST:
        return result
    result |= _logistic(a, b)
    result["pairs"] = metrics.pair_agreement(a, b, seed=SEED)
    std = np.array([np.nan if s.std is None else s.std for s in samples])[there]
    count = np.array([np.nan if s.n is None else s.n for s in samples])[there]
    if on_scale and not np.isnan(std).any():
        result["outlier_ratio"] = metrics.bootstrap_interval(metrics.outlier_ratio, a, b, std, seed=SEED)
    half = 1.96 * std / np.sqrt(count)
    if not np.isnan(half).any():
        result["pairs beyond both MOS intervals"] = metrics.pair_agreement(a, b, b - half, b + half, seed=SEED)
    ends = np.array([row.interval or (np.nan, np.nan) for row in rows], float)[there]
    if not np.isnan(ends).any():
        result["pairs beyond both own intervals"] = metrics.pair_agreement(a, b, ends[:, 0], ends[:, 1], seed=SEED)
    if official_fit and on_scale and rows[0].way not in HEADS:
        written = np.array([written_of(row) for row in rows])
        read = ~np.isnan(written)
        if read.sum() >= FEWEST:
            plcc, srcc = metrics.official_fit(written[read], mos[read])
            result["official_fit"] = {"n": int(read.sum()), "plcc": plcc, "srcc": srcc}
    return result


def _logistic(a: Floats, b: Floats) -> dict[str, Any]:
    """PLCC and RMSE after the fit, whose intervals take the curve as given, and the curve's parameters."""
    nothing = (np.nan,) * 3
    try:
        if np.ptp(a) == 0.0:
            raise RuntimeError("all scores are the same")
        curve = metrics.fit_logistic(a, b)
    except (RuntimeError, ImportError) as error:  # few or constant scores, or no scipy; the raw values stand
        return {"plcc_logistic": nothing, "rmse_logistic": nothing, "logistic": None, "logistic_problem": str(error)}
    fitted = metrics.logistic(a, curve)
    return {
        "plcc_logistic": metrics.bootstrap_interval(metrics.plcc, fitted, b, seed=SEED),
        "rmse_logistic": metrics.bootstrap_interval(metrics.rmse, fitted, b, seed=SEED),
        "logistic": curve,
    }


def _difference(first: Mapping[str, Row], second: Mapping[str, Row], known: Mapping[str, Sample]) -> Any:
    """Paired difference in SRCC over the pictures that both scored: (value, low, high)."""
    keys = [key for key in first if key in second and not np.isnan([score_of(first[key]), score_of(second[key])]).any()]
    if len(keys) < FEWEST:
        return (np.nan,) * 3
    a, b = ([score_of(rows[key]) for key in keys] for rows in (first, second))
    mos = np.array([known[key].mos for key in keys], float)
    return metrics.bootstrap_difference(metrics.srcc, a, b, mos, seed=SEED)


def _replies(rows: Sequence[Row]) -> dict[str, Any]:
    """How many replies could be read, how often there is a crop, rounds and tokens per picture."""
    looked = [row for row in rows if row.rounds]
    replies = [round for row in looked for round in row.rounds]
    return {
        "replies": len(replies),
        "unparsable": sum(round.error is not None for round in replies),
        "crops": metrics.share([row.crop is not None for row in looked]),
        "rounds": float(np.mean([len(row.rounds) for row in looked])) if looked else np.nan,
        # a control's first reply is not the model's own, and has no tokens
        "tokens": float(np.mean([sum(r.tokens for r in row.rounds) for row in looked]))
        if looked and looked[0].way not in CONTROLS
        else np.nan,
    }


def _failures(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Error codes, with how many pictures have each, and what the first one says."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.error is not None:
            found.setdefault(row.error, {"pictures": 0, "first": f"{row.key}: {row.problem}"})["pictures"] += 1
    return found


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table | Figure]:
    """For each set: agreement by way and by part, pairs, replies; the scores against the MOS."""
    shown: list[Table | Figure] = []
    found = by_set(rows, sets)
    for name, data in summary.items():
        shown += [_agreement_table(name, data), _scatter(name, data, found[name][data["main"]], sets)]
        if data["parts"]:
            shown.append(_parts_table(name, data))
        ranked = {part: row["srcc"] for part, row in data["parts"].items() if row["n"] >= FEWEST}
        if len(ranked) >= FEWEST:
            shown.append(Figure(f"{name}: rank correlation by part, {data['main']}", bars(ranked)))
        shown += [_pairs_table(name, data), _replies_table(name, data)]
        if data["main"] in WAYS:
            shown.append(_misses_table(name, data["main"], found[name][data["main"]], sets))
    return shown


def _agreement_table(name: str, data: Mapping[str, Any]) -> Table:
    official = any("official_fit" in row for row in data["ways"].values())
    head = ["way", "scored", "SRCC", "KRCC", "PLCC", "PLCC, logistic", "RMSE", "RMSE, logistic"]
    head += ["SRCC of the first − this"]
    cells = []
    for way, row in data["ways"].items():
        n = f"{row['n']}" + (f" of {data['pictures']}" if row["n"] < data["pictures"] else "")
        values = [spread(row.get(key, (np.nan,) * 3)) for key in
                  ("srcc", "krcc", "plcc", "plcc_logistic", "rmse", "rmse_logistic")]  # fmt: skip
        line = [way, n, *values, spread(data["minus"][way], 4) if way in data["minus"] else "-"]
        if official:
            fit = row.get("official_fit", {})
            line += [number(fit.get("srcc")), number(fit.get("plcc"))]
        cells.append(line)
    note = "95 % bootstrap intervals over pictures; differences over those that both scored. "
    note += "What is called logistic is fitted to these very labels."
    if official:
        head += ["SRCC, official fit", "PLCC, official fit"]
        note += " The official fit is isotonic, on the written rating, also fitted to these very labels."
    return Table(f"{name}: agreement with people", head, cells, note)


def _parts_table(name: str, data: Mapping[str, Any]) -> Table:
    cells = [
        [part, str(row["n"]), spread(row["srcc"]), spread(row["plcc"]), spread(row["krcc"]), spread(row["rmse"])]
        for part, row in data["parts"].items()
    ]
    return Table(f"{name}: parts, {data['main']}", ["part", "n", "SRCC", "PLCC", "KRCC", "RMSE"], cells)


def _pairs_table(name: str, data: Mapping[str, Any]) -> Table:
    gaps = ("pairs", "pairs beyond both MOS intervals", "pairs beyond both own intervals", "outlier_ratio")
    cells = [[way, *(percent(row.get(gap)) for gap in gaps)] for way, row in data["ways"].items()]
    head = ["way", "all pairs", "beyond both MOS intervals", "beyond both own intervals", "outlier ratio"]
    note = "Share of pairs of pictures that are ordered as people order them. A dash: the data set does not tell."
    return Table(f"{name}: pairs", head, cells, note)


def _replies_table(name: str, data: Mapping[str, Any]) -> Table:
    head = ["way", "replies", "unparsable", "crops", "rounds", "tokens per picture", "failures"]
    cells = []
    for way in data["ways"]:
        row = data["replies"].get(way)
        said = ["-"] * 5
        if row is not None and row["replies"]:
            said = [str(row["replies"]), str(row["unparsable"]), percent(row["crops"])]
            said += [number(row["rounds"], 2), number(row["tokens"], 1)]
        failed = "; ".join(
            f"{f['pictures']} {code}, first {f['first']}" for code, f in data["failures"].get(way, {}).items()
        )
        cells.append([way, *said, failed or "-"])
    return Table(f"{name}: replies", head, cells)


def _misses_table(name: str, main: str, rows: Mapping[str, Row], sets: Sequence[DataSet]) -> Table:
    samples = next(each.samples for each in sets if each.name == name)
    cells = [
        [row.key.partition("/")[2], number(samples[row.key].mos, 2), number(row.score, 2),
         "-" if row.interval is None else f"{number(row.interval[0], 2)} to {number(row.interval[1], 2)}",
         ", ".join(f"{issue.kind} {issue.severity}" for issue in row.issues) or "-"]
        for row in worst(rows.values(), samples)[:MISSES]
    ]  # fmt: skip
    head = ["picture", "people", "score", "90 % interval", "issues named, with severity"]
    return Table(
        f"{name}: the {len(cells)} worst misses, {main}", head, cells, "As pictures, with the reasoning: report.html."
    )


def worst(rows: Iterable[Row], samples: Mapping[str, Sample]) -> list[Row]:
    """Rows with a score and a MOS, the furthest apart first; equal ones by key."""
    known = [(abs(row.score - mos), row) for row in rows
             if row.score is not None and (mos := samples[row.key].mos) is not None]  # fmt: skip
    return [row for _, row in sorted(known, key=lambda miss: (-miss[0], miss[1].key))]


def _scatter(name: str, data: Mapping[str, Any], rows: Mapping[str, Row], sets: Sequence[DataSet]) -> Figure:
    samples = next(each.samples for each in sets if each.name == name)
    there = [key for key, row in rows.items() if row.score is not None]
    said, mos = [score_of(rows[key]) for key in there], [float(samples[key].mos or np.nan) for key in there]
    axes = Axes(span(said, (1.0, 5.0)), span(mos, (1.0, 5.0)), "score", "MOS")
    curve, note = None, "Dashed: identity."
    if data["ways"][data["main"]].get("logistic"):
        xs = np.linspace(min(said), max(said), 80)
        curve = (xs, metrics.logistic(xs, data["ways"][data["main"]]["logistic"]))
        note = "Dashed: identity. Line: the logistic fitted to these labels."
    return Figure(f"{name}: score against people, {data['main']}", scatter(said, mos, axes, curve=curve), note)
