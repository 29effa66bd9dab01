"""`snellen compare`: which of several pictures is better and why, or how pictures differ from a reference."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from snellen.assessor import Assessor
from snellen.comparison.judge import Comparison, Pair, compare
from snellen.comparison.page import comparison_page, pair_numbers, verdict_words
from snellen.comparison.preference import SURE
from snellen.draw import place
from snellen.options import add_assessor_arguments, assessor_arguments
from snellen.report import write_page
from snellen.terminal import Progress, open_console
from snellen.usage import FAILED, OK, MissingExtra, UsageError, announce, check_writable, complain, visible, wrong_usage

if TYPE_CHECKING:
    from snellen.comparison.reference import ReferenceComparison

Result = TypeVar("Result", Comparison, "ReferenceComparison")

MARKS = {"appeared": "+", "vanished": "-", "grew": ">", "shrank": "<", "same": "="}
"""Sign of each change, from the first picture to the second."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen compare`."""
    parser.add_argument("paths", metavar="PICTURE", nargs="+", help="two pictures or more; one with a reference")
    known = parser.add_mutually_exclusive_group()
    known.add_argument(
        "--reference", metavar="REF", type=Path, help="the original: measure and name what differs from it"
    )
    known.add_argument(
        "--generate-reference", action="store_true", help="without an original: compare with the restored picture"
    )
    parser.add_argument(
        "--sure",
        metavar="P",
        type=_sure,
        help=f"least probability of being better; below it is a tie (default: {SURE})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--report", metavar="FILE", type=Path, help="also write a page with a slider")
    add_assessor_arguments(parser)


def _sure(text: str) -> float:
    value = float(text)
    if not 0.5 < value <= 1.0:
        raise argparse.ArgumentTypeError(f"above 0.5 and at most 1, not {text}")
    return value


def run(args: argparse.Namespace) -> int:
    """Compare and print; return the exit code."""
    if args.report:
        check_writable(args.report)
    if args.reference or args.generate_reference:
        return _with_reference(args)
    if len(args.paths) < 2:
        raise UsageError("a comparison needs two pictures or more")
    with wrong_usage():
        assessor = Assessor(args.model, **assessor_arguments(args))
    with Progress(len(args.paths)) as progress:
        comparison = compare(assessor, args.paths, SURE if args.sure is None else args.sure, progress.advance)
    failed = [one.assessment for one in comparison.pictures if one.assessment.error is not None]
    for one in failed:
        assert one.error is not None
        complain(f"{one.name}: {one.error.problem}; {one.error.remedy}")
    _put(args, assessor, comparison, _show, comparison_page)
    return FAILED if failed or any(pair.problem for pair in comparison.pairs) else OK


def _with_reference(args: argparse.Namespace) -> int:
    """Compare with a true or a generated reference and print; return the exit code."""
    if args.sure is not None:
        raise UsageError(
            "--sure decides ties between pictures, and with a reference each picture is compared with it alone; "
            "leave --sure out, or compare the pictures without a reference"
        )
    if args.generate_reference and args.score_only:
        raise UsageError("--generate-reference acts on issues, which --score-only does not list; leave it out")
    try:
        for module in ("skimage", "ssimulacra2", "flip_evaluator"):
            import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"a comparison with a reference needs {error.name}", "reference") from error
    from snellen.comparison.reference import compare_with_generated, compare_with_reference
    from snellen.comparison.reference_page import reference_page

    with wrong_usage():
        assessor = Assessor(args.model, **assessor_arguments(args))
    with Progress(len(args.paths)) as progress:
        if args.generate_reference:
            comparison = compare_with_generated(assessor, args.paths, progress.advance)
        else:
            comparison = compare_with_reference(assessor, args.reference, args.paths, progress.advance)
    for one in comparison.pictures:
        if one.problem is not None:
            complain(f"{one.name}: {one.problem}; {one.remedy}")
    _put(args, assessor, comparison, _show_against, reference_page)
    return FAILED if any(one.problem is not None for one in comparison.pictures) else OK


