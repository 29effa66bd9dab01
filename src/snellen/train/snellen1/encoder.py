"""Stage 1: train the encoder on quality: MOS of rated pictures; place, kind and severity of known faults.

Reads top to bottom: next views, forward, losses, step. Checkpoints and resumes. The score head that is trained here is
also a baseline: every claim about the whole model is held against it.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from snellen.data.sample import Sample, read_manifest
from snellen.snellen1.encoder import WIDTH, load_imagenet
from snellen.snellen1.perception import Perception
from snellen.train import best_device
from snellen.train.checkpoint import follow, keep, rate_at, resume
from snellen.train.snellen1 import fault_head
from snellen.train.snellen1.example import ViewExample
from snellen.train.snellen1.fault_head import fault_losses, validate_fault_head
from snellen.train.snellen1.views import HELD_OUT, Mixture, ViewStore, batches, rated_view, training_pictures

WEIGHTS = {"mos": 1.0, "alone": 0.3, "plcc": 0.5} | fault_head.WEIGHTS
"""Weight of each part of the loss."""
SYNTHETIC_WEIGHT = 0.4
"""Weight of the MOS of a synthetic view, which is a formula's; a human one weighs 1."""
CROPS = 0.3
"""Share of rated views that are crops, see `Mixture`."""


@dataclass(frozen=True)
class EncoderOptions:
    """steps of `batch` views, `synthetic` of them from a store. encoder_rate, head_rate: peak learning rates.
    frozen: leading blocks that keep ImageNet's weights. average: decay of the mean of the weights over the steps.
    scaling_batches: batches that the scale of the fault head's inputs is fitted to before the first step. held_out:
    rated pictures kept for validation."""

    steps: int = 1500
    batch: int = 16
    synthetic: int = 5
    encoder_rate: float = 4e-4
    head_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warmup: int = 60
    frozen: int = 3
    average: float = 0.997
    scaling_batches: int = 20
    held_out: int = HELD_OUT
    seed: int = 0
    checkpoint_every: int = 100
    validate_every: int = 475


def run_encoder(
    options: EncoderOptions,
    manifest: Path,
    store: Path,
    out: Path,
    start: Path | None = None,
    teacher: Path | None = None,
) -> None:
    """Train encoder, score head and fault head on rated pictures and stored views; writes out/perception.pt.

    start: perception.pt to begin from instead of ImageNet's weights. teacher: perception.pt whose ratings are half of
    the target of rated pictures, see `distilled`.
    """
    train, held = training_pictures(read_manifest(manifest), options.held_out)
    views = ViewStore(store)
    if teacher is not None:
        train = distilled(train, teacher, out / "distilled.json")
    validation = [rated_view(sample) for sample in held] + [views[i] for i in views.held_out]
    rated = options.batch - options.synthetic

    def mixture(skip: int) -> Iterator[list[ViewExample]]:
        return batches(Mixture(train, views, rated, options.synthetic, CROPS, options.seed, skip))

    train_encoder(options, mixture, validation, out, start)


def distilled(samples: Sequence[Sample], teacher: Path, file: Path) -> list[Sample]:
    """Return the samples with the mean of their MOS and the teacher's rating as MOS; ratings are kept in `file`.

    Labels are noisy, and an encoder that sees one a fourth time learns the noise (after born-again networks, Furlanello
    et al. 2018, arXiv 1805.04770).
    """
    if not file.exists():
        perception = Perception.open(teacher)
        ratings: dict[str, float] = {}
        for begin in range(0, len(samples), 16):
            batch = samples[begin : begin + 16]
            views = [rated_view(sample) for sample in batch]
            with torch.no_grad():
                cells = perception.cells([view.overview for view in views], [view.fragments for view in views])
                rated = perception.encoder_ratings(cells).tolist()
            ratings |= {sample.path: round(rating, 3) for sample, rating in zip(batch, rated, strict=True)}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(ratings))
    ratings = json.loads(file.read_text())
    return [replace(one, mos=0.5 * (one.mos + ratings[one.path])) for one in samples if one.mos is not None]


