"""The command `snellen`. Exit codes: 0 all well, 1 a picture failed or the model did not answer, 2 wrong usage."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import snellen
from snellen.evaluate.command import add_evaluate

if TYPE_CHECKING:
    from rich.console import Console

    from snellen.apps.folder import Settings
    from snellen.apps.table import Row
    from snellen.assessor import Assessment

OK, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
_MODELS = "snellen-1 (in the package), hf:PATH, openai:URL#MODEL or scripted:FILE"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    args = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be valid text
    # these two load numpy, which --help and --version do without
    from snellen.apps.table import UsageError
    from snellen.backend import BackendError

    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except UsageError as error:
        _complain(str(error))
        return WRONG_USAGE
    except BackendError as error:
        _complain(str(error))
        return FAILED
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="snellen",
        description="An eye test for images: how good is a picture, why, and where.",
        epilog="Exit codes: 0 all well, 1 a picture failed or the model did not answer, 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"snellen {snellen.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    assess = commands.add_parser("assess", help="score pictures and say what is wrong where")
    assess.add_argument("paths", metavar="PATH", nargs="+", help="a picture")
    assess.add_argument("--json", action="store_true", help="one JSON object per picture per line on standard output")
    assess.add_argument("--report", metavar="FILE", type=Path, help="also write a report to open in a browser")
    _add_settings(assess)
    assess.add_argument("--quiet", action="store_true", help="one line per picture, no progress bar")
    assess.set_defaults(run=_assess)

    score = commands.add_parser("score", help="score every picture in a folder, into a table")
    score.add_argument("folder", metavar="DIR", type=Path, help="searched with its subfolders, hidden ones left out")
    score.add_argument(
        "--out", metavar="TABLE", type=Path, required=True, help="table to write: .csv, .jsonl or .parquet"
    )
    score.add_argument("--resume", action="store_true", help="continue a run that did not end; add what is new")
    score.add_argument("--workers", metavar="N", type=_positive, default=1, help="processes (default: 1)")
    _add_settings(score)
    score.add_argument("--quiet", action="store_true", help="no progress bar, no summary")
    score.set_defaults(run=_score)

    features = commands.add_parser("features", help="measure sharpness, noise, blockiness, exposure, colour, ...")
    features.add_argument("paths", metavar="PATH", nargs="+", help="a picture")
    features.add_argument("--json", action="store_true", help="one JSON object per picture per line, maps included")
    _add_limit(features)
    features.set_defaults(run=_features)
    evaluate = commands.add_parser("evaluate", help="what a model reaches on rated pictures; compare two runs")
    add_evaluate(evaluate, _positive, _MODELS)
    _add_data(commands.add_parser("data", help="rationales to train on: build and read them"))

    train = commands.add_parser("train", help="train a model: supervised (sft), then by reinforcement (rl)")
    train.add_argument("stage", choices=("sft", "rl"), help="which stage")
    train.add_argument("--config", metavar="FILE", type=Path, required=True, help="TOML: inputs, out, [options]")
    train.set_defaults(run=_train)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    build = commands.add_parser("build", help="write rationales from what is known about pictures")
    build.add_argument("manifests", metavar="MANIFEST", type=Path, nargs="+", help="JSON lines: path, mos, faults, ...")
    build.add_argument("--out", metavar="FILE", type=Path, required=True, help="JSON lines to write")
    build.add_argument(
        "--first", metavar="FILE", type=Path, help="first looks, JSON lines: path, rating, std (default: from features)"
    )
    build.add_argument("--seed", metavar="N", type=int, default=0, help="of the wording (default: 0)")
    build.add_argument("--limit", metavar="N", type=_positive, help="the first N pictures only")
    build.set_defaults(run=_data_build)

    show = commands.add_parser("show", help="a page with N rationales drawn at random")
    show.add_argument("count", metavar="N", type=_positive)
    show.add_argument("rationales", metavar="FILE", type=Path, help="what `snellen data build` wrote")
    show.add_argument("--out", metavar="PAGE", type=Path, default=Path("rationales.html"), help="(rationales.html)")
    show.add_argument("--seed", metavar="N", type=int, default=0, help="of the draw (default: 0)")
    show.set_defaults(run=_data_show)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--score-only", action="store_true", help="one look and a score, no text: faster")
    parser.add_argument(
        "--max-rounds", metavar="N", type=_positive, default=2, help="looks at most, zooming in (default: 2)"
    )
    parser.add_argument("--model", default="snellen-1", help=f"{_MODELS} (default: snellen-1)")
    parser.add_argument(
        "--protocol", metavar="NAME", default="snellen", help="how it is asked: snellen (default) or zoom-iqa"
    )
    parser.add_argument(
        "--batch-size", metavar="N", type=_positive, default=8, help="pictures at a time; changes no score (default: 8)"
    )
    _add_limit(parser)


def _add_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-megapixels", metavar="N", type=_size, default=100.0, help="refuse larger pictures (default: 100)"
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {text}")
    return number


def _size(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"more than 0, not {text}")
    return number


def _settings(args: argparse.Namespace) -> Settings:
    from snellen.apps.folder import Settings

    return Settings(args.model, args.protocol, args.max_rounds, args.batch_size, args.score_only, args.max_megapixels)


def _assess(args: argparse.Namespace) -> int:
    from snellen.apps.report import Report
    from snellen.apps.table import check_writable
    from snellen.apps.terminal import Progress, assessment_text, brief_text, model_text

    if args.report:
        check_writable(args.report)
    assessor = _settings(args).assessor()
    console, ascii_only = _console()
    report = Report()
    failed = 0

    def show(assessment: Assessment) -> None:
        if args.json:
            print(json.dumps(assessment.to_dict()), flush=True)
        if assessment.error is not None:
            _complain(f"{assessment.name}: {assessment.error.problem}; {assessment.error.remedy}")
        elif args.json:
            return
        elif args.quiet or args.score_only:
            console.print(brief_text(assessment), soft_wrap=True)
        else:
            console.print(assessment_text(assessment, ascii_only))

    with Progress(len(args.paths), quiet=args.quiet) as progress:
        for assessment in assessor.stream(args.paths):
            with progress.aside():
                show(assessment)
            progress.advance()
            failed += assessment.error is not None
            if args.report:
                report.add(assessment)
    if args.report:
        report.write(args.report)
    if not args.quiet:
        if not args.json:
            console.print(model_text(assessor))
        if args.report:
            print(f"report: {args.report.resolve().as_uri()}", file=sys.stderr)
    return FAILED if failed else OK


def _score(args: argparse.Namespace) -> int:
    from snellen.apps.folder import score_folder
    from snellen.apps.terminal import Progress
    from snellen.backend import BackendError

    progress: Progress | None = None

    def watch(done: int, total: int, row: Row | None) -> None:
        nonlocal progress
        if progress is None:
            progress = closing.enter_context(Progress(total, done, args.quiet))
        if row is None:
            return
        progress.advance()
        if row["error"] is not None:
            with progress.aside():
                _complain(f"{args.folder / row['path']}: {row['problem']}")

    settings = _settings(args)
    try:
        with ExitStack() as closing:
            rows = score_folder(args.folder, args.out, settings, resume=args.resume, workers=args.workers, watch=watch)
    except BackendError as error:
        raise BackendError(f"{error}; rows that were written are kept, continue with --resume") from error
    failed = sum(row["error"] is not None for row in rows)
    if not args.quiet:
        print(f"{args.out}: {len(rows)} pictures, {failed} without a score", file=sys.stderr)
    return FAILED if failed else OK


def _features(args: argparse.Namespace) -> int:
    from snellen.apps.terminal import features_text
    from snellen.features import features
    from snellen.image import ImageError, load

    console, ascii_only = _console()
    code = OK
    for path in args.paths:
        try:
            measured = features(load(path, max_megapixels=args.max_megapixels))
        except ImageError as error:
            _complain(str(error))
            if args.json:
                problem = {"code": error.code, "problem": error.problem, "remedy": error.remedy}
                print(json.dumps({"name": path, "features": None, "error": problem}), flush=True)
            code = FAILED
            continue
        if args.json:
            print(json.dumps({"name": path, "features": measured.to_dict(), "error": None}), flush=True)
        else:
            console.print(features_text(path, measured, ascii_only))
    return code


def _data_build(args: argparse.Namespace) -> int:
    from snellen.apps.table import UsageError, check_writable
    from snellen.apps.terminal import Progress
    from snellen.data.build import build
    from snellen.data.sample import ManifestError
    from snellen.image import ImageError

    check_writable(args.out)
    with ExitStack() as closing:
        progress: Progress | None = None

        def advance(done: int, total: int) -> None:
            nonlocal progress
            if progress is None:
                progress = closing.enter_context(Progress(total))
            progress.advance()

        try:
            count = build(
                args.manifests, args.out, seed=args.seed, first=args.first, limit=args.limit, on_progress=advance
            )
        except (ManifestError, OSError) as error:
            raise UsageError(str(error)) from error
        except ImageError as error:
            _complain(str(error))
            return FAILED
    print(f"{args.out}: {count} rationales", file=sys.stderr)
    return OK


def _data_show(args: argparse.Namespace) -> int:
    from snellen.apps.table import UsageError, check_writable
    from snellen.data.build import show
    from snellen.image import ImageError

    check_writable(args.out)
    try:
        show(args.rationales, args.count, args.out, args.seed)
    except ImageError as error:
        _complain(str(error))
        return FAILED
    except OSError as error:
        raise UsageError(str(error)) from error
    except (ValueError, KeyError) as error:
        raise UsageError(f"{args.rationales} is no file of rationales ({error!r})") from error
    print(f"page: {args.out.resolve().as_uri()}", file=sys.stderr)
    return OK


def _train(args: argparse.Namespace) -> int:
    from snellen.apps.table import UsageError
    from snellen.data.sample import ManifestError
    from snellen.image import ImageError

    try:
        from snellen.train import config as command
    except ModuleNotFoundError as error:
        raise UsageError(f"training needs {error.name}, not installed; run: pip install snellen[train]") from error
    try:
        if args.stage == "sft":
            command.run_sft(command.read_config(args.config, command.SftConfig))
        else:
            command.run_rl(command.read_config(args.config, command.RlConfig))
    except (command.ConfigError, ManifestError, OSError) as error:
        raise UsageError(str(error)) from error
    except ImageError as error:
        _complain(str(error))
        return FAILED
    return OK


def _console() -> tuple[Console, bool]:
    """Standard output, and whether it takes ASCII only."""
    from snellen.apps.terminal import open_console

    console = open_console()
    return console, not console.encoding.lower().startswith("utf")


def _complain(problem: str) -> None:
    """One line on standard error."""
    print("snellen: " + " ".join(problem.split()), file=sys.stderr, flush=True)
