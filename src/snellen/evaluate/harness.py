"""`evaluate`: data sets and a model in; predictions, numbers and a report out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snellen.backend import Backend
from snellen.evaluate.baselines import BASELINES, BaselineError, is_external, is_model, open_baseline
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.files import checksum, surroundings, write_figures, write_json, write_predictions
from snellen.evaluate.modes import MODES
from snellen.evaluate.predict import Job, Options, open_once, predict, weights_of
from snellen.evaluate.report.page import write_report
from snellen.evaluate.report.tables import Figure, Table
from snellen.evaluate.rows import Row
from snellen.evaluate.stats.bootstrap import SEED
from snellen.evaluate.suites import DEFAULT, Suite, open_suite
from snellen.output import writing
from snellen.usage import UsageError

Rows = dict[str, list[Row]]
"""Rows of each suite's own jobs, by name of the suite."""
OnProgress = Callable[[int, int], None]


def evaluate(
    sets: Sequence[DataSet],
    out: Path,
    options: Options | None = None,
    *,
    suites: Sequence[str] = DEFAULT,
    modes: Sequence[str] | None = None,
    baselines: Sequence[str] = (),
    max_samples: int | None = None,
    baseline_samples: Mapping[str, int] | None = None,
    workers: int = 1,
    resume: bool = False,
    command: Sequence[str] = (),
    on_progress: OnProgress = lambda done, total: None,
) -> dict[str, Any]:
    """Run suites on data sets with one model and baselines; write all files into `out` and return the summary.

    Args:
        suites: names out of `snellen.evaluate.suites.NAMES`.
        modes: out of `snellen.evaluate.modes.MODES`, the main one first; all by default. The model's own plain
            regression heads, where it has any, always run beside them.
        baselines: external baselines, see `snellen.evaluate.baselines`.
        max_samples: the most pictures of each set in each suite, evenly spaced.
        baseline_samples: by name of a set, the most of its pictures for external baselines, which can be slow.
        resume: continue the run that `out` holds, or add to it.
        command: command line, for run.json.
        on_progress: called with (predictions done, predictions in total).

    Writes predictions.parquet (.jsonl without pyarrow), summary.json, run.json, report.html, tables.md, figures/, and
    journal.jsonl. Raises UsageError for what cannot be run, BackendError when the model fails.
    """
    options, limits = options or Options(), dict(baseline_samples or {})
    opened = [open_suite(name) for name in suites]
    model = open_once(options)
    chosen = (*_checked_modes(modes), *model.plain_ratings, *_checked_baselines(baselines))
    todo = {one.name: thin(one.jobs(sets, chosen, out), max_samples) for one in opened}
    todo = {name: limit_baselines(jobs, sets, limits) for name, jobs in todo.items()}
    if not any(todo.values()):
        raise UsageError(f"the data hold no picture for {', '.join(suites)}; docs/evaluate.md lists what suites need")
    rows = _run(todo, options, out, workers, resume, on_progress)
    more = {one.name: one.follow_up(rows[one.name], sets) for one in opened}
    if any(more.values()):
        later = _run(more, options, out, workers, True, on_progress)
        rows = {name: [*those, *later[name]] for name, those in rows.items()}
    ran = [one for one in opened if todo[one.name]]
    summary = {one.name: one.summarise(rows[one.name], sets) for one in ran}
    facts = {
        "suites": [one.name for one in ran],
        "suites without pictures": [one.name for one in opened if one not in ran],
        "modes": list(chosen),
        "workers": workers,
        "max_samples": max_samples,
        "baseline_samples": limits,
        "command": list(command),
    }
    with writing(out):
        _publish(summary, ran, rows, sets, _run_facts(model, options, rows, sets) | facts, options, out)
    return summary


def _checked_modes(modes: Sequence[str] | None) -> tuple[str, ...]:
    for mode in modes or ():
        if mode not in MODES:
            raise UsageError(f"unknown mode {mode!r}; modes are {', '.join(MODES)}")
    return MODES if modes is None else tuple(dict.fromkeys(modes))


