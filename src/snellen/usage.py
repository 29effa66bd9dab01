"""Wrong usage of a command, and the options and checks that several commands share."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

OK, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: all well; a picture failed or the model did not answer; wrong usage; stopped by Ctrl-C."""

MODELS = (
    "snellen-1 (in the package), a FOLDER with a card.json, hf:PATH, openai:URL#MODEL, openai-batch:JOB#MODEL or "
    "scripted:FILE"
)
"""Forms of a model's name, for help texts."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class UsageError(ValueError):
    """A request that cannot be met: a file, a folder or an option. The text names it and the remedy."""


class MissingExtra(UsageError):
    """A request that needs a package of an extra that is not installed."""

    def __init__(self, problem: str, extra: str) -> None:
        """problem: what needs which package ("Parquet tables need pyarrow"); extra: the extra that installs it."""
        super().__init__(f'{problem}; run: pip install "snellen[{extra}]"')


def add_command(commands: Any, name: str, summary: str) -> argparse.ArgumentParser:
    """Add a command to `commands`, what `ArgumentParser.add_subparsers` returned, with its summary in the list of
    commands and in its own help."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    return parser


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help texts that end with the option's default value, where it has one, below a usage line of what is needed."""

    def add_usage(
        self, usage: str | None, actions: Iterable[argparse.Action], groups: Iterable[Any], prefix: str | None = None
    ) -> None:
        """Name the required options and the arguments in the usage line, and all others as [options]."""
        actions = list(actions)
        needed = [action for action in actions if action.required or not action.option_strings]
        if len(needed) < len(actions):
            needed.insert(0, argparse.Action(["[options]"], "options", nargs=0, required=True))
        super().add_usage(usage, needed, (), prefix)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        values = action.default if isinstance(action.default, tuple) else (action.default,)
        known = [
            value for value in values if isinstance(value, (int, float, str, Path)) and not isinstance(value, bool)
        ]
        if not known or argparse.SUPPRESS in known:
            return action.help
        return f"{action.help} (default: {' '.join(f'{v:g}' if isinstance(v, float) else str(v) for v in known)})"


@contextmanager
def wrong_usage(kind: type[Exception] = ValueError) -> Iterator[None]:
    """Turn an error of a kind that the block raises into a UsageError with its text."""
    try:
        yield
    except kind as error:
        raise UsageError(str(error)) from error


def complain(problem: str) -> None:
    """Print one line on standard error, if it can be written."""
    with suppress(OSError):
        print("snellen: " + visible(" ".join(problem.split())), file=sys.stderr, flush=True)


def announce(report: Path) -> None:
    """Print the address of a report that was written, on standard error."""
    print(f"report: {report.resolve().as_uri()}", file=sys.stderr)


def visible(text: str) -> str:
    r"""Return the text with control characters, line ends and marks of writing direction as escapes: \x1b, \n, \u202e.

    A file name, or a model's text, on a terminal stays in its line and cannot move the cursor, change colours or
    reorder what follows.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def target(path: Path) -> Path:
    """Return the file that is written where `path` is given: what a link leads to, there or not."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def is_stream(path: Path) -> bool:
    """Return whether there is a device or a pipe of that name, such as /dev/null: nothing may replace it."""
    return path.exists() and not path.is_file() and not path.is_dir()


def check_writable(path: Path) -> None:
    """Raise UsageError when a file of that name could not be written."""
    place = path if is_stream(path) else target(path).parent
    if path.is_dir() or not place.exists() or not os.access(place, os.W_OK):
        raise UsageError(f"{path} cannot be written; name a file in a folder that exists and that you may write to")


def folder_path(text: str) -> Path:
    """Parse the path of a folder, for argparse: an empty one, of a variable that is not set, is not "."."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def positive(text: str) -> int:
    """Parse a whole number of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {text}")
    return number


def port(text: str) -> int:
    """Parse the number of a port, 0 to 65535, for argparse."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"from 0 to 65535, not {text}")
    return number


def above_zero(text: str) -> float:
    """Parse a number above 0, for argparse."""
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"more than 0, not {text}")
    return number


def one_to_five(text: str) -> float:
    """Parse a score, 1 to 5, for argparse."""
    number = float(text)
    if not 1.0 <= number <= 5.0:
        raise argparse.ArgumentTypeError(f"scores are between 1 and 5, not {text}")
    return number


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add --model and --protocol."""
    parser.add_argument("--model", default="snellen-1", help=f"{MODELS}")
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        default="snellen",
        help="wording of prompts and replies: snellen, zoom-iqa or levels",
    )


def add_score_only(parser: argparse.ArgumentParser) -> None:
    """Add --score-only."""
    parser.add_argument("--score-only", action="store_true", help="one round; a score without issues and text: faster")


def add_batch_size(parser: argparse.ArgumentParser) -> None:
    """Add --batch-size."""
    parser.add_argument(
        "--batch-size",
        metavar="N",
        type=positive,
        help="pictures at a time; changes no score (default: 8; with a server, as many as its --concurrency)",
    )


def add_max_rounds(parser: argparse.ArgumentParser) -> None:
    """Add --max-rounds."""
    parser.add_argument(
        "--max-rounds", metavar="N", type=positive, default=2, help="most rounds; each but the first shows a crop"
    )


def add_max_megapixels(parser: argparse.ArgumentParser) -> None:
    """Add --max-megapixels."""
    parser.add_argument("--max-megapixels", metavar="N", type=above_zero, default=100.0, help="refuse larger pictures")


def add_allow_damaged(parser: argparse.ArgumentParser) -> None:
    """Add --allow-damaged."""
    parser.add_argument(
        "--allow-damaged",
        action="store_true",
        help="assess what can be decoded of a damaged file, and list corruption as an issue",
    )


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add --quiet."""
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary")
