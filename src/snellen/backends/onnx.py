"""snellen-1, the model in the package, or a model of the same architecture in a folder; ONNX Runtime, no torch.

Encoder, ImageNet network and heads compute the features of each view. The rating heads rate, the fault heads' findings
become the issues, a policy decides whether and where to zoom, and `snellen.rationale` words it. The prompt's text is
not read.
"""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime

import snellen
from snellen.backend import (
    RATING_GRID,
    SNELLEN_1,
    Backend,
    Calibration,
    Conversation,
    RatingDistribution,
    Reply,
    Sampling,
)
from snellen.damage import is_plain
from snellen.features import Features, measure
from snellen.image import GRID, Picture, View
from snellen.rationale import Facts, compose
from snellen.region import FULL, Region
from snellen.reply import Answer, Issue, parse_reply, render_reply, to_grid
from snellen.snellen1 import rule
from snellen.snellen1.files import GRAPHS, PHOTO_FAULTS, PHOTO_RATING, ModelFiles
from snellen.snellen1.layout import (
    RATING_INPUTS,
    VIEW_OUTPUTS,
    Decision,
    Finding,
    Floats,
    ViewFeatures,
    findings,
    merge,
)
from snellen.snellen1.photo_faults import PhotoFault, PhotoFaultHead
from snellen.snellen1.photo_features import fault_features, rating_features
from snellen.snellen1.photo_rating import PhotoRatingHead
from snellen.snellen1.pooling import regrid
from snellen.vocabulary import KINDS, POSSIBLE
from snellen.zoom import ZOOM_PRESETS

DETAIL_AREA = 0.8
"""The closer view that findings of a crop are read from shows at most so much of the crop."""
MOST_ISSUES = 4
TELEMETRY_SINCE = (1, 29)
"""The first onnxruntime that reports its use on every system."""


class Read(NamedTuple):
    """Features of a view, read as it is or mirrored: imagenet (FEATURES,) of the overview, cell features of overview
    and fragments, (C, GRID, GRID) each."""

    imagenet: Floats
    overview: Floats
    fragments: Floats


class RatingInputs(NamedTuple):
    """Of one picture: the shipped rating of one round, not clipped, with components (C,) of the photo rating head and
    the standard deviation of its distribution; the same of score only, whose view is not mirrored too."""

    rating: float
    components: npt.NDArray[np.float64]
    std: float
    score_only: float
    score_only_std: float


RatingRead = tuple[Floats, Floats]
"""One read of a view: the ImageNet network's features of the overview and the cell features of the fragments."""
Cells = tuple[Floats, Floats]
"""Cell features of a view's two small pictures, (1, 2, C, GRID, GRID), and the view's region, (1, 4)."""

if snellen.telemetry_began and tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= TELEMETRY_SINCE:
    onnxruntime.disable_telemetry_events()  # from here on; what its import began goes on
    warnings.warn(
        "onnxruntime was imported before snellen, with its telemetry on: it has written a device id below the home "
        "folder and calls its maker; import snellen first, or set ORT_DISABLE_TELEMETRY=1",
        stacklevel=2,
    )


