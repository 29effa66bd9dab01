"""Stage 6: fit the photo rating head on features of the frozen ImageNet network and the encoder."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from snellen.backends.onnx import Snellen1Backend
from snellen.data.extremes import LADDERS, extreme
from snellen.data.sample import Sample
from snellen.image import GRID, Picture, load, resample
from snellen.region import FULL
from snellen.snellen1.encoder import encode_mixed, regrid
from snellen.snellen1.files import read_card, write_card
from snellen.snellen1.imagenet_network import FEATURES, ImagenetNetwork
from snellen.snellen1.kernel import Floats, KernelHead
from snellen.snellen1.perception import Perception
from snellen.snellen1.photo_features import rating_features
from snellen.snellen1.photo_rating import PhotoRatingHead
from snellen.train import best_device
from snellen.train.snellen1.cells import RatedViews, StoredViews, ViewPixels, ViewSource, in_batches, read_rated
from snellen.train.snellen1.kernel import fit_kernel
from snellen.train.snellen1.views import ViewStore

LEFT: dict[str, tuple[float, ...]] = {
    "blur": (0.85, 0.65, 0.38, 0.17, 0.06, 0.02, 0.0),
    "noise": (0.93, 0.8, 0.58, 0.33, 0.12, 0.02),
    "compression": (1.0, 0.95, 0.88, 0.78, 0.5, 0.28, 0.12, 0.02),
    "darkness": (0.95, 0.82, 0.62, 0.47, 0.3, 0.1, 0.03),
}
"""Share of the clean picture's rating above 1 that is left at each step of an extreme ladder. Our assumption: it falls
at every step, to nothing at the end."""
FOLDS = 5
LEFT_OUT = "left_out.json"
"""By file name, what the head's rating of a picture of the second set changes by when it is left out (JSON)."""
LADDER_SIDES = (512, 768, 512, 1024)
"""Long sides, px, that the photographs of the ladders are reduced to, in turn."""


@dataclass(frozen=True)
class PhotoRatingOptions:
    """components: of the kernel head. ridge, width: see `fit_kernel`. ladder_weight: of a degraded picture; a rated one
    weighs 1. second_ridge: of the linear expert, relative to the mean squared length of its features."""

    components: int = 256
    ridge: float = 0.5
    width: float = 0.3
    ladder_weight: float = 0.3
    second_ridge: float = 1.0


@dataclass(frozen=True, eq=False)
class RatedFeatures:
    """N rated pictures: features (N, D), mos (N,), 1..5."""

    features: npt.NDArray[np.float32]
    mos: Floats


@dataclass(frozen=True, eq=False)
class LadderFeatures:
    """Clean and degraded photographs: features (N, D). photograph (N,): its number. left (N,): see `LEFT`, 1 where it
    is clean. Photographs come in order, each clean first."""

    features: npt.NDArray[np.float32]
    photograph: npt.NDArray[np.int64]
    left: Floats


def run_photo_rating(
    options: PhotoRatingOptions,
    perception_file: Path,
    cells: Path,
    second: Sequence[Sample],
    photographs: Sequence[str],
    stores: Sequence[Path],
    out: Path,
) -> None:
    """Fit the photo rating head; writes out/photo_rating.npz, out/perception.pt with the ImageNet network's published
    weights, and ratings of all views for stage 7 (`write_out_of_fold`).

    cells: folder of `run_cells`, for its rated.jsonl. second: rated pictures of the second set, training part.
    photographs: clean ones, for the ladders. stores: folders of synthetic views.
    """
    perception = Perception.open(perception_file)
    perception.imagenet_network = ImagenetNetwork.pretrained()
    out.mkdir(parents=True, exist_ok=True)
    perception.save(out / "perception.pt")
    pictures = read_rated(cells / "rated.jsonl")
    views = view_features(perception, RatedViews(pictures))
    whole, mos = views[0::2], np.array([one.mos for one in pictures])
    others, other_mos = view_features(perception, WholeViews(second)), np.array([one.mos for one in second], float)
    held = np.array([one.held_out for one in pictures])
    ladders = ladder_features(perception, photographs)
    first = RatedFeatures(whole[~held], mos[~held])
    alone = fit_photo_rating(options, first, RatedFeatures(others, other_mos), ladders)
    scale = alone.experts(others.astype(np.float64))[:, 0]
    rated = RatedFeatures(others, aligned(other_mos, scale))
    head = fit_photo_rating(options, first, rated, ladders)
    head.save(out / "photo_rating.npz")
    shift = left_out_shift(head.kernel, rated, options.second_ridge)
    names = [Path(one.path).name for one in second]
    (out / LEFT_OUT).write_text(json.dumps(dict(zip(names, shift.round(4).tolist(), strict=True))), encoding="utf-8")
    fold = np.array([-1 if one.held_out else fold_of(one.group) for one in pictures])
    write_out_of_fold(options, RatedFeatures(views, mos), fold, rated, ladders, out / "rated.npy")
    for folder in stores:
        synthetic = view_features(perception, StoredViews(ViewStore(folder)))
        np.save(out / f"{folder.name}.npy", head(synthetic.astype(np.float64)).astype(np.float32))