def correlation_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return 1 - PLCC over a batch, (N,) each; independent of shift and scale."""
    a, b = predicted - predicted.mean(), target - target.mean()
    out: Tensor = 1.0 - (a * b).sum() / (a.norm() * b.norm() + 1e-6)
    return out


def view_losses(perception: Perception, views: Sequence[ViewExample]) -> dict[str, Tensor]:
    """Return the parts of the loss for one batch of views, each a scalar, not yet weighted."""
    head = perception.score_head
    cells = perception.cells([view.overview for view in views], [view.fragments for view in views])
    mos = torch.tensor([view.mos for view in views], device=cells.device)
    rated = torch.tensor([view.rated for view in views], device=cells.device)
    pools = torch.cat([head.pool(part) for part in cells[:, :, :WIDTH].unbind(1)], dim=1)
    rating = head.rating(head.summary(pools))
    half = pools.shape[1] // 2
    alone = [3.0 + head.alone(part)[:, 0] for part in (pools[:, :half], pools[:, half:])]
    weight = torch.where(rated, 1.0, SYNTHETIC_WEIGHT)
    parts = {
        "mos": (F.smooth_l1_loss(rating, mos, beta=0.3, reduction="none") * weight).mean(),
        "alone": torch.stack(
            [(F.smooth_l1_loss(a, mos, beta=0.3, reduction="none") * weight).mean() for a in alone]
        ).mean(),
        "plcc": correlation_loss(rating[rated], mos[rated]) if int(rated.sum()) > 3 else rating.sum() * 0,
    }
    faults = [view.fault for view in views if not view.rated]
    if faults:
        parts |= fault_losses(perception.fault_head, faults, cells[~rated])
    return parts


def train_encoder(
    options: EncoderOptions,
    batches: Callable[[int], Iterator[list[ViewExample]]],
    validation: Sequence[ViewExample],
    out: Path,
    start: Path | None = None,
    stop: int | None = None,
) -> None:
    """Train encoder, score head and fault head; writes out/perception.pt (averaged weights) and out/log.jsonl.

    batches: given a number of batches to skip, the endless rest. start: perception.pt to begin from instead of
    ImageNet's weights. Resumes from out/checkpoint.pt. stop: end after this many steps of the schedule, with a
    checkpoint, as a killed run does.
    """
    torch.manual_seed(options.seed)
    model = _initial(start, options, batches).to(best_device())
    average = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = _optimizer(model, options)
    out.mkdir(parents=True, exist_ok=True)
    (out / "options.json").write_text(json.dumps(asdict(options), indent=1))
    first = resume(out / "checkpoint.pt", model, optimizer, average)
    following = batches(first)
    began = time.time()
    last = min(options.steps, stop or options.steps)
    for step in range(first, last):
        ramp = rate_at(step, options.steps, options.warmup)
        for group, rate in zip(optimizer.param_groups, (options.encoder_rate, options.head_rate), strict=True):
            group["lr"] = rate * ramp
        model.train()
        model.fault_head.scale.eval()  # a batch has too few synthetic views to estimate the scale of their features
        parts = view_losses(model, next(following))
        loss = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 5.0)
        optimizer.step()
        follow(average, model.state_dict(), step, options.average)
        row: dict[str, float] = {"step": step + 1, "seconds": round(time.time() - began, 1)}
        row |= {name: round(part.item(), 4) for name, part in parts.items()}
        done = step + 1 == last
        if (step + 1) % options.validate_every == 0 or done:
            raw = {name: value.clone() for name, value in model.state_dict().items()}
            model.load_state_dict(average)
            row |= validate(model, validation)
            model.load_state_dict(raw)
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        if (step + 1) % options.checkpoint_every == 0 or done:
            keep(out / "checkpoint.pt", step + 1, model, optimizer, average)
            _save(average, out / "perception.pt")


def _initial(
    start: Path | None, options: EncoderOptions, batches: Callable[[int], Iterator[list[ViewExample]]]
) -> Perception:
    """Return ImageNet's weights, or those of `start`; stem and frozen blocks require no gradients."""
    if start is not None:
        perception = Perception.open(start)
    else:
        perception = Perception()
        load_imagenet(perception.encoder)
        perception.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in [perception.encoder.stem, *perception.encoder.blocks[: options.frozen]]:
        module.requires_grad_(False)
    if start is None:
        perception.to(best_device())
        _fit_scale(perception, itertools.islice(batches(0), options.scaling_batches))
    return perception