class Snellen1Backend(Backend):
    """snellen-1, or the model of its architecture in `folder`. Deterministic, and independent of the batch.

    threads: small pictures that are encoded at a time; None for as many as there are processors, at most the three of a
    view. Works after fork, and can be pickled.

    Raises BackendError where the folder holds no model, or not the files that its card names.
    """

    plain_ratings = ("plain head", "plain rating")
    reads_prompts = writes_freely = False
    photographs_only = True

    def __init__(self, folder: Path | None = None, threads: int | None = None) -> None:
        self._folder, self._threads = folder, threads
        files = ModelFiles.open(folder or SNELLEN_1)
        card, weights = files.card, files.weights
        self.name: str = card["name"]
        self.version: str = card["version"]
        self.calibration = Calibration(**card["calibration"]) if card["calibration"] else None
        self.score_calibration = Calibration(**card["score_calibration"]) if card["score_calibration"] else None
        self.rating_line: tuple[float, float] = tuple(card["rating_line"])
        self.thresholds = np.array([card["thresholds"][kind] for kind in KINDS], np.float64)
        self.whole_threshold = float(card["whole_threshold"])
        self.photo_rating_head = PhotoRatingHead.open(weights / PHOTO_RATING)
        self.adaptation = files.adaptation
        photo = PHOTO_FAULTS in card["sha256"]
        self.photo_head = PhotoFaultHead.open(weights / PHOTO_FAULTS) if photo else None
        self.photo_thresholds: dict[str, float] = card["photo_thresholds"] if photo else {}
        self.photo_further: float = card.get("photo_further", 1.0)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._encoder, self._imagenet_network, self._heads, self._rating_head = (
            onnxruntime.InferenceSession(str(weights / f"{graph}.onnx"), options, providers=["CPUExecutionProvider"])
            for graph in GRAPHS
        )
        self._lock = threading.Lock()
        self._pool: tuple[int, ThreadPoolExecutor] | None = None
        self._seen: dict[bool, weakref.WeakKeyDictionary[View, ViewFeatures]] = {
            mirrored: weakref.WeakKeyDictionary() for mirrored in (False, True)
        }
        self._measured: weakref.WeakKeyDictionary[Picture, Features] = weakref.WeakKeyDictionary()
        self._reads: weakref.WeakKeyDictionary[View, list[Read]] = weakref.WeakKeyDictionary()
        self._photo_faults: weakref.WeakKeyDictionary[View, list[PhotoFault]] = weakref.WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[Snellen1Backend], tuple[Path | None, int | None]]:
        return type(self), (self._folder, self._threads)

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `snellen.backend.Backend.reply`. Nothing is sampled, so `sampling` plays no part."""
        return [self.answer(turns, self.decide(turns)) for turns in conversations]

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `snellen.backend.Backend.rate`. The photo rating head alone rates the last view, which is read once, not
        mirrored too: this is faster."""
        return [
            Reply("", rating=self._plain_distribution(_first_and_last(turns)[1]), finish="rating")
            for turns in conversations
        ]

    def plain_rating(self, view: View, name: str) -> float:
        """See `snellen.backend.Backend.plain_rating`."""
        seen = self.view_features(view)
        return seen.score_head if name == "plain head" else seen.rating

    def decide(self, conversation: Conversation) -> Decision:
        """The policy's decision for the next reply of a conversation."""
        first, _ = _first_and_last(conversation)
        seen = self.view_features(first)
        return rule.decide(first.picture, seen, _round(conversation))

    def answer(self, conversation: Conversation, decision: Decision) -> Reply:
        """Return the next reply of a conversation, given what the policy decided: rate, list the findings, word it."""
        views, number = _first_and_last(conversation), _round(conversation)
        first, last = (self.view_features(view) for view in views)
        rating = self.distribution(first, last, decision.move)
        issues = tuple(Issue(one.kind, one.severity, to_grid(one.region)) for one in self.faults(*views))
        region = None if decision.region is None else to_grid(decision.region)
        answer = Answer(region, round(rating.mean, 2), decision.tool, issues)
        earlier = _earlier(conversation)
        probabilities = {one.kind: one.probability for one in self.all_photo_faults(views[0])}
        facts = Facts(
            number=number,
            rating=round(rating.mean, 2),
            issues=issues,
            measured=self._features_of(views[0].picture),
            shown=views[1].region,
            crop=region,
            earlier_rating=earlier.rating if earlier else None,
            earlier_issues=earlier.issues if earlier else (),
            possible=tuple(kind for kind, value in probabilities.items() if value >= POSSIBLE),
        )
        text = render_reply(compose(facts), answer, number)
        return Reply(text, rating=rating, fault_probabilities=probabilities or None)

    def faults(self, first: View, last: View) -> list[Finding]:
        """The faults that a round lists, most probable first, given the conversation's first view and the round's."""
        seen = self.view_features(first), self.view_features(last)
        return merge(self.photo_faults(first), findings(*seen, self.thresholds, self.whole_threshold))[:MOST_ISSUES]

    def photo_faults(self, view: View) -> list[PhotoFault]:
        """Kinds of fault that pass the photo fault head's threshold of their kind in a view of the whole picture, most
        probable first. Beside one that does, the share `photo_further` of the threshold is enough for another."""
        every = self.all_photo_faults(view)
        faulty = any(one.probability >= self.photo_thresholds[one.kind] for one in every)
        share = self.photo_further if faulty else 1.0
        return [one for one in every if one.probability >= share * self.photo_thresholds[one.kind]]

    def all_photo_faults(self, view: View) -> list[PhotoFault]:
        """Every kind of the photo fault head in a view of the whole picture, most probable first.

        Kept as long as the view lives; empty for a model without that head, and for a picture of one colour, which is
        no photograph.
        """
        if self.photo_head is None or is_plain(view.overview):
            return []
        if view not in self._photo_faults:
            self.view_features(view)
            blocks = [
                np.concatenate(fault_features(*read, self._features_of(view.picture), view.picture.pixels))
                for read in self._reads[view]
            ]
            self._photo_faults[view] = self.photo_head(np.stack(blocks))
        return self._photo_faults[view]

    def distribution(self, first: ViewFeatures, last: ViewFeatures, move: float = 0.0) -> RatingDistribution:
        """Distribution over the rating of a round: normal on the grid of ratings, its mean moved by `move` MOS.

        It depends on the features of the conversation's first view and of the round's. A finding moves the mean only
        where it is likely and in a part of the picture: what is wrong with the whole, the plain rating has seen.
        """
        mean, std = self._mean_and_std(
            last.kinds, first.kinds, last.severity, last.box_area, last.region.area, last.rating, first.rating
        )
        if last.region == first.region and not rule.is_local_fault(first):
            mean = first.rating
        return normal_distribution(mean + move, std)

    def _mean_and_std(self, *inputs: float | Floats) -> tuple[float, float]:
        """Mean and standard deviation of a round's rating; see `snellen.snellen1.layout.RATING_INPUTS`."""
        feed = {name: np.array([value], np.float32) for name, value in zip(RATING_INPUTS, inputs, strict=True)}
        mean, std = (float(one[0]) for one in self._rating_head.run(["mean", "std"], feed))
        return mean, std

    def view_features(self, view: View, mirrored: bool = True) -> ViewFeatures:
        """Features of a view, kept as long as the view lives.

        mirrored: both small pictures are encoded as they are and flipped, and averaged, so that a picture and its
        mirror image are rated alike (test-time augmentation).
        """
        kept = self._seen[mirrored]
        if view not in kept:
            kept[view] = self._compute(view, (False, True) if mirrored else (False,))
        return kept[view]

    def _compute(self, view: View, flips: Sequence[bool]) -> ViewFeatures:
        reads = self.read(view, flips)
        if len(flips) > 1 and view.region == FULL:
            self._reads[view] = reads
        rating = self._rated([(read.imagenet, read.fragments) for read in reads])
        cells = _cells(view, reads)
        seen = self._apply_heads(view.region, cells, rating, cells)
        near = detail_view(view, seen.box) if len(flips) > 1 else None
        if near is not None:
            seen = self._apply_heads(view.region, cells, rating, _cells(near, self.read(near, flips)))
        return seen

    def rating_read(self, view: View) -> RatingRead:
        """Return the features of a view, not mirrored, that the photo rating head reads."""
        imagenet = self._run(self._imagenet, view.overview, False)
        fragments = self._run(self._encode_one, view.fragments, False)
        return imagenet.result(), fragments.result()

    def _plain_distribution(self, view: View) -> RatingDistribution:
        """The photo rating head's rating; its width is the rating head's where no fault is found."""
        rating = self._rated([self.rating_read(view)])
        no_fault = np.eye(1, len(KINDS) + 1, dtype=np.float32)[0]
        _, std = self._mean_and_std(no_fault, no_fault, 1.0, 1.0, 1.0, rating, rating)
        return normal_distribution(rating, std)

    def _rated(self, reads: Sequence[RatingRead]) -> float:
        """The plain rating of a view, 1..5, adapted where the model is."""
        features = _stacked(reads)
        rating = self._shipped_rating(features)
        if self.adaptation is not None:
            rating = float(self.adaptation(rating, self._components(features)))
        return float(np.clip(rating, 1.0, 5.0))

    def _shipped_rating(self, features: npt.NDArray[np.float64]) -> float:
        """The photo rating head's mean over the reads (R, D) on the card's line, intercept and slope; not clipped."""
        intercept, slope = self.rating_line
        return float(intercept + slope * self.photo_rating_head(features).mean())

    def _components(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The photo rating head's components, (C,), the mean over the reads (R, D)."""
        out: npt.NDArray[np.float64] = self.photo_rating_head.kernel.project(features).mean(axis=0)
        return out

    def rating_inputs(self, view: View) -> RatingInputs:
        """Return the shipped ratings of a view of the whole picture and the numbers behind them, to adapt from."""
        seen = self.view_features(view)
        features = _stacked([(read.imagenet, read.fragments) for read in self._reads[view]])
        rating, score_only = self._shipped_rating(features), self._shipped_rating(features[:1])
        stds = self.distribution(seen, seen).std, self._plain_distribution(view).std
        return RatingInputs(rating, self._components(features), stds[0], score_only, stds[1])

    def _apply_heads(self, region: Region, cells: Cells, rating: float, detail: Cells) -> ViewFeatures:
        feed = {
            "cells": cells[0],
            "plain_rating": np.array([rating], np.float32),
            "detail_cells": detail[0],
            "detail_region": detail[1],
        }
        out = dict(zip(VIEW_OUTPUTS, (one[0] for one in self._heads.run(list(VIEW_OUTPUTS), feed)), strict=True))
        return ViewFeatures.of(region, out)

    def read(self, view: View, flips: Sequence[bool]) -> list[Read]:
        """Read a view as it is or mirrored, for each of `flips`; in as many threads as the pool has."""
        jobs = [
            (
                self._run(self._imagenet, view.overview, flip),
                self._run(self._encode_one, view.overview, flip),
                self._run(self._encode_one, view.fragments, flip),
            )
            for flip in flips
        ]
        return [Read(*(one.result() for one in job)) for job in jobs]

    def _encode_one(self, picture: npt.NDArray[np.uint8], flip: bool) -> Floats:
        """Cell features of one small picture (h, w, 3), (C, GRID, GRID). One at a time, so there are no batch effects.
        flip: the encoder reads it mirrored; the cells lie as in the picture."""
        cells = regrid(self._encoder.run(None, {"picture": _flipped(picture, flip)[None]})[0][0], GRID, GRID)
        return cells[..., ::-1] if flip else cells

    def _imagenet(self, picture: npt.NDArray[np.uint8], flip: bool) -> Floats:
        """Features of the ImageNet network of one small picture, (FEATURES,)."""
        out: Floats = self._imagenet_network.run(None, {"picture": _flipped(picture, flip)[None]})[0][0]
        return out

    def _features_of(self, picture: Picture) -> Features:
        if picture not in self._measured:
            self._measured[picture] = measure(picture)
        return self._measured[picture]

    def _run(self, function: Any, *arguments: Any) -> Future[Any]:
        """Submit to this process's own thread pool: the threads of a pool do not survive a fork."""
        with self._lock:
            if self._pool is None or self._pool[0] != os.getpid():
                workers = self._threads or min(3, os.cpu_count() or 1)
                self._pool = os.getpid(), ThreadPoolExecutor(workers, thread_name_prefix="snellen")
            return self._pool[1].submit(function, *arguments)


def detail_view(view: View, box: Region) -> View | None:
    """Return a closer view of the box in a crop where a fault is suspected, from which the findings are read.

    None for a view of the whole picture, which is what a crop is asked for, and where it would show hardly less.
    """
    if view.region == FULL:
        return None
    picture = view.picture
    part = ZOOM_PRESETS["snellen"].settle(box, picture.width, picture.height)
    return picture.view(part) if part.area <= DETAIL_AREA * view.region.area else None


def _first_and_last(conversation: Conversation) -> tuple[View, View]:
    views = [view for turn in conversation for view in turn.views]
    return views[0], views[-1]


def _round(conversation: Conversation) -> int:
    return sum(turn.role == "user" for turn in conversation)


def _earlier(conversation: Conversation) -> Answer | None:
    """The answer of the last reply of a conversation; None in a first round."""
    replies = [turn.text for turn in conversation if turn.role == "assistant"]
    return parse_reply(replies[-1], len(replies)).answer if replies else None


def normal_distribution(mean: float, std: float) -> RatingDistribution:
    """The normal distribution over the rating, on the grid of ratings."""
    log = -0.5 * ((RATING_GRID - mean) / std) ** 2
    shares = np.exp(log - log.max())
    return RatingDistribution(RATING_GRID, shares / shares.sum())


def _cells(view: View, reads: Sequence[Read]) -> Cells:
    cells = np.array([[read.overview, read.fragments] for read in reads], np.float32).mean(axis=0)
    return cells[None], np.array([view.region.to_list()], np.float32)


def _stacked(reads: Sequence[RatingRead]) -> npt.NDArray[np.float64]:
    """Features that the photo rating head reads, (R, D)."""
    return np.stack([np.concatenate(rating_features(*read)) for read in reads])


def _flipped(picture: npt.NDArray[np.uint8], flip: bool) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(picture[:, ::-1]) if flip else picture
