"""`snellen adapt`: a judge that learns its owner's taste from 50 to 2,000 ratings, stars or choices.

The result is a small folder for --model; nothing is written where cross-validation finds no gain. The work is done by
`snellen.evaluate.adapt`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.usage import FAILED, OK, UsageError, add_max_megapixels, add_quiet, complain, visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen adapt`."""
    parser.add_argument(
        "ratings",
        metavar="RATINGS",
        help="ratings (.csv with image,mos; manifest .jsonl), choices (.csv with first,second,preferred), or a folder "
        "of pictures with stars in XMP sidecars",
    )
    parser.add_argument("--labels", metavar="FILE", type=Path, help="fault labels of these pictures, JSON lines")
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="folder to write, for --model")
    parser.add_argument("--name", default="snellen-1", help="the model's name in results (default: snellen-1)")
    add_max_megapixels(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Learn, say whether it helped, and write; return the exit code."""
    if (args.out / "card.json").exists():
        raise UsageError(f"{args.out} holds a model already; choose another folder, or delete it")
    from snellen.backend import SNELLEN_1
    from snellen.data.fault_labels import by_picture, read_labels
    from snellen.evaluate.adapt import assess, from_choices, from_labels, from_ratings, read_ratings, unchanged
    from snellen.snellen1.files import ModelFiles, save_adapted

    rated = read_ratings(args.ratings)
    labels = by_picture(read_labels(args.labels)) if args.labels else {}
    pictures, failed = assess(rated, args.max_megapixels, args.quiet)
    adaptation, changed, lines = (from_choices if rated.pairs else from_ratings)(pictures, rated)
    for line in lines:
        print(line)
    if labels:
        thresholds, line = from_labels(pictures, labels)
        print(line)
        changed |= {"photo_thresholds": thresholds} if thresholds else {}
        if thresholds and adaptation is None:
            adaptation = unchanged(pictures.components.shape[1])
    if adaptation is None:
        complain("nothing was written: cross-validation finds the shipped model as good; keep it or rate more")
        return FAILED
    shipped = ModelFiles.open(SNELLEN_1).card
    save_adapted(args.out, adaptation, {"name": args.name, "version": f"{shipped['version']} adapted"} | changed)
    size = sum(file.stat().st_size for file in args.out.iterdir()) / 1000
    print(f"written: {visible(str(args.out))} ({size:.0f} kB); snellen assess --model {visible(str(args.out))} PICTURE")
    return FAILED if failed else OK
