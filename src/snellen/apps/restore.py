"""`snellen restore`: repair a picture, issue by issue, under the guidance of the judge."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from snellen.assessor import Assessor
from snellen.image import load
from snellen.options import add_assessor_arguments, assessor_arguments
from snellen.output import replacing, writing
from snellen.report import write_page
from snellen.usage import OK, MissingExtra, UsageError, add_quiet, check_writable, positive, visible, wrong_usage

if TYPE_CHECKING:
    from snellen.restoration.loop import Attempt
    from snellen.restoration.tool import Tool

FORMATS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WebP", ".bmp": "BMP"}
"""Formats of the output, all lossless: pixels outside the boxes stay as they were."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen restore`."""
    parser.add_argument("path", metavar="PICTURE", type=Path, nargs="?", help="a picture; it is never changed")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the result (default: PICTURE_restored.png)")
    parser.add_argument("--report", metavar="FILE", type=Path, help="also write a page with every step")
    parser.add_argument("--json", action="store_true", help="print one JSON object with every step")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files, but never the picture")
    parser.add_argument("--max-steps", metavar="N", type=positive, default=4, help="most repairs")
    parser.add_argument(
        "--candidates",
        metavar="N",
        type=positive,
        default=6,
        help="most candidate repairs of an issue that the model assesses",
    )
    parser.add_argument("--classical", action="store_true", help="use no learned tools of installed packages")
    parser.add_argument(
        "--list-tools", action="store_true", help="print the tools, and how to get those that are missing"
    )
    parser.add_argument("--server", metavar="URL", help="also use the text-guided restoration server at URL")
    add_assessor_arguments(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Restore, write and print; return the exit code."""
    if args.list_tools:
        return _list_tools()
    if args.path is None:
        raise UsageError("name a picture, or add --list-tools to see the tools")
    out = args.out or args.path.with_name(f"{args.path.stem}_restored.png")
    _check_outputs(args, out)
    if args.score_only:
        raise UsageError("restore acts on issues, which --score-only does not list; leave it out")
    from snellen.restoration import page
    from snellen.restoration.learned.packages import learned_tools
    from snellen.restoration.loop import restore
    from snellen.restoration.toolbox import TOOLS

    tools: Sequence[Tool] = TOOLS if args.classical else (*learned_tools(), *TOOLS)
    if args.server:
        try:
            from snellen.restoration.server import server_tool
        except ModuleNotFoundError as error:
            raise MissingExtra(f"--server needs {error.name}", "restore") from error
        tools = (*tools, server_tool(args.server))
    picture = load(args.path, max_megapixels=args.max_megapixels, allow_damaged=args.allow_damaged)
    shown = (lambda attempt: None) if args.json or args.quiet else _show
    with wrong_usage():
        assessor = Assessor(args.model, **assessor_arguments(args))
        restoration = restore(picture, assessor, tools, args.max_steps, args.candidates, shown)
    with writing(out), replacing(out) as unfinished:
        pixels = np.ascontiguousarray(restoration.picture.pixels)
        Image.fromarray(pixels).save(unfinished, FORMATS[out.suffix.lower()], **_lossless(out))
    if args.report:
        write_page(page.html(restoration), args.report)
    if args.json:
        print(json.dumps({**restoration.to_dict(), "output": str(out)}))
    elif not args.quiet:
        print(f"score {restoration.first.score:.2f} before, {restoration.last.score:.2f} after; {restoration.stopped}")
    if not args.quiet:
        print(f"written: {visible(str(out))}", file=sys.stderr)
    return OK


def _show(attempt: Attempt) -> None:
    mark = "kept    " if attempt.accepted else "not kept"
    does = f" ({attempt.does})" if attempt.does else ""
    print(visible(f"{mark} {attempt.issue.kind}, {attempt.named}{does}: {attempt.reason}"), flush=True)


def _list_tools() -> int:
    """Print name, kinds of issue and settings of each tool; then what is not installed and how to get it."""
    from snellen.restoration.learned.packages import LEARNED
    from snellen.restoration.toolbox import TOOLS

    for tool in TOOLS:
        print(_about(tool))
    for one in LEARNED:
        folder = one.folder()
        for tool in one.make(folder) if folder else ():
            print(f"{_about(tool)}; {one.package}, {one.licence}")
        if folder is None:
            print(f"{one.name:14} not installed; {one.licence}; {one.source}; to get it: {one.remedy}")
    return OK


def _about(tool: Tool) -> str:
    return f"{tool.name:14} {', '.join(tool.kinds)}: {tool.does}; settings: {len(tool.settings)}"


def _lossless(out: Path) -> dict[str, bool]:
    return {"lossless": True} if FORMATS[out.suffix.lower()] == "WebP" else {}


def _check_outputs(args: argparse.Namespace, out: Path) -> None:
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"{out} is not of a lossless format; name a file that ends in {', '.join(FORMATS)}")
    for path in (out, *([args.report] if args.report else [])):
        check_writable(path)
        if path.exists():
            if args.path.exists() and path.samefile(args.path):
                raise UsageError(f"{path} is the picture itself, which is never replaced; name another file")
            if not args.overwrite:
                raise UsageError(f"{path} exists; name another file, or add --overwrite")
    if args.report and args.report.absolute() == out.absolute():
        raise UsageError(f"{out} is named twice; give the report another name")
