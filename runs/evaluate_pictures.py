"""Pictures to assess, the ways to assess them, and a journal so that a killed run continues: for runs/evaluate.py."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from snellen.answer import Answer, Issue, ReplyError, parse_reply, render_reply
from snellen.assess import Assessment, Assessor
from snellen.backends import Backend, Conversation, Reply, Sampling, open_backend
from snellen.data.synthesize import Recipe, realise
from snellen.data.testsets import Rung, realise_rung
from snellen.image import Picture, View, load, look
from snellen.region import Region

TWO, ONE, ONLY, RANDOM, CENTRAL = "two rounds", "one round", "score only", "random crop", "central crop"
PLAIN, BRISQUE = "plain head", "brisque"
LANGUAGE_MODES = (TWO, ONLY, RANDOM, CENTRAL)
"""The ways to run the language model. ONE is no run of its own: it is the first round of TWO, which is the same."""

Outcome = dict[str, Any]
"""What is kept of one picture assessed in one way; see `outcome`."""


@dataclass(frozen=True)
class Job:
    """One picture: a file, or a recipe or a rung that makes it. `key` tells it from the others of its set."""

    key: str
    what: str | Recipe | Rung

    @property
    def source(self) -> str:
        """The file it needs."""
        return self.what if isinstance(self.what, str) else self.what.source

    def picture(self) -> Picture:
        """Load or make it."""
        if isinstance(self.what, str):
            return load(self.what)
        if isinstance(self.what, Recipe):
            return realise(self.what, clean_source(self.what.source))
        return realise_rung(self.what, clean_source(self.what.source))


@lru_cache(maxsize=1)
def clean_source(path: str) -> Picture:
    """A clean picture; the last one is kept, as jobs come sorted by source."""
    return load(path)


def open_model(model: str, threads: int | None = None) -> Backend:
    """A model by its name, or from a folder with a card.json."""
    from snellen.backends.bundled import BundledBackend

    if model == "snellen-1":
        return BundledBackend(threads=threads)
    if (Path(model) / "card.json").is_file():
        return BundledBackend(Path(model), threads)
    return open_backend(model)


class OneFirstLook:
    """A backend that looks at each picture, and answers its first round, once, so that the ways to go on share it.

    Nothing changes but time: a greedy first reply does not depend on what comes after it. Keeps every picture it saw,
    so use one for a batch.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name, self.version = backend.name, backend.version
        self.tokens_per_rating = getattr(backend, "tokens_per_rating", 1)
        self.views: dict[Picture, View] = {}
        self.replies: dict[Picture, Reply] = {}

    def view(self, picture: Picture) -> View:
        """The look at the whole picture that everyone shares."""
        if picture not in self.views:
            self.views[picture] = look(picture)
        return self.views[picture]

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`."""
        pictures = [conversation[0].views[0].picture for conversation in conversations]
        shown: list[Conversation] = [
            (replace(first, views=(self.view(picture),)), *rest)
            for picture, (first, *rest) in zip(pictures, conversations, strict=True)
        ]
        if sampling.prefix or any(len(conversation) > 1 for conversation in shown):
            return self.backend.reply(shown, sampling)
        unknown = [i for i, picture in enumerate(pictures) if picture not in self.replies]
        said = self.backend.reply([shown[i] for i in unknown], sampling)
        self.replies |= {pictures[i]: reply for i, reply in zip(unknown, said, strict=True)}
        return [self.replies[picture] for picture in pictures]


class OtherCrop:
    """A control: where the first reply asks for a crop, one of the same size at another place is asked for instead.

    `place` is RANDOM (drawn from the picture's own pixels, so the same every time) or CENTRAL. The words of the reply
    stay as they were. Replies that ask for no crop, or cannot be read, are passed on.
    """

    def __init__(self, backend: Backend, place: str) -> None:
        self.backend, self.place = backend, place
        self.name, self.version = f"{backend.name}, {place}", backend.version

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`."""
        replies = self.backend.reply(conversations, sampling)
        return [
            self._moved(reply, conversation[0].views[0].picture) if len(conversation) == 1 else reply
            for reply, conversation in zip(replies, conversations, strict=True)
        ]

    def _moved(self, reply: Reply, picture: Picture) -> Reply:
        try:
            parsed = parse_reply(reply.text, 1)
        except ReplyError:
            return reply
        asked = parsed.answer.region
        if asked is None:
            return reply
        x, y = (1 - asked.width) / 2, (1 - asked.height) / 2
        if self.place == RANDOM:
            rng = np.random.default_rng(zlib.crc32(picture.pixels[::64, ::64].tobytes()))
            x, y = rng.uniform(0, 1 - asked.width), rng.uniform(0, 1 - asked.height)
        moved = Region(x, y, min(1.0, x + asked.width), min(1.0, y + asked.height))
        answer: Answer = replace(parsed.answer, region=moved)
        # no token ids: they are the model's own words, and these are not
        return Reply(render_reply(parsed.rationale, answer, 1), rating=reply.rating, finish=reply.finish)


def outcome(assessment: Assessment) -> Outcome:
    """What the tables need of an assessment, JSON-able.

    score, std (of the last rating distribution), error code; rounds, parsed (how many of them could be read), tokens;
    first, first_std: the first round's own score, None where it could not be read; crop: the region shown in the
    second round; issues, first_issues: [kind, severity, box].
    """
    first, last = assessment.steps[0], assessment.steps[-1]
    read = first.error is None
    return {
        "score": assessment.score,
        "std": last.distribution.std if last.distribution else None,
        "error": assessment.error.code if assessment.error else None,
        "rounds": len(assessment.steps),
        "parsed": sum(step.error is None for step in assessment.steps),
        "tokens": sum(len(step.reply.token_ids) for step in assessment.steps),
        "first": first.score if read else None,
        "first_std": first.distribution.std if read and first.distribution else None,
        "crop": box(assessment.steps[1].region) if len(assessment.steps) > 1 else None,
        "issues": [said(issue) for issue in assessment.issues],
        "first_issues": [said(issue) for issue in first.parsed.answer.issues] if first.parsed else [],
    }


def said(issue: Issue) -> list[Any]:
    """An issue as [kind, severity, box]."""
    return [issue.kind, issue.severity, box(issue.region)]


def box(region: Region) -> list[float]:
    """All digits, where `Region.to_list` keeps two."""
    return [float(v) for v in (region.x0, region.y0, region.x1, region.y1)]


def assess_modes(backend: Backend, pictures: Sequence[Picture], modes: Sequence[str]) -> dict[str, list[Outcome]]:
    """Every picture in every mode, as one batch."""
    shared = OneFirstLook(backend)
    found: dict[str, list[Outcome]] = {}
    for mode in modes:
        if mode == PLAIN:
            see = getattr(backend, "see", None)
            if see is None:
                raise SystemExit(f"{backend.name} has no plain regression head; leave {PLAIN!r} out of --modes")
            found[mode] = [{"score": see(shared.view(picture)).rating} for picture in pictures]
        elif mode == BRISQUE:
            found[mode] = [{"score": brisque_score(picture)} for picture in pictures]
        else:
            way: Backend = OtherCrop(shared, mode) if mode in (RANDOM, CENTRAL) else shared
            assessor = Assessor(way, batch_size=max(1, len(pictures)), score_only=mode == ONLY)
            found[mode] = [outcome(assessment) for assessment in assessor.assess(pictures)]
    return found


@lru_cache(maxsize=1)
def brisque_model() -> Any:
    """PyPI's brisque 0.2.0; its features are arrays of one element, which numpy >= 2.4 does not take for numbers."""
    try:
        from brisque import BRISQUE as Published  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError as error:
        raise SystemExit("comparing with BRISQUE needs: pip install brisque opencv-python-headless") from error

    class Scalars(Published):  # type: ignore[misc]
        def scale_features(self, features: Any) -> Any:
            return super().scale_features([float(np.squeeze(value)) for value in features])

    return Scalars(url=False)


