"""`snellen features`: measured properties of pictures (sharpness, noise, blockiness, ...), as values and maps."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from snellen.features import hue_name, measure
from snellen.image import ImageError, load
from snellen.terminal import is_ascii, open_console
from snellen.usage import FAILED, OK, add_max_megapixels, complain, visible

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from snellen.features import Features

MAPS_ABREAST = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen features`."""
    parser.add_argument("paths", metavar="PICTURE", nargs="+", help="file of a picture")
    parser.add_argument("--json", action="store_true", help="print one JSON object per picture and line, with the maps")
    add_max_megapixels(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print; return the exit code."""
    console = open_console()
    code = OK
    for path in args.paths:
        try:
            measured = measure(load(path, max_megapixels=args.max_megapixels))
        except ImageError as error:
            complain(str(error))
            if args.json:
                problem = {"code": error.code, "problem": error.problem, "remedy": error.remedy}
                print(json.dumps({"name": path, "features": None, "error": problem}), flush=True)
            code = FAILED
            continue
        if args.json:
            print(json.dumps({"name": path, "features": measured.to_dict(), "error": None}), flush=True)
        else:
            console.print(features_text(path, measured, is_ascii(console)))
    return code


def features_text(name: str, measured: Features, ascii_only: bool = False) -> RenderableType:
    """Render the global values as a table, and the maps in shades from their lowest to their highest value.

    ascii_only: no other characters.
    """
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "left"):
        table.add_column(justify=justify, no_wrap=justify == "right")
    for key, feature in measured.values.items():
        hue = f" (nearest: {hue_name(feature.value)})" if key == "color_cast_hue" else ""
        unit = Text(f"{feature.unit}{hue}", style="dim")
        table.add_row(key.replace("_", " "), f"{feature.value:.4g}", unit)
    maps = Table.grid(padding=(1, 3, 0, 0))
    shown = [key for key in measured.maps if key != "color_cast_hue"]  # a circle has no lowest and highest
    for start in range(0, len(shown), MAPS_ABREAST):
        maps.add_row(*(_map_text(key, measured.maps[key], ascii_only) for key in shown[start : start + MAPS_ABREAST]))
    indent = (0, 0, 0, 2)
    return Group(Text(visible(name), style="bold"), Padding(table, indent), Padding(maps, indent), Text())


def _map_text(key: str, values: npt.NDArray[np.float32], ascii_only: bool) -> Text:
    shades = " .:*#" if ascii_only else " ░▒▓█"
    low, high = float(values.min()), float(values.max())
    text = Text(key.replace("_", " "), style="bold")
    for row in values:
        steps = [min(4, int(5 * (float(v) - low) / (high - low))) if high > low else 0 for v in row]
        text.append("\n" + "".join(2 * shades[step] for step in steps), "not bold")
    return text.append(f"\n{low:.3g} to {high:.3g}", "not bold dim")
