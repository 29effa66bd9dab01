"""Write the page of an ablation: tables, plots, and expectations beside results. All numbers are from the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from snellen.evaluate.report.plot import Axes, bars, lines, span, standalone
from snellen.evaluate.report.tables import Figure, Table, estimate, number
from snellen.evaluate.stats.bootstrap import bootstrap_interval
from snellen.evaluate.stats.correlation import srcc
from snellen.train.log import FIFTHS

BASE, FULL = "SFT", "RL"
"""The model that all runs start from, and the complete run, of which each other one leaves something out."""
WITHOUT_KL, UNIFORM = "without KL-Coverage", "without re-sampling"

VALIDATED = (
    ("SRCC", "srcc", 3),
    ("PLCC", "plcc", 3),
    ("bias, lowest fifth", "bias_1", 2),
    ("bias, highest fifth", "bias_5", 2),
    ("rating entropy", "rating_entropy", 2),
    ("crop rate", "crop_rate", 2),
    ("fault covered", "fault_covered", 2),
    ("crop area", "crop_area", 2),
    ("refinement", "refinement", 3),
    ("closer", "closer", 2),
    ("kind listed", "kind_listed", 2),
    ("false alarms", "false_alarm", 2),
    ("readable", "readable", 3),
)
"""Columns of the validation pass: heading, name, digits."""
LOGGED = (
    ("reward", "reward", 2),
    ("error", "error", 2),
    ("action entropy", "entropy", 2),
    ("distinct ratings", "distinct_ratings", 2),
    ("distinct-2", "distinct_2", 3),
    ("crop rate", "crop_rate", 2),
    ("KL to SFT", "kl", 3),
)
"""Columns of the training log."""
DRAWN, DIVERSITY = LOGGED[:5], LOGGED[2:5]
"""Columns that are drawn over the steps, and those that measure diversity."""
FAMILIES = (
    ("regularisers", (FULL, WITHOUT_KL, "ordinary KL", "entropy bonus")),
    ("rewards and sampling", (FULL, UNIFORM, "without rank", "without refinement and grounding", "credit by action")),
)
"""Settings that share a plot."""
LEGEND = """Bias is score - MOS, in the lowest and the highest fifth of the held-out pictures' MOS. Entropies: nats.
Fault covered: share of local faults half of which a crop shows; crop area: share of the picture that these crops show.
Refinement: decrease of the absolute error from the first to the last rating, MOS; closer: share of pictures where it
decreases. Kind listed: share of faults whose kind is among the issues. False alarms: share of clean pictures with an
issue."""


@dataclass(frozen=True)
class Run:
    """One training run and its validation pass. numbers: by name. scores, mos: of the rated pictures, (N,), NaN for no
    score. log: name -> value of every step; empty for `BASE`."""

    setting: str
    seed: int
    numbers: Mapping[str, float]
    scores: Sequence[float]
    mos: Sequence[float]
    log: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Comparison:
    """The chosen model and the one that it started from on a test set: the commands that evaluated them, and tables of
    differences."""

    commands: Sequence[str]
    tables: Sequence[Table]


def cell(values: Sequence[float], digits: int) -> str:
    """Return the mean and, for several seeds, half their range: "0.812 ± 0.004"; a dash for nothing."""
    there = [value for value in values if not np.isnan(value)]
    half = f" ± {number((max(there) - min(there)) / 2, digits)}" if len(there) > 1 else ""
    return number(float(np.mean(there)), digits) + half if there else "-"


def tenth(run: Run, name: str, last: bool) -> float:
    """Return the mean over the last, or first, tenth of the steps; NaN where nothing was logged."""
    values = np.array(run.log[name], float)
    some = max(1, len(values) // 10)
    part = values[-some:] if last else values[:some]
    part = part[~np.isnan(part)]
    return float(part.mean()) if len(part) else np.nan


def gain(runs: Sequence[Run], base: Run, n: int = 1000) -> tuple[float, float, float]:
    """Return the mean SRCC of the seeds minus that of `base`, with its paired bootstrap 95 % interval; of the
    pictures that all scored."""
    mos, *scores = (np.array(one, float) for one in (base.mos, base.scores, *(run.scores for run in runs)))
    there = ~np.isnan(np.stack(scores)).any(axis=0)

    def metric(*columns: npt.NDArray[np.float64]) -> float:
        truth, before, *after = columns
        return float(np.mean([srcc(one, truth) for one in after])) - srcc(before, truth)

    return bootstrap_interval(metric, mos[there], *(one[there] for one in scores), seed=0, n=n)


def validated_table(groups: Mapping[str, Sequence[Run]]) -> Table:
    """A row per setting."""
    (base,) = groups[BASE]
    rows = []
    for setting, runs in groups.items():
        cells = [cell([run.numbers[name] for run in runs], digits) for _, name, digits in VALIDATED]
        better = "" if setting == BASE else estimate(gain(runs, base))
        rows.append([setting, str(len(runs)), cells[0], better, *cells[1:]])
    heads = [head for head, _, _ in VALIDATED]
    return Table("Held-out pictures", ["setting", "runs", heads[0], "SRCC - SFT", *heads[1:]], rows, LEGEND)


def bias_table(groups: Mapping[str, Sequence[Run]]) -> Table:
    """A row per setting: the bias in each fifth."""
    fifths = range(1, FIFTHS + 1)
    rows = [
        [setting, *(cell([run.numbers[f"bias_{i}"] for run in runs], 2) for i in fifths)]
        for setting, runs in groups.items()
    ]
    note = "Score - MOS, mean over the pictures of each fifth."
    return Table("Bias by fifth of MOS, the lowest first", ["setting", *map(str, fifths)], rows, note)


def logged_table(groups: Mapping[str, Sequence[Run]]) -> Table:
    """A row per trained setting."""
    rows = [
        [setting, *(cell([tenth(run, name, last=True) for run in runs], digits) for _, name, digits in LOGGED)]
        for setting, runs in groups.items()
        if setting != BASE
    ]
    note = "Means over the last tenth of the steps, of rollouts drawn at temperature 1."
    return Table("The end of training", ["setting", *(head for head, _, _ in LOGGED)], rows, note)


def verdict(high: Sequence[float], low: Sequence[float]) -> str:
    """Return "confirmed" where all of `high` exceed all of `low`, "refuted" for the opposite, else "undecided"."""
    values = [*high, *low]
    if not high or not low or np.isnan(values).any() or len(values) < 3:
        return "undecided"  # one run against one proves nothing
    if min(high) > max(low):
        return "confirmed"
    return "refuted" if max(high) < min(low) else "undecided"


def expectations(groups: Mapping[str, Sequence[Run]]) -> Table:
    """Return the promises of the method with the results. Lines about settings that did not run are left out."""
    (base,) = groups[BASE]
    rows: list[list[str]] = []

    def line(expected: str, high: list[float], low: list[float], digits: int, order: str) -> None:
        rows.append([expected, f"{cell(high, digits)} {order} {cell(low, digits)}", verdict(high, low)])

    full, bare, natural = (groups.get(name, []) for name in (FULL, WITHOUT_KL, UNIFORM))
    for head, name, digits in DIVERSITY:
        ends = {one: [tenth(run, name, last=True) for run in groups.get(one, [])] for one in (FULL, WITHOUT_KL)}
        starts = {one: [tenth(run, name, last=False) for run in groups.get(one, [])] for one in (FULL, WITHOUT_KL)}
        if bare:
            before, after = starts[WITHOUT_KL], ends[WITHOUT_KL]
            line(f"without KL-Coverage, {head} falls", before, after, digits, "at first, at the end")
        if full:
            fell = verdict(starts[FULL], ends[FULL])
            kept = {"confirmed": "refuted", "undecided": "undecided", "refuted": "confirmed"}[fell]
            values = f"{cell(starts[FULL], digits)} at first, at the end {cell(ends[FULL], digits)}"
            rows.append([f"with KL-Coverage, {head} does not fall", values, kept])
        if full and bare:
            line(f"{head} ends higher with KL-Coverage than without", ends[FULL], ends[WITHOUT_KL], digits, "against")
    for head, name in (("lowest", "bias_1"), ("highest", "bias_5")):
        if full and natural:
            off, less = ([abs(run.numbers[name]) for run in runs] for runs in (natural, full))
            line(f"re-sampling lowers the bias in the {head} fifth, absolute", off, less, 2, "without, with it")
    if full:
        line("RL raises SRCC over SFT", [run.numbers["srcc"] for run in full], [base.numbers["srcc"]], 3, "against")
    note = (
        "Confirmed or refuted where the ranges over the seeds do not meet, undecided where they do. Training's first "
    )
    note += "and last tenth of the steps where it says at first and at the end, else the validation pass."
    return Table("Expected and found", ["expected", "found", "verdict"], rows, note)


def curve(runs: Sequence[Run], name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (steps, value): the mean over seeds and over the last tenth of the steps so far; steps without
    any value are left out."""
    steps = min(len(run.log[name]) for run in runs)
    table = np.array([run.log[name][:steps] for run in runs], float)
    some = max(1, steps // 10)
    windows = [table[:, max(0, end - some) : end] for end in range(1, steps + 1)]
    means = [(end, part[~np.isnan(part)]) for end, part in enumerate(windows, 1)]
    there = [(end, float(part.mean())) for end, part in means if len(part)]
    return np.array([end for end, _ in there], float), np.array([value for _, value in there])


def figures(groups: Mapping[str, Sequence[Run]]) -> dict[str, Figure]:
    """Return the figures by file name: curves over the steps by family of settings, and bars of bias."""
    drawn = {}
    for head, name, _ in DRAWN:
        for family, settings in FAMILIES:
            curves = {one: curve(groups[one], name) for one in settings if one in groups}
            curves = {one: xy for one, xy in curves.items() if len(xy[0])}
            if not curves:
                continue
            ends = max(float(x[-1]) for x, _ in curves.values())
            axes = Axes((1.0, max(2.0, ends)), span(np.concatenate([y for _, y in curves.values()])), "step", head)
            file = f"{head} {family}".replace(" ", "-")
            drawn[file] = Figure(f"{head[0].upper()}{head[1:]} over training, {family}", lines(curves, axes))
    for head, name in (("lowest", "bias_1"), ("highest", "bias_5")):
        off = {one: [abs(run.numbers[name]) for run in runs] for one, runs in groups.items()}
        most = max(max(values) for values in off.values())
        values = {one: (float(np.mean(some)), min(some), max(some)) for one, some in off.items()}
        title = f"Absolute bias in the {head} fifth of MOS; whiskers are the range of the seeds"
        drawn[f"bias-{head}"] = Figure(title, bars(values, most=1.05 * most or 1.0))
    return drawn


def on_test(tested: Sequence[Comparison]) -> list[str]:
    """Return the section about the test split; nothing where nothing was evaluated on it."""
    if not tested:
        return []
    begin = "### On the test split, once\n\nThe chosen model (first) and the one that it began from (second)."
    commands = "\n".join(command for one in tested for command in one.commands)
    return [
        begin,
        f"```console\n{commands}\n```",
        *("#" + table.markdown().strip() for one in tested for table in one.tables),
    ]


def write_page(
    page: Path, runs: Sequence[Run], command: str, synthetic: int, tested: Sequence[Comparison] = ()
) -> None:

    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.setting, []).append(run)
    trained = [run for run in runs if run.log]
    steps = max((len(run.log["seconds"]) for run in trained), default=0)
    minutes = [sum(run.log["seconds"]) / 60 for run in trained]
    facts = (
        f"Every number and plot is written by `recipes/bench/ablation.py`:\n\n```console\n{command}\n```\n\n"
        f"Validated on {len(runs[0].mos)} rated and {synthetic} synthetic held-out pictures, none of them of the test "
        f"split, with the most probable actions. {len(trained)} runs of "
        f"{steps} steps, {cell(minutes, 1)} minutes of training each; "
        "± is half the range over the seeds, brackets are paired bootstrap 95 % intervals."
    )
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    shown = []
    for name, figure in figures(groups).items():
        (folder / f"{name}.svg").write_text(standalone(figure.svg, figure.title), encoding="utf-8")
        shown.append(f"**{figure.title}**\n\n![{figure.title}]({folder.name}/{name}.svg)")
    tables = [table(groups).markdown().strip() for table in (validated_table, bias_table, expectations, logged_table)]
    tables += on_test(tested)
    parts = ["# Ablation of GRPO", facts, *tables, "### Over training", *shown]
    page.write_text(
        "\n\n".join(part.removeprefix("#") if part.startswith("###") else part for part in parts) + "\n",
        encoding="utf-8",
    )
