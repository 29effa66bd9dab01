"""Learning from an owner's ratings, stars or choices: what `snellen adapt` does.

The photo rating head's output is corrected (`snellen.train.adapt`), its interval is calibrated anew, and where faults
are labelled their thresholds are moved. Nested cross-validation says whether that helped; where it did not, nothing is
written. The result is a small folder for --model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from snellen.backend import SNELLEN_1
from snellen.data.fault_labels import FaultLabel, labels_at
from snellen.data.sample import Sample
from snellen.data.sets.duplicates import hash_of, near_duplicate_groups
from snellen.evaluate.datasets import DataSet, data_set, open_data
from snellen.evaluate.stats.bootstrap import Estimate, bootstrap_difference, mean_interval
from snellen.evaluate.stats.calibration import card_fields, fit_calibration
from snellen.evaluate.stats.correlation import rmse, srcc
from snellen.folder import find_pictures
from snellen.image import ImageError, View, load
from snellen.sidecar import read_decision
from snellen.snellen1.adaptation import Adaptation
from snellen.snellen1.files import ModelFiles
from snellen.snellen1.photo_faults import PHOTO_KINDS
from snellen.terminal import Progress
from snellen.train.adapt import (
    Choices,
    Rated,
    adapt,
    adapt_to_choices,
    cross_adapt,
    cross_adapt_to_choices,
    cross_thresholds,
    fit_thresholds,
)
from snellen.usage import UsageError, complain
from snellen.vocabulary import merged

FEWEST, FEWEST_CHOICES = 50, 100
"""Ratings, and choices, below which nothing is learned."""
MOST = 2000
CURVE = (50, 100, 200, 400, 800)
DRAWS = 5
FEWEST_FAULTY = 10
"""A kind of fault keeps its shipped threshold where it is minded in fewer pictures."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """The shipped model's numbers of N pictures, in order. paths (N). rating, std, score_only, score_only_std (N,);
    components (N, C); probability (N, K) of PHOTO_KINDS; group (N,) of near-duplicates."""

    paths: list[str]
    rating: Any
    std: Any
    score_only: Any
    score_only_std: Any
    components: Any
    probability: Any
    group: Any


def read_ratings(place: str) -> DataSet:
    """Return the rated pictures, or choices, that `place` names.

    Raises UsageError where there are too few, or where it cannot be read.
    """
    if not Path(place).exists() and "=" not in place:
        raise UsageError(f"{place} is not there; check the path")
    if Path(place).is_dir():
        rated = data_set("ratings", starred(Path(place)))
    else:
        rated = open_data(place)
        if not rated.pairs:
            rated = replace(rated, samples={k: s for k, s in rated.samples.items() if s.mos is not None})
    count, fewest = (len(rated.pairs), FEWEST_CHOICES) if rated.pairs else (len(rated.samples), FEWEST)
    if count < fewest:
        raise UsageError(f"{place}: {count} {'choices' if rated.pairs else 'ratings'}; adapting needs {fewest} or more")
    if len(rated.samples) > MOST:
        raise UsageError(f"{place}: {len(rated.samples)} pictures; adapt takes at most {MOST}: give a sample of them")
    return rated


def starred(folder: Path) -> list[Sample]:
    """Return the pictures of a folder that have 1 to 5 stars in their XMP sidecar; stars are the rating."""
    samples = []
    for name in find_pictures(folder).pictures:
        stars = read_decision(folder / name).stars
        if stars:
            samples.append(Sample(str((folder / name).absolute()), mos=float(stars)))
    if not samples:
        raise UsageError(f"{folder}: no picture has stars in an XMP sidecar; rate some, or give a table")
    return samples


def readable(samples: Sequence[Sample], max_megapixels: float, quiet: bool) -> Iterator[tuple[Sample, View]]:
    """Yield the samples whose pictures can be read, each with the view of the whole; the others are reported."""
    with Progress(len(samples), quiet=quiet) as progress:
        for sample in samples:
            try:
                view = load(sample.path, max_megapixels=max_megapixels).view()
            except ImageError as error:
                complain(str(error))
            else:
                yield sample, view
            progress.advance()


def assess(rated: DataSet, max_megapixels: float, quiet: bool) -> tuple[Pictures, int]:
    """Return the shipped model's numbers of the pictures that can be read, and how many cannot; these are reported."""
    from snellen.backends.onnx import RatingInputs, Snellen1Backend

    backend, inputs, hashes = Snellen1Backend(), list[RatingInputs](), list[int]()
    paths, probabilities = list[str](), list[list[float]]()
    for sample, view in readable(list(rated.samples.values()), max_megapixels, quiet):
        paths.append(sample.path)
        inputs.append(backend.rating_inputs(view))
        hashes.append(hash_of(Image.fromarray(view.overview)))
        found = {one.kind: one.probability for one in backend.all_photo_faults(view)}
        probabilities.append([found.get(kind, 0.0) for kind in PHOTO_KINDS])
    if len(paths) < FEWEST:
        raise UsageError(f"only {len(paths)} of the pictures can be read; adapting needs {FEWEST} or more")
    columns = {name: np.array([getattr(one, name) for one in inputs]) for name in RatingInputs._fields}
    group = near_duplicate_groups(np.array(hashes, np.uint64))
    pictures = Pictures(paths=paths, probability=np.array(probabilities), group=group, **columns)
    return pictures, len(rated.samples) - len(paths)


