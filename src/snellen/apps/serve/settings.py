"""Options of one request: those of `snellen assess`, as fields of a form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from snellen.apps.serve.batcher import Job
from snellen.apps.web.error import WebError
from snellen.assessment import Assessment, Step
from snellen.assessor import Assessor
from snellen.backend import Backend
from snellen.image import ImageError, Picture, load
from snellen.options import SAMPLING_FLAGS

RANGES: Mapping[str, tuple[type, float, float]] = {
    "max_rounds": (int, 1, 8),
    "max_megapixels": (float, 0.001, 100_000),
    "max_tokens": (int, 1, 4096),
    "temperature": (float, 0, 10),
    "top_p": (float, 0.001, 1),
    "top_k": (int, 0, 1_000_000),
    "seed": (int, 0, 2**31 - 1),
}
"""Options that are numbers: their type, smallest and largest value that a client may ask for."""


@dataclass(frozen=True)
class Settings:
    """Settings that pictures are assessed with; equal ones share a batch. The fields are arguments of `Assessor`.

    sampling: names and values of what is set of `snellen.options.Sampling`.
    """

    protocol: str = "snellen"
    max_rounds: int = 2
    score_only: bool = False
    allow_damaged: bool = False
    max_megapixels: float = 100.0
    question: str | None = None
    sampling: tuple[tuple[str, float], ...] = ()

    def assessor(self, backend: Backend, batch_size: int | None = None) -> Assessor:
        """Return an assessor with these settings.

        Raises:
            ValueError: the model does not have one of them.
        """
        return Assessor(
            backend,
            self.protocol,
            self.max_rounds,
            batch_size,
            self.score_only,
            dict(self.sampling) or None,
            question=self.question,
            max_megapixels=self.max_megapixels,
            allow_damaged=self.allow_damaged,
        )

    def run(self, backend: Backend, jobs: Sequence[Job]) -> Iterator[Assessment]:
        """Yield the assessment of each job; its data are the bytes of a file, or the error that getting them raised."""
        watching: dict[int, Callable[[int, Step], None]] = {}

        def pictures() -> Iterator[Picture | ImageError]:
            for job in jobs:
                loaded = self._load(job)
                if job.watch is not None and isinstance(loaded, Picture):
                    watching[id(loaded)] = job.watch  # the picture lives as long as its batch
                yield loaded

        def watch(number: int, step: Step) -> None:
            if (one := watching.get(id(step.view.picture))) is not None:
                one(number, step)

        return self.assessor(backend, len(jobs)).stream(pictures(), watch)

    def _load(self, job: Job) -> Picture | ImageError:
        if isinstance(job.data, ImageError):
            return job.data
        try:
            return load(job.data, name=job.name, max_megapixels=self.max_megapixels, allow_damaged=self.allow_damaged)
        except ImageError as error:
            return error

    def changed(self, given: Mapping[str, tuple[str, ...]]) -> Settings:
        """Return the settings with the fields of a form in place of their own; max_megapixels can only fall.

        Raises:
            WebError: a field is unknown, given twice, or its value is none (422).
        """
        values: dict[str, Any] = {}
        sampling = dict(self.sampling)
        for name, texts in given.items():
            if name not in OPTIONS:
                raise _refused(f"there is no option {name[:40]!r}", f"use {', '.join(OPTIONS)}")
            if len(texts) > 1:
                raise _refused(f"option {name} is given {len(texts)} times", "give it once")
            try:
                value = OPTIONS[name](texts[0].strip())
            except ValueError as error:
                raise _refused(f"option {name} is {texts[0][:40]!r}", f"give {error}") from error
            if name in SAMPLING_FLAGS:
                sampling[name] = value
            else:
                values[name] = value
        megapixels = min(self.max_megapixels, values.get("max_megapixels", self.max_megapixels))
        values |= {"max_megapixels": megapixels, "sampling": tuple(sorted(sampling.items()))}
        return replace(self, **values)


def _refused(problem: str, remedy: str) -> WebError:
    return WebError(422, "bad_option", problem, remedy)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def _number(kind: type, low: float, high: float) -> Callable[[str], float]:
    wanted = f"a {'whole ' if kind is int else ''}number from {low:g} to {high:g}"

    def parse(text: str) -> float:
        try:
            value: float = kind(text)
        except ValueError as error:
            raise ValueError(wanted) from error
        if not low <= value <= high:
            raise ValueError(wanted)
        return value

    return parse


def _text(text: str) -> str:
    if not text:
        raise ValueError("a text")
    return text


OPTIONS: dict[str, Callable[[str], Any]] = {
    "protocol": _text,
    "question": _text,
    "score_only": _boolean,
    "allow_damaged": _boolean,
    **{name: _number(*limits) for name, limits in RANGES.items()},
}
"""Options of a request and the parsers of their values."""

assert {field.name for field in fields(Settings)} - {"sampling"} <= OPTIONS.keys()
