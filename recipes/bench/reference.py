"""Proof of `snellen compare --reference` and `--generate-reference` on photographs with made faults.

    python recipes/bench/reference.py faults PHOTOGRAPH... --half 0 --out chosen.jsonl
    python recipes/bench/reference.py faults PHOTOGRAPH... --half 1 --out reported.jsonl
    python recipes/bench/reference.py ladders PHOTOGRAPH... --out ladders.jsonl
    python recipes/bench/reference.py generated PHOTOGRAPH... --half 0 --out generated.jsonl
    python recipes/bench/reference.py summary FILE

Photographs are reduced to --side px. --half takes every other one: limits were chosen on half 0, half 1 is reported.
faults: every distortion at one level everywhere and at another in a box, and pictures that were only saved again.
ladders: every measure along the five levels of distortions.
generated: each fault everywhere; the true original and the pseudo-reference judge the same picture. Half 0 settled
REFERENCE_STD, half 1 is reported. --rows ends after so many rows; the first N have N different pictures or faults.
The rows hold measurements; `summary` names the faults, so limits can be changed without measuring again.
A fault counts if it is visible: a root mean square change of 2.5 levels in its region or more. All files
continue where a run was stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from reference_summary import summary

from snellen.comparison.diagnosis import measure_regions
from snellen.comparison.measures import measure_all
from snellen.data.distort import DISTORTIONS, distort
from snellen.data.distort.codec import encoded
from snellen.data.levels import level_severity
from snellen.image import Picture, load, resample
from snellen.region import FULL, Region

SAVED: dict[str, tuple[str, str, dict[str, int]]] = {
    "PNG": ("PNG", "zlib", {}),
    "JPEG q95": ("JPEG", "jpg", {"quality": 95}),
    "JPEG q95, 4:4:4": ("JPEG", "jpg", {"quality": 95, "subsampling": 0}),
}
"""Codec, feature of Pillow and options of each way to save a picture again."""
LADDERS = (
    "gaussian_blur",
    "white_noise",
    "jpeg",
    "jpeg2000",
    "webp",
    "avif",
    "pixelate",
    "darken",
    "quantization",
    "sharpen",
)
GENERATED = (
    "white_noise", "impulse_noise", "multiplicative_noise", "gaussian_blur", "lens_blur", "motion_blur", "jpeg", "webp",
    "darken", "low_light", "brighten", "haze", "contrast", "saturation_hsv",
)  # fmt: skip
Row = dict[str, Any]


def main() -> None:
    """Run a part, or summarise one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("faults", "ladders", "generated"):
        command = commands.add_parser(name)
        command.add_argument("photographs", nargs="+", type=Path)
        command.add_argument("--half", type=int, choices=(0, 1))
        command.add_argument("--side", type=int, default=640)
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--model", default="snellen-1")
        command.add_argument("--rows", type=int, help="end after so many rows of the file")
    commands.add_parser("summary").add_argument("file", type=Path)
    args = parser.parse_args()
    if args.command == "summary":
        print(summary([json.loads(line) for line in args.file.read_text(encoding="utf-8").splitlines()]))
        return
    paths = sorted(args.photographs)[args.half :: 2] if args.half is not None else sorted(args.photographs)
    pictures = [Picture(resample(load(path), FULL, args.side), path.name) for path in paths]
    jobs = {"faults": faults, "ladders": ladders, "generated": generated}[args.command](pictures, args)
    done = args.out.read_text(encoding="utf-8").splitlines() if args.out.exists() else []
    with args.out.open("a", encoding="utf-8") as file:
        for number, (make, job) in enumerate(islice(jobs, args.rows)):
            if number >= len(done):
                print(json.dumps(job | make()), file=file, flush=True)


