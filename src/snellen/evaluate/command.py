"""The command `snellen evaluate`: options and output. Heavy modules are imported only when it runs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from snellen.options import add_vlm_options, assessor_options
from snellen.output import OutputError
from snellen.usage import (
    FAILED,
    OK,
    UsageError,
    add_batch_size,
    add_command,
    add_model_options,
    add_quiet,
    add_score_only,
    announce,
    complain,
    positive,
    wrong_usage,
)

DESCRIPTION = """\
Measure a model on pictures with known labels. Writes predictions, numbers with 95 % intervals, and report.html.

  snellen evaluate --data biq2021=DATA/BIQ2021 --out run-a
  snellen evaluate --data mine.csv --baselines brisque,piqe --out run-b
  snellen evaluate --data pristine=photographs.jsonl --suite grounding,robustness --out run-c
  snellen evaluate diff run-a run-b"""
EPILOG = "Suites, data formats, tables: docs/evaluate.md. Exit codes: 0 all scored, 1 a picture failed, 2 wrong usage."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen evaluate`, and its command `diff`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "--data", metavar="DATA", nargs="+", action="extend", default=[],
        help="NAME=ROOT: a known data set (biq2021, koniq10k, ...). FILE or NAME=FILE: a manifest (.jsonl), a table "
        "with the columns image,mos (.csv), or pairs first,second,preferred (.csv). pristine=FILE: clean photographs",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="folder for all files of the run")
    parser.add_argument(
        "--suite", metavar="LIST", type=_list,
        help="comma-separated: scores, pairs, calibration, behaviour (these four by default), text, grounding, "
        "robustness, faithfulness, consistency, real-faults, extremes",
    )  # fmt: skip
    add_model_options(parser)
    add_score_only(parser)
    add_batch_size(parser)
    parser.add_argument(
        "--modes", metavar="LIST", type=_list,
        help='how the model is run, the main mode first, e.g. "two rounds,one round,score only" (default: all)',
    )  # fmt: skip
    parser.add_argument(
        "--baselines", metavar="LIST", type=_list, default=[],
        help="other measures on the same pictures: brisque, piqe, image-quality-ai, pyiqa:METRIC; model:MODEL",
    )  # fmt: skip
    parser.add_argument(
        "--baseline-samples", metavar="NAME=N,...", type=_counts, default={},
        help="give baselines at most N pictures of a set, e.g. pristine=15: some are slow on large pictures",
    )  # fmt: skip
    parser.add_argument("--max-samples", metavar="N", type=positive, help="at most N pictures of each set")
    parser.add_argument("--workers", metavar="N", type=positive, default=1, help="processes, each of one thread")
    parser.add_argument("--resume", action="store_true", help="continue the run in FOLDER, or add to it")
    add_quiet(parser)
    add_vlm_options(parser)
    parser.set_defaults(task=run_evaluate)
    parser.usage = "snellen evaluate --data DATA ... --out FOLDER [options]\n       snellen evaluate diff A B [--json]"
    commands = parser.add_subparsers(title="compare two runs", metavar="diff", prog="snellen evaluate")
    diff = add_command(commands, "diff", "paired differences between two runs, picture by picture")
    diff.add_argument("first", metavar="A", type=Path, help="folder of a run")
    diff.add_argument("second", metavar="B", type=Path, help="folder of another run on the same data")
    diff.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    diff.set_defaults(task=run_diff)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _counts(text: str) -> dict[str, int]:
    """Parse NAME=N,...; ValueError for anything else, which argparse reports as wrong usage."""
    counts = {name.lower(): int(number) for name, _, number in (part.partition("=") for part in _list(text))}
    if any(number < 1 for number in counts.values()):
        raise ValueError(text)
    return counts


def run(args: argparse.Namespace) -> int:
    """Run the evaluation or the comparison; return the exit code."""
    code: int = args.task(args)
    return code


def run_evaluate(args: argparse.Namespace) -> int:
    """Run `snellen evaluate`; return the exit code. Raises UsageError and BackendError."""
    from snellen.backend import BackendError
    from snellen.evaluate.datasets import open_data
    from snellen.evaluate.harness import evaluate
    from snellen.evaluate.modes import ONLY
    from snellen.evaluate.predict import Options
    from snellen.evaluate.suites import DEFAULT
    from snellen.protocol import open_protocol
    from snellen.terminal import Bars

    if not args.data or args.out is None:
        raise UsageError("--data and --out are needed; see snellen evaluate --help")
    if args.model.startswith("openai-batch:"):
        raise UsageError("openai-batch: models answer later; score the pictures with snellen score, or name openai:")
    with wrong_usage():
        given = assessor_options(args)
        score_only = args.score_only or open_protocol(args.protocol).levels is not None
    options = Options(
        args.model, args.protocol, args.batch_size, sampling=given["sampling"] or {}, question=given["question"],
        options=given["options"],
    )  # fmt: skip
    try:
        with Bars(args.quiet) as bars:
            evaluate(
                [open_data(text) for text in args.data], args.out, options,
                suites=args.suite or DEFAULT, modes=[ONLY] if score_only else args.modes, baselines=args.baselines,
                max_samples=args.max_samples, baseline_samples=args.baseline_samples, workers=args.workers,
                resume=args.resume, command=["snellen", *sys.argv[1:]], on_progress=bars.update,
            )  # fmt: skip
    except (BackendError, OutputError) as error:
        raise type(error)(f"{error}; predictions so far are kept, continue with --resume") from error
    return _conclude(args.out, args.quiet)


def _conclude(out: Path, quiet: bool) -> int:
    """Print the tables and where the report is; return the exit code."""
    facts = json.loads((out / "run.json").read_text(encoding="utf-8"))
    if not quiet:
        print((out / "tables.md").read_text(encoding="utf-8"))
        if facts["predictions"].endswith(".jsonl"):
            print('predictions.jsonl, as Parquet needs an extra: pip install "snellen[parquet]"', file=sys.stderr)
        announce(out / "report.html")
    if facts["failed pictures"]:
        complain(f"{facts['failed pictures']} pictures have no score; the report names the errors")
    return FAILED if facts["failed pictures"] else OK


def run_diff(args: argparse.Namespace) -> int:
    """Run `snellen evaluate diff`; return the exit code. Raises UsageError."""
    from snellen.evaluate.diff import diff_runs, tables
    from snellen.evaluate.files import plain

    compared = diff_runs(args.first, args.second)
    if args.json:
        print(json.dumps(plain(compared)))
    else:
        print("\n".join(table.markdown() for table in tables(compared)))
    return OK
