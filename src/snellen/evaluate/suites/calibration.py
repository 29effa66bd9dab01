"""Suite `calibration`: does the model know how sure it may be? Its interval, its rating distribution, its spread.

`calibrate` fits the interval on pictures that no training saw, and writes it into a model's card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.backend import Calibration
from snellen.data.sample import Sample
from snellen.evaluate.modes import ONE, ONLY, TWO
from snellen.evaluate.predict import QUANTILES, DataSet, Job, Options, Row, data_set, forget_models, predict
from snellen.evaluate.report.plot import Axes, lines
from snellen.evaluate.report.tables import Figure, Table, number, percent, spread
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.suites import scores
from snellen.usage import UsageError

Floats = npt.NDArray[np.float64]
SELF_WAYS = (TWO, ONE, ONLY)
"""Ways whose interval and distribution are the model's own."""
BINS = 5
CURVE = 20
"""Points of a risk-coverage curve that are kept."""


def jobs(sets: Sequence[DataSet], ways: Sequence[str], folder: Path) -> list[Job]:
    """Those of `scores`."""
    return scores.jobs(sets, ways, folder)


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """By set and way, where the model gives a distribution."""
    samples = {key: sample for each in sets for key, sample in each.samples.items()}
    summary: dict[str, Any] = {}
    for name, found in scores.by_set(rows, sets).items():
        for way in (way for way in SELF_WAYS if way in found):
            known = [row for row in found[way].values() if row.score is not None and row.std is not None]
            if len(known) >= scores.FEWEST:
                mos = np.array([samples[row.key].mos for row in known], float)
                summary.setdefault(name, {})[way] = _one_way(known, mos)
    return summary


def _one_way(rows: Sequence[Row], mos: Floats) -> dict[str, Any]:
    score, std = np.array([scores.score_of(row) for row in rows]), np.array([row.std for row in rows], float)
    error = np.abs(score - mos)
    observed, ece = metrics.quantile_calibration([row.rounds[-1].quantiles for row in rows], QUANTILES, mos)
    covered, risk, area = metrics.risk_coverage(error, std)
    kept = np.unique(np.ceil(np.linspace(1 / CURVE, 1, CURVE) * len(rows)).astype(int)) - 1
    result: dict[str, Any] = {
        "n": len(rows),
        "quantiles": {"levels": list(QUANTILES), "observed": observed.tolist(), "ece": ece},
        "error against std, SRCC": metrics.bootstrap_interval(metrics.srcc, std, error, seed=scores.SEED),
        "risk": {
            "coverage": covered[kept].tolist(),
            "mean error": risk[kept].tolist(),
            "best possible": metrics.risk_coverage(error, error)[1][kept].tolist(),
            "area": area,
            "area, best possible": metrics.risk_coverage(error, error)[2],
            "area, knowing nothing": float(error.mean()),
        },
    }
    if all(row.interval is not None for row in rows):
        ends = np.array([row.interval for row in rows], float)
        result["interval"] = _interval(ends, score, mos, error)
    return result


def _interval(ends: Floats, score: Floats, mos: Floats, error: Floats) -> dict[str, Any]:
    low, high = ends[:, 0], ends[:, 1]
    width = high - low
    by_width = [part for part in np.array_split(np.argsort(width, kind="stable"), BINS) if len(part)]
    return {
        "coverage": metrics.share((low <= mos) & (mos <= high)),
        "width": metrics.bootstrap_interval(_mean, width, seed=scores.SEED),
        "by score": metrics.conditional_coverage(low, high, mos, score, BINS),
        "by width": metrics.conditional_coverage(low, high, mos, width, BINS),
        "mean error by width": [float(error[part].mean()) for part in by_width],
    }


def _mean(values: Floats) -> float:
    return float(np.mean(values))


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table | Figure]:
    """Coverage as a whole and in bins, the calibration plot, and what is left when the unsure ones are set aside."""
    shown: list[Table | Figure] = []
    for name, ways in summary.items():
        shown.append(_table(name, ways))
        main, data = next(iter(ways.items()))
        if "interval" in data:
            shown.append(_bins_table(f"{name}: interval in parts, {main}", data["interval"]))
        unit = (0.0, 1.0)
        promised = {way: (row["quantiles"]["levels"], row["quantiles"]["observed"]) for way, row in ways.items()}
        plot = lines(promised, Axes(unit, unit, "level", "MOS at or under that quantile"), identity=True, dots=True)
        shown.append(Figure(f"{name}: rating distribution", plot, "On the dashed line the distribution is right."))
        risk = data["risk"]
        curves = {
            "surest first": (risk["coverage"], risk["mean error"]),
            "best possible": (risk["coverage"], risk["best possible"]),
            "knowing nothing": ([0.0, 1.0], [risk["area, knowing nothing"]] * 2),
        }
        top = 1.3 * max(*risk["mean error"], risk["area, knowing nothing"])  # with room for the key
        plot = lines(curves, Axes(unit, (0.0, top), "share of pictures kept", "mean error"))
        shown.append(Figure(f"{name}: the unsure ones set aside, {main}", plot))
    return shown


