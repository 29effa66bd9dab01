"""Run jobs: read or make each picture, score it in every mode that its job names, journal the rows."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.assessment import Assessment
from snellen.assessor import BATCH_MEGAPIXELS, Assessor
from snellen.backend import Backend, Sampling, model_folder
from snellen.backends import open_backend
from snellen.evaluate.baselines import is_external
from snellen.evaluate.journal import append, open_journal
from snellen.evaluate.modes import CONTROLS, ONE, ONLY, ControlCrop, SharedFirstRound
from snellen.evaluate.rows import Row, RowId, rounds_of
from snellen.image import ImageError, Picture, load
from snellen.options import ModelOptions
from snellen.protocol import open_protocol
from snellen.snellen1.files import mark, read_card
from snellen.usage import wrong_usage
from snellen.workers import check_workers, run_batches
from snellen.zoom import ZOOM_PRESETS

if TYPE_CHECKING:
    from snellen.evaluate.baselines import Baseline


@dataclass(frozen=True)
class Job:
    """One picture to score in one or several modes.

    Attributes:
        suite: name of the suite that asks for it.
        key: key of the picture in its data set.
        picture: a file, or a picklable function that makes the picture (`functools.partial` of a module's function).
        source: the file that the picture needs; jobs run sorted by it.
        modes: some of `snellen.evaluate.modes.MODES`, plain ratings of the model and external baselines.
        variant: what was done to the picture, "" for nothing. (suite, key, variant) is unique in a run.
        seed: seed of sampled replies at temperature 1; None for greedy ones.
        batch: pictures per batch, None for that of the run.
        threads: threads of the model.
    """

    suite: str
    key: str
    picture: str | Callable[[], Picture]
    source: str
    modes: tuple[str, ...]
    variant: str = ""
    seed: int | None = None
    batch: int | None = None
    threads: int = 1

    @property
    def row_ids(self) -> list[RowId]:
        """Ids of its rows, in the order of its modes."""
        return [(self.suite, self.key, self.variant, mode) for mode in self.modes]

    def load(self, max_megapixels: float = 100.0) -> Picture:
        """Read or make the picture; raises ImageError."""
        if isinstance(self.picture, str):
            return load(self.picture, max_megapixels=max_megapixels)
        return self.picture()


@dataclass(frozen=True)
class Options:
    """Settings of a run.

    Attributes:
        model: a name for `open_backend`, or an open Backend (with one worker only).
        protocol: "snellen" or "zoom-iqa".
        batch: pictures per batch; None for as many as the model works on at a time.
        max_megapixels: larger pictures are refused.
        sampling, question, options: those of `Assessor`, for vision-language models; sampling by name.
    """

    model: str | Backend = "snellen-1"
    protocol: str = "snellen"
    batch: int | None = None
    max_megapixels: float = 100.0
    sampling: Mapping[str, float] = field(default_factory=dict)
    question: str | None = None
    options: ModelOptions = ModelOptions()

    @property
    def settings(self) -> str:
        """Sampling, question and options that are set, as JSON; empty for nothing."""
        asked = {} if self.question is None else {"question": self.question}
        given = {**self.sampling, **asked, **self.options.given()}
        return json.dumps(given, sort_keys=True) if given else ""


def open_once(options: Options, threads: int = 1) -> Backend:
    """Return the model of a run, opened once per process by `open_backend`; UsageError for an unknown name."""
    model = options.model
    if isinstance(model, Backend):
        return model
    return _open(model, 1 if model_folder(model) is None else threads, options.options)


@lru_cache(maxsize=2)
def _open(model: str, threads: int, options: ModelOptions) -> Backend:
    with wrong_usage():
        return open_backend(model, threads=threads, options=options)


def forget_models() -> None:
    """Clear the cache of `open_once`, after the files of a model have changed."""
    _open.cache_clear()


def identity(backend: Backend, options: Options) -> str:
    """Return the text that identifies the rows of a run: model, weights, calibration, protocol, batch size."""
    known = [weights_of(options.model) or "", str(backend.calibration), str(backend.score_calibration)]
    mark = hashlib.sha256(" ".join(known).encode()).hexdigest()[:12]
    batch = options.batch or backend.batch_size
    known_run = f"{backend.name} {backend.version} ({mark}), protocol {options.protocol}, batch {batch}"
    return known_run + (f", {options.settings}" if options.settings else "")


def weights_of(model: str | Backend) -> str | None:
    """Return the SHA-256 over the files of a model of snellen-1's format, None for other models."""
    folder = model_folder(model) if isinstance(model, str) else None
    if folder is None:
        return None
    return mark(read_card(folder))


def predict(
    jobs: Sequence[Job],
    options: Options,
    out: Path,
    *,
    workers: int = 1,
    resume: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Row]:
    """Score all jobs in all their modes; return the rows in the order of the jobs and their modes.

    Equal jobs run once. Rows go to OUT/journal.jsonl as soon as they are known; with `resume`, rows that it holds are
    not computed again. Batches do not depend on what is done already or on the number of `workers`, so the rows of a
    run that was killed and continued are equal to the last bit. on_progress(done, total): counts of rows.

    Raises UsageError for a journal of another run, ValueError for two different jobs with one id, BackendError when
    the model cannot be opened or does not answer; rows known by then are kept.
    """
    if isinstance(options.model, str):
        check_workers(options.model, workers)
    if workers > 1 and not isinstance(options.model, str):
        raise ValueError("several workers need a model by name, as each opens its own")
    jobs = _unique(jobs)
    journal = out / "journal.jsonl"
    model = open_once(options)
    known = open_journal(journal, identity(model, options), resume)
    total = sum(len(job.modes) for job in jobs)
    done = len({row_id for job in jobs for row_id in job.row_ids} & known.keys())
    on_progress(done, total)
    batches = [left for batch in _batches(jobs, options.batch or model.batch_size) if (left := _missing(batch, known))]
    with journal.open("ab", buffering=0) as file:
        for _, rows in run_batches(_work, batches, workers, _start, (options,)):
            append(file, rows)
            done += len({row.id for row in rows} - known.keys())
            known |= {row.id: row for row in rows}
            on_progress(done, total)
    return [known[row_id] for job in jobs for row_id in job.row_ids]


def _unique(jobs: Sequence[Job]) -> list[Job]:
    unique: dict[tuple[str, str, str], Job] = {}
    for job in jobs:
        name = (job.suite, job.key, job.variant)
        before = unique.setdefault(name, job)
        # two partials of one function are never equal, so functions that make pictures are not compared
        if replace(before, picture="") != replace(job, picture=""):
            raise ValueError(f"two jobs are called {name}; give them different variants")
    return list(unique.values())


def _batches(jobs: Sequence[Job], size: int) -> list[list[Job]]:
    """Split jobs into batches of one suite, modes, seed and settings, sorted by source."""
    kinds: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        kinds.setdefault((job.suite, job.modes, job.seed, job.batch, job.threads), []).append(job)
    batches = []
    for those in kinds.values():
        those.sort(key=lambda job: (job.source, job.key, job.variant))
        step = those[0].batch or size
        batches += [those[i : i + step] for i in range(0, len(those), step)]
    return batches


def _missing(batch: Sequence[Job], known: Mapping[RowId, Row]) -> list[Job]:
    """Return the whole batch in the modes that are not known for all of it; empty where all are."""
    modes = tuple(
        mode for mode in batch[0].modes if any((job.suite, job.key, job.variant, mode) not in known for job in batch)
    )
    return [replace(job, modes=modes) for job in batch] if modes else []


_options: Options


def _start(options: Options) -> None:
    """Set up a worker process."""
    global _options
    _options = options


@cache
def _baseline(name: str) -> Baseline:
    from snellen.evaluate.baselines import open_baseline

    return open_baseline(name)


def _work(batch: Sequence[Job]) -> list[Row]:
    """Return all rows of a batch; its pictures are split into parts that fit in memory."""
    rows: list[Row] = []
    part: list[tuple[Job, Picture]] = []
    began = time.perf_counter()
    for job in batch:
        try:
            picture = job.load(_options.max_megapixels)
        except ImageError as error:
            rows += [_failed(job, mode, error.code, f"{error.problem}; {error.remedy}") for mode in job.modes]
            continue
        if part and sum(p.megapixels for _, p in part) + picture.megapixels > BATCH_MEGAPIXELS:
            rows += _score(part, time.perf_counter() - began)
            part, began = [], time.perf_counter()
        part.append((job, picture))
    return rows + (_score(part, time.perf_counter() - began) if part else [])


def _failed(job: Job, mode: str, code: str, problem: str) -> Row:
    return Row(job.suite, job.key, job.variant, mode, "", error=code, problem=problem)


def _score(part: Sequence[tuple[Job, Picture]], reading: float) -> list[Row]:
    """Return the rows of pictures of one batch. reading: seconds that it took to load them."""
    shared = SharedFirstRound(open_once(_options, part[0][0].threads))
    rows: list[Row] = []
    for number, mode in enumerate(part[0][0].modes):
        began = time.perf_counter()
        if is_external(mode):
            scored = [_by_baseline(job, picture, mode) for job, picture in part]
        elif mode in shared.plain_ratings:
            scored = [_by_plain_head(job, picture, mode, shared) for job, picture in part]
        else:
            scored = _by_model(part, mode, shared)
        took = (time.perf_counter() - began + reading) / len(part)
        timed = number == 0 or is_external(mode)
        rows += [replace(row, seconds=took if timed else None) for row in scored]
    return rows


def _by_model(part: Sequence[tuple[Job, Picture]], mode: str, shared: SharedFirstRound) -> list[Row]:
    if mode in CONTROLS:  # the crop depends on the picture's name, so each picture has its own rule
        rules = [ControlCrop(mode, ZOOM_PRESETS[_options.protocol], f"{job.key} {job.variant}") for job, _ in part]
        found = [_assess([one], mode, shared, rule)[0] for one, rule in zip(part, rules, strict=True)]
    else:
        found = _assess(part, mode, shared, None)
    return [
        Row(
            job.suite, job.key, job.variant, mode, f"{shared.name} {shared.version}",
            one.score, one.interval, one.label, picture.width, picture.height, rounds_of(one),
            one.error.code if one.error else None, f"{one.error.problem}; {one.error.remedy}" if one.error else None,
        )
        for (job, picture), one in zip(part, found, strict=True)
    ]  # fmt: skip


def _assess(
    part: Sequence[tuple[Job, Picture]], mode: str, shared: SharedFirstRound, zoom: ControlCrop | None
) -> list[Assessment]:
    sampling: Sampling | Mapping[str, float] = _options.sampling
    if (seed := part[0][0].seed) is not None:
        own = asdict(open_protocol(_options.protocol).sampling) | {"temperature": 1.0, **_options.sampling}
        sampling = Sampling(**own | {"seed": seed + own["seed"]})
    assessor = Assessor(
        shared,
        _options.protocol,
        zoom=zoom,
        max_rounds=1 if mode == ONE else 2,
        batch_size=len(part),
        score_only=mode == ONLY,
        sampling=sampling,
        question=_options.question,
        max_megapixels=_options.max_megapixels,
    )
    return assessor.assess([picture for _, picture in part])


def _by_plain_head(job: Job, picture: Picture, name: str, shared: SharedFirstRound) -> Row:
    score = shared.plain_rating(shared.view(picture), name)
    model = f"{shared.name} {shared.version}"
    return Row(job.suite, job.key, job.variant, name, model, score, width=picture.width, height=picture.height)


def _by_baseline(job: Job, picture: Picture, name: str) -> Row:
    try:
        baseline = _baseline(name)
        score = float(baseline.score(picture))
        if not math.isfinite(score):
            raise ValueError(f"its score is {score}")
    except Exception as error:  # noqa: BLE001 - third-party code: that it failed is a result
        return _failed(job, name, "baseline_failed", f"{type(error).__name__}: {error}")
    model = f"{baseline.name} {baseline.version}"
    return Row(job.suite, job.key, job.variant, name, model, score, width=picture.width, height=picture.height)
