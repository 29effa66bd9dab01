"""The service behind the routes: model, queue, limits; pictures in, assessments out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.requests import Request

from snellen.apps.serve.batcher import Batcher, Job, QueueFull
from snellen.apps.serve.fetch import Fetcher, fetch_all
from snellen.apps.serve.metrics import Metrics
from snellen.apps.serve.settings import Settings
from snellen.apps.web.error import WebError, internal_error
from snellen.apps.web.events import BEAT, Event
from snellen.apps.web.gone import unless_gone
from snellen.apps.web.upload import Upload, read_form, too_many_pictures
from snellen.assessment import Assessment, Step
from snellen.backend import Backend, BackendError
from snellen.image import ImageError

Pictures = Sequence[Upload | ImageError]
"""Pictures of a request; an error stands for one that could not be fetched."""
Rounds = Callable[[int, int, Step], None]


@dataclass(frozen=True)
class Service:
    """All that the routes share.

    Attributes:
        backend: the model; the threads of the batcher may have copies of it.
        batcher: queue and threads.
        settings: those of a request that sets nothing.
        most_pictures: pictures of one request at most.
        seconds: time that one request may take once it was read.
        fetcher: fetches pictures from URLs; None where that is not allowed.
        metrics: what is counted.
    """

    backend: Backend
    batcher: Batcher
    settings: Settings
    most_pictures: int = 128
    seconds: float = 120.0
    fetcher: Fetcher | None = None
    metrics: Metrics = field(default_factory=Metrics)

    async def read(self, request: Request) -> tuple[Pictures, dict[str, tuple[str, ...]]]:
        """Return the pictures of a form, files before URLs, and its other fields.

        Raises:
            WebError: see `read_form`; URLs are not allowed (422); too many pictures (413).
        """
        form = await read_form(request, self.most_pictures)
        fields = dict(form.fields)
        urls = fields.pop("url", ())
        if urls and self.fetcher is None:
            raise WebError(
                422, "bad_option", "this server fetches no URLs", "send files, or start it with --allow-urls"
            )
        if len(form.files) + len(urls) > self.most_pictures:
            raise too_many_pictures(self.most_pictures)
        fetched = await unless_gone(request, fetch_all(self.fetcher, urls)) if self.fetcher and urls else []
        return [*form.files, *fetched], fields

    def queue(self, uploads: Pictures, settings: Settings, rounds: Rounds | None = None) -> list[Job]:
        """Put pictures into the queue.

        Args:
            uploads: the pictures.
            settings: how they are assessed.
            rounds: is called with index of the picture, number and step of each round, in another thread.

        Raises:
            WebError: none is there (422), the model lacks an option (422), or the queue is full (429).
        """
        if not uploads:
            raise WebError(
                422, "no_picture", "the form holds no file", "send pictures as files, as curl -F picture=@FILE"
            )
        try:
            settings.assessor(self.backend)
        except ValueError as error:
            raise WebError(422, "bad_option", str(error), "leave it out or correct it") from error
        jobs = []
        for index, one in enumerate(uploads):
            job = Job(one.name, one.data if isinstance(one, Upload) else one, settings, _watch(rounds, index))
            job.done.add_done_callback(self._count)
            jobs.append(job)
        return self.put(jobs)

    def _count(self, done: Future[Any]) -> None:
        if not done.cancelled() and done.exception() is None:
            self.metrics.assessed(done.result())

    def put(self, jobs: list[Job]) -> list[Job]:
        """Put jobs into the queue and return them; raises WebError where it is full (429)."""
        try:
            self.batcher.put(jobs)
        except QueueFull as full:
            remedy = "send the request again later"
            raise WebError(429, "busy", str(full), remedy, {"Retry-After": str(full.after)}) from full
        return jobs

    async def assess(self, request: Request, uploads: Pictures, settings: Settings) -> list[Assessment]:
        """Return the assessments of pictures, in order; they are dropped when the client goes away.

        Raises:
            WebError: see `queue` and `finish`.
        """
        return await unless_gone(request, self.finish(self.queue(uploads, settings)))

    async def finish(self, jobs: Sequence[Job]) -> list[Any]:
        """Return the results of jobs, in order; cancelled or late, the rest of the jobs is dropped.

        Raises:
            WebError: it takes too long (504), the model does not answer (503), or it fails (500).
        """
        try:
            with anyio.fail_after(self.seconds):
                return [await asyncio.wrap_future(job.done) for job in jobs]
        except TimeoutError as error:
            raise self._late() from error
        except Exception as error:
            raise _failure(error) from error
        finally:
            drop(jobs)

    async def follow(self, uploads: Pictures, settings: Settings) -> AsyncGenerator[Event | None, None]:
        """Queue pictures and return the events of their assessment, see docs/serve.md. Raises as `queue`."""
        loop = asyncio.get_running_loop()
        happened: asyncio.Queue[Event | int] = asyncio.Queue()

        def post(event: Event | int) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(happened.put_nowait, event)

        def round_ended(index: int, number: int, step: Step) -> None:
            name = uploads[index].name
            post(Event("round", {"index": index, "name": name, "round": number, "step": step.to_dict()}))

        jobs = self.queue(uploads, settings, round_ended)
        for index, job in enumerate(jobs):
            job.done.add_done_callback(lambda _, index=index: post(index))  # type: ignore[misc]
        return self._events(jobs, happened)

    async def _events(
        self, jobs: Sequence[Job], happened: asyncio.Queue[Event | int]
    ) -> AsyncGenerator[Event | None, None]:
        ends = anyio.current_time() + self.seconds
        failed, left = 0, len(jobs)
        try:
            while left:
                event: Event | int | None = None
                with anyio.move_on_after(min(BEAT, ends - anyio.current_time())):
                    event = await happened.get()
                if event is None and anyio.current_time() >= ends:
                    raise self._late()
                if isinstance(event, int):
                    assessment = _result(jobs[event])
                    failed += assessment.error is not None
                    left -= 1
                    event = Event("assessment", {"index": event, "assessment": assessment.to_dict()})
                yield event
            yield Event("done", {"pictures": len(jobs), "failed": failed})
        finally:
            drop(jobs)

    def _late(self) -> WebError:
        problem = f"the request took longer than {self.seconds:g} s"
        return WebError(504, "timeout", problem, "send fewer pictures at a time, or the request again later")

    def describe(self) -> dict[str, Any]:
        """Return name and version of the model and pictures in the queue."""
        return {"model": self.backend.name, "version": self.backend.version, "waiting": self.batcher.waiting}


def drop(jobs: Sequence[Job]) -> None:
    """Cancel the jobs that have not begun."""
    for job in jobs:
        job.done.cancel()


def _watch(rounds: Rounds | None, index: int) -> Callable[[int, Step], None] | None:
    if rounds is None:
        return None
    return lambda number, step: rounds(index, number, step)


def _result(job: Job) -> Assessment:
    try:
        result: Assessment = job.done.result(timeout=0)
        return result
    except Exception as error:
        raise _failure(error) from error


def _failure(error: Exception) -> WebError:
    """Return the error of a request for the error of one of its jobs, which the batcher has logged."""
    if isinstance(error, BackendError):
        return WebError(503, "model_unavailable", str(error), "try again when the model answers")
    return internal_error()
