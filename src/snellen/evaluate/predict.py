"""Which pictures to assess, what is kept of each, and a journal, so that a killed run continues.

A suite is a module of this package with three functions, and a fourth where it needs one:

    jobs(sets, ways, folder) -> list[Job]      which pictures to assess, in which variants, in which ways
    follow_up(rows, sets, ways) -> list[Job]   optional: what to assess once the rows of `jobs` are known
    summarise(rows, sets) -> dict              the numbers: pure, JSON-able (NaN where not defined), no wall-clock time
    show(summary, rows, sets) -> list          the `Table`s and `Figure`s of a report, in order, from those numbers

`sets` are the `DataSet`s of the run, the same in every call. `ways` are those that the run asks for: the main one
first (TWO, or ONLY with --score-only), then others out of `ways.WAYS` and names of peers; a suite takes of them what it
can use. `folder` is where a suite may keep what takes long to draw, in files named after itself. `rows` are those of
the suite's own jobs, in their order, one for each job and way. A suite that finds no picture for it in `sets` returns
no jobs, and is reported as left out. Suites may share work: jobs that are equal are assessed once, so a suite may
return the jobs of another (`scores.jobs`), whose rows then carry that other suite's name.

Peers are in `peers.py`: `PEERS` (names), and `open_peer(name) -> Peer`, which raises `PeerError` with the remedy when
it is not installed. A Peer has `.name`, `.version` and `.score(picture: Picture) -> float`, in its own unit, turned so
that higher is better. Whatever it raises becomes a row with the error "peer_failed".
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.assessor import BATCH_MEGAPIXELS, Assessor
from snellen.backend import Backend, Sampling, model_folder, open_backend
from snellen.data.sample import Sample
from snellen.evaluate.modes import CONTROLS, HEADS, ONE, ONLY, WAYS, OneFirstLook, OtherCrop
from snellen.evaluate.rows import QUANTILES, Round, Row, box, rounds_of, row_from_dict
from snellen.image import ImageError, Picture, load
from snellen.usage import UsageError
from snellen.workers import cut_off_last_line, run_batches
from snellen.zoom import ZOOM_PRESETS

if TYPE_CHECKING:
    from snellen.evaluate.baselines import Peer

__all__ = [
    "QUANTILES", "DataSet", "Job", "Options", "Round", "Row",
    "box", "clean_source", "data_set", "identity", "open_once", "predict", "row_from_dict",
]  # fmt: skip


@dataclass(frozen=True)
class DataSet:
    """Pictures with what is known about them; keys are `name/path inside the set`, the same on every machine.

    pairs: where people chose between two pictures, (key, key, share of people who chose the first, 0..1).
    """

    name: str
    samples: Mapping[str, Sample]
    pairs: tuple[tuple[str, str, float], ...] = ()

    @property
    def counted(self) -> dict[str, Sample]:
        """The pictures that are evaluated, by key: of the test split where the set has one, otherwise all."""
        test = {key: sample for key, sample in self.samples.items() if sample.split == "test"}
        return test or dict(self.samples)


def data_set(name: str, samples: Sequence[Sample]) -> DataSet:
    """A data set of samples, in order, with keys from their paths below the folder that all of them share."""
    if not samples:
        raise UsageError(f"{name}: no pictures in it; check the manifest or the folder")
    top = os.path.commonpath([os.path.dirname(sample.path) for sample in samples])
    keyed: dict[str, Sample] = {}
    for sample in samples:
        key = f"{name}/{Path(os.path.relpath(sample.path, top)).as_posix()}"
        if key in keyed:
            raise UsageError(f"{name}: {sample.path} is listed twice; remove one of the rows")
        keyed[key] = sample
    return DataSet(name, keyed)


@dataclass(frozen=True)
class Job:
    """One picture to assess in one or several ways.

    suite, key, variant: which picture (`key`, as in the data set) with what done to it (`variant`, "" for as it is);
    together they are unique in a run, so runs of a kind are told apart by the variant ("run 3"). picture: a file, or
    a function that makes the picture and can be pickled (`functools.partial` of a module's function); one that starts
    from a file gets it from `clean_source`. source: the file it needs; jobs are worked off sorted by it.
    ways: out of `WAYS`, and names of peers. seed: None is greedy; otherwise replies are sampled at temperature 1.
    batch: pictures at a time, None for the run's own. threads: for the model.
    """

    suite: str
    key: str
    picture: str | Callable[[], Picture]
    source: str
    ways: tuple[str, ...]
    variant: str = ""
    seed: int | None = None
    batch: int | None = None
    threads: int = 1

    def load(self, max_megapixels: float = 100.0) -> Picture:
        """Read or make the picture; raises ImageError."""
        if isinstance(self.picture, str):
            return load(self.picture, max_megapixels=max_megapixels)
        return self.picture()


@lru_cache(maxsize=1)
def clean_source(path: str) -> Picture:
    """A picture from its file; the last one is kept, as jobs come sorted by source."""
    return load(path)


@dataclass(frozen=True)
class Options:
    """How to run. model: a name for `open_backend`, or a Backend (with one worker only). batch: pictures at a time."""

    model: str | Backend = "snellen-1"
    protocol: str = "snellen"
    batch: int = 8
    max_megapixels: float = 100.0


def open_once(model: str | Backend, threads: int = 1) -> Backend:
    """Return a model, opened once per process by `open_backend`; UsageError for an unknown name."""
    if isinstance(model, Backend):
        return model
    return _open(model, 1 if model_folder(model) is None else threads)


@lru_cache(maxsize=2)
def _open(model: str, threads: int) -> Backend:
    try:
        return open_backend(model, threads=threads)
    except ValueError as error:
        raise UsageError(str(error)) from error


def forget_models() -> None:
    """Clear the cache of `open_once`, after the files of a model have changed."""
    _open.cache_clear()


def identity(backend: Backend, options: Options) -> str:
    """What tells the rows of one run from another's: model, weights, calibration, protocol and batch size."""
    known = [weights_of(options.model) or "", str(backend.calibration)]
    mark = hashlib.sha256(" ".join(known).encode()).hexdigest()[:12]
    return f"{backend.name} {backend.version} ({mark}), protocol {options.protocol}, batch {options.batch}"


def weights_of(model: str | Backend) -> str | None:
    """SHA-256 over the files of a model of our make; None for others, which are known by name and version only."""
    folder = model_folder(model) if isinstance(model, str) else None
    if folder is None:
        return None
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return hashlib.sha256(json.dumps(card["sha256"], sort_keys=True).encode()).hexdigest()


def predict(
    jobs: Sequence[Job],
    options: Options,
    out: Path,
    *,
    workers: int = 1,
    resume: bool = False,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> list[Row]:
    """Assess all jobs in all their ways; the rows in the order of the jobs and their ways. Equal jobs count once.

    Rows go to OUT/journal.jsonl as soon as they are known. With `resume`, rows that stand there are not made again.
    Pictures go through the model in the same batches whatever was done already and however many `workers` there are,
    each with the threads that its jobs name, so the rows of a run that was killed and continued are equal to the
    last bit. `watch(done, total)` is told how many rows there are, at the start and whenever there are more.

    Raises UsageError when the journal is another run's or cannot be continued, ValueError for two different jobs of
    one name, BackendError when the model cannot be opened or does not answer: what is known by then stays.
    """
    if workers > 1 and not isinstance(options.model, str):
        raise ValueError("several workers need a model by name, as each opens its own")
    jobs = _unique(jobs)
    journal = out / "journal.jsonl"
    known = _read(journal, identity(open_once(options.model), options), resume)
    total = sum(len(job.ways) for job in jobs)
    wanted = {id for job in jobs for id in _ids(job)}
    done = len(wanted & known.keys())
    watch(done, total)
    chunks = [left for chunk in _chunks(jobs, options.batch) if (left := _missing(chunk, known))]
    with journal.open("a", encoding="utf-8") as file:
        for _, rows in run_batches(_work, chunks, workers, _start, (options,)):
            file.writelines(json.dumps(row.to_dict() | {"seconds": row.seconds}) + "\n" for row in rows)
            file.flush()
            done += len({row.id for row in rows} - known.keys())
            known |= {row.id: row for row in rows}
            watch(done, total)
    return [known[id] for job in jobs for id in _ids(job)]


def _unique(jobs: Sequence[Job]) -> list[Job]:
    found: dict[tuple[str, str, str], Job] = {}
    for job in jobs:
        name = (job.suite, job.key, job.variant)
        before = found.get(name, job)
        # two partials of one function are never equal, so functions that make pictures are not compared
        if replace(before, picture="") != replace(job, picture=""):
            raise ValueError(f"two jobs are called {name}; give them other variants")
        found[name] = before
    return list(found.values())


def _ids(job: Job) -> list[tuple[str, str, str, str]]:
    return [(job.suite, job.key, job.variant, way) for way in job.ways]


def _chunks(jobs: Sequence[Job], batch: int) -> list[list[Job]]:
    """What goes through the model together: of one suite and one kind, sorted by source."""
    kinds: dict[tuple[Any, ...], list[Job]] = {}
    for job in jobs:
        kinds.setdefault((job.suite, job.ways, job.seed, job.batch, job.threads), []).append(job)
    chunks = []
    for (_, _, _, size, _), those in kinds.items():
        those.sort(key=lambda job: (job.source, job.key, job.variant))
        chunks += [those[i : i + (size or batch)] for i in range(0, len(those), size or batch)]
    return chunks


def _missing(chunk: Sequence[Job], known: Mapping[tuple[str, str, str, str], Row]) -> list[Job]:
    """The chunk as a whole, in the ways that are not known for all of it; empty where all are."""
    ways = tuple(
        way for way in chunk[0].ways if any((job.suite, job.key, job.variant, way) not in known for job in chunk)
    )
    return [replace(job, ways=ways) for job in chunk] if ways else []


def _read(journal: Path, who: str, resume: bool) -> dict[tuple[str, str, str, str], Row]:
    """Rows so far by id; begins the journal where there is none."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    if not journal.exists() or journal.stat().st_size == 0:
        journal.write_text(json.dumps({"model": who}) + "\n", encoding="utf-8")
        return {}
    if not resume:
        raise UsageError(f"{journal} is there already; continue that run with --resume, or give another --out")
    try:
        head, *lines = [json.loads(line) for line in cut_off_last_line(journal)] or [{"model": who}]
        before = head["model"]
        rows = [row_from_dict(line) for line in lines]
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{journal} is damaged ({error!r}); delete it and start again") from error
    if before != who:
        raise UsageError(f"{journal} was begun with {before}, now it is {who}; use the same, or give another --out")
    return {row.id: row for row in rows}


_options: Options


def _start(options: Options) -> None:
    """In each process that works."""
    global _options
    _options = options


@cache  # all peers of a run, which take turns
def _peer(name: str) -> Peer:
    from snellen.evaluate.baselines import open_peer

    return open_peer(name)


def _work(chunk: Sequence[Job]) -> list[Row]:
    """All rows of a chunk; its pictures are cut into parts that fit in memory."""
    rows: list[Row] = []
    part: list[tuple[Job, Picture]] = []
    began = time.perf_counter()
    for job in chunk:
        try:
            picture = job.load(_options.max_megapixels)
        except ImageError as error:
            rows += [_failed(job, way, error.code, f"{error.problem}; {error.remedy}") for way in job.ways]
            continue
        if part and sum(p.megapixels for _, p in part) + picture.megapixels > BATCH_MEGAPIXELS:
            rows += _assess(part, time.perf_counter() - began)
            part, began = [], time.perf_counter()
        part.append((job, picture))
    return rows + (_assess(part, time.perf_counter() - began) if part else [])


def _failed(job: Job, way: str, code: str, problem: str) -> Row:
    return Row(job.suite, job.key, job.variant, way, "", error=code, problem=problem)


def _assess(part: Sequence[tuple[Job, Picture]], reading: float) -> list[Row]:
    """Rows of pictures of one kind. `reading`: seconds that it took to load them."""
    kind = part[0][0]
    shared = OneFirstLook(open_once(_options.model, kind.threads))
    rows: list[Row] = []
    for number, way in enumerate(kind.ways):
        began = time.perf_counter()
        if way not in WAYS:
            found = _by_peer(part, way)
        elif way in HEADS:
            found = _by_head(part, way, shared)
        else:
            found = _by_model(part, way, shared)
        took = (time.perf_counter() - began + reading) / len(part)
        timed = number == 0 or way not in WAYS  # the others share what the first has looked at
        rows += [replace(row, seconds=took if timed else None) for row in found]
    return rows


def _by_model(part: Sequence[tuple[Job, Picture]], way: str, shared: OneFirstLook) -> list[Row]:
    seed = part[0][0].seed
    zoom = ZOOM_PRESETS[_options.protocol]
    control = way in CONTROLS
    assessor = Assessor(
        OtherCrop(shared, way, zoom) if control else shared,
        _options.protocol,
        zoom=replace(zoom, steps=None) if control else zoom,  # its crop is as large as the model's own already
        max_rounds=1 if way == ONE else 2,
        batch_size=len(part),
        score_only=way == ONLY,
        sampling=None if seed is None else Sampling(temperature=1.0, seed=seed),
        max_megapixels=_options.max_megapixels,
    )
    rows = []
    for (job, picture), found in zip(part, assessor.assess([picture for _, picture in part]), strict=True):
        error = found.error
        rows.append(
            Row(
                job.suite, job.key, job.variant, way, f"{shared.name} {shared.version}",
                found.score, found.interval, found.label, picture.width, picture.height, rounds_of(found),
                error.code if error else None, f"{error.problem}; {error.remedy}" if error else None,
            )
        )  # fmt: skip
    return rows


def _by_head(part: Sequence[tuple[Job, Picture]], way: str, shared: OneFirstLook) -> list[Row]:
    if way not in shared.plain_ratings:
        problem = f"{shared.name} has no plain regression head; leave this way out"
        return [_failed(job, way, "no_plain_head", problem) for job, _ in part]
    model = f"{shared.name} {shared.version}"
    return [
        Row(job.suite, job.key, job.variant, way, model, shared.plain_rating(shared.view(picture), way),
            width=picture.width, height=picture.height)
        for job, picture in part
    ]  # fmt: skip


def _by_peer(part: Sequence[tuple[Job, Picture]], name: str) -> list[Row]:
    rows = []
    for job, picture in part:
        try:
            peer = _peer(name)
            score = float(peer.score(picture))
            if not math.isfinite(score):
                raise ValueError(f"its score is {score}")
        except Exception as error:  # noqa: BLE001 - a peer is somebody else's code: that it failed is a result
            rows.append(_failed(job, name, "peer_failed", f"{type(error).__name__}: {error}"))
            continue
        model = f"{peer.name} {peer.version}"
        rows.append(
            Row(job.suite, job.key, job.variant, name, model, score, width=picture.width, height=picture.height)
        )
    return rows
