"""Stage 4: train the heads of the ImageNet rater on features of the frozen ImageNet network.

Cross-fitted: each head is trained on all folds of the pictures but its own, so each picture has a head that never saw
it. The rating head learns from that head's rating of training pictures: it has to learn how far a rating can be
trusted, and cannot from heads that know the picture.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from snellen.data.synthesize import read_recipes
from snellen.snellen1.encoder import encode_mixed, load_imagenet
from snellen.snellen1.imagenet_rater import HEADS, ImagenetRater
from snellen.snellen1.imagenet_view import imagenet_view
from snellen.snellen1.perception import Perception
from snellen.train import best_device
from snellen.train.checkpoint import rate_at
from snellen.train.snellen1.cells import (
    RatedPicture,
    RatedViews,
    StoredViews,
    ViewSource,
    in_batches,
    read_rated,
    sixteen_bits,
)
from snellen.train.snellen1.views import ViewStore


@dataclass(frozen=True)
class ImagenetRaterOptions:
    """steps of `rated` views of rated pictures and `synthetic` others. rate: peak learning rate. synthetic_weight: of
    the MOS of a synthetic picture; a human one weighs 1."""

    steps: int = 5000
    rated: int = 48
    synthetic: int = 16
    rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 50
    synthetic_weight: float = 0.4
    seed: int = 0


@dataclass(frozen=True)
class FeatureTable:
    """N views to learn from. features (N, FEATURES); mos (N,), 1..5; fold (N,), see `fold_of`; rated (N,) bool: the MOS
    is of people; trained (N,) bool: False for held-out views, and for those of invisible faults."""

    features: Tensor
    mos: Tensor
    fold: Tensor
    rated: Tensor
    trained: Tensor


def run_imagenet_rater(
    options: ImagenetRaterOptions, perception_file: Path, cells: Path, stores: Sequence[Path], out: Path
) -> None:
    """Train the ImageNet rater; writes out/perception.pt, and its out-of-fold ratings of all views.

    cells: folder of `run_cells`, for its rated.jsonl. The ratings are rated.npy and NAME.npy for each store, in the
    order of the cell features, float32.
    """
    torch.manual_seed(options.seed)
    perception = Perception.open(perception_file, complete=False)
    rater = ImagenetRater().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    load_imagenet(rater, rater.last)
    perception.imagenet_rater = rater
    out.mkdir(parents=True, exist_ok=True)
    names = ["rated", *(folder.name for folder in stores)]
    parts = [rated_table(rater, read_rated(cells / "rated.jsonl"))]
    parts += [store_table(rater, folder) for folder in stores]
    table = FeatureTable(
        **{one.name: torch.cat([getattr(part, one.name) for part in parts]) for one in fields(FeatureTable)}
    )
    train_imagenet_rater(options, rater, table, out / "log.jsonl")
    perception.save(out / "perception.pt")
    ratings = torch.split(out_of_fold_ratings(rater, table), [len(part.mos) for part in parts])
    for name, rated in zip(names, ratings, strict=True):
        np.save(out / f"{name}.npy", rated.numpy())


def rated_table(rater: ImagenetRater, pictures: Sequence[RatedPicture]) -> FeatureTable:
    """Return both views of each rated picture."""
    twice = [picture for picture in pictures for _ in range(2)]
    return FeatureTable(
        compute_features(rater, RatedViews(pictures)),
        torch.tensor([picture.mos for picture in twice]),
        torch.tensor([fold_of(picture.group) for picture in twice]),
        torch.ones(len(twice), dtype=torch.bool),
        torch.tensor([not picture.held_out for picture in twice]),
    )


def store_table(rater: ImagenetRater, folder: Path) -> FeatureTable:
    """Return all views of a store; their fold is that of the source photograph."""
    store = ViewStore(folder)
    sources = [recipe.source for recipe in read_recipes(folder / "recipes.jsonl")]
    trained = set(store.trained)
    return FeatureTable(
        compute_features(rater, StoredViews(store)),
        torch.tensor([view.mos for view in store.views]),
        torch.tensor([fold_of(sources[view.recipe]) for view in store.views]),
        torch.zeros(len(store), dtype=torch.bool),
        torch.tensor([i in trained for i in range(len(store))]),
    )


@torch.no_grad()
def compute_features(rater: ImagenetRater, views: ViewSource) -> Tensor:
    """Return the features of all views, in order, (N, FEATURES)."""
    device = best_device()
    rater.to(device).eval()
    rows: list[Tensor] = []
    for batch in in_batches(views):
        small = [imagenet_view(overview) for overview, _ in batch]
        with sixteen_bits(device):
            rows += [row.float().cpu() for row in encode_mixed(rater.features, device, small)]
    return torch.stack(rows)


def fold_of(group: str) -> int:
    """Return the fold of a picture, given its group of near-duplicates or its source photograph."""
    return zlib.crc32(Path(group).name.encode()) % HEADS


def train_imagenet_rater(options: ImagenetRaterOptions, rater: ImagenetRater, table: FeatureTable, log: Path) -> None:
    """Train the heads in place; the network itself stays as it is. `log` gets a line of JSON every hundred steps."""
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    device = best_device()
    known = table.features[table.trained & table.rated]
    rater.centre.copy_(known.mean(dim=0))
    rater.spread.copy_(known.std(dim=0) + 1e-3)
    rater.to(device).train()
    learned = [*rater.hidden.parameters(), rater.weight, rater.bias]
    optimizer = torch.optim.AdamW(learned, lr=options.rate, weight_decay=options.weight_decay)
    pools = [np.flatnonzero((table.trained & (table.rated == rated)).numpy()) for rated in (True, False)]
    counts = [n if len(pool) else 0 for pool, n in zip(pools, (options.rated, options.synthetic), strict=True)]
    with log.open("w") as lines:
        lines.write(json.dumps(asdict(options)) + "\n")
        for step in range(options.steps):
            for group in optimizer.param_groups:
                group["lr"] = options.rate * rate_at(step, options.steps, options.warmup)
            drawn = np.concatenate([rng.choice(pool, n) for pool, n in zip(pools, counts, strict=True) if n])
            ratings = rater.heads(table.features[drawn].to(device))
            loss = _loss(ratings, table, torch.from_numpy(drawn), options.synthetic_weight)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if (step + 1) % 100 == 0:
                lines.write(json.dumps({"step": step + 1, "loss": round(loss.item(), 4)}) + "\n")
    rater.trained.fill_(True)
    rater.cpu().eval()


def _loss(ratings: Tensor, table: FeatureTable, drawn: Tensor, synthetic_weight: float) -> Tensor:
    """Return the mean loss over views and over the heads that may learn from them; ratings (n, HEADS)."""
    device = ratings.device
    mos, fold, rated = (part[drawn].to(device) for part in (table.mos, table.fold, table.rated))
    weight = torch.where(rated, 1.0, synthetic_weight)[:, None]
    weight = weight * (fold[:, None] != torch.arange(HEADS, device=device))
    error = F.smooth_l1_loss(ratings, mos[:, None].expand_as(ratings), beta=0.3, reduction="none")
    return (error * weight).sum() / weight.sum()


@torch.no_grad()
def out_of_fold_ratings(rater: ImagenetRater, table: FeatureTable) -> Tensor:
    """Return ratings (N,): of a training view by the head that did not learn from it, of any other the mean of all."""
    each = torch.cat([rater.heads(part) for part in torch.split(table.features, 1024)])
    return torch.where(table.trained, each.gather(1, table.fold[:, None])[:, 0], each.mean(dim=1))
