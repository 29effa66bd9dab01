"""Photographs to make faults in: which ones, their split, and the MOS that each counts as.

Splits: "test" is never trained on, "dev" chooses between models, "train" is learned from. A hash of the path decides,
so that a photograph keeps its split when others are added.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from snellen.data.photographs import Photograph, find_photographs, listed_photographs, open_photograph
from snellen.data.sample import Sample, write_manifest
from snellen.data.sets import open_set
from snellen.data.sets.duplicates import dhash, near_duplicate_groups
from snellen.data.testsets import LOCAL_MEGAPIXELS

LARGE_MEGAPIXELS = 4.0
"""Photographs of this size and more are candidates for "test" and "dev": faults are looked for in native pixels."""
LEAST_SCORE = 3.3
"""Least score of a photograph of a mixed folder that counts as clean. At 3.6 only photographs were left that no judge
finds fault with, and a model chosen by them failed on others."""
SAME_SCENE = 8
"""Largest Hamming distance of 64 bits between two photographs of one scene; wider than for duplicates, to be safe."""
EXCLUDED = (
    # CLIC 2025: screenshots and scenes of games
    "final-test/2a760bf1ccea6998be3890dcc2371b23f35fe3006562884b45bc534a621d5c12.png",
    "final-test/86127fbdb368eb28c3039cf61aff1c4cfdc4ade24070c8f2389968d5ead681e1.png",
    "final-test/bb7344a2ba499b2d48b891abee1b903dc17d265437ac57028b5999b6cd5bcdc4.png",
    "final-test/ebfd571f1c6824316047a29cb5f376eec15f56dd51821119c1842be068a8b950.png",
    "validation/3140d643a1f57e80ff265507984d95a0.png",
    "validation/4cd6910a0b7b39365fda5df87618d091.png",
    "validation/ef576c4ed599d75d72145a8f34b58ccb.png",
    # wallpapers: a drawing and a render; held-out folders: two composites, and two that are elsewhere too
    "SafeLanding/contents/images/1622x2880.jpg",
    "Shell/contents/images/5120x2880.jpg",
    "original/jake-hills-36605.jpg",
    "original/nasa-89127.jpg",
    "original/spacex-81773.jpg",
    "backgrounds/Ashim DSilva.jpg",
)
"""Path endings of would-be test photographs that are no photographs or no new ones; all were looked at."""

Judge = Callable[[Sequence[str]], Sequence[float | None]]
"""Scores 1..5 of the pictures at some paths; None for one that cannot be judged."""


@dataclass(frozen=True)
class Source:
    """A photograph, its split, and the MOS that it counts as; None for a benchmark's: see `PRISTINE_MOS`."""

    photograph: Photograph
    split: str
    mos: float | None = None


@dataclass(frozen=True)
class Folders:
    """Folders of photographs. wallpapers: unpacked Debian packages. codecs: a clone of imazen/codec-corpus.
    held: only to test on. more: of all sorts, screened by the judge. chosen: clones for the list of photographs."""

    wallpapers: Path
    codecs: Path
    held: Sequence[Path] = ()
    more: Sequence[Path] = ()
    chosen: Path | None = None


def write_sources(biq2021: Path, folders: Folders, listed: Path, judge: Judge, out: Path) -> list[Source]:
    """Write biq2021.jsonl, photographs.jsonl, pristine.jsonl (split "test") and dev.jsonl to `out`; return the sources.

    biq2021: a clone of the data set. listed: see `listed_photographs`. The last two are manifests for
    `snellen evaluate`.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_manifest(open_set("BIQ2021", biq2021), out / "biq2021.jsonl")
    sources = find_sources(folders, listed, judge)
    write_photographs(sources, out / "photographs.jsonl")
    for split, name in (("test", "pristine"), ("dev", "dev")):
        chosen = [one.photograph for one in sources if one.split == split]
        write_manifest([Sample(photograph.path, split="test") for photograph in chosen], out / f"{name}.jsonl")
        large = sum(photograph.megapixels >= LOCAL_MEGAPIXELS for photograph in chosen)
        print(f"{out / name}.jsonl: {len(chosen)} photographs, {large} of them large enough for local faults")
    return sources


def find_sources(folders: Folders, listed: Path, judge: Judge) -> list[Source]:
    """Return all photographs of the folders with their splits, sorted by path, without EXCLUDED."""
    benchmarks = [folders.codecs / name for name in ("CID22", "kodak")]
    found = [Source(one, wallpaper_split(one)) for one in find_photographs([folders.wallpapers, *benchmarks])]
    for folder in (folders.codecs / "clic2025", *folders.held):  # looked at one by one, so not filtered
        paths = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))
        found += [Source(open_photograph(path), "test") for path in paths]
    for folder in folders.more:
        found += screened(folder, [one.photograph for one in found], judge)
    if folders.chosen is not None:
        known = [one.photograph for one in found]
        found += chosen(listed_photographs(listed, folders.chosen), folders.chosen, known, judge)
    kept = [one for one in found if not one.photograph.path.endswith(EXCLUDED)]
    return sorted(kept, key=lambda one: one.photograph.path)


def is_drawn(name: str, out_of: int) -> bool:
    """Return True for one name in `out_of`, by a hash of the name alone."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % out_of == 0


