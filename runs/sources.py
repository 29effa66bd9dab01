r"""Step 0 of the recipe: list what there is to learn from.

    python runs/sources.py --biq DATA/BIQ2021 --wallpapers DATA/debian --codecs DATA/codec-corpus --held DATA/held \
        --more DATA/photos --chosen DATA/chosen --out build

--biq: a clone of the public repository nisarahmedrana/BIQ2021. --wallpapers: Debian's packages gnome-backgrounds,
mate-backgrounds, plasma-workspace-wallpapers, lomiri-wallpapers, lomiri-wallpapers-16.04, lomiri-wallpapers-20.04 and
ukui-wallpapers, unpacked (`dpkg -x`). --codecs: a clone of imazen/codec-corpus. --held: folders of photographs to test
on only. --more: folders of others (runs/README.md lists both of snellen-1). The last are of all sorts, so the
bundled model looks first: what it scores below LEAST_SCORE is left out, and so is what shows the scene of a photograph
of the other folders. Its score is kept as their MOS: nobody rated them, and they are not all as good as a benchmark's.
--chosen: photographs that were looked at one by one; chosen.txt beside this script lists them. No filter drops their
calm skies, white walls and nights, which a judge that never learned of them takes for faults.

Writes biq2021.jsonl (a manifest with near-duplicate groups) and photographs.jsonl with a split for each: "test", never
trained on: all of CLIC 2025 and of --held, and of the large wallpapers two in three; "dev", to choose by: of the large
ones of --more one in four, of --chosen one in six; "train". Which is decided by a hash of the path. What LEFT_OUT lists
is in none.
(runs/pristine.py makes a manifest of a split for `snellen evaluate`.)
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from snellen import Assessor
from snellen.data.sample import write_manifest
from snellen.data.sources import Photograph, dhash, find_photographs, import_biq2021, near_duplicate_groups

LARGE = 4e6
LEAST_SCORE = 3.3
"""Of a photograph that counts as clean. Above it lie ordinary photographs too, a sun or a blurred background in them:
at 3.6 only those were left that no judge finds fault with, and what was chosen by them failed on others."""
LEFT_OUT = (
    # of CLIC 2025: what programs show on a screen, and scenes of games
    "final-test/2a760bf1ccea6998be3890dcc2371b23f35fe3006562884b45bc534a621d5c12.png",
    "final-test/86127fbdb368eb28c3039cf61aff1c4cfdc4ade24070c8f2389968d5ead681e1.png",
    "final-test/bb7344a2ba499b2d48b891abee1b903dc17d265437ac57028b5999b6cd5bcdc4.png",
    "final-test/ebfd571f1c6824316047a29cb5f376eec15f56dd51821119c1842be068a8b950.png",
    "validation/3140d643a1f57e80ff265507984d95a0.png",
    "validation/4cd6910a0b7b39365fda5df87618d091.png",
    "validation/ef576c4ed599d75d72145a8f34b58ccb.png",
    # wallpapers: a drawing and a render; of --held two put together from several, and two that are elsewhere too
    "SafeLanding/contents/images/1622x2880.jpg",
    "Shell/contents/images/5120x2880.jpg",
    "original/jake-hills-36605.jpg",
    "original/nasa-89127.jpg",
    "original/spacex-81773.jpg",
    "backgrounds/Ashim DSilva.jpg",
)
"""Ends of paths of would-be test photographs that are none, or no further ones: found by looking at all of them."""
SAME_SCENE = 8
"""Photographs whose hashes differ in so few bits are taken for one scene: more than for duplicates, to be safe."""


def drawn(name: str, out_of: int) -> bool:
    """Whether this one is drawn, as one of `out_of` is; depends on the name alone, so that it never changes."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % out_of == 0


def split_of(photograph: Photograph) -> str:
    """ "test" or "train" of a photograph of a benchmark or a wallpaper."""
    large = photograph.width * photograph.height >= LARGE
    if "/usr/share/" in photograph.path and large:
        return "train" if drawn(photograph.path.split("/share/", 1)[1], 3) else "test"
    return "train"


