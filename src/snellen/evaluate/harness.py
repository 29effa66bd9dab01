"""The harness: data and a model in, evidence out. `evaluate` is what the command `snellen evaluate` calls."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from snellen.backend import Backend
from snellen.data.sets.duplicates import near_duplicates_across_splits
from snellen.evaluate.files import checksum, surroundings, write_figures, write_json, write_predictions
from snellen.evaluate.modes import HEADS, ONLY, WAYS
from snellen.evaluate.predict import DataSet, Job, Options, Row, open_once, predict, weights_of
from snellen.evaluate.report.page import write_report
from snellen.evaluate.report.tables import Figure, Table
from snellen.evaluate.suites import scores
from snellen.usage import UsageError

SUITES = ("scores", "pairs", "calibration", "behaviour", "grounding", "robustness", "faithfulness", "consistency")
"""In the order of a report; each is a module of this package, see `snellen.evaluate.predict`."""
DEFAULT_SUITES = ("scores", "pairs", "calibration", "behaviour")
"""Those that ask for little but the rated pictures themselves."""

Watch = Callable[[int, int], None]


def evaluate(
    sets: Sequence[DataSet],
    out: Path,
    options: Options | None = None,
    *,
    suites: Sequence[str] = DEFAULT_SUITES,
    ways: Sequence[str] | None = None,
    peers: Sequence[str] = (),
    score_only: bool = False,
    official_fit: bool = False,
    max_samples: int | None = None,
    peer_samples: Mapping[str, int] | None = None,
    near_duplicates: bool = False,
    workers: int = 1,
    resume: bool = False,
    command: Sequence[str] = (),
    watch: Watch = lambda done, total: None,
) -> dict[str, Any]:
    """Run suites on data sets with one model and its peers; write all files into `out` and return the summary.

    ways: those to run, the main one first; by default all that the model has, or with `score_only` those that need no
    text. max_samples: at most so many pictures of each set in each suite, evenly drawn. peer_samples:
    by name of a set, how many of its pictures the peers are given at most, see `spare_peers`. near_duplicates: look for
    scenes that lie in more than one split, which decodes every picture of every set. command: for run.json.
    `resume` goes on with what `out` holds, of this run or of another with the same model. `watch(done, total)` is told
    how many predictions there are.

    Files: predictions.parquet (or .jsonl without pyarrow), summary.json, run.json, report.html, its tables in
    tables.md and its figures in figures/, and journal.jsonl to go on from. Raises UsageError for what cannot be run,
    BackendError when the model fails.
    """
    options = options or Options()
    modules = {name: _suite(name) for name in suites}
    model = open_once(options.model)
    chosen = (*_ways(model, ways, score_only), *_peers(peers))
    todo = {name: thin(module.jobs(sets, chosen, out), max_samples) for name, module in modules.items()}
    todo = {name: spare_peers(jobs, sets, peer_samples or {}) for name, jobs in todo.items()}
    if not any(todo.values()):
        raise UsageError(f"there is no picture for {', '.join(suites)} in the data; see what each suite needs")
    rows = _run(todo, options, out, workers, resume, watch)
    more = _follow_up(modules, rows, sets, chosen)
    if any(more.values()):
        later = _run(more, options, out, workers, True, watch)
        rows = {name: [*those, *later.get(name, [])] for name, those in rows.items()}
    ran = [name for name in modules if todo[name]]
    summary: dict[str, Any] = {}
    for name in ran:
        extra = {"official_fit": official_fit} if name == "scores" else {}
        summary[name] = modules[name].summarise(rows[name], sets, **extra)
    run = {
        **surroundings(),
        "model": {"name": model.name, "version": model.version, "weights_sha256": weights_of(options.model)},
        "protocol": options.protocol,
        "suites": ran,
        "suites without pictures": [name for name in modules if name not in ran],
        "ways": list(chosen),
        "peers": {row.way: row.model for those in rows.values() for row in those if row.way in peers and row.model},
        "seed": scores.SEED,
        "batch": options.batch,
        "workers": workers,
        "max_samples": max_samples,
        "peer_samples": dict(peer_samples or {}),
        "data": [described(each, near_duplicates) for each in sets],
        "command": list(command),
        "seconds per picture": seconds(rows),
    }
    return _publish(summary, modules, rows, sets, run, options, out)


def described(each: DataSet, near_duplicates: bool) -> dict[str, Any]:
    """What run.json says of a data set. scenes in several splits: how many, None where nobody looked; what is shown in
    training should not be asked in the test."""
    samples = list(each.samples.values())
    scenes = None
    if near_duplicates:
        scenes = len(near_duplicates_across_splits(samples))
    elif all(sample.group for sample in samples):
        splits: dict[str, set[str]] = {}
        for sample in samples:
            splits.setdefault(sample.group, set()).add(sample.split)
        scenes = sum(len(found) > 1 for found in splits.values())
    return {
        "name": each.name, "pictures": len(samples), "sha256": checksum(each), "scenes in several splits": scenes
    }  # fmt: skip


def _follow_up(
    modules: Mapping[str, ModuleType],
    rows: Mapping[str, Sequence[Row]],
    sets: Sequence[DataSet],
    ways: Sequence[str],
) -> dict[str, list[Job]]:
    """What suites want assessed once they know the rows of their first jobs."""
    asking = {name: module for name, module in modules.items() if hasattr(module, "follow_up") and rows.get(name)}
    return {name: module.follow_up(rows[name], sets, ways) for name, module in asking.items()}


def thin(jobs: Sequence[Job], most: int | None) -> list[Job]:
    """At most so many pictures of each data set, evenly drawn, each in all of its variants."""
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


def spare_peers(jobs: Sequence[Job], sets: Sequence[DataSet], most: Mapping[str, int]) -> list[Job]:
    """The jobs, with the peers left out of all but so many pictures of a set, evenly spaced; others stay as they are.

    A peer can take seconds for a large picture. Each picture that is kept is kept in all variants, and the places do
    not depend on which suites are run, so that suites share pictures. Tables say how many pictures each way has.
    """
    for name in most.keys() - {each.name for each in sets}:
        raise UsageError(f"--peer-samples: there is no data set {name!r}; name one of this run, as in pristine=15")
    allowed: dict[str, set[str]] = {}
    for each in sets:
        keys = list(each.counted)
        few = min(most.get(each.name, len(keys)), len(keys))
        allowed[each.name] = {keys[i * len(keys) // few] for i in range(few)}
    found = []
    for job in jobs:
        name = job.key.split("/")[0]
        ours = name not in most or job.key in allowed[name]
        ways = job.ways if ours else tuple(way for way in job.ways if way in WAYS)
        found += [replace(job, ways=ways)] if ways else []
    return found


def seconds(rows: Mapping[str, Iterable[Row]]) -> dict[str, dict[str, float]]:
    """Median wall-clock seconds per picture by suite and way, where they were taken; each process has one thread."""
    found: dict[str, dict[str, list[float]]] = {}
    for those in rows.values():
        for row in those:
            if row.seconds is not None:
                found.setdefault(row.suite, {}).setdefault(row.way, []).append(row.seconds)
    return {
        suite: {way: round(float(np.median(taken)), 4) for way, taken in by_way.items()}
        for suite, by_way in found.items()
    }


def _suite(name: str) -> ModuleType:
    if name not in SUITES:
        raise UsageError(f"unknown suite {name!r}; suites are {', '.join(SUITES)}")
    return importlib.import_module(f"snellen.evaluate.suites.{name}")


def _ways(model: Backend, ways: Sequence[str] | None, score_only: bool) -> tuple[str, ...]:
    """The model's own ways, the main one first."""
    has_head = hasattr(model, "see")
    if ways is None:
        return tuple(way for way in ((ONLY, *HEADS) if score_only else WAYS) if way not in HEADS or has_head)
    for way in ways:
        if way not in WAYS:
            raise UsageError(f"unknown way {way!r}; ways are {', '.join(WAYS)}")
    if not has_head and (missing := next((way for way in ways if way in HEADS), None)):
        raise UsageError(f"{model.name} has no plain regression head; leave {missing!r} out")
    return tuple(dict.fromkeys(ways))


