"""Adaptation to domains that the model has not seen: rank correlation after 50, 100, 200 and 400 ratings.

python recipes/bench/adapt.py build/adapt/features.npz --domains recipes/bench/adapt_domains.json --out build/adapt.json

adapt_features.py makes the features: one entry for each domain and array, `DOMAIN.ARRAY`, of N pictures: `rating`
(N,), the rating of a model that saw none of the domain; `components` (N, C) of its photo rating head; `plain` (N, P),
plain measurements; `mos` (N,); `group` (N,), numbers of scenes; `test` (N,), whether the picture is in the test part.
The JSON file says what domains, models, splits and sizes are. Prints a Markdown table and draws the gains, OUT.svg.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.evaluate.report.plot import Axes, lines, span, standalone
from snellen.evaluate.stats.correlation import srcc
from snellen.train.adapt import FOLDS, RIDGES, Rated, adapt, folds_of

Floats = npt.NDArray[np.float64]
Learner = Callable[[Rated, Rated], Floats]


def adapted(learned: Rated, test: Rated) -> Floats:
    """Ratings of the test pictures by the adaptation."""
    return adapt(learned)(test.rating, test.components)


def ridge_on(learned: Floats, mos: Floats, test: Floats) -> Floats:
    """Ratings (T,) by ridge regression on features (N, P), (T, P), standardised; the ridge by cross-validation."""
    mean, std = learned.mean(axis=0), learned.std(axis=0) + 1e-9
    x, t = np.clip((learned - mean) / std, -5, 5), np.clip((test - mean) / std, -5, 5)

    def solve(a: Floats, y: Floats, b: Floats, ridge: float) -> Floats:
        penalty = ridge * len(a) * np.eye(a.shape[1])
        out: Floats = b @ np.linalg.solve(a.T @ a + penalty, a.T @ (y - y.mean())) + y.mean()
        return out

    fold = folds_of(np.arange(len(x)))
    ridges = [one for one in (30.0, 10.0, 3.0, *RIDGES) if np.isfinite(one)]
    errors = [
        sum(((solve(x[fold != f], mos[fold != f], x[fold == f], r) - mos[fold == f]) ** 2).sum() for f in range(FOLDS))
        for r in ridges
    ]
    return solve(x, mos, t, ridges[int(np.argmin(errors))])


def kernel_on(learned: Rated, test: Rated) -> Floats:
    """Ratings (T,) by kernel ridge regression on the components: Gaussian kernel of the median distance, the ridge by
    cross-validation."""

    def distances(a: Floats, b: Floats) -> Floats:
        out: Floats = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * a @ b.T
        return out

    apart = distances(learned.components, learned.components)
    width = float(np.median(apart))
    gram, cross = np.exp(-apart / width), np.exp(-distances(test.components, learned.components) / width)
    y, fold = learned.mos - learned.mos.mean(), folds_of(learned.group)

    def error(ridge: float) -> float:
        total = 0.0
        for f in range(FOLDS):
            a, b = fold != f, fold == f
            dual = np.linalg.solve(gram[np.ix_(a, a)] + ridge * np.eye(int(a.sum())), y[a])
            total += float(((gram[np.ix_(b, a)] @ dual - y[b]) ** 2).sum())
        return total

    ridge = min((10.0, 3.0, 1.0, 0.3, 0.1, 0.03), key=error)
    out: Floats = cross @ np.linalg.solve(gram + ridge * np.eye(len(y)), y) + learned.mos.mean()
    return out


def measure(arrays: dict[str, npt.NDArray[np.float64]], sizes: list[int], draws: int) -> dict[str, Any]:
    """Rank correlations on the test part of one domain."""
    whole = Rated(arrays["rating"], arrays["components"], arrays["mos"], arrays["group"].astype(np.int64))
    is_test = arrays["test"].astype(bool)
    test, pool, plain = whole.take(is_test), np.flatnonzero(~is_test), arrays["plain"]
    everything = whole.take(pool)
    full = {
        "adaptation": srcc(adapted(everything, test), test.mos),
        "kernel ridge": srcc(kernel_on(everything, test), test.mos),
    }
    rows: dict[str, Any] = {
        "to rate": len(pool),
        "test": len(test),
        "shipped": srcc(test.rating, test.mos),
        "full": full,
    }
    for size in (size for size in sizes if size <= len(pool)):
        taken = [np.random.default_rng(draw).permutation(pool)[:size] for draw in range(draws)]
        rows[str(size)] = {
            "adapted": [srcc(adapted(whole.take(some), test), test.mos) for some in taken],
            "plain ridge": [srcc(ridge_on(plain[some], whole.mos[some], plain[is_test]), test.mos) for some in taken],
        }
    return rows


def main() -> None:
    """Measure every domain of the file, write the numbers and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("--domains", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    fixed, found = json.loads(args.domains.read_text(encoding="utf-8")), np.load(args.features)
    results = {}
    for domain in (one for one in fixed["domains"] if f"{one}.mos" in found.files):
        names = ("rating", "components", "plain", "mos", "group", "test")
        arrays = {name: found[f"{domain}.{name}"].astype(np.float64) for name in names}
        results[domain] = measure(arrays, fixed["sizes"], fixed["draws"])
        args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    args.out.with_suffix(".svg").write_text(plot(results, fixed["sizes"]), encoding="utf-8")
    print_table(results, fixed["sizes"])


def plot(results: dict[str, dict[str, Any]], sizes: list[int]) -> str:
    """Return an SVG file of the gains in rank correlation over the shipped model, one curve for each domain."""
    curves = {}
    for domain, rows in results.items():
        known = [size for size in sizes if str(size) in rows]
        gains = [float(np.mean(rows[str(size)]["adapted"])) - rows["shipped"] for size in known]
        curves[domain.replace("_", " ")] = ([0, *known], [0.0, *gains])
    gained = [gain for _, gains in curves.values() for gain in gains]
    axes = Axes((0, max(sizes)), span(gained), "own ratings", "gain in SRCC over the shipped model")
    return standalone(lines(curves, axes, dots=True), "Adaptation: gain in rank correlation by the number of ratings")


def print_table(results: dict[str, dict[str, Any]], sizes: list[int]) -> None:
    """Print rank correlations, means over the draws, and the share of the gap that 100 ratings close."""
    print("| domain | shipped |", *(f"{size}: adapted, plain ridge |" for size in sizes), "all | gap closed by 100 |")
    print("| --- " * (len(sizes) + 4) + "|")
    for domain, rows in results.items():
        shipped, best = rows["shipped"], max(rows["full"].values())
        cells = [f"{domain} ({rows['to rate']}, {rows['test']})", f"{shipped:.3f}"]
        for size in map(str, sizes):
            means = [np.mean(rows[size][judge]) for judge in ("adapted", "plain ridge")] if size in rows else []
            cells.append(", ".join(f"{mean:.3f}" for mean in means))
        closed = "no gap"
        if best > shipped:
            closed = f"{(np.mean(rows['100']['adapted']) - shipped) / (best - shipped):.0%}" if "100" in rows else ""
        cells += [f"{best:.3f}", closed]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
