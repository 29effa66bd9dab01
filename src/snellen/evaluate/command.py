"""The command `snellen evaluate`: its options, and what it prints. Imports nothing heavy until it runs."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.usage import UsageError, add_model_options, add_quiet, positive

if TYPE_CHECKING:
    from snellen.evaluate.predict import DataSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen evaluate`, and its command `compare`."""
    parser.add_argument(
        "--data", metavar="DATA", nargs="+", action="extend", default=[],
        help="NAME=ROOT of a known data set (biq2021, koniq10k, ...); FILE or NAME=FILE: a manifest (.jsonl), a table "
        "image,mos,... (.csv) or pairs that people chose from, first,second,preferred (.csv)",
    )  # fmt: skip
    add_model_options(parser)
    parser.add_argument(
        "--suite", metavar="LIST", type=_list, help="comma-separated (default: scores,pairs,calibration,behaviour)"
    )
    parser.add_argument(
        "--ways", metavar="LIST", type=_list, help='how to run it, e.g. "two rounds,one round" (default: all)'
    )
    parser.add_argument("--peers", metavar="LIST", type=_list, default=[], help="e.g. brisque,piqe; on the same data")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder for predictions, summary and report")
    parser.add_argument("--resume", action="store_true", help="go on with what DIR holds; add what is new")
    parser.add_argument(
        "--max-samples", metavar="N", type=positive,
        help="pictures of each data set at most; where faults are made, photographs",
    )  # fmt: skip
    parser.add_argument(
        "--near-duplicates", action="store_true",
        help="count scenes that lie in more than one split; decodes every picture",
    )  # fmt: skip
    parser.add_argument(
        "--peer-samples", metavar="NAME=N,...", type=_counts, default={},
        help="pictures of a data set that peers are given at most, e.g. pristine=15: some are slow on large pictures",
    )  # fmt: skip
    parser.add_argument("--workers", metavar="N", type=positive, default=1, help="processes, one thread each (1)")
    parser.add_argument(
        "--official-fit", action="store_true", help="also as the authors' evaluator counts, beside the raw values"
    )
    add_quiet(parser)
    parser.set_defaults(task=run_evaluate)
    commands = parser.add_subparsers(metavar="compare")
    compare = commands.add_parser("compare", help="two runs side by side")
    compare.add_argument("first", metavar="A", type=Path, help="--out of a run")
    compare.add_argument("second", metavar="B", type=Path, help="--out of another, on the same data")
    compare.add_argument("--json", action="store_true", help="JSON on standard output instead of tables")
    compare.set_defaults(task=run_compare)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _counts(text: str) -> dict[str, int]:
    """NAME=N,... as a dict; ValueError for anything else, which argparse turns into wrong usage."""
    counts = {name.lower(): int(number) for name, _, number in (part.partition("=") for part in _list(text))}
    if any(number < 1 for number in counts.values()):
        raise ValueError(text)
    return counts


def run(args: argparse.Namespace) -> int:
    """Run the evaluation or the comparison; return the exit code."""
    code: int = args.task(args)
    return code


def run_evaluate(args: argparse.Namespace) -> int:
    """`snellen evaluate`; the exit code. Raises UsageError and BackendError."""
    from contextlib import ExitStack

    from snellen.backend import BackendError
    from snellen.evaluate.harness import DEFAULT_SUITES, evaluate
    from snellen.evaluate.predict import Options
    from snellen.terminal import Progress

    if not args.data or args.out is None:
        raise UsageError("--data and --out are needed; see snellen evaluate --help")
    sets = [open_data(text) for text in args.data]
    with ExitStack() as closing:
        bar: Progress | None = None
        shown = total_shown = 0

        def watch(done: int, total: int) -> None:
            nonlocal bar, shown, total_shown
            if bar is None or total != total_shown:
                closing.close()  # only one bar at a time: what follows from the first predictions has its own
                bar, shown, total_shown = closing.enter_context(Progress(total, done, args.quiet)), done, total
            for _ in range(done - shown):
                bar.advance()
            shown = done

        try:
            evaluate(
                sets, args.out, Options(args.model, args.protocol, args.batch_size),
                suites=args.suite or DEFAULT_SUITES, ways=args.ways, peers=args.peers, score_only=args.score_only,
                official_fit=args.official_fit, max_samples=args.max_samples, peer_samples=args.peer_samples,
                near_duplicates=args.near_duplicates,
                workers=args.workers, resume=args.resume, command=["snellen", *sys.argv[1:]], watch=watch,
            )  # fmt: skip
        except BackendError as error:
            raise BackendError(f"{error}; predictions that were made are kept, go on with --resume") from error
    if not args.quiet:
        print((args.out / "tables.md").read_text(encoding="utf-8"))
        run = json.loads((args.out / "run.json").read_text(encoding="utf-8"))
        if run["predictions"].endswith(".jsonl"):
            print('predictions.jsonl, as Parquet needs an extra: pip install "snellen[parquet]"', file=sys.stderr)
        print(f"report: {(args.out / 'report.html').resolve().as_uri()}", file=sys.stderr)
    return 0


def run_compare(args: argparse.Namespace) -> int:
    """`snellen evaluate compare`; the exit code. Raises UsageError."""
    from snellen.evaluate.compare import compare_runs, tables
    from snellen.evaluate.files import plain

    compared = compare_runs(args.first, args.second)
    if args.json:
        print(json.dumps(plain(compared)))
    else:
        print("\n".join(table.markdown() for table in tables(compared)))
    return 0


def open_data(text: str) -> DataSet:
    """A data set from what --data says: NAME=ROOT of a known set, FILE or NAME=FILE; names in lower case.

    A table of pairs is told from a table of ratings by its header. A table of ratings that names no split is taken as
    a whole; of everything else that has a test split, only that is evaluated (`DataSet.counted`).
    """
    from dataclasses import replace

    from snellen.data.sample import ManifestError
    from snellen.data.sets import SourceError, parse_data_option
    from snellen.evaluate.predict import data_set
    from snellen.evaluate.suites.pairs import read_pairs

    name, _, place = text.partition("=")
    if not place or Path(text).is_file():  # no name: the path itself may hold a "="
        name, place = "", text
    name, path = name.lower(), Path(place)
    try:
        if path.suffix.lower() == ".jsonl":
            return data_set(name or path.stem, parse_data_option(place))
        if path.suffix.lower() != ".csv":
            return data_set(name, parse_data_option(text))
        header = _header(path)
        if "preferred" in header:
            return read_pairs(name or path.stem, path)
        samples = parse_data_option(place)
        if "split" not in header:
            samples = [replace(sample, split="test") for sample in samples]
        return data_set(name or path.stem, samples)
    except (ManifestError, SourceError, OSError) as error:
        raise UsageError(f"--data {text}: {error}") from error


def _header(path: Path) -> list[str]:
    """The columns that the first line of a CSV table names."""
    with path.open(newline="", encoding="utf-8-sig") as lines:
        return [cell.strip() for cell in next(csv.reader(lines), [])]
