"""Numbers for Prometheus at /metrics: requests, pictures, queue, batches, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snellen.assessment import Assessment

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Upper ends of the buckets of time."""
SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Upper ends of the buckets of a batch's size."""
SCORES = (1.5, 2, 2.5, 3, 3.5, 4, 4.5)
"""Upper ends of the buckets of scores."""


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "snellen_requests", "Requests by path and status; 499: the client went away.", ("path", "status"),
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "snellen_request_seconds", "Time of requests, from head to last byte.", ("path",), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.pictures = Counter(
            "snellen_pictures", "Assessed pictures by outcome: ok, or the code of the error.", ("outcome",),
            registry=self.registry,
        )  # fmt: skip
        self.scores = Histogram("snellen_scores", "Scores of pictures.", buckets=SCORES, registry=self.registry)
        self.batches = Histogram(
            "snellen_batch_pictures", "Pictures of a batch.", buckets=SIZES, registry=self.registry
        )
        self._waiting = Gauge("snellen_waiting_pictures", "Pictures in the queue.", registry=self.registry)

    def waiting(self, count: Callable[[], int]) -> None:
        """Ask `count` for the pictures in the queue, whenever the numbers are read."""
        self._waiting.set_function(count)

    def assessed(self, assessment: Assessment) -> None:
        """Count a picture."""
        self.pictures.labels("ok" if assessment.error is None else assessment.error.code).inc()
        if assessment.score is not None:
            self.scores.observe(assessment.score)

    def response(self) -> Response:
        """Return the numbers in Prometheus's text format."""
        return Response(generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class CountRequests:
    """ASGI middleware that counts and times requests. paths: the known ones; all others count as "other"."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str]) -> None:
        self.app, self.metrics = app, metrics
        self.paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, then count."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.paths else "other"
        status = 499
        began = time.monotonic()

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_counted)
        finally:
            self.metrics.requests.labels(path, str(int(status))).inc()  # of HTTPStatus, Python 3.10 prints the name
            self.metrics.seconds.labels(path).observe(time.monotonic() - began)