def fold_of(group: str) -> int:
    """Return the fold of a picture, given its group of near-duplicates."""
    return zlib.crc32(Path(group).name.encode()) % FOLDS


class Ladders(Dataset[ViewPixels]):
    """Every step of every extreme ladder of photographs, one photograph at a time, clean first."""

    def __init__(self, photographs: Sequence[str]) -> None:
        self.photographs = photographs
        self.each = 1 + sum(map(len, LADDERS.values()))
        self.count = len(photographs) * self.each

    def __len__(self) -> int:
        return len(self.photographs)

    def __getitem__(self, i: int) -> ViewPixels:
        pixels = resample(load(self.photographs[i]), FULL, LADDER_SIDES[i % len(LADDER_SIDES)])
        steps = [(name, step) for name, values in LADDERS.items() for step in range(len(values))]
        views = [Picture(one, "").view() for one in (pixels, *(extreme(pixels, *step, i) for step in steps))]
        return [(view.overview, view.fragments) for view in views]


class WholeViews(Dataset[ViewPixels]):
    """The view of the whole of each picture."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples, self.count = samples, len(samples)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> ViewPixels:
        view = load(self.samples[i].path).view()
        return [(view.overview, view.fragments)]


@torch.no_grad()
def view_features(perception: Perception, views: ViewSource) -> npt.NDArray[np.float32]:
    """Return the photo rating head's features of all views, in order, (N, D)."""
    device = best_device()
    perception.to(device)
    rows = []
    for batch in in_batches(views):
        overviews, fragments = zip(*batch, strict=True)
        imagenet = encode_mixed(perception.imagenet_network, device, overviews)
        cells = encode_mixed(perception.encoder.everything, device, fragments)
        for one, cell in zip(imagenet, cells, strict=True):
            parts = rating_features(one.cpu().numpy(), regrid(cell, GRID, GRID).cpu().numpy())
            rows.append(np.concatenate(parts).astype(np.float32))
    return np.stack(rows)


def ladder_features(perception: Perception, photographs: Sequence[str]) -> LadderFeatures:
    """Return the features of the extreme ladders of photographs."""
    ladders = Ladders(photographs)
    left = [1.0, *(share for shares in LEFT.values() for share in shares)]
    number = np.repeat(np.arange(len(photographs)), ladders.each)
    return LadderFeatures(view_features(perception, ladders), number, np.tile(left, len(photographs)))


def fit_photo_rating(
    options: PhotoRatingOptions, first: RatedFeatures, second: RatedFeatures, ladders: LadderFeatures | None = None
) -> PhotoRatingHead:
    """Fit both experts: the first on its rated set and the ladders, if any, the second on its rated set alone.

    The rating of a degraded photograph is 1 + left (r - 1), with the rating r that the first expert, fitted without the
    ladders, gives to the clean one.
    """
    blocks = (FEATURES, first.features.shape[1] - FEATURES)
    plain = _first_expert(options, blocks, first.features, first.mos, np.ones(len(first.mos)), second.features)
    if ladders is None:
        return PhotoRatingHead(plain, *_linear(plain, second, options.second_ridge))
    starts = np.unique(ladders.photograph, return_index=True)[1]
    clean = plain.predict(ladders.features[starts].astype(np.float64))[:, 0]
    degraded = 1.0 + ladders.left * (clean[ladders.photograph] - 1.0)
    kernel = _first_expert(
        options,
        blocks,
        np.concatenate([first.features, ladders.features]),
        np.concatenate([first.mos, degraded]),
        np.concatenate([np.ones(len(first.mos)), np.full(len(degraded), options.ladder_weight)]),
        second.features,
    )
    return PhotoRatingHead(kernel, *_linear(kernel, second, options.second_ridge))