def _peers(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    from snellen.evaluate.baselines import PEERS

    for name in names:
        if name not in PEERS and not name.startswith("pyiqa:"):
            raise UsageError(f"unknown peer {name!r}; peers are {', '.join(PEERS)}")
    return tuple(dict.fromkeys(names))


def _run(
    todo: Mapping[str, Sequence[Job]], options: Options, out: Path, workers: int, resume: bool, watch: Watch
) -> dict[str, list[Row]]:
    """The rows of each suite's own jobs, in their order; jobs that suites share are assessed once."""
    everything = [job for jobs in todo.values() for job in jobs]
    known = {row.id: row for row in predict(everything, options, out, workers=workers, resume=resume, watch=watch)}
    return {
        name: [known[job.suite, job.key, job.variant, way] for job in jobs for way in job.ways]
        for name, jobs in todo.items()
    }


def _publish(
    summary: dict[str, Any],
    modules: Mapping[str, ModuleType],
    rows: Mapping[str, Sequence[Row]],
    sets: Sequence[DataSet],
    run: dict[str, Any],
    options: Options,
    out: Path,
) -> dict[str, Any]:
    unique = {row.id: row for those in rows.values() for row in those}
    run["predictions"] = write_predictions(unique.values(), sets, out).name
    write_json(summary, out / "summary.json")
    write_json(run, out / "run.json")
    shown: dict[str, list[Table | Figure]] = {
        name: modules[name].show(numbers, rows[name], sets) for name, numbers in summary.items()
    }
    markdown = [f"## {name}\n\n" + "\n".join(p.markdown() for p in parts if isinstance(p, Table))
                for name, parts in shown.items()]  # fmt: skip
    (out / "tables.md").write_text("\n".join(markdown), encoding="utf-8")
    drawn = {name: [part for part in parts if isinstance(part, Figure)] for name, parts in shown.items()}
    figures = {f"{name}-{i:02d}": figure for name, those in drawn.items() for i, figure in enumerate(those, start=1)}
    write_figures(figures, out / "figures")
    write_report(shown, run, rows, sets, options, out / "report.html")
    return summary