def brisque_score(picture: Picture) -> float:
    """The published BRISQUE score, about 0 (good) to 100 (bad)."""
    return float(brisque_model().score(picture.pixels))


_backend: Backend | None = None
_modes: tuple[str, ...] = ()


def prepare(model: str | None, modes: tuple[str, ...], threads: int | None) -> None:
    """Open the model once in each worker process; `model` None where no mode needs one."""
    global _backend, _modes
    _backend, _modes = open_model(model, threads) if model else None, modes


def work(jobs: Sequence[Job]) -> list[Outcome]:
    """One chunk of jobs: a row for each picture and mode."""
    pictures = [job.picture() for job in jobs]
    if _backend is None:
        found = {BRISQUE: [{"score": brisque_score(picture)} for picture in pictures]}
    else:
        found = assess_modes(_backend, pictures, _modes)
    return [
        {"key": job.key, "mode": mode} | row
        for mode, rows in found.items()
        for job, row in zip(jobs, rows, strict=True)
    ]


@dataclass(frozen=True)
class Options:
    """How to run. every: take only each so many-th job. chunk: pictures at a time in each of `workers` processes."""

    model: str
    out: Path
    workers: int = 1
    threads: int | None = None
    chunk: int = 8
    every: int = 1


def assess_jobs(
    name: str, jobs: Sequence[Job], modes: Sequence[str], options: Options
) -> dict[str, dict[str, Outcome]]:
    """Outcomes by mode and key, for the jobs that `options.every` picks. What OUT/NAME.jsonl holds is not done again.

    SystemExit when that journal was written with other weights.
    """
    jobs = jobs[:: options.every]
    model = None if tuple(modes) == (BRISQUE,) else options.model
    journal = options.out / f"{name}.jsonl"
    known = read_journal(journal, identity(model))
    missing = [job for job in jobs if any((mode, job.key) not in known for mode in modes)]
    missing.sort(key=lambda job: job.source)
    chunks = [missing[i : i + options.chunk] for i in range(0, len(missing), options.chunk)]
    began, done = time.time(), 0
    with journal.open("a", encoding="utf8") as file:
        for rows in run_chunks(chunks, (model, tuple(modes), options.threads), options.workers):
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            known |= {(row["mode"], row["key"]): row for row in rows}
            done += len(rows) // len(modes)
            each = (time.time() - began) / done
            left = each * (len(missing) - done) / 60
            print(f"\r{name}: {done}/{len(missing)}, {each:.2f} s each, {left:.0f} min left ", end="", file=sys.stderr)
    if missing:
        print(file=sys.stderr)
    return {mode: {job.key: known[mode, job.key] for job in jobs} for mode in modes}


