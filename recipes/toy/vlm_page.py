"""Write the curves of the runs of `vlm.py` as SVG, and print the table of docs/train.md.

python recipes/toy/vlm_page.py build/toy-vlm docs/results/toy-vlm
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vlm import DRAWS

from snellen.evaluate.report.plot import Axes, lines, span, standalone
from snellen.evaluate.stats.bootstrap import Estimate, bootstrap_interval
from snellen.evaluate.stats.correlation import srcc

Floats = npt.NDArray[np.float64]
Curves = dict[str, tuple[Floats, Floats]]


def numbers(file: Path) -> dict[str, Floats]:
    """Return what `vlm.measure` wrote, each (pictures, DRAWS)."""
    found: dict[str, list[float]] = json.loads(file.read_text(encoding="utf8"))
    return {name: np.array(values, float).reshape(-1, DRAWS) for name, values in found.items()}


def agreement(rating: Floats, mos: Floats) -> float:
    """Return the rank correlation of ratings and MOS over readable rollouts."""
    known = ~np.isnan(rating)
    return srcc(rating[known], mos[known]) if known.sum() > 2 else float("nan")


def measured(run: Path) -> dict[int, dict[str, Floats]]:
    """Return the numbers on held-out pictures by the step after which they were measured."""
    return {int(file.stem[-3:]): numbers(file) for file in sorted(run.glob("held-out-*.json"))}


def differences(run: Path) -> dict[str, tuple[float, float, Estimate]]:
    """Return (before, after, difference with its interval) of a run, by name; resampled over pictures."""
    steps = measured(run)
    start, end = steps[min(steps)], steps[max(steps)]
    plain = start["plain"][:, 0] == 1
    found = {
        "reward": _difference(start["reward"], end["reward"]),
        "crops, plain": _difference(start["crop"][plain], end["crop"][plain]),
        "crops, striped": _difference(start["crop"][~plain], end["crop"][~plain]),
    }
    change = bootstrap_interval(
        lambda a, b, mos: agreement(b, mos) - agreement(a, mos), start["rating"], end["rating"], start["mos"]
    )
    found["SRCC"] = (agreement(start["rating"], start["mos"]), agreement(end["rating"], end["mos"]), change)
    return found


def _difference(first: Floats, second: Floats) -> tuple[float, float, Estimate]:
    change = bootstrap_interval(lambda a, b: float(b.mean() - a.mean()), first, second)
    return float(first.mean()), float(second.mean()), change


def log(run: Path, name: str) -> Floats:
    """Return a number of the training log, one a step; NaN where it is missing."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return np.array([np.nan if row.get(name) is None else row[name] for row in rows], float)


def smooth(values: Floats, width: int = 5) -> Floats:
    """Return the mean of each value and up to `width - 1` before it."""
    return np.array([np.nanmean(values[max(0, i - width + 1) : i + 1]) for i in range(len(values))])


def named(run: Path) -> str:
    """Return the name of a run: model family, seed, regulariser."""
    return f"{run.parent.parent.name} {run.parent.name} {run.name}"


def table(runs: list[Path]) -> str:
    """Return a markdown table: before -> after, and the difference in brackets with its 95 % interval."""
    names = ("reward", "SRCC", "crops, plain", "crops, striped")
    rows = ["| run | " + " | ".join(names) + " | entropy | gap |", "| --- " * 7 + "|"]
    for run in runs:
        found = differences(run)
        cells = []
        for name in names:
            before, after, change = found[name]
            cells.append(f"{before:.2f} → {after:.2f} [{change.low:+.2f}, {change.high:+.2f}]")
        entropy = log(run, "entropy")
        cells.append(f"{entropy[:5].mean():.2f} → {entropy[-5:].mean():.2f}")
        cells.append(f"{np.nanmax(log(run, 'gap')):.0e}")
        rows.append(f"| {named(run)} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def held_out_curves(runs: list[Path]) -> dict[str, Curves]:
    """Return the curves of held-out pictures by the name of their plot."""
    agreements, crops = {}, {}
    for run in runs:
        steps = measured(run)
        x = np.array(list(steps), float)
        plain = next(iter(steps.values()))["plain"][:, 0] == 1
        agreements[named(run)] = (x, np.array([agreement(one["rating"], one["mos"]) for one in steps.values()]))
        for kind, those in (("plain", plain), ("striped", ~plain)):
            crops[f"{named(run)}, {kind}"] = (x, np.array([one["crop"][those].mean() for one in steps.values()]))
    return {"agreement": agreements, "crops": crops}


def log_curves(runs: list[Path], name: str) -> Curves:
    """Return the curves of a number of the training logs, smoothed over five steps."""
    found = {named(run): smooth(log(run, name)) for run in runs}
    return {label: (np.arange(1.0, len(values) + 1), values) for label, values in found.items()}


def write_numbers(plots: dict[str, Curves], file: Path) -> None:
    """Write curves as JSON: {plot: {run: [[step, value], ...]}}."""
    rounded = {
        plot: {
            run: [[int(step), round(float(value), 4)] for step, value in zip(*curve, strict=True)]
            for run, curve in curves.items()
        }
        for plot, curves in plots.items()
    }
    file.write_text(json.dumps(rounded) + "\n", encoding="utf8")


def draw(curves: Curves, title: str, file: Path) -> None:
    """Write a plot of at most six curves."""
    everything = np.concatenate([values for _, values in curves.values()])
    steps = max(float(x[-1]) for x, _ in curves.values())
    axes = Axes((0.0, steps), span(everything), "step", title)
    file.write_text(standalone(lines(curves, axes), title), encoding="utf8")


def main(folder: Path, out: Path) -> None:
    """Write plots of each model family and the curves of all runs to `out`, and print the table of all runs."""
    runs = sorted(file.parent for file in folder.glob("*/seed*/*/held-out-000.json"))
    if not runs:
        sys.exit(f"{folder}: no run of recipes/toy/vlm.py is there")
    out.mkdir(parents=True, exist_ok=True)
    for family in sorted({run.parent.parent.name for run in runs}):
        chosen = [run for run in runs if run.parent.parent.name == family]
        names = {name: out / f"{family}-{name}.svg" for name in ("reward", "entropy", "agreement", "crops")}
        draw(log_curves(chosen, "reward"), "reward of training rollouts", names["reward"])
        draw(log_curves(chosen, "entropy"), "entropy, nats an action", names["entropy"])
        held_out = held_out_curves([run for run in chosen if run.name == "kl_coverage"])
        draw(held_out["agreement"], "SRCC on held-out pictures", names["agreement"])
        draw(held_out["crops"], "crop rate on held-out pictures", names["crops"])
    write_numbers(held_out_curves(runs), out / "held_out.json")
    print(table(runs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