def opened(path: Path) -> Photograph:
    """A photograph by its file alone, unfiltered."""
    with Image.open(path) as picture:
        return Photograph(str(path), *picture.size)


@cache
def hashed(path: str) -> int:
    """`dhash`, which takes as long as reading a picture: those that are known are asked for again and again."""
    return dhash(path)


def of_new_scenes(found: list[Photograph], known: list[Photograph]) -> list[Photograph]:
    """One photograph of each scene that is not among the known ones."""
    hashes = [hashed(photograph.path) for photograph in [*known, *found]]
    groups = near_duplicate_groups(np.array(hashes, np.uint64), SAME_SCENE).tolist()
    taken = set(groups[: len(known)])
    new: dict[int, Photograph] = {}
    for photograph, group in zip(found, groups[len(known) :], strict=True):
        if group not in taken:
            new.setdefault(group, photograph)
    return list(new.values())


def scored(photographs: list[Photograph], folder: Path, dev: int) -> dict[Photograph, dict[str, Any]]:
    """Split and MOS, the model's score, of photographs that nobody rated; of the large, one in `dev` to choose by."""
    judged = Assessor(score_only=True)(photograph.path for photograph in photographs)
    rows: dict[Photograph, dict[str, Any]] = {}
    for photograph, answer in zip(photographs, judged, strict=True):
        if answer.score is not None:
            large = photograph.width * photograph.height >= LARGE
            chosen_by = large and drawn(str(Path(photograph.path).relative_to(folder)), dev)
            rows[photograph] = {"split": "dev" if chosen_by else "train", "mos": round(answer.score, 2)}
    return rows


def screened(folder: Path, known: list[Photograph]) -> dict[Photograph, dict[str, Any]]:
    """The photographs under a folder of all sorts that are good and show no scene that is known, with split and MOS."""
    rows = scored(of_new_scenes(find_photographs([folder]), known), folder, 4)
    return {photograph: row for photograph, row in rows.items() if row["mos"] >= LEAST_SCORE}


def chosen(folder: Path, known: list[Photograph]) -> dict[Photograph, dict[str, Any]]:
    """The photographs of chosen.txt under `folder` that show no scene that is known, with split and MOS. They are good,
    whatever the model says, so none counts for less than LEAST_SCORE. FileNotFoundError when one is missing."""
    names = (Path(__file__).parent / "chosen.txt").read_text(encoding="utf8").splitlines()
    rows = scored(of_new_scenes([opened(folder / name) for name in names], known), folder, 6)
    return {photograph: row | {"mos": max(LEAST_SCORE, row["mos"])} for photograph, row in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--biq", type=Path, required=True)
    parser.add_argument("--wallpapers", type=Path, required=True)
    parser.add_argument("--codecs", type=Path, required=True)
    parser.add_argument("--held", type=Path, nargs="*", default=[])
    parser.add_argument("--more", type=Path, nargs="*", default=[])
    parser.add_argument("--chosen", type=Path, help="folder of the photographs that chosen.txt lists")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write_manifest(import_biq2021(args.biq), args.out / "biq2021.jsonl")
    codecs = [args.codecs / name for name in ("CID22", "kodak")]
    found: dict[Photograph, dict[str, Any]] = {
        photograph: {"split": split_of(photograph)} for photograph in find_photographs([args.wallpapers, *codecs])
    }
    for folder in (args.codecs / "clic2025", *args.held):  # looked at one by one: no filter drops their calm ones
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg")):
            found[opened(path)] = {"split": "test"}
    for folder in args.more:
        found |= screened(folder, list(found))
    if args.chosen:
        found |= chosen(args.chosen, list(found))
    with (args.out / "photographs.jsonl").open("w") as file:
        kept = [photograph for photograph in found if not photograph.path.endswith(LEFT_OUT)]
        for photograph in sorted(kept, key=lambda one: one.path):
            file.write(json.dumps(asdict(photograph) | found[photograph]) + "\n")


if __name__ == "__main__":
    main()