def _checked_baselines(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if not is_external(name):
            raise UsageError(
                f"unknown baseline {name!r}; baselines are {', '.join(BASELINES)}, pyiqa:METRIC and model:MODEL"
            )
        if is_model(name):  # a measure that fails is a result; a model that does not open is a slip
            try:
                open_baseline(name)
            except BaselineError as error:
                raise UsageError(str(error)) from error
    return tuple(dict.fromkeys(names))


def thin(jobs: Sequence[Job], most: int | None) -> list[Job]:
    """Return the jobs of at most `most` pictures of each data set, evenly spaced, each with all its variants."""
    if most is None:
        return list(jobs)
    keys: dict[str, dict[str, None]] = {}
    for job in jobs:
        keys.setdefault(job.key.split("/")[0], {})[job.key] = None
    kept: set[str] = set()
    for those in keys.values():
        names = list(those)
        places = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
        kept |= {names[place] for place in places}
    return [job for job in jobs if job.key in kept]


def limit_baselines(jobs: Sequence[Job], sets: Sequence[DataSet], most: Mapping[str, int]) -> list[Job]:
    """Return the jobs without external baselines on all but `most` pictures of a set (by name), evenly spaced.

    The chosen pictures do not depend on the suites, so suites share them, and each keeps all its variants.
    """
    for name in most.keys() - {each.name for each in sets}:
        raise UsageError(f"--baseline-samples: there is no data set {name!r}; name one of this run, as in pristine=15")
    allowed: dict[str, set[str]] = {}
    for each in sets:
        keys = list(each.test_samples)
        few = min(most.get(each.name, len(keys)), len(keys))
        allowed[each.name] = {keys[i * len(keys) // few] for i in range(few)}
    found = []
    for job in jobs:
        name = job.key.split("/")[0]
        if name in most and job.key not in allowed[name]:
            job = replace(job, modes=tuple(mode for mode in job.modes if not is_external(mode)))
        found += [job] if job.modes else []
    return found


def _run(
    todo: Mapping[str, Sequence[Job]], options: Options, out: Path, workers: int, resume: bool, on_progress: OnProgress
) -> Rows:
    """Return the rows of each suite's own jobs, in their order; jobs that suites share run once."""
    everything = [job for jobs in todo.values() for job in jobs]
    rows = predict(everything, options, out, workers=workers, resume=resume, on_progress=on_progress)
    known = {row.id: row for row in rows}
    return {name: [known[row_id] for job in jobs for row_id in job.row_ids] for name, jobs in todo.items()}


def _run_facts(model: Backend, options: Options, rows: Rows, sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return what run.json states of the model, the data and the machine."""
    return {
        **surroundings(),
        "model": {"name": model.name, "version": model.version, "weights_sha256": weights_of(options.model)},
        "protocol": options.protocol,
        "options": options.settings,
        "baselines": {r.mode: r.model for those in rows.values() for r in those if is_external(r.mode) and r.model},
        "seed": SEED,
        "batch": options.batch or model.batch_size,
        "data": [described(each) for each in sets],
        "seconds per picture": seconds(rows),
    }


def described(each: DataSet) -> dict[str, Any]:
    """Return name, size and checksum of a data set, and the number of scenes that lie in more than one split.

    The last is None where the samples do not name their scene (`group`).
    """
    samples = list(each.samples.values())
    splits: dict[str, set[str]] = {}
    for sample in samples:
        splits.setdefault(sample.group, set()).add(sample.split)
    scenes = sum(len(those) > 1 for those in splits.values()) if "" not in splits else None
    return {"name": each.name, "pictures": len(samples), "sha256": checksum(each), "scenes in several splits": scenes}


def seconds(rows: Mapping[str, Iterable[Row]]) -> dict[str, dict[str, float]]:
    """Return the median wall-clock seconds per picture by suite and mode, where they were measured."""
    found: dict[str, dict[str, list[float]]] = {}
    for those in rows.values():
        for row in those:
            if row.seconds is not None:
                found.setdefault(row.suite, {}).setdefault(row.mode, []).append(row.seconds)
    return {
        suite: {mode: round(float(np.median(taken)), 4) for mode, taken in by_mode.items()}
        for suite, by_mode in found.items()
    }


def failed_pictures(rows: Mapping[str, Iterable[Row]]) -> int:
    """Return the number of pictures, with their variants, for which the model itself has no score in some mode."""
    return len({row.id[:3] for those in rows.values() for row in those if row.error and not is_external(row.mode)})


def _publish(
    summary: dict[str, Any],
    ran: Sequence[Suite],
    rows: Rows,
    sets: Sequence[DataSet],
    run: dict[str, Any],
    options: Options,
    out: Path,
) -> None:
    unique = {row.id: row for those in rows.values() for row in those}
    run["predictions"] = write_predictions(unique.values(), sets, out).name
    run["failed pictures"] = failed_pictures(rows)
    write_json(summary, out / "summary.json")
    write_json(run, out / "run.json")
    shown = {one.name: list(one.show(summary[one.name], rows[one.name], sets)) for one in ran}
    markdown = [f"## {name}\n\n" + "\n".join(p.markdown() for p in parts if isinstance(p, Table))
                for name, parts in shown.items()]  # fmt: skip
    (out / "tables.md").write_text("\n".join(markdown), encoding="utf-8")
    plots = {name: [part for part in parts if isinstance(part, Figure)] for name, parts in shown.items()}
    figures = {f"{name}-{i:02d}": figure for name, those in plots.items() for i, figure in enumerate(those, start=1)}
    write_figures(figures, out / "figures")
    write_report(shown, run, rows, sets, options, out / "report.html")
