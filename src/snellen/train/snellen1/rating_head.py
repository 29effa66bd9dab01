"""Stage 5: train the rating head on the features of first views and of both views, with everything below it frozen.

The few hundred weights of `RatingHead` read the plain ratings and the findings only, which are computed once. Human
ratings weigh more than synthetic ones: the plain rating may have missed the fault of a synthetic picture, but has
learned to count those of photographs, so a finding should move the rating of a photograph less.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from snellen.backend import RATING_GRID
from snellen.region import FULL, Region
from snellen.snellen1.perception import HeadOutputs, Perception
from snellen.snellen1.rating_head import RatingHead, RatingInputs
from snellen.train.checkpoint import rate_at
from snellen.train.snellen1.cells import read_rated
from snellen.train.snellen1.views import ViewStore

GRID = torch.tensor(RATING_GRID, dtype=torch.float32)
BATCH_VIEWS = 64
"""Views that go through the heads at a time; even, so that both views of a picture are in one batch."""


@dataclass(frozen=True)
class RatingHeadOptions:
    """steps of `batch` rounds. rate: peak learning rate. human_weight: of a human rating; a synthetic one weighs 1.
    target_std: width of the target distribution, MOS. expectation_weight: of the error of the mean."""

    steps: int = 4000
    batch: int = 512
    rate: float = 3e-3
    warmup: int = 50
    human_weight: float = 8.0
    target_std: float = 0.15
    expectation_weight: float = 3.0
    seed: int = 0


@dataclass(frozen=True)
class Rounds:
    """N rounds to learn from. mos (N,), 1..5. rated, later, held_out (N,) bool: the MOS is of people; the round follows
    a first one; the picture is for validation."""

    inputs: RatingInputs
    mos: Tensor
    rated: Tensor
    later: Tensor
    held_out: Tensor

    def take(self, chosen: Tensor) -> Rounds:
        """Return some rounds, by indices or by a mask."""
        inputs = RatingInputs(*(part[chosen] for part in self.inputs))
        return Rounds(inputs, self.mos[chosen], self.rated[chosen], self.later[chosen], self.held_out[chosen])


def run_rating_head(
    options: RatingHeadOptions, perception_file: Path, cells: Path, ratings: Path, stores: Sequence[Path], out: Path
) -> None:
    """Train the rating head; writes out/rating_head.pt and out/validation.json.

    cells: folder of `run_cells`. ratings: of `write_out_of_fold`.
    """
    perception = Perception.open(perception_file)
    parts = [rated_rounds(perception, cells, ratings)]
    parts += [stored_rounds(perception, folder, cells, ratings) for folder in stores]
    rounds = joined(parts)
    torch.manual_seed(options.seed)
    head = RatingHead()
    train_rating_head(options, head, rounds.take(~rounds.held_out))
    out.mkdir(parents=True, exist_ok=True)
    torch.save(head.state_dict(), out / "rating_head.pt")
    report = {"options": asdict(options), "held_out": validate(head, rounds.take(rounds.held_out))}
    (out / "validation.json").write_text(json.dumps(report, indent=1) + "\n")


def rated_rounds(perception: Perception, cells: Path, ratings: Path) -> Rounds:
    """Return a first and a second round of every rated picture."""
    pictures = read_rated(cells / "rated.jsonl")
    regions = [region for picture in pictures for region in (FULL, picture.region)]
    mos = torch.tensor([picture.mos for picture in pictures])
    held_out = torch.tensor([picture.held_out for picture in pictures])
    return pair_rounds(perception, _load(cells, ratings, "rated"), regions, mos, held_out, rated=True)


def stored_rounds(perception: Perception, folder: Path, cells: Path, ratings: Path) -> Rounds:
    """Return a first and a second round of every synthetic picture of a store with no fault or a visible one."""
    store = ViewStore(folder)
    usable = {*store.trained, *store.held_out}
    keep = torch.tensor([2 * i in usable for i in range(len(store) // 2)])
    held_out = torch.tensor([2 * i in set(store.held_out) for i in range(len(store) // 2)])
    regions = [view.region for view in store.views]
    mos = torch.tensor([view.mos for view in store.views[::2]])
    rounds = pair_rounds(perception, _load(cells, ratings, store.name), regions, mos, held_out, rated=False)
    return rounds.take(torch.cat([keep, keep]))


Views = tuple[np.ndarray, np.ndarray]
"""Cell features (N, ...) and out-of-fold ratings by the photo rating head (N,) of N views."""


def _load(cells: Path, ratings: Path, name: str) -> Views:
    return np.load(cells / f"{name}.npy", mmap_mode="r"), np.load(ratings / f"{name}.npy")


def pair_rounds(
    perception: Perception, views: Views, regions: Sequence[Region], mos: Tensor, held_out: Tensor, *, rated: bool
) -> Rounds:
    """Return N first rounds, then N second ones, of N pictures, given 2 N views in pairs: the whole and a crop."""
    first_parts, second_parts = [], []
    for outputs, area in _outputs(perception, views, regions):
        first, second = (HeadOutputs(*(part[i::2] for part in outputs)) for i in (0, 1))
        first_parts.append(rating_inputs(first, first, area[0::2]))
        second_parts.append(rating_inputs(first, second, area[1::2]))
    inputs = _cat([*first_parts, *second_parts])
    later = torch.arange(2 * len(mos)) >= len(mos)
    return Rounds(inputs, mos.repeat(2), torch.full((2 * len(mos),), rated), later, held_out.repeat(2))


@torch.no_grad()
def _outputs(perception: Perception, views: Views, regions: Sequence[Region]) -> Iterator[tuple[HeadOutputs, Tensor]]:
    """Yield features and areas of the views, BATCH_VIEWS at a time."""
    cells, ratings = views
    for begin in range(0, len(cells), BATCH_VIEWS):
        part = slice(begin, begin + BATCH_VIEWS)
        features = torch.from_numpy(np.asarray(cells[part], np.float32))
        region = torch.tensor([[r.x0, r.y0, r.x1, r.y1] for r in regions[part]])
        rated = torch.from_numpy(np.asarray(ratings[part], np.float32))
        yield perception.heads(features, rated, features, region), torch.tensor([r.area for r in regions[part]])


def rating_inputs(first: HeadOutputs, last: HeadOutputs, view_area: Tensor) -> RatingInputs:
    """Return the rating head's inputs for N rounds, given the features of their first and their last views."""
    probability = last.kinds[:, 1:]
    severity = (probability * last.severities).sum(dim=1) / probability.sum(dim=1).clamp_min(1e-12)
    box_area = (last.box[:, 2:] - last.box[:, :2]).prod(dim=1)
    rating, first_rating = last.rating.clamp(1.0, 5.0), first.rating.clamp(1.0, 5.0)
    return RatingInputs(last.kinds, first.kinds, severity, box_area, view_area, rating, first_rating)


