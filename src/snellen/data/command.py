"""`snellen data`: build training conversations from manifests, and read some of them."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.usage import OK, UsageError, add_command, add_quiet, check_writable, positive, wrong_usage

if TYPE_CHECKING:
    from snellen.backend import Backend
    from snellen.data.teacher import Counts

TEACHERS = ("hf", "openai", "scripted")
"""Kinds of models that can teach: they read a prompt."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `snellen data` and their options."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    build = add_command(commands, "build", "write one conversation per picture, from its MOS and known faults")
    build.add_argument("manifests", metavar="MANIFEST", type=Path, nargs="*", help="JSON lines: path, mos, faults, ...")
    build.add_argument("--out", metavar="FILE", type=Path, required=True, help="JSON lines to write")
    build.add_argument(
        "--first", metavar="FILE", type=Path,
        help="ratings of the first round, JSON lines: path, rating, std (default: predicted from measured features)",
    )  # fmt: skip
    build.add_argument("--seed", metavar="N", type=int, default=0, help="seed of crops and wording")
    build.add_argument("--limit", metavar="N", type=positive, help="only the first N pictures")
    add_quiet(build)
    _add_teacher_options(build)
    build.set_defaults(task=_build)

    show = add_command(commands, "show", "write a page with N conversations drawn at random")
    show.add_argument("count", metavar="N", type=positive, help="conversations to show")
    show.add_argument("conversations", metavar="FILE", type=Path, help="a file that `snellen data build` wrote")
    show.add_argument("--out", metavar="PAGE", type=Path, default=Path("rationales.html"), help="page to write")
    show.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the draw")
    show.set_defaults(task=_show)


def _add_teacher_options(parser: argparse.ArgumentParser) -> None:
    """Add --teacher and what belongs to it."""
    parser.add_argument(
        "--teacher", metavar="MODEL",
        help="hf:PATH, openai:URL#MODEL or scripted:FILE writes the replies, from MOS and measurements; labels:FILE "
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
        "--share", metavar="S", type=float, default=0.2,
        help="share of the first text that is continued without the picture",
    )  # fmt: skip
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


def run(args: argparse.Namespace) -> int:
    """Run `build` or `show`; return the exit code."""
    code: int = args.task(args)
    return code


def _build(args: argparse.Namespace) -> int:
    kind, _, source = (args.teacher or "").partition(":")
    if not args.manifests and kind != "labels":
        raise UsageError("name a manifest of pictures; only --teacher labels:FILE does without")
    if args.teacher is not None and kind != "labels":
        return _teach(args)
    if kind == "labels" and not source:
        raise UsageError("--teacher labels: needs a file, or biq2021 or live_challenge")
    from snellen.data.build import build
    from snellen.data.teacher_labels import build_from_labels
    from snellen.terminal import Bars

    check_writable(args.out)
    with wrong_usage(), wrong_usage(OSError), Bars(args.quiet) as bars:
        settings = {"seed": args.seed, "first": args.first, "limit": args.limit, "on_progress": bars.update}
        if kind == "labels":
            count = build_from_labels(source, args.out, args.manifests, **settings)
        else:
            count = build(args.manifests, args.out, **settings)
    if not args.quiet:
        print(f"{args.out}: {count} conversations", file=sys.stderr)
    return OK


def _teach(args: argparse.Namespace) -> int:
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

    if name.partition(":")[0] not in TEACHERS:
        raise UsageError(f"{name!r} cannot teach or check: it reads no prompt; use hf:, openai: or scripted:")
    with wrong_usage():
        return open_backend(name)


def _show(args: argparse.Namespace) -> int:
    from snellen.data.page import show

    check_writable(args.out)
    try:
        show(args.conversations, args.count, args.out, args.seed)
    except OSError as error:
        raise UsageError(str(error)) from error
    except (ValueError, KeyError) as error:
        raise UsageError(f"{args.conversations} is not a file of conversations ({error!r})") from error
    print(f"page: {args.out.resolve().as_uri()}", file=sys.stderr)
    return OK
