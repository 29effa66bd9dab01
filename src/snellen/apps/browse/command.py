"""`snellen browse`: look through a folder in a browser, decide, and save decisions for other programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.apps.web.options import WebOptions
from snellen.options import add_assessor_arguments, assessor_arguments
from snellen.output import writing
from snellen.usage import (
    FAILED,
    OK,
    UsageError,
    check_writable,
    complain,
    folder_path,
    port,
    positive,
    visible,
    wrong_usage,
)

if TYPE_CHECKING:
    from snellen.sidecar import Decision, Naming
    from snellen.table import ScoreRow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen browse`."""
    parser.add_argument(
        "folder", metavar="FOLDER", type=folder_path, help="searched with its subfolders, hidden ones left out"
    )
    parser.add_argument("--scores", metavar="TABLE", type=Path, help="table that `snellen score` wrote for this folder")
    parser.add_argument("--no-scoring", action="store_true", help="do not assess pictures that have no score")
    parser.add_argument(
        "--decisions", metavar="FILE", type=Path, help="read decisions from this .csv and keep it up to date"
    )
    parser.add_argument(
        "--sidecars",
        choices=("full", "base"),
        default="full",
        help="names of sidecars: full is IMG.CR2.xmp, base is IMG.xmp",
    )
    parser.add_argument(
        "--apply", action="store_true", help="write --decisions into sidecars, and show no page; nothing is moved"
    )
    parser.add_argument("--dry-run", action="store_true", help="with --apply: only print what would be written")
    parser.add_argument(
        "--thumbnails", metavar="FOLDER", type=Path, help="keep thumbnails in this folder (default: in memory only)"
    )
    parser.add_argument(
        "--thumbnail-mb", metavar="N", type=positive, default=256, help="most MB of thumbnails in memory"
    )
    parser.add_argument("--port", metavar="N", type=port, default=8010, help="port; 0 for a free one")
    add_assessor_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the folder, or write its sidecars; return the exit code."""
    from snellen.folder import find_pictures

    if args.dry_run and not args.apply:
        raise UsageError("--dry-run is for --apply; the page always shows what it would write first")
    if args.apply and args.decisions is None:
        raise UsageError("--apply writes the decisions of a file; name it with --decisions")
    found = find_pictures(args.folder)
    for path, problem in found.problems.items():
        complain(f"{args.folder / path}: {problem}")
    if not found.pictures:
        raise UsageError(f"{args.folder}: no pictures in this folder; name another")
    if args.apply:
        return apply(args.folder, found.pictures, args.decisions, args.sidecars, args.dry_run)
    return _serve(args, found.pictures)


def apply(folder: Path, names: Sequence[str], file: Path, naming: Naming, dry_run: bool) -> int:
    """Write the decisions of a file into sidecars, print each change; return the exit code."""
    from snellen.apps.browse.decisions import read_decisions
    from snellen.sidecar import plan, write

    decisions = read_decisions(file)
    unknown = sorted(decisions.keys() - set(names))
    for name in unknown:
        complain(f"{file}: {name} is not in {folder}; its decision is left out")
    changes = plan({folder / name: decisions[name] for name in names if name in decisions}, naming)
    if not dry_run:
        changes = write(changes)
    for change in changes:
        if change.problem:
            complain(change.problem)
        elif change.what != "same":
            print(visible(f"{change.what} {change.sidecar}: {change.before} -> {change.after}"))
    refused = sum(change.what == "refused" for change in changes)
    same = sum(change.what == "same" for change in changes)
    done = "would be written" if dry_run else "written"
    print(
        f"{len(changes) - refused - same} sidecars {done}, {same} as they are, {refused} refused; no picture is moved",
        file=sys.stderr,
    )
    return FAILED if refused or unknown else OK


def _serve(args: argparse.Namespace, names: Sequence[str]) -> int:
    from snellen.apps.browse.album import Album
    from snellen.apps.browse.server import Browser, browse_app
    from snellen.apps.browse.thumbnails import Thumbnails
    from snellen.apps.browse.work import Judge, Work
    from snellen.apps.web.run import run_app
    from snellen.assessor import Assessor

    with wrong_usage():
        arguments = assessor_arguments(args)
    rows = _scores(args.scores, names)
    decisions = _decisions(args.folder, names, args.decisions, args.sidecars)
    if args.thumbnails is not None:
        with writing(args.thumbnails):
            args.thumbnails.mkdir(parents=True, exist_ok=True)
    album = Album(args.folder, names, rows, decisions, args.decisions)
    thumbnails = Thumbnails(album.files, args.thumbnail_mb * 10**6, args.thumbnails, args.max_megapixels)
    judge = Judge(lambda: Assessor(args.model, **arguments))
    work = Work(album, thumbnails, None if args.no_scoring else judge)
    model = next((row.model for row in rows.values()), "" if args.no_scoring else args.model)
    # the page's connection for changes never ends by itself: it is cut after a second
    options = WebOptions(port=args.port, drain=1)
    print(f"{len(names)} pictures, {len(rows)} of them in the table", file=sys.stderr)
    return run_app(
        browse_app(Browser(album, thumbnails, judge, work, args.sidecars, model), options), options, "browse"
    )


def _scores(table: Path | None, names: Sequence[str]) -> dict[str, ScoreRow]:
    from snellen.table import read_table

    if table is None:
        return {}
    rows = {row.path: row for row in read_table(table)}
    known = {name: rows[name] for name in names if name in rows}
    if not known:
        raise UsageError(f"{table} has no picture of this folder; give the folder that it was made for")
    return known


def _decisions(folder: Path, names: Sequence[str], file: Path | None, naming: Naming) -> dict[str, Decision]:
    """Return the decisions in sidecars, and in the file, which counts more."""
    from snellen.apps.browse.decisions import read_decisions
    from snellen.sidecar import read_decision

    found: dict[str, Decision] = {}
    for name in names:
        try:
            decision = read_decision(folder / name, naming)
        except (UsageError, OSError) as error:
            complain(str(error))
            continue
        if decision:
            found[name] = decision
    if file is not None:
        check_writable(file)
        if file.exists():
            known = set(names)
            found |= {name: decision for name, decision in read_decisions(file).items() if name in known}
    return found
