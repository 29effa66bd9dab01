"""The command `snellen`: a table of commands; the module of each is imported only when its command is used."""

from __future__ import annotations

import argparse
import errno
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import snellen
from snellen.output import OutputError, drop_output, open_closed_streams
from snellen.usage import (
    FAILED,
    INTERRUPTED,
    WRONG_USAGE,
    HelpFormatter,
    MissingExtra,
    UsageError,
    add_command,
    complain,
)


@dataclass(frozen=True)
class Command:
    """One command. module: has `add_arguments(parser)` and `run(args) -> int`, which returns the exit code.

    extra: the optional dependencies that the command needs, "" where the base installation is enough.
    """

    module: str
    summary: str
    extra: str = ""


COMMANDS = {
    "assess": Command("snellen.apps.assess", "score pictures, and explain the score: issues, boxes, reasoning"),
    "score": Command("snellen.apps.folder", "score every picture in a folder, into a table"),
    "video": Command("snellen.apps.video", "assess a video: scores over time, temporal faults, worst moments", "video"),
    "live": Command("snellen.apps.live", "score a live stream; alarms while the score stays low", "video"),
    "restore": Command("snellen.apps.restore", "repair a picture, issue by issue, guided by the model", "restore"),
    "compare": Command("snellen.apps.compare", "rank pictures: which is better, how surely, and why"),
    "ray": Command("snellen.apps.ray.command", "score millions of pictures on a Ray cluster", "ray"),
    "serve": Command("snellen.apps.serve.command", "assess pictures over HTTP", "serve"),
    "browse": Command(
        "snellen.apps.browse.command", "look through a folder in a browser: scores, groups, decisions", "serve"
    ),
    "check": Command("snellen.apps.check", "fail where a picture is below a score or has a forbidden fault"),
    "explain": Command("snellen.apps.explain", "explain a score: words, percentiles, thresholds"),
    "study": Command(
        "snellen.apps.study.command", "run rating studies with people: make, serve, analyse, compare", "study"
    ),
    "features": Command("snellen.apps.features", "measure sharpness, noise, blockiness, exposure, colour, ..."),
    "adapt": Command("snellen.apps.adapt", "adapt a model to your own ratings, stars or choices", "evaluate"),
    "evaluate": Command("snellen.evaluate.command", "measure a model on rated pictures; compare two runs", "evaluate"),
    "data": Command("snellen.data.command", "build training conversations; show some on a page", "data"),
    "train": Command("snellen.train.command", "train a model: supervised, by reinforcement; merge adapters", "train"),
    "completion": Command("snellen.apps.completion", "print a script that completes commands in bash, zsh or fish"),
}
"""All commands. An application is deleted together with its row."""


class Parser(argparse.ArgumentParser):
    """A parser whose help texts state defaults; so do those of its commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=HelpFormatter, **settings)


_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
"""Errors of a system that has no more files, memory or processes to give; no file is to blame."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. argv: the arguments (default: those of the process)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be valid text
    name = next((argument for argument in arguments if not argument.startswith("-")), "")
    try:
        return _run(name, arguments)
    except UsageError as error:
        complain(str(error))
        return WRONG_USAGE
    except ModuleNotFoundError as error:
        extra = COMMANDS[name].extra
        if not extra or (error.name or "").partition(".")[0] == "snellen":
            raise
        complain(str(MissingExtra(f"{name} needs {error.name}", extra)))
        return WRONG_USAGE
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output has closed it
        drop_output()
        return FAILED
    except OSError as error:
        drop_output()
        place = "the system" if error.errno in _EXHAUSTED else "standard output"
        complain(f"{error.filename or place}: {error.strerror or error}")
        return FAILED


def _run(name: str, arguments: Sequence[str]) -> int:
    args = build_parser(name).parse_args(arguments)
    from snellen.backend import BackendError  # loads numpy, which --help does without
    from snellen.image import ImageError

    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except (BackendError, ImageError, OutputError) as error:
        complain(str(error))
        return FAILED
    return code


def build_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of the command line, with the options of the command `name` only: no other is imported."""
    parser = Parser(
        prog="snellen",
        description="An eye test for images: how good is a picture, why, and where.",
        epilog="Exit codes: 0 all well, 1 a picture failed or the model did not answer, 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"snellen {snellen.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for other, command in COMMANDS.items():
        one = add_command(commands, other, command.summary)
        if other == name:
            module = importlib.import_module(command.module)
            module.add_arguments(one)
            one.set_defaults(run=module.run)
    return parser