def wallpaper_split(photograph: Photograph) -> str:
    """Return "test" for two in three large wallpapers of Debian packages, "train" for everything else."""
    if "/usr/share/" in photograph.path and photograph.megapixels >= LARGE_MEGAPIXELS:
        return "train" if is_drawn(photograph.path.split("/share/", 1)[1], 3) else "test"
    return "train"


def screened(folder: Path, known: Sequence[Photograph], judge: Judge) -> list[Source]:
    """Return the photographs of a mixed folder that score LEAST_SCORE or more and show no known scene."""
    rated = rate(new_scenes(find_photographs([folder]), known), folder, 4, judge)
    return [one for one in rated if one.mos is not None and one.mos >= LEAST_SCORE]


def chosen(listed: Sequence[Photograph], folder: Path, known: Sequence[Photograph], judge: Judge) -> list[Source]:
    """Return the listed photographs that show no known scene.

    They were looked at one by one, so none counts for less than LEAST_SCORE, whatever the judge says: calm skies, white
    walls and nights among them teach it that these are no faults.
    """
    rated = rate(new_scenes(listed, known), folder, 6, judge)
    return [replace(one, mos=max(LEAST_SCORE, one.mos)) for one in rated if one.mos is not None]


def rate(photographs: Sequence[Photograph], folder: Path, dev: int, judge: Judge) -> list[Source]:
    """Return the photographs that can be judged, with the score as MOS; one in `dev` of the large ones is "dev"."""
    sources = []
    scores = judge([photograph.path for photograph in photographs])
    for photograph, score in zip(photographs, scores, strict=True):
        if score is not None:
            name = str(Path(photograph.path).relative_to(folder))
            is_dev = photograph.megapixels >= LARGE_MEGAPIXELS and is_drawn(name, dev)
            sources.append(Source(photograph, "dev" if is_dev else "train", round(score, 2)))
    return sources


def new_scenes(found: Sequence[Photograph], known: Sequence[Photograph]) -> list[Photograph]:
    """Return one photograph of each scene that is not among the known ones."""
    hashes = [_hash(photograph.path) for photograph in [*known, *found]]
    groups = near_duplicate_groups(np.array(hashes, np.uint64), SAME_SCENE).tolist()
    taken = set(groups[: len(known)])
    new: dict[int, Photograph] = {}
    for photograph, group in zip(found, groups[len(known) :], strict=True):
        if group not in taken:
            new.setdefault(group, photograph)
    return list(new.values())


@cache
def _hash(path: str) -> int:
    """Return `dhash`, which decodes the picture: the known ones are compared with every further folder."""
    return dhash(path)


def write_photographs(sources: Sequence[Source], file: Path) -> None:
    """Write one JSON object per source: path, width, height, split, and mos where there is one."""
    with file.open("w", encoding="utf-8") as out:
        for one in sources:
            row = asdict(one.photograph) | {"split": one.split} | ({} if one.mos is None else {"mos": one.mos})
            out.write(json.dumps(row) + "\n")


def read_photographs(file: Path) -> Iterator[Source]:
    """Yield the sources of a file written by `write_photographs`."""
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield Source(Photograph(row["path"], row["width"], row["height"]), row["split"], row.get("mos"))
