"""Suite `calibration`: interval, rating distribution and uncertainty against the errors of the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snellen.evaluate.datasets import DataSet
from snellen.evaluate.modes import ONE, ONLY, TWO
from snellen.evaluate.report.plot import Axes, lines
from snellen.evaluate.report.tables import Figure, Table, estimate, number, percent
from snellen.evaluate.rows import QUANTILES, Row
from snellen.evaluate.stats.arrays import Floats
from snellen.evaluate.stats.bootstrap import bootstrap_interval, mean_interval, share
from snellen.evaluate.stats.calibration import conditional_coverage, quantile_calibration, risk_coverage
from snellen.evaluate.stats.correlation import srcc
from snellen.evaluate.suites import Suite, scores

BINS = 5
CURVE = 20
"""Points of a risk-coverage curve that are kept."""


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return the numbers by set and mode, where the model gives a distribution."""
    samples = {key: sample for each in sets for key, sample in each.samples.items()}
    summary: dict[str, Any] = {}
    for name, found in scores.by_set(rows, sets).items():
        for mode in (mode for mode in (TWO, ONE, ONLY) if mode in found):
            known = [row for row in found[mode].values() if row.score is not None and row.std is not None]
            if len(known) >= scores.MIN_PICTURES:
                mos = np.array([samples[row.key].mos for row in known], float)
                summary.setdefault(name, {})[mode] = _one_mode(known, mos)
    return summary


def _one_mode(rows: Sequence[Row], mos: Floats) -> dict[str, Any]:
    score, std = np.array([scores.score_of(row) for row in rows]), np.array([row.std for row in rows], float)
    error = np.abs(score - mos)
    observed, ece = quantile_calibration([row.rounds[-1].quantiles for row in rows], QUANTILES, mos)
    covered, risk, area = risk_coverage(error, std)
    _, least_risk, least_area = risk_coverage(error, error)
    kept = np.unique(np.ceil(np.linspace(1 / CURVE, 1, CURVE) * len(rows)).astype(int)) - 1
    result: dict[str, Any] = {
        "n": len(rows),
        "quantiles": {"levels": list(QUANTILES), "observed": observed.tolist(), "ece": ece},
        "SRCC of std and error": bootstrap_interval(srcc, std, error),
        "risk": {
            "coverage": covered[kept].tolist(),
            "mean error": risk[kept].tolist(),
            "best possible": least_risk[kept].tolist(),
            "area": area,
            "area, best possible": least_area,
            "area, no information": float(error.mean()),
        },
    }
    if all(row.interval is not None for row in rows):
        low, high = np.array([row.interval for row in rows], float).T
        result["interval"] = _interval(low, high, score, mos)
    return result


def _interval(low: Floats, high: Floats, score: Floats, mos: Floats) -> dict[str, Any]:
    width, error = high - low, np.abs(score - mos)
    by_width = [part for part in np.array_split(np.argsort(width, kind="stable"), BINS) if len(part)]
    return {
        "coverage": share((low <= mos) & (mos <= high)),
        "width": mean_interval(width.tolist()),
        "by score": conditional_coverage(low, high, mos, score, BINS),
        "by width": conditional_coverage(low, high, mos, width, BINS),
        "mean error by width": [float(error[part].mean()) for part in by_width],
    }


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table | Figure]:
    """Return coverage, whole and in bins, the calibration plot and the risk-coverage curve."""
    shown: list[Table | Figure] = []
    for name, modes in summary.items():
        shown.append(_table(name, modes))
        main, data = next(iter(modes.items()))
        if "interval" in data:
            shown.append(_bins_table(f"{name}: coverage in bins, {main}", data["interval"]))
        unit = (0.0, 1.0)
        curves = {mode: (row["quantiles"]["levels"], row["quantiles"]["observed"]) for mode, row in modes.items()}
        plot = lines(curves, Axes(unit, unit, "quantile level", "share of MOS at or below"), identity=True, dots=True)
        shown.append(Figure(f"{name}: calibration of the rating distribution", plot, "Dashed: calibrated."))
        risk = data["risk"]
        curves = {
            "least uncertain first": (risk["coverage"], risk["mean error"]),
            "best possible": (risk["coverage"], risk["best possible"]),
            "no information": ([0.0, 1.0], [risk["area, no information"]] * 2),
        }
        top = 1.3 * max(*risk["mean error"], risk["area, no information"])  # with room for the legend
        plot = lines(curves, Axes(unit, (0.0, top), "share of pictures kept", "mean error"))
        shown.append(Figure(f"{name}: risk and coverage, {main}", plot))
    return shown


def _table(name: str, modes: Mapping[str, Any]) -> Table:
    cells = []
    for mode, row in modes.items():
        interval, risk = row.get("interval"), row["risk"]
        cells.append([
            mode,
            str(row["n"]),
            percent(interval["coverage"]) if interval else "-",
            estimate(interval["width"], 2) if interval else "-",
            number(row["quantiles"]["ece"]),
            estimate(row["SRCC of std and error"]),
            number(risk["area"]),
            f"{number(risk['area, best possible'])} to {number(risk['area, no information'])}",
        ])  # fmt: skip
    head = ["mode", "pictures", "coverage of the interval", "mean width", "ECE of the distribution"]
    head += ["SRCC of std and error", "area under risk-coverage", "best possible to no information"]
    note = "The interval is fitted for a coverage of 90 %. Widths and errors in MOS. ECE: expected calibration error."
    return Table(f"{name}: calibration", head, cells, note)


def _bins_table(title: str, data: Mapping[str, Any]) -> Table:
    cells = [
        [f"score {number(low, 2)} to {number(high, 2)}", str(n), percent(inside), "-"]
        for low, high, n, inside in data["by score"]
    ] + [
        [f"width {number(low, 2)} to {number(high, 2)}", str(n), percent(inside), number(error)]
        for (low, high, n, inside), error in zip(data["by width"], data["mean error by width"], strict=True)
    ]
    return Table(title, ["bin", "pictures", "coverage", "mean error"], cells)


SUITE = Suite("calibration", scores.jobs, summarise, show)
