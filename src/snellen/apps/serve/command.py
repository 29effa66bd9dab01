"""`snellen serve`: assess pictures over HTTP."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from snellen.apps.web.options import MEGABYTE, add_web_options, web_options
from snellen.options import add_assessor_arguments, assessor_arguments
from snellen.usage import UsageError, positive, wrong_usage

if TYPE_CHECKING:
    from snellen.apps.serve.service import Service


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen serve`."""
    add_web_options(parser, 8000)
    group = parser.add_argument_group("load")
    group.add_argument("--judges", metavar="N", type=positive, help="copies of snellen-1 (default: one per processor)")
    group.add_argument(
        "--max-wait-ms", metavar="N", type=int, default=10, help="ms that a batch waits for more pictures"
    )
    group.add_argument("--queue", metavar="N", type=positive, default=256, help="most pictures that wait")
    group.add_argument("--max-pictures", metavar="N", type=positive, default=128, help="most pictures of one request")
    group.add_argument("--timeout-request", metavar="S", type=positive, default=120, help="most seconds of one request")
    group.add_argument("--allow-urls", action="store_true", help="fetch pictures from public URLs that clients name")
    add_assessor_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Open the model and serve it; return the exit code."""
    from snellen.apps.serve.app import service_app  # with the extra, which --help does without
    from snellen.apps.web.run import run_app

    options = web_options(args)
    service = open_service(args)
    what = f"{service.backend.name} {service.backend.version}"
    return run_app(service_app(service, options), options, what)


def open_service(args: argparse.Namespace) -> Service:
    """Return the service that the options ask for, its model open and its threads running.

    Raises:
        UsageError: options that the model does not have.
    """
    from snellen.apps.serve.batcher import Batcher
    from snellen.apps.serve.fetch import Fetcher
    from snellen.apps.serve.metrics import Metrics
    from snellen.apps.serve.service import Service
    from snellen.apps.serve.settings import Settings
    from snellen.backend import model_folder
    from snellen.backends import open_backend

    with wrong_usage():
        given = assessor_arguments(args)
        batch_size, options = given.pop("batch_size"), given.pop("options")
        settings = Settings(sampling=tuple(sorted((given.pop("sampling") or {}).items())), **given)
        small = model_folder(args.model) is not None
        if args.judges and not small:
            raise UsageError(f"--judges is for models of snellen-1's format; leave it out for {args.model}")
        count = (args.judges or os.cpu_count() or 1) if small else 1
        # each judge has a processor of its own; models that gain from batches have one judge
        threads = max(1, (os.cpu_count() or 1) // count)
        backends = [open_backend(args.model, threads=threads, options=options) for _ in range(count)]
        settings.assessor(backends[0])
    # snellen-1 reads one picture at a time: in a batch pictures would only wait for each other
    most = batch_size or (backends[0].batch_size if backends[0].reads_prompts else 1)
    metrics = Metrics()
    wait = 0.0 if most == 1 else args.max_wait_ms / 1000
    batcher = Batcher(backends, most, wait, args.queue, metrics.batches.observe)
    fetcher = Fetcher(args.max_body_mb * MEGABYTE) if args.allow_urls else None
    most_pictures = min(args.max_pictures, args.queue)
    return Service(backends[0], batcher, settings, most_pictures, args.timeout_request, fetcher, metrics)
