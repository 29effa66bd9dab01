r"""Step 0 of the recipe: list what there is to learn from.

    python runs/sources.py --biq DATA/BIQ2021 --wallpapers DATA/debian --codecs DATA/codec-corpus \
        --more DATA/photos --out build

--biq: a clone of the public repository nisarahmedrana/BIQ2021. --wallpapers: Debian's packages gnome-backgrounds,
mate-backgrounds, plasma-workspace-wallpapers, lomiri-wallpapers, lomiri-wallpapers-16.04, lomiri-wallpapers-20.04 and
ukui-wallpapers, unpacked (`dpkg -x`). --codecs: a clone of imazen/codec-corpus. --more: folders of other good
photographs (snellen-1: elementary/wallpapers, pop-os/wallpapers and BuddiesOfBudgie/budgie-backgrounds).

Writes biq2021.jsonl (a manifest with near-duplicate groups) and photographs.jsonl, whose test pictures are never
trained on: all of CLIC 2025, and of the large wallpapers two in three, chosen by a hash of their path
(runs/pristine.py makes the manifest of these that `snellen evaluate` takes).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from PIL import Image

from snellen.data.sample import write_manifest
from snellen.data.sources import find_photographs, import_biq2021

LARGE = 4e6


def split_of(path: str, pixels: int) -> str:
    """ "test" or "train"; depends on the path alone, so that it never changes."""
    if "clic2025" in path:
        return "test"
    if "/usr/share/" in path and pixels >= LARGE:
        name = path.split("/share/", 1)[1]
        return "test" if int(hashlib.sha256(name.encode()).hexdigest(), 16) % 3 else "train"
    return "train"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--biq", type=Path, required=True)
    parser.add_argument("--wallpapers", type=Path, required=True)
    parser.add_argument("--codecs", type=Path, required=True)
    parser.add_argument("--more", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write_manifest(import_biq2021(args.biq), args.out / "biq2021.jsonl")
    codecs = [args.codecs / name for name in ("CID22", "clic2025", "kodak")]
    found = {photograph.path for photograph in find_photographs([args.wallpapers, *args.more, *codecs])}
    found |= {
        str(path) for path in (args.codecs / "clic2025").rglob("*.png")
    }  # a benchmark of photographs: no filter needed
    with (args.out / "photographs.jsonl").open("w") as file:
        for path in sorted(found):
            with Image.open(path) as picture:
                width, height = picture.size
            row = {"path": path, "width": width, "height": height, "split": split_of(path, width * height)}
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