def _table(name: str, ways: Mapping[str, Any]) -> Table:
    cells = []
    for way, row in ways.items():
        interval = row.get("interval")
        cells.append([
            way,
            str(row["n"]),
            percent(interval["coverage"]) if interval else "-",
            spread(interval["width"], 2) if interval else "-",
            number(row["quantiles"]["ece"]),
            spread(row["error against std, SRCC"]),
            number(row["risk"]["area"]),
            f"{number(row['risk']['area, best possible'])} to {number(row['risk']['area, knowing nothing'])}",
        ])  # fmt: skip
    head = ["way", "n", "interval holds the MOS", "mean width", "ECE of the distribution", "SRCC of std and error"]
    head += ["area under risk-coverage", "best possible to knowing nothing"]
    return Table(f"{name}: how sure it may be", head, cells, "The interval is made to hold 90 %. Errors are in MOS.")


def _bins_table(title: str, data: Mapping[str, Any]) -> Table:
    cells = [
        [f"score {number(low, 2)} to {number(high, 2)}", str(n), percent(inside), "-"]
        for low, high, n, inside in data["by score"]
    ] + [
        [f"width {number(low, 2)} to {number(high, 2)}", str(n), percent(inside), number(error)]
        for (low, high, n, inside), error in zip(data["by width"], data["mean error by width"], strict=True)
    ]
    return Table(title, ["pictures", "n", "interval holds the MOS", "mean error"], cells)


def calibrate(
    samples: Sequence[Sample], folder: Path, options: Options, out: Path, *, level: float = 0.9, workers: int = 1
) -> dict[str, Any]:
    """Fit the interval of the model in `folder` on rated pictures that no training saw; write it into its card.json.

    Returns what was fitted and how it holds. A killed one goes on from OUT/journal.jsonl; a finished one made another
    model, so it needs another `out`. Raises UsageError when too few pictures get a score with a distribution.
    """
    held = data_set("held-out", samples)
    todo = [Job("held-out", key, sample.path, sample.path, (TWO,)) for key, sample in held.samples.items()]
    rows = predict(todo, options, out, workers=workers, resume=True)
    known = [row for row in rows if row.score is not None and row.std is not None]
    score = np.array([row.score for row in known], float)
    std = np.array([row.std for row in known], float)
    wanted = np.array([held.samples[row.key].mos for row in known], float)
    try:
        calibration = fit_calibration(score, std, wanted, level)
        halves = [halves_coverage(score, std, wanted, level, seed) for seed in range(20)]
    except ValueError as error:
        raise UsageError(f"{len(known)} of {len(rows)} pictures got a score with a distribution: {error}") from error
    ends = np.array([calibration.interval(a, b) for a, b in zip(score, std, strict=True)])
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["calibration"] = {"coverage": level, "q": round(calibration.q, 5), "floor": round(calibration.floor, 5)}
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    forget_models()
    return dict(card["calibration"]) | {
        "pictures": len(known),
        "without a score": len(rows) - len(known),
        "srcc": metrics.srcc(score, wanted),
        "mean width": float((ends[:, 1] - ends[:, 0]).mean()),
        "coverage when fitted on one half and counted on the other": float(np.mean(halves)),
    }


def fit_calibration(score: Floats, std: Floats, wanted: Floats, level: float) -> Calibration:
    """The interval whose share of pictures (all (N,)) with the MOS inside is `level`.

    |MOS - score| / max(std, floor) is the nonconformity score; of several floors (quantiles of the stds) the one with
    the narrowest intervals is taken. ValueError when there are too few pictures.
    """
    if not len(score):
        raise ValueError("there is nothing to calibrate on")
    fits = []
    for floor in np.quantile(std, np.linspace(0, 0.9, 10)):
        floor = max(float(floor), 1e-3)
        width = np.maximum(std, floor)
        q = metrics.conformal_quantile(np.abs(wanted - score) / width, level)
        fits.append((q * float(width.mean()), q, floor))
    _, q, floor = min(fits)
    return Calibration(q, floor, level)


def halves_coverage(score: Floats, std: Floats, wanted: Floats, level: float, seed: int) -> float:
    """Coverage on a random half of a calibration fitted on the other."""
    order = np.random.default_rng(seed).permutation(len(score))
    fit, count = order[: len(order) // 2], order[len(order) // 2 :]
    calibration = fit_calibration(score[fit], std[fit], wanted[fit], level)
    ends = np.array([calibration.interval(score[i], std[i]) for i in count])
    return metrics.coverage(ends[:, 0], ends[:, 1], wanted[count])