def _put(
    args: argparse.Namespace, assessor: Assessor, result: Result, show: Callable[[Result, Console], None],
    page: Callable[[Result], str],
) -> None:  # fmt: skip
    """Print a result as JSON or by `show`, and write its page if one is asked for."""
    if args.json:
        print(json.dumps(result.to_dict()))
    else:
        show(result, open_console())
        print(f"{assessor.backend.name} {assessor.backend.version}, protocol {assessor.protocol.name}")
    if args.report:
        write_page(page(result), args.report)
        announce(args.report)


def _show_against(comparison: ReferenceComparison, console: Console) -> None:
    from snellen.comparison.reference_page import judge_words, measure_words

    for one in comparison.pictures:
        if one.problem is not None:
            continue
        console.print(Text(visible(one.name), style="bold"))
        if comparison.reference is None:
            console.print("  no true reference: compared with the restored picture, which is not the original")
        for note in one.notes:
            console.print(Text(f"  {note}", style="dim"))
        measures = [f"{name} {value}{' dB' if unit == 'dB' else ''}" for name, value, unit in measure_words(one)]
        console.print(f"  {', '.join(measures)}")
        console.print(f"  {one.text}")
        for found in one.differences:
            issue = found.issue
            console.print(
                f"  {issue.kind}, severity {issue.severity}, {place(issue.region)}: {found.evidence}", markup=False
            )
        if one.assessment is not None:
            console.print(Text(f"  {judge_words(comparison, one)}", style="dim"))


def _show(comparison: Comparison, console: Console) -> None:
    _show_ranking(comparison, console)
    at = {picture: number for number, picture in enumerate(comparison.order)}
    pairs = sorted(comparison.pairs, key=lambda pair: (at[pair.first], at[pair.second]))
    best = [pair for pair in pairs if comparison.order[0] in (pair.first, pair.second)]
    for pair in best:
        _show_pair(comparison, pair, console)
    if comparison.regions:
        places = "; ".join(place(region) for region in comparison.regions)
        console.print(Text(f"looked at in all: {places}", style="dim"))
    if comparison.bias is not None:
        console.print(f"position bias: {comparison.bias:+.2f} for the picture shown first")
    consistent, decided = comparison.triples
    if consistent < decided:
        console.print(f"contradictions: in {decided - consistent} of {decided} triples A beats B, B beats C, C beats A")


def _show_ranking(comparison: Comparison, console: Console) -> None:
    ranks = [str(best) if best == worst else f"{best}-{worst}" for best, worst in comparison.ranks]
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True, min_width=max((len(rank) for rank in ranks), default=1))
    table.add_column(justify="right", no_wrap=True, min_width=len("5.00"))
    table.add_column(overflow="fold")  # a long path takes more lines; rank and score stay
    table.add_column()
    for picture, rank in zip(comparison.order, ranks, strict=True):
        one = comparison.pictures[picture]
        faults = ", ".join(f"{issue.kind} {issue.severity}" for issue in one.issues)
        table.add_row(rank, f"{one.score:.2f}", visible(one.name), Text(faults or "no fault found", style="dim"))
    console.print(table)


def _show_pair(comparison: Comparison, pair: Pair, console: Console) -> None:
    first, second = (visible(comparison.pictures[at].name) for at in (pair.first, pair.second))
    console.print()
    console.print(Text(f"{first}  against  {second}", style="bold"))
    console.print(f"  {verdict_words(comparison, pair)}")
    console.print(Text(f"  {pair_numbers(pair)}", style="dim"))
    console.print(f"  {pair.text}")
    for change in pair.changes:
        severities = [str(one.severity) if one else "none" for one in (change.before, change.after)]
        where = place(change.issue.region)
        line = f"  {MARKS[change.what]} {change.issue.kind} {change.what}: severity {' -> '.join(severities)}, {where}"
        console.print(Text(line))
    for why in pair.preference.why if pair.preference else ():
        console.print(Text(f"  the model: {visible(why)}", style="dim"))
    if pair.problem:
        complain(f"{first} and {second}: {pair.problem}")