def from_ratings(pictures: Pictures, rated: DataSet) -> tuple[Adaptation | None, dict[str, Any], list[str]]:
    """Learn from ratings: the adaptation, None where it did not help; changed fields of the card; lines to print."""
    mos_of = {sample.path: sample.mos for sample in rated.samples.values()}
    mos = np.array([mos_of[path] for path in pictures.paths], float)
    own = Rated(pictures.rating, pictures.components, mos, pictures.group)
    shipped, adapted = np.clip(own.rating, 1.0, 5.0), cross_adapt(own)
    gain = mean_interval(list((shipped - mos) ** 2 - (adapted - mos) ** 2), pictures.group.tolist())
    rank = bootstrap_difference(srcc, adapted, shipped, mos)
    lines = [
        f"{len(own)} rated pictures, nested cross-validation over {len(np.unique(pictures.group))} scenes",
        f"  shipped  SRCC {srcc(shipped, mos):.3f}  root mean square error {rmse(shipped, mos):.3f}",
        f"  adapted  SRCC {srcc(adapted, mos):.3f}  root mean square error {rmse(adapted, mos):.3f}",
        f"  gain     SRCC {signed(rank)}  squared error {signed(gain)}",
        *learning_curve(own),
    ]
    if not gain.low > 0:
        return None, {}, lines
    calibration = fit_calibration(adapted, pictures.std, mos, 0.9)
    score_only = cross_adapt(replace(own, rating=pictures.score_only))
    score_calibration = fit_calibration(score_only, pictures.score_only_std, mos, 0.9)
    width = 2 * calibration.q * float(np.maximum(pictures.std, calibration.floor).mean())
    lines.append(f"  90 % interval from ratings that were not learned from: {width:.2f} MOS wide in the mean")
    return (
        adapt(own),
        {"calibration": card_fields(calibration), "score_calibration": card_fields(score_calibration)},
        lines,
    )


def learning_curve(own: Rated) -> list[str]:
    """Return a line for each size: SRCC on the pictures that were not learned from, the mean of a few draws."""
    lines = []
    for size in (size for size in CURVE if size <= 0.8 * len(own)):
        found = []
        for draw in range(DRAWS):
            order = np.random.default_rng(draw).permutation(len(own))
            rest = own.take(order[size:])
            found.append(srcc(adapt(own.take(order[:size]))(rest.rating, rest.components), rest.mos))
        lines.append(f"  from {size} ratings: SRCC {np.mean(found):.3f} on the others")
    return lines


def from_choices(pictures: Pictures, rated: DataSet) -> tuple[Adaptation | None, dict[str, Any], list[str]]:
    """Learn from choices between two pictures; as `from_ratings`. Intervals stay as shipped."""
    place = {path: i for i, path in enumerate(pictures.paths)}
    known = [
        (place[first], place[second], share)
        for a, b, share in rated.pairs
        if (first := rated.samples[a].path) in place and (second := rated.samples[b].path) in place and share != 0.5
    ]
    choices = Choices(
        pictures.rating,
        pictures.components,
        np.array([pair[:2] for pair in known]),
        np.array([pair[2] for pair in known]),
    )
    try:
        shipped, adapted = cross_adapt_to_choices(choices)
    except ValueError as error:
        raise UsageError(f"{error}; compare more pictures with each other") from error
    gain = mean_interval(list(adapted - shipped))
    lines = [
        f"{len(known)} choices between {len(pictures.paths)} pictures, nested cross-validation",
        f"  predicted by the shipped model {shipped.mean():.1%}, adapted {adapted.mean():.1%}, gain {signed(gain)}",
    ]
    return (adapt_to_choices(choices) if gain.low > 0 else None), {}, lines


def from_labels(pictures: Pictures, labels: dict[str, list[FaultLabel]]) -> tuple[dict[str, float], str]:
    """Learn thresholds of the fault kinds: empty where they do not help, and a line to print."""
    known = [i for i, path in enumerate(pictures.paths) if labels_at(path, labels)]
    if len(known) < FEWEST:
        return {}, f"{len(known)} pictures have fault labels: thresholds stay as shipped ({FEWEST} or more are needed)"
    minded = np.array([minded_by_half(labels_at(pictures.paths[i], labels)) for i in known])
    card = ModelFiles.open(SNELLEN_1).card["photo_thresholds"]
    shipped = np.array([card[kind] for kind in PHOTO_KINDS])
    often = minded.sum(axis=0) >= FEWEST_FAULTY
    probability, group = pictures.probability[known][:, often], pictures.group[known]
    before = ((probability >= shipped[often]) != minded[:, often]).sum(axis=1)
    after = cross_thresholds(probability, minded[:, often], shipped[often], group)
    gain = mean_interval(list((before - after).astype(float)), group.tolist())
    line = (
        f"{len(known)} pictures with fault labels: {before.mean():.2f} kinds wrong in each with shipped thresholds, "
        f"{after.mean():.2f} with own ones, gain {signed(gain)}"
    )
    if not gain.low > 0:
        return {}, f"{line}; thresholds stay as shipped"
    fitted = fit_thresholds(probability, minded[:, often], shipped[often])
    new = dict(zip(np.array(PHOTO_KINDS)[often].tolist(), fitted.tolist(), strict=True))
    return {kind: round(new.get(kind, card[kind]), 4) for kind in PHOTO_KINDS}, line


def minded_by_half(raters: Sequence[FaultLabel]) -> list[bool]:
    """Return, for each of PHOTO_KINDS, whether half of a picture's raters or more mind it."""
    minded = [{merged(one.kind) for one in rater.minded} for rater in raters]
    return [2 * sum(kind in those for those in minded) >= len(raters) for kind in PHOTO_KINDS]


def unchanged(components: int) -> Adaptation:
    """Return the adaptation that changes no rating."""
    return Adaptation(0.0, 1.0, np.zeros(components), np.zeros(components))


def signed(found: Estimate | Sequence[float]) -> str:
    """Return a difference with its interval as text, both with their sign."""
    value, low, high = found
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