def _first_expert(
    options: PhotoRatingOptions,
    blocks: tuple[int, int],
    features: npt.NDArray[np.float32],
    mos: Floats,
    weight: Floats,
    others: npt.NDArray[np.float32],
) -> KernelHead:
    """Fit the kernel head. others: pictures that are not rated here, but count when the features are standardised."""
    known = weight == 1.0
    pad = np.zeros(len(others))
    head = fit_kernel(
        np.concatenate([features, others]),
        blocks,
        np.concatenate([mos, pad])[:, None],
        np.concatenate([weight, pad])[:, None],
        (options.ridge,),
        (options.width,),
        options.components,
        np.concatenate([known, np.ones(len(others), bool)]),
    )
    used = slice(0, len(features))
    kept = {one.name: getattr(head, one.name) for one in fields(KernelHead)}
    return KernelHead(**kept | {"landmarks": head.landmarks[used], "dual": head.dual[used]})


def _linear(kernel: KernelHead, rated: RatedFeatures, ridge: float) -> tuple[Floats, Floats]:
    """Slope (D,) and intercept () of ridge regression on standardised features, by its dual form."""
    features = kernel.standardised(rated.features.astype(np.float64))
    centre, mean = features.mean(axis=0), rated.mos.mean()
    centred = features - centre
    gram = centred @ centred.T
    dual = np.linalg.solve(gram + ridge * np.trace(gram) / len(gram) * np.eye(len(gram)), rated.mos - mean)
    slope = dual @ centred
    return slope, np.array(mean - centre @ slope)


def left_out_shift(kernel: KernelHead, rated: RatedFeatures, ridge: float) -> Floats:
    """Return the change of the head's rating of each picture of the second set when the second expert is fitted without
    that picture, (N,), MOS.

    It is half of the expert's own change, as the rating is the mean of both. Of ridge regression it is closed: the
    residual e_i becomes e_i / (1 - h_i), h_i the diagonal of 1 / N + G (G + penalty I)^-1 (Allen's PRESS, 1974).
    """
    features = kernel.standardised(rated.features.astype(np.float64))
    centred = features - features.mean(axis=0)
    gram = centred @ centred.T
    penalty = ridge * np.trace(gram) / len(gram)
    hat = 1.0 / len(gram) + gram @ np.linalg.inv(gram + penalty * np.eye(len(gram)))
    residual = rated.mos - hat @ rated.mos
    leverage = np.diag(hat)
    out: Floats = -0.5 * residual * leverage / (1.0 - leverage)
    return out


def add_rating_line(model: Path, held_out: Sequence[Sample]) -> None:
    """Write the least-squares line from the head's ratings to the MOS of held-out pictures into a model's card."""
    backend = Snellen1Backend(model)
    backend.rating_line = (0.0, 1.0)
    rated = [backend.view_features(load(sample.path).view(), mirrored=False).rating for sample in held_out]
    slope, intercept = np.polyfit(rated, [float(sample.mos or np.nan) for sample in held_out], 1)
    card = read_card(model)
    card["rating_line"] = [round(float(intercept), 4), round(float(slope), 4)]
    write_card(model, card)


def aligned(mos: Floats, rated: Floats) -> Floats:
    """Return the MOS of one set, (N,), on the scale of another, given ratings of the same pictures on that scale.

    mean + a (mos - mean(mos)), a = std(rated) / std(mos) / sqrt(r): the ratings vary less than opinions by about their
    correlation r with them, and so, to a part, do opinions.
    """
    r = float(np.corrcoef(mos, rated)[0, 1])
    slope = rated.std() / mos.std() / np.sqrt(max(r, 0.25))
    out: Floats = rated.mean() + slope * (mos - mos.mean())
    return out


def write_out_of_fold(
    options: PhotoRatingOptions,
    views: RatedFeatures,
    fold: npt.NDArray[np.int64],
    second: RatedFeatures,
    ladders: LadderFeatures,
    file: Path,
) -> None:
    """Write ratings of both views of each rated picture by a head that was fitted without its fold.

    views: features of the 2 N views, in pairs, and MOS of the N pictures. fold (N,): of the pictures, -1 where held
    out.
    """
    whole = views.features[0::2]
    rated = np.zeros(len(views.features), np.float32)
    for one in np.unique(fold):
        rest = (fold != one) & (fold >= 0)
        head = fit_photo_rating(options, RatedFeatures(whole[rest], views.mos[rest]), second, ladders)
        chosen = np.repeat(fold == one, 2)
        rated[chosen] = head(views.features[chosen].astype(np.float64))
    np.save(file, rated)
