r"""Step 2 of the recipe: what is known of each picture without the trained encoder. Can run while the encoder trains.

    python runs/known.py --manifest build/biq2021.jsonl --looks build/looks --out build/known

For every real training picture and a share of the synthetic ones: the label, the known fault, and the part that a
second look shows. For those that are written about also the measured features, and what can be known at a glance: an
out-of-fold prediction from features of the untouched ImageNet encoder on the small view. The other
real pictures teach the rating only. Writes examples.jsonl, one picture per line.
"""

from __future__ import annotations

import argparse
import json
import zlib
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import onnxruntime
from torch import Tensor

from snellen.data.first_rating import FOLDS, out_of_fold
from snellen.data.sample import Sample, read_manifest
from snellen.data.synthesize import Recipe, read_recipes
from snellen.features import features
from snellen.image import load
from snellen.region import Region
from snellen.snellen1.encoder import Encoder, load_imagenet
from snellen.snellen1.export import export_encoder
from snellen.train.snellen1.views import HELD_OUT, LookStore, training_pictures
from snellen.zoom import ZOOM_PRESETS

SHRINK = 300.0
"""Of the ridge regression, in pictures; there are over 1,000 features."""
EYE: onnxruntime.InferenceSession
STORES: dict[str, tuple[LookStore, list[Recipe]]]


class Untrained(Encoder):
    """The encoder as ImageNet left it, read before the cell vectors."""

    def forward(self, pictures: Tensor) -> Tensor:
        return self.raw(pictures)


def prepare(eye: Path, looks: list[Path]) -> None:
    global EYE, STORES
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    EYE = onnxruntime.InferenceSession(str(eye), options)
    STORES = {folder.name: (LookStore(folder), list(read_recipes(folder / "recipes.jsonl"))) for folder in looks}


def untaught(overview: np.ndarray) -> np.ndarray:
    """Untrained features of the small view, mean and spread over its cells, (2 RAW,)."""
    cells = EYE.run(None, {"picture": overview[None]})[0][0]
    mean = cells.mean(axis=(0, 1))
    return np.concatenate([mean, np.sqrt(((cells - mean) ** 2).mean(axis=(0, 1)) + 1e-4)]).astype(np.float32)


def busiest(overview: np.ndarray, side: float) -> Region:
    """The square of `side` (fraction) with most edge energy in the small view: where detail can be judged."""
    gray = overview.astype(np.float32).mean(axis=2)
    energy = np.abs(np.diff(gray, axis=0))[:, 1:] + np.abs(np.diff(gray, axis=1))[1:]
    total = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    h, w = (int(n * side) for n in energy.shape)
    sums = total[h:, w:] - total[:-h, w:] - total[h:, :-w] + total[:-h, :-w]
    y, x = np.unravel_index(int(sums.argmax()), sums.shape)
    x0, y0 = x / energy.shape[1], y / energy.shape[0]
    return Region(x0, y0, min(1.0, x0 + side), min(1.0, y0 + side))


def real(job: tuple[int, bool, bool, Sample]) -> tuple[dict[str, object], np.ndarray | None]:
    """One human-rated picture: its line and, where it is written about, what an untaught encoder says of it."""
    number, held_out, written, sample = job
    picture = load(sample.path)
    whole = picture.view()
    side = float(np.random.default_rng(number).uniform(0.4, 0.7))
    crop = ZOOM_PRESETS["snellen"].settle(busiest(whole.overview, side), picture.width, picture.height)
    row = {
        "path": sample.path,
        "group": sample.group,
        "held_out": held_out,
        "mos": sample.mos,
        "real": True,
        "region": crop.to_list(),
        "fault": None,
        "size": [picture.width, picture.height],
    }
    if not written:
        return row, None
    return row | {"measured": features(picture).to_dict()}, untaught(whole.overview)


def synthetic(job: tuple[str, int]) -> tuple[dict[str, object], np.ndarray | None]:
    """One synthetic picture: the looks `first` and `first` + 1 of a store."""
    name, first = job
    store, recipes = STORES[name]
    one, known = store[first], store.rows[first + 1]
    recipe = recipes[known["recipe"]]
    row = {
        "store": name,
        "recipe": known["recipe"],
        "group": recipe.source,
        "held_out": first in store.held_out,
        "mos": one.mos,
        "real": False,
        "region": known["region"],
        "fault": [recipe.distortion, recipe.kind, recipe.level, recipe.region.to_list()] if recipe.kind else None,
        "size": known["size"],
        "measured": features(one.fragments).to_dict(),  # the tiles are the native pixels that are left
    }
    return row, untaught(one.overview)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--looks", type=Path, nargs="+", required=True, help="stores that runs/looks.py left")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--real", type=int, default=4000, help="how many of the real pictures are written about")
    parser.add_argument("--synthetic", type=int, default=6000, help="how many of the synthetic pictures, of all stores")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    train, held = training_pictures(read_manifest(args.manifest))
    stores = {folder.name: LookStore(folder) for folder in args.looks}
    usable = [
        (name, i) for name, store in stores.items() for i in sorted({*store.trained, *store.held_out}) if i % 2 == 0
    ]
    chosen = sorted(np.random.default_rng(0).permutation(len(usable))[: args.synthetic].tolist())
    firsts = [usable[i] for i in chosen]
    args.out.mkdir(parents=True, exist_ok=True)
    plain = Untrained()
    load_imagenet(plain)
    export_encoder(plain, args.out / "plain.onnx")
    samples = [
        (i, i >= len(train), i < args.real or i >= len(train) + HELD_OUT // 2, s) for i, s in enumerate([*train, *held])
    ]
    rows: list[dict[str, object]] = []
    written: list[dict[str, object]] = []
    seen: list[np.ndarray] = []
    with Pool(args.workers, prepare, (args.out / "plain.onnx", args.looks)) as pool:
        for work, jobs in ((real, samples), (synthetic, firsts)):
            for row, one in pool.imap(work, jobs, chunksize=16):
                rows.append(row)
                if one is not None:
                    written.append(row)
                    seen.append(one)
    groups = np.array([zlib.crc32(str(row["group"]).encode()) for row in written])
    mos = np.array([row["mos"] for row in written], float)
    is_real = np.array([row["real"] for row in written])
    for part in (is_real, ~is_real):
        x, folds = np.stack(seen)[part].astype(np.float64), groups[part] % FOLDS
        first = np.clip(out_of_fold(x, mos[part], folds, SHRINK), 1.0, 5.0)
        # for a normal error the standard deviation is 1.25 times the mean absolute one
        missed = np.abs(first - mos[part])
        spread = 1.25 * np.clip(out_of_fold(x, missed, folds, SHRINK), 0.05, 2.0)
        print("first look, out of fold: PLCC", round(float(np.corrcoef(first, mos[part])[0, 1]), 4), len(first))
        for i, rating, std in zip(np.flatnonzero(part), first, spread, strict=True):
            written[i] |= {"first": round(float(rating), 3), "first_std": round(float(std), 3)}
    with (args.out / "examples.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    main()
