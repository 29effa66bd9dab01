"""`snellen data`: build training conversations from manifests, and read some of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from snellen.data.teacher_command import add_teacher_options, run_teacher
from snellen.usage import OK, UsageError, add_quiet, check_writable, positive, wrong_usage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `snellen data` and their options."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    build = commands.add_parser("build", help="write one conversation per picture, from its MOS and known faults")
    build.add_argument("manifests", metavar="MANIFEST", type=Path, nargs="*", help="JSON lines: path, mos, faults, ...")
    build.add_argument("--out", metavar="FILE", type=Path, required=True, help="JSON lines to write")
    build.add_argument(
        "--first", metavar="FILE", type=Path,
        help="ratings of the first round, JSON lines: path, rating, std (default: predicted from measured features)",
    )  # fmt: skip
    build.add_argument("--seed", metavar="N", type=int, default=0, help="seed of crops and wording")
    build.add_argument("--limit", metavar="N", type=positive, help="only the first N pictures")
    add_quiet(build)
    add_teacher_options(build)
    build.set_defaults(task=_build)

    show = commands.add_parser("show", help="write a page with N conversations drawn at random")
    show.add_argument("count", metavar="N", type=positive, help="conversations to show")
    show.add_argument("conversations", metavar="FILE", type=Path, help="a file that `snellen data build` wrote")
    show.add_argument("--out", metavar="PAGE", type=Path, default=Path("rationales.html"), help="page to write")
    show.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the draw")
    show.set_defaults(task=_show)


def run(args: argparse.Namespace) -> int:
    """Run `build` or `show`; return the exit code."""
    code: int = args.task(args)
    return code


def _build(args: argparse.Namespace) -> int:
    kind, _, source = (args.teacher or "").partition(":")
    if not args.manifests and kind != "labels":
        raise UsageError("name a manifest of pictures; only --teacher labels:FILE does without")
    if args.teacher is not None and kind != "labels":
        return run_teacher(args)
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
