"""Options of `snellen data build --teacher MODEL`, and its run."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.usage import OK, UsageError, check_writable, positive, wrong_usage

if TYPE_CHECKING:
    from snellen.backend import Backend
    from snellen.data.teacher import Counts

KINDS = ("hf", "openai", "scripted")
"""Kinds of models that read a prompt."""


def add_teacher_options(parser: argparse.ArgumentParser) -> None:
    """Add --teacher and what belongs to it."""
    parser.add_argument(
        "--teacher", metavar="MODEL",
        help="hf:PATH, openai:URL#MODEL or scripted:FILE writes the replies, told MOS and measurements; labels:FILE "
        "takes them from fault labels (labels:biq2021 and labels:live_challenge are in the package)",
    )  # fmt: skip
    group = parser.add_argument_group("with a model as the teacher")
    group.add_argument(
        "--checker", metavar="MODEL", help="model that checks each sentence, or none (default: the teacher)"
    )
    group.add_argument("--attempts", metavar="N", type=positive, default=3, help="most replies for one picture")
    group.add_argument("--max-rounds", metavar="N", type=positive, default=2, help="most rounds")
    group.add_argument("--batch-size", metavar="N", type=positive, default=8, help="pictures at a time")
    group.add_argument("--temperature", metavar="T", type=float, default=0.7, help="sampling temperature")
    group.add_argument("--max-tokens", metavar="N", type=positive, default=1024, help="most tokens of one reply")
    group.add_argument(
        "--share",
        metavar="S",
        type=float,
        default=0.2,
        help="share of the first text that is continued without the picture",
    )
    group.add_argument(
        "--reliance", metavar=("BOX", "RATING", "ENTROPY"), type=float, nargs=3, default=(0.5, 0.3, 0.3),
        help="keep a sample if its answer then differs by more: 1 - IoU, MOS, nats",
    )  # fmt: skip
    group.add_argument(
        "--contradicted", metavar="N", type=int, default=0, help="most sentences that the checker may contradict"
    )
    group.add_argument(
        "--price", metavar=("IN", "OUT"), type=float, nargs=2, help="price of a million tokens, to print the cost"
    )
    group.add_argument("--resume", action="store_true", help="continue a run that did not end")
    group.add_argument("--overwrite", action="store_true", help="replace existing files")


def run_teacher(args: argparse.Namespace) -> int:
    """Teach the pictures of the manifests; return the exit code."""
    from snellen.data.sample import read_manifest
    from snellen.data.teacher import Teacher, TeacherOptions, dropped_file, teach
    from snellen.data.teacher_filters import RelianceLimits
    from snellen.lock import lock
    from snellen.terminal import Progress

    out: Path = args.out
    check_writable(out)
    if out.exists() and not (args.resume or args.overwrite):
        raise UsageError(f"{out} exists; --resume goes on with it, --overwrite begins anew")
    options = TeacherOptions(
        args.attempts, args.max_rounds, args.batch_size, args.temperature, args.max_tokens, args.seed,
        share=args.share, limits=RelianceLimits(*args.reliance), contradicted=args.contradicted,
    )  # fmt: skip
    with wrong_usage(OSError):
        samples = [one for file in args.manifests for one in read_manifest(file)][: args.limit]
        model = _open(args.teacher)
        checker = None if args.checker == "none" else _open(args.checker) if args.checker else model
        with lock(out), ExitStack() as closing:
            progress = closing.enter_context(Progress(len(samples), quiet=args.quiet))

            def advance(counts: Counts) -> None:
                progress.note(counts.line(args.price))
                progress.advance()

            counts = teach(samples, Teacher(model, checker, options), out, resume=args.resume, on_picture=advance)
    if not args.quiet:
        print(f"{out}: {counts.line(args.price)}", file=sys.stderr)
        print(f"{dropped_file(out)}: dropped samples with their reasons", file=sys.stderr)
    return OK


def _open(name: str) -> Backend:
    from snellen.backends import open_backend

    if name.partition(":")[0] not in KINDS:
        raise UsageError(f"{name!r} cannot teach or check: it reads no prompt; use hf:, openai: or scripted:")
    with wrong_usage():
        return open_backend(name)