def run_chunks(chunks: Sequence[Sequence[Job]], start: tuple[Any, ...], workers: int) -> Iterator[list[Outcome]]:
    """Chunks in order, in this process or in several; each opens the model for itself."""
    if workers == 1 or len(chunks) < 2:
        if chunks:
            prepare(*start)
        yield from map(work, chunks)
        return
    with multiprocessing.get_context("spawn").Pool(workers, prepare, start) as pool:
        yield from pool.imap(work, chunks)


def identity(model: str | None) -> str:
    """What tells the weights of one journal from another's."""
    if model is None:
        return BRISQUE
    folder = Path(model)
    if model == "snellen-1":
        from snellen.backends.bundled import WEIGHTS

        folder = WEIGHTS
    if (folder / "card.json").is_file():
        card = json.loads((folder / "card.json").read_text(encoding="utf8"))
        return f"{card['name']} {card['version']} {zlib.crc32(json.dumps(card['sha256'], sort_keys=True).encode()):08x}"
    backend = open_backend(model)
    return f"{backend.name} {backend.version}"


def read_journal(path: Path, who: str) -> dict[tuple[str, str], Outcome]:
    """Rows by (mode, key); begins the file if need be, and cuts off a line that a killed run left half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf8")
    lines = [json.loads(line) for line in whole.splitlines()]
    if not lines:
        path.write_text(json.dumps({"model": who}) + "\n", encoding="utf8")
        return {}
    if lines[0]["model"] != who:
        raise SystemExit(f"{path} was written with {lines[0]['model']}, not {who}; remove it or give another --out")
    return {(row["mode"], row["key"]): row for row in lines[1:]}