def faults(pictures: list[Picture], args: argparse.Namespace) -> Iterator[tuple[Any, Row]]:
    """Yield a function and the row's head for each faulty and each saved picture."""
    for number, picture in enumerate(pictures):
        for name in SAVED:
            job: Row = {"part": "faults", "picture": picture.name, "distortion": name}
            job |= dict.fromkeys(("kind", "level", "box"))
            yield lambda picture=picture, name=name: _found(picture.pixels, saved(picture.pixels, name), FULL), job
        for turn, name in enumerate(DISTORTIONS):
            rng = np.random.default_rng([number, turn])
            for local, step in ((False, 0), (True, 2)):
                level = 1 + (number + turn + step) % 5
                box = _box(rng) if local else FULL
                job = {"part": "faults", "picture": picture.name, "distortion": name, "level": level}
                job |= {"kind": DISTORTIONS[name].kind_at(level), "box": box.to_list()}
                job["severity"] = level_severity(name, level)

                def make(
                    picture: Picture = picture,
                    name: str = name,
                    level: int = level,
                    box: Region = box,
                    seed: int = number,
                ) -> Row:
                    region = None if box == FULL else box
                    changed = distort(picture.pixels, name, level, np.random.default_rng(seed), region)
                    return _found(picture.pixels, changed, box)

                yield make, job


def _box(rng: np.random.Generator) -> Region:
    """Return a box of 0.3 to 0.6 of each side, on hundredths."""
    width, height = rng.integers(30, 61, 2)
    left, top = rng.integers(0, 100 - width + 1), rng.integers(0, 100 - height + 1)
    return Region(left / 100, top / 100, (left + width) / 100, (top + height) / 100)


def saved(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return pixels after they were saved in a format of SAVED."""
    codec, feature, options = SAVED[name]
    return encoded(pixels, codec, feature, **options)


def _found(reference: np.ndarray, picture: np.ndarray, box: Region) -> Row:
    left, top, right, bottom = box.to_pixels(reference.shape[1], reference.shape[0])
    change = picture[top:bottom, left:right].astype(np.float64) - reference[top:bottom, left:right]
    regions, _ = measure_regions(reference, picture)
    measured = [[asdict(region), asdict(measured)] for region, measured in regions]
    return {"change": float(np.sqrt((change**2).mean())), "measured": measured}


def ladders(pictures: list[Picture], args: argparse.Namespace) -> Iterator[tuple[Any, Row]]:
    """Yield a function and the row's head for each picture, distortion and level."""
    for number, picture in enumerate(pictures):
        for name in LADDERS:
            for level in range(1, 6):

                def make(picture: Picture = picture, name: str = name, level: int = level, seed: int = number) -> Row:
                    changed = distort(picture.pixels, name, level, np.random.default_rng(seed))
                    row = _found(picture.pixels, changed, FULL)
                    return row | {"measures": measure_all(picture.pixels, changed)}

                yield make, {"part": "ladders", "picture": picture.name, "distortion": name, "level": level}


def generated(pictures: list[Picture], args: argparse.Namespace) -> Iterator[tuple[Any, Row]]:
    """Yield a function and the row's head for each fault: measures and faults by both references, and the judge's."""
    from snellen.assessor import Assessor
    from snellen.comparison.generated import generate_reference

    assessor = Assessor(args.model)
    originals: dict[int, float | None] = {}
    for round_, name in enumerate(GENERATED * len(pictures)):
        number = (round_ + round_ // len(GENERATED)) % len(pictures)  # so that a part of the run has all faults
        picture, level = pictures[number], 4 if name == "contrast" else 3 + round_ % 3

        def make(picture: Picture = picture, name: str = name, level: int = level, seed: int = number) -> Row:
            if seed not in originals:
                originals[seed] = assessor.assess([picture])[0].score
            pixels = distort(picture.pixels, name, level, np.random.default_rng(seed))
            pseudo = generate_reference(Picture(pixels, picture.name), assessor)
            true, guess = _found(picture.pixels, pixels, FULL), _found(pseudo.reference.pixels, pixels, FULL)
            return {
                "true": true | {"measures": measure_all(picture.pixels, pixels)},
                "pseudo": guess | {"measures": measure_all(pseudo.reference.pixels, pixels)},
                "judge": [[one.kind, one.severity, one.region.to_list()] for one in pseudo.restoration.first.issues],
                "scores": [originals[seed], *pseudo.scores],
                "stds": pseudo.stds,
                "undone": [[one.issue.kind, one.issue.severity, one.tool] for one in pseudo.restoration.accepted],
                "steps": len(pseudo.restoration.accepted),
            }

        job = {"part": "generated", "picture": picture.name, "distortion": name, "level": level}
        yield make, job | {"kind": DISTORTIONS[name].kind_at(level)}


if __name__ == "__main__":
    main()
