r"""Step 3 of the recipe: everything that does not change while the decoder learns, computed once.

    python runs/vectors.py --vision build/vision/vision.pt --manifest build/biq2021.jsonl \
        --looks build/looks --out build/vectors

For every real training picture two looks (the whole, and the part with most detail) and for every stored synthetic
look: what the trained encoder says, and for whole pictures the raw features of the untouched ImageNet encoder on the
small view, from which `first_ratings` predicts out of fold what can be known at a glance.
"""

from __future__ import annotations

import argparse
import json
import zlib
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from snellen.backends.bundled import GRID_SIDE, pool_all, pool_grid
from snellen.data.features import features
from snellen.data.sample import Sample, read_manifest
from snellen.data.sources import leak_free
from snellen.data.synthesize import Recipe, read_recipes
from snellen.image import ZOOM_PRESETS, load, look
from snellen.model.export import export_encoder
from snellen.model.vision import SUMMARY, WIDTH, Encoder, Glance, load_imagenet
from snellen.region import Region
from snellen.train.looks import HELD_OUT, LookStore, hold_out

FOLDS = 5


class Eyes:
    """The two encoders of one worker process, run as they will be shipped."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.encoder, self.plain = (
            onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options) for name in ("encoder", "plain")
        )
        self.glance = Glance().eval()
        self.glance.load_state_dict(torch.load(folder / "glance.pt", weights_only=True))
        torch.set_num_threads(1)

    @torch.no_grad()
    def see(self, overview: np.ndarray, fragments: np.ndarray) -> dict[str, np.ndarray]:
        """Summary, pooled cells and the plain head's rating of one look."""
        cells = [self.encoder.run(None, {"picture": picture[None]})[0][0] for picture in (overview, fragments)]
        pools = torch.from_numpy(np.concatenate([pool_all(c) for c in cells]))[None]
        summary = self.glance.summary(pools)
        rows = {"summary": summary[0].numpy(), "overview": pool_grid(cells[0]), "fragments": pool_grid(cells[1])}
        return rows | {"plain": self.glance.rating(summary).numpy()}

    def glimpse(self, overview: np.ndarray) -> np.ndarray:
        """Untrained features of the small view, (2 RAW,)."""
        return pool_all(self.plain.run(None, {"picture": overview[None]})[0][0].transpose(2, 0, 1))


class Untrained(Encoder):
    """The encoder as ImageNet left it, read before the cell vectors."""

    def forward(self, pictures: Tensor) -> Tensor:
        return self.raw(pictures)


def export_eyes(vision: Path, folder: Path) -> None:
    """Write both encoders and the glance head where the worker processes find them."""
    state = torch.load(vision, weights_only=True)
    encoder, plain = Encoder(), Untrained()
    encoder.load_state_dict(state["encoder"])
    load_imagenet(plain)
    export_encoder(encoder, folder / "encoder.onnx")
    export_encoder(plain, folder / "plain.onnx")
    torch.save(state["glance"], folder / "glance.pt")


EYES: Eyes
STORE: LookStore
RECIPES: list[Recipe]


def prepare(folder: Path, looks: Path) -> None:
    global EYES, STORE, RECIPES
    EYES, STORE, RECIPES = Eyes(folder), LookStore(looks), list(read_recipes(looks / "recipes.jsonl"))


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


def real(job: tuple[int, bool, Sample]) -> tuple[dict[str, object], list[dict[str, np.ndarray]], np.ndarray]:
    """One human-rated picture: its line in the index, its two looks, its glimpse."""
    number, held_out, sample = job
    picture = load(sample.path)
    whole = look(picture)
    side = float(np.random.default_rng(number).uniform(0.4, 0.7))
    crop = ZOOM_PRESETS["snellen"].settle(busiest(whole.overview, side), picture.width, picture.height)
    part = look(picture, crop)
    row = {
        "path": sample.path,
        "group": sample.group,
        "held_out": held_out,
        "mos": sample.mos,
        "real": True,
        "region": crop.to_list(),
        "fault": None,
        "size": [picture.width, picture.height],
        "measured": features(picture).to_dict(),
    }
    seen = [EYES.see(view.overview, view.fragments) for view in (whole, part)]
    return row, seen, EYES.glimpse(whole.overview)


