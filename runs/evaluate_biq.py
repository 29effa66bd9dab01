"""`biq` and `calibrate`: how the scores agree with the people who rated BIQ2021, and how wide the interval must be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from evaluate_pictures import (
    CENTRAL,
    ONE,
    ONLY,
    PLAIN,
    RANDOM,
    TWO,
    Job,
    Options,
    Outcome,
    assess_jobs,
    open_model,
)
from evaluate_tables import SEED, number, percent, publish, spread, table

from snellen import metrics
from snellen.backends import Calibration
from snellen.data.sample import Sample, read_manifest
from snellen.data.sources import leak_free

Floats = npt.NDArray[np.float64]
MODES = (TWO, PLAIN, ONLY, RANDOM, CENTRAL)


def by_key(samples: Sequence[Sample]) -> dict[str, Sample]:
    """Samples by file name, which is unique in BIQ2021."""
    return {Path(sample.path).name: sample for sample in samples}


def jobs_of(samples: Mapping[str, Sample]) -> list[Job]:
    return [Job(key, sample.path) for key, sample in samples.items()]


def with_one_round(found: dict[str, dict[str, Outcome]]) -> dict[str, dict[str, Outcome]]:
    """Adds ONE, read off the first rounds of TWO: same weights, same view, same greedy reply."""
    if TWO not in found:
        return found
    one = {key: {"score": row["first"], "std": row["first_std"]} for key, row in found[TWO].items()}
    return found | {ONE: one}


def scores(rows: Mapping[str, Outcome], keys: Sequence[str]) -> Floats:
    """(N,) scores, NaN where there is none."""
    return np.array([np.nan if rows[key]["score"] is None else rows[key]["score"] for key in keys])


def biq(manifest: Path, options: Options, modes: Sequence[str] = MODES) -> dict[str, Any]:
    """Tables of agreement, of the ways to run the model, and of behaviour, on the official test split."""
    test = by_key([sample for sample in read_manifest(manifest) if sample.split == "test"])
    found = with_one_round(assess_jobs("biq", jobs_of(test), modes, options))
    keys = list(next(iter(found.values())))
    wanted = np.array([test[key].mos for key in keys], float)
    apart = leak_free_test(manifest)
    groups = {"all": np.ones(len(keys), bool), "leak-free": np.array([key in apart for key in keys])}
    groups |= {name: np.array([test[key].subset == name for key in keys]) for name in ("ss01", "ss02", "ss03")}
    data: dict[str, Any] = {"pictures": len(keys), "agreement": {}, "ways": {}}
    main = TWO if TWO in found else next(iter(found))
    agreement_rows = []
    for name, chosen in groups.items():
        row = agreement(scores(found[main], keys)[chosen], wanted[chosen])
        data["agreement"][name] = row
        agreement_rows.append([name, *agreement_cells(row)])
    way_rows = []
    for mode in (m for m in (TWO, ONE, PLAIN, ONLY, RANDOM, CENTRAL) if m in found):
        row = agreement(scores(found[mode], keys), wanted)
        row["two rounds minus this, SRCC"] = difference(scores(found[main], keys), scores(found[mode], keys), wanted)
        data["ways"][mode] = row
        way_rows.append([mode, *agreement_cells(row), spread(row["two rounds minus this, SRCC"], 4)])
    head = ["n", "SRCC", "PLCC", "PLCC, logistic", "KRCC", "RMSE"]
    tables = [
        (f"BIQ2021, official test split: {main}", table(["pictures", *head], agreement_rows)),
        ("Ways to run the same weights", table(["way", *head, "SRCC of two rounds minus this"], way_rows)),
    ]
    if TWO in found:
        data["behaviour"] = behaviour(found[TWO], keys, wanted, calibration_of(options.model))
        tables.append(("Behaviour, two rounds", behaviour_table(data["behaviour"])))
    publish("biq", options.out, tables, data)
    return data


def leak_free_test(manifest: Path) -> dict[str, Sample]:
    """Test pictures whose near-duplicates are all in the test split too."""
    kept = leak_free(read_manifest(manifest), split="test", other="train")
    return by_key([sample for sample in kept if sample.split == "test"])


def agreement(predicted: Floats, wanted: Floats) -> dict[str, Any]:
    """Raw agreement with bootstrap intervals, over the `n` pictures that have a score; `missing` have none."""
    there = ~np.isnan(predicted)
    a, b = predicted[there], wanted[there]
    row: dict[str, Any] = {"n": len(a), "missing": int((~there).sum())}
    if len(a) < 5:
        nothing = (np.nan,) * 3
        return row | dict.fromkeys(("srcc", "plcc", "krcc", "rmse"), nothing) | {"plcc_logistic": np.nan}
    for metric in (metrics.srcc, metrics.plcc, metrics.krcc, metrics.rmse):
        row[metric.__name__] = metrics.bootstrap_interval(metric, a, b, seed=SEED)
    try:
        row["plcc_logistic"] = metrics.plcc_logistic(a, b)
    except RuntimeError as error:  # the fit need not converge on few or constant scores; the raw value stands
        row["plcc_logistic"] = np.nan
        print(f"logistic fit: {error}")
    return row


def agreement_cells(row: Mapping[str, Any]) -> list[str]:
    n = f"{row['n']}" + (f" ({row['missing']} without a score)" if row["missing"] else "")
    raw = [spread(row[name]) for name in ("srcc", "plcc", "krcc", "rmse")]
    return [n, *raw[:2], number(row["plcc_logistic"]), *raw[2:]]


def difference(first: Floats, second: Floats, wanted: Floats) -> tuple[float, float, float]:
    """Paired difference in SRCC over the pictures that both scored."""
    both = ~np.isnan(first) & ~np.isnan(second)
    if both.sum() < 5:
        return (np.nan, np.nan, np.nan)
    return metrics.bootstrap_difference(metrics.srcc, first[both], second[both], wanted[both], seed=SEED)


def calibration_of(model: str) -> Calibration | None:
    """The model's calibration, where it has one."""
    found = getattr(open_model(model), "calibration", None)
    return found if isinstance(found, Calibration) else None