@torch.no_grad()
def _fit_scale(perception: Perception, batches: Iterable[list[ViewExample]]) -> None:
    """Fit the scale of the fault head's inputs to the synthetic views in some batches."""
    scale = perception.fault_head.scale.train()
    for views in batches:
        made = [view for view in views if not view.rated]
        if made:
            cells = perception.cells([view.overview for view in made], [view.fragments for view in made])
            scale(torch.cat([cells[:, 0, WIDTH:], cells[:, 1, WIDTH:]], dim=1))


def _optimizer(perception: Perception, options: EncoderOptions) -> torch.optim.AdamW:
    """Return an optimizer with a higher learning rate for new layers than for the pretrained backbone."""
    encoder = perception.encoder
    new = [*encoder.cell.parameters(), *encoder.norm.parameters()]
    new += [*perception.score_head.parameters(), *perception.fault_head.parameters()]
    old = [p for block in encoder.blocks for p in block.parameters() if p.requires_grad]
    groups = [{"params": old, "lr": options.encoder_rate}, {"params": new, "lr": options.head_rate}]
    return torch.optim.AdamW(groups, weight_decay=options.weight_decay, betas=(0.9, 0.98))


def _save(state: dict[str, Tensor], file: Path) -> None:
    """Write the joint state of a `Perception` as `Perception.open` reads it."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = value.cpu()
    torch.save(parts, file)


@torch.no_grad()
def validate(perception: Perception, views: Sequence[ViewExample]) -> dict[str, float]:
    """Return SRCC and PLCC of the score head on rated views, and `validate_fault_head` of the others."""
    from scipy.stats import pearsonr, spearmanr

    perception.eval()
    ratings, cells = [], []
    for begin in range(0, len(views), 16):
        batch = views[begin : begin + 16]
        features = perception.cells([view.overview for view in batch], [view.fragments for view in batch])
        rated = torch.tensor([view.rated for view in batch], device=features.device)
        ratings.append(perception.encoder_ratings(features[rated]).cpu())
        cells.append(features[~rated])
    both = torch.cat(ratings).numpy(), [view.mos for view in views if view.rated]
    row = {"held_srcc": round(float(spearmanr(*both)[0]), 4), "held_plcc": round(float(pearsonr(*both)[0]), 4)}
    faults = [view.fault for view in views if not view.rated]
    if faults:
        row |= validate_fault_head(perception.fault_head, faults, torch.cat(cells))
    return row


def average_weights(files: Sequence[Path], out: Path) -> None:
    """Write out/perception.pt, the mean of the weights of several perception.pt.

    A model that trained longer is better at faults and worse at ratings; the mean of both keeps both (model soups,
    Wortsman et al. 2022, arXiv 2203.05482). It is worthless for models that did not start from each other.
    """
    several = [torch.load(file, weights_only=True, map_location="cpu") for file in files]
    mean = {
        part: {
            name: torch.stack([one[part][name] for one in several]).mean(dim=0) if value.is_floating_point() else value
            for name, value in weights.items()
        }
        for part, weights in several[-1].items()
    }
    out.mkdir(parents=True, exist_ok=True)
    torch.save(mean, out / "perception.pt")