def synthetic(first: int) -> tuple[dict[str, object], list[dict[str, np.ndarray]], np.ndarray]:
    """One synthetic picture: the stored looks `first` and `first` + 1."""
    looks = [STORE[first], STORE[first + 1]]
    known = STORE.rows[first + 1]
    recipe, fault = RECIPES[known["recipe"]], STORE.rows[first]["fault"]
    row = {
        "recipe": known["recipe"],
        "group": recipe.source,
        "held_out": first in STORE.held_out,
        "mos": looks[0].mos,
        "real": False,
        "region": known["region"],
        "fault": [recipe.kind, *fault[1:]] if recipe.kind else None,
        "size": known["size"],
        "measured": features(looks[0].fragments).to_dict(),  # the tiles are the native pixels that are left
    }
    return row, [EYES.see(one.overview, one.fragments) for one in looks], EYES.glimpse(looks[0].overview)


def first_ratings(
    glimpses: np.ndarray, mos: np.ndarray, groups: np.ndarray, ridge: float = 300.0, low: float = 1.0
) -> np.ndarray:
    """Out-of-fold ridge predictions of `mos`, (N,), at least `low`: no model saw the picture or its group."""
    x = (glimpses - glimpses.mean(0)) / (glimpses.std(0) + 1e-6)
    fold = groups % FOLDS
    predicted = np.zeros(len(mos))
    for k in range(FOLDS):
        fit, test = fold != k, fold == k
        mean = mos[fit].mean()
        weights = np.linalg.solve(x[fit].T @ x[fit] + ridge * np.eye(x.shape[1]), x[fit].T @ (mos[fit] - mean))
        predicted[test] = x[test] @ weights + mean
    return np.clip(predicted, low, 5.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vision", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--looks", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--real", type=int, help="use only so many real training pictures")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    train, held = hold_out(leak_free(read_manifest(args.manifest)), HELD_OUT)
    store = LookStore(args.looks)
    usable = {*store.trained, *store.held_out}
    firsts = [i for i in range(0, len(store), 2) if i in usable]
    train = train[: args.real]
    samples = [*train, *held]
    count = 2 * (len(samples) + len(firsts))
    args.out.mkdir(parents=True, exist_ok=True)
    export_eyes(args.vision, args.out)
    shapes = {
        "summary": (SUMMARY,),
        "overview": (GRID_SIDE**2, WIDTH),
        "fragments": (GRID_SIDE**2, WIDTH),
        "plain": (1,),
    }
    arrays = {
        name: np.lib.format.open_memmap(args.out / f"{name}.npy", mode="w+", dtype=np.float16, shape=(count, *shape))
        for name, shape in shapes.items()
    }
    rows, glimpses, at = [], [], 0
    with Pool(args.workers, prepare, (args.out, args.looks)) as pool:
        for work, jobs in ((real, [(i, i >= len(train), s) for i, s in enumerate(samples)]), (synthetic, firsts)):
            for row, seen, glimpse in pool.imap(work, jobs, chunksize=16):  # type: ignore[arg-type]
                for one in seen:
                    for name, value in one.items():
                        arrays[name][at] = value
                    at += 1
                rows.append(row | {"look": at - 2, "plain": float(seen[0]["plain"][0])})
                glimpses.append(glimpse)
    groups = np.array([zlib.crc32(str(row["group"]).encode()) for row in rows])
    mos = np.array([row["mos"] for row in rows], float)
    first, spread = np.zeros(len(rows)), np.zeros(len(rows))
    is_real = np.array([row["real"] for row in rows])
    for part in (is_real, ~is_real):
        first[part] = first_ratings(np.stack(glimpses)[part], mos[part], groups[part])
        missed = np.abs(first[part] - mos[part])
        # for a normal error the standard deviation is 1.25 times the mean absolute one
        spread[part] = 1.25 * np.clip(first_ratings(np.stack(glimpses)[part], missed, groups[part], low=0.0), 0.05, 2.0)
        print(
            "first look, out of fold: PLCC", round(float(np.corrcoef(first[part], mos[part])[0, 1]), 4), int(part.sum())
        )
    with (args.out / "examples.jsonl").open("w") as file:
        for row, rating, std in zip(rows, first, spread, strict=True):
            file.write(json.dumps(row | {"first": round(float(rating), 3), "first_std": round(float(std), 3)}) + "\n")


if __name__ == "__main__":
    main()
