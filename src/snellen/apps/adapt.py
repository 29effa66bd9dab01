"""`snellen adapt`: a judge that learns its owner's taste from 50 to 2,000 ratings, stars or choices.

The result is a folder for --model: a small correction of snellen-1, or a LoRA adapter of a vision-language model. No
model is left there where pictures that were not learned from show no gain. The work is done by `snellen.evaluate.adapt`
and `snellen.evaluate.adapt_hf`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snellen.usage import FAILED, OK, UsageError, add_max_megapixels, add_quiet, complain, visible, wrong_usage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen adapt`."""
    parser.add_argument(
        "ratings",
        metavar="RATINGS",
        help="ratings (.csv with image,mos; manifest .jsonl), choices (.csv with first,second,preferred), or a folder "
        "of pictures with stars in XMP sidecars",
    )
    parser.add_argument(
        "--model", metavar="MODEL", default="snellen-1",
        help="snellen-1, or hf:FOLDER for a LoRA adapter of a vision-language model",
    )  # fmt: skip
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="fault labels of these pictures, JSON lines: adapts the thresholds of the kinds of fault",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, required=True, help="folder to write; other commands take it as --model"
    )
    parser.add_argument("--name", metavar="NAME", default="snellen-1", help="the model's name in results")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[],
        help="for hf: models: a key of `snellen train sft`, as in TOML: options.steps=200",
    )  # fmt: skip
    add_max_megapixels(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Learn, say whether it helped, and write; return the exit code."""
    if any((args.out / name).exists() for name in ("card.json", "adapter_config.json")):
        raise UsageError(f"{args.out} holds a model already; choose another folder, or delete it")
    if args.model.startswith("hf:"):
        return _adapt_hf(args)
    if args.model != "snellen-1" or args.set:
        raise UsageError("--model is snellen-1 or hf:FOLDER; --set is for hf: models")
    return _adapt_snellen1(args)


def _adapt_hf(args: argparse.Namespace) -> int:
    from snellen.evaluate.adapt import read_ratings
    from snellen.evaluate.adapt_hf import adapt_hf

    if args.labels:
        raise UsageError(
            "--labels moves thresholds of snellen-1; for hf: models use snellen data build --teacher labels:"
        )
    rated = read_ratings(args.ratings)
    helped, failed, lines = adapt_hf(args.model, rated, args.out, args.set, args.max_megapixels, args.quiet)
    for line in lines:
        print(line)
    if not helped:
        complain(
            "the adapter was taken away: held-out pictures show no gain; keep the model, rate more or train longer"
        )
        return FAILED
    print(f"written: {visible(str(args.out))}; snellen assess --score-only --model hf:{visible(str(args.out))} PICTURE")
    return FAILED if failed else OK


def _adapt_snellen1(args: argparse.Namespace) -> int:
    from snellen.backend import SNELLEN_1
    from snellen.data.fault_labels import by_picture, read_labels
    from snellen.evaluate.adapt import assess, from_choices, from_labels, from_ratings, read_ratings, unchanged
    from snellen.snellen1.files import ModelFiles, save_adapted

    rated = read_ratings(args.ratings)
    with wrong_usage():
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