def behaviour(
    rows: Mapping[str, Outcome], keys: Sequence[str], wanted: Floats, calibration: Calibration | None
) -> dict[str, Any]:
    """Parsing, cropping, what the second look changes, and what the interval holds."""
    all_rows = [rows[key] for key in keys]
    rounds = sum(row["rounds"] for row in all_rows)
    data: dict[str, Any] = {
        "replies": rounds,
        "replies that parse": sum(row["parsed"] for row in all_rows) / rounds,
        "pictures without a score": sum(row["score"] is None for row in all_rows),
        "crops": metrics.share([row["crop"] is not None for row in all_rows]),
        "tokens per picture": float(np.mean([row["tokens"] for row in all_rows])),
    }
    cropped = [i for i, row in enumerate(all_rows) if row["crop"] and row["score"] is not None]
    if cropped:
        first, last = (np.array([all_rows[i][name] for i in cropped]) for name in ("first", "score"))
        moved = np.abs(first - wanted[cropped]) - np.abs(last - wanted[cropped])
        data["error on cropped pictures, first round"] = metrics.rmse(first, wanted[cropped])
        data["error on cropped pictures, second round"] = metrics.rmse(last, wanted[cropped])
        data["moved towards the MOS"] = metrics.share(moved > 0)
    known = [i for i, row in enumerate(all_rows) if row["score"] is not None and row["std"] is not None]
    if calibration is not None and known:
        ends = np.array([calibration.interval(all_rows[i]["score"], all_rows[i]["std"]) for i in known])
        inside = (ends[:, 0] <= wanted[known]) & (wanted[known] <= ends[:, 1])
        data["interval holds the MOS"] = metrics.share(inside)
        data["interval width, mean"] = float((ends[:, 1] - ends[:, 0]).mean())
    return data


def behaviour_table(data: Mapping[str, Any]) -> str:
    shares = ("replies that parse", "crops", "moved towards the MOS", "interval holds the MOS")
    cells = [
        [name, percent(value) if name in shares else number(value, 3) if isinstance(value, float) else value]
        for name, value in data.items()
    ]
    return table(["what", "value"], cells)


def calibrate(samples: Sequence[Sample], folder: Path, options: Options, level: float = 0.9) -> Calibration:
    """Fit the interval on held-out pictures and write it into the model folder's card.json.

    |MOS - score| / max(std, floor) is the nonconformity score; of several floors (quantiles of the stds) the one with
    the narrowest intervals is taken.
    """
    held = by_key(samples)
    rows = assess_jobs("held-out", jobs_of(held), (TWO,), options)[TWO]
    keys = [key for key, row in rows.items() if row["score"] is not None and row["std"] is not None]
    if not keys:
        raise SystemExit("no held-out picture got a score with a distribution; nothing to calibrate on")
    score, std = (np.array([rows[key][name] for key in keys]) for name in ("score", "std"))
    wanted = np.array([held[key].mos for key in keys], float)
    calibration = fit_calibration(score, std, wanted, level)
    ends = np.array([calibration.interval(s, d) for s, d in zip(score, std, strict=True)])
    halves = [halves_coverage(score, std, wanted, level, seed) for seed in range(20)]
    card = json.loads((folder / "card.json").read_text(encoding="utf8"))
    card["calibration"] = {"coverage": level, "q": round(calibration.q, 5), "floor": round(calibration.floor, 5)}
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf8")
    data = card["calibration"] | {
        "pictures": len(keys),
        "without a score": len(rows) - len(keys),
        "srcc": metrics.srcc(score, wanted),
        "mean width": float((ends[:, 1] - ends[:, 0]).mean()),
        "coverage when fitted on one half and counted on the other": float(np.mean(halves)),
    }
    shown = table(["what", "value"], [[name, number(v, 4) if isinstance(v, float) else v] for name, v in data.items()])
    publish("calibration", options.out, [("Interval, from held-out pictures", shown)], data)
    return calibration


def fit_calibration(score: Floats, std: Floats, wanted: Floats, level: float) -> Calibration:
    """See `calibrate`; all (N,)."""
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