def joined(parts: Sequence[Rounds]) -> Rounds:
    """Return all rounds of several tables."""
    rest = (torch.cat([getattr(part, name) for part in parts]) for name in ("mos", "rated", "later", "held_out"))
    return Rounds(_cat([part.inputs for part in parts]), *rest)


def _cat(inputs: Sequence[RatingInputs]) -> RatingInputs:
    return RatingInputs(*(torch.cat(columns) for columns in zip(*inputs, strict=True)))


def log_probabilities(mean: Tensor, std: Tensor) -> Tensor:
    """Return the log-probabilities of the ratings of RATING_GRID under normal distributions: (N,) each -> (N, 401)."""
    return torch.log_softmax(-0.5 * ((GRID - mean[:, None]) / std[:, None]) ** 2, dim=1)


def rating_losses(head: RatingHead, rounds: Rounds, options: RatingHeadOptions) -> Tensor:
    """Return the loss of each round, (N,): the cross-entropy with a normal distribution around the MOS, and the smooth
    L1 error of the expected rating."""
    predicted = log_probabilities(*head(rounds.inputs))
    target = log_probabilities(rounds.mos, torch.full_like(rounds.mos, options.target_std)).exp()
    cross_entropy = -(target * predicted).sum(dim=1)
    error = F.smooth_l1_loss(_expected(predicted), rounds.mos, beta=0.3, reduction="none")
    return cross_entropy + options.expectation_weight * error


def _expected(log_probability: Tensor) -> Tensor:
    out: Tensor = log_probability.exp() @ GRID
    return out


def train_rating_head(options: RatingHeadOptions, head: RatingHead, rounds: Rounds) -> None:
    """Train in place. Draws of rounds depend on torch's random state."""
    optimizer = torch.optim.AdamW(head.parameters(), lr=options.rate, weight_decay=0.0)
    weight = torch.where(rounds.rated, options.human_weight, 1.0)
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.rate * rate_at(step, options.steps, options.warmup)
        chosen = torch.randint(len(weight), (options.batch,))
        loss = (rating_losses(head, rounds.take(chosen), options) * weight[chosen]).sum() / weight[chosen].sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


@torch.no_grad()
def validate(head: RatingHead, rounds: Rounds) -> dict[str, float | None]:
    """Return the SRCC of expected ratings and of plain ratings with the MOS, by origin and round; None if undefined."""
    from scipy.stats import spearmanr

    expected = _expected(log_probabilities(*head(rounds.inputs)))
    row: dict[str, float | None] = {}
    for origin, rated in (("rated", True), ("synthetic", False)):
        for number, later in (("first round", False), ("later round", True)):
            which = (rounds.rated == rated) & (rounds.later == later)
            mos = rounds.mos[which].numpy()
            for name, values in (("", expected), (", plain rating", rounds.inputs.rating)):
                correlation = float(spearmanr(values[which].numpy(), mos)[0]) if int(which.sum()) > 1 else np.nan
                row[f"{origin}, {number}{name}"] = None if np.isnan(correlation) else round(correlation, 4)
    return row
