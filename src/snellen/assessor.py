"""The think - zoom - answer loop, and the Assessment it ends in. There is one loop: `Assessor`."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen import __version__
from snellen.backend import Backend, BackendError, RatingDistribution, Reply, Sampling, open_backend
from snellen.image import GRID, TILE, ImageError, Picture, View, load, resample
from snellen.protocol import DEFAULT_QUESTION, open_protocol
from snellen.region import FULL, Region
from snellen.reply import RATING_PREFIX, Issue, Parsed, ReplyError
from snellen.vocabulary import verdict
from snellen.zoom import ZOOM_PRESETS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    Source = str | Path | bytes | Image.Image | npt.NDArray[np.generic] | Picture | ImageError

KEPT_SIDE = 1024
"""Long side, in px, of the copy of the picture that an Assessment keeps for drawing."""
BATCH_MEGAPIXELS = 100.0
"""A batch is cut short where its pictures have more, so that a batch of large ones fits in memory."""


@dataclass(frozen=True)
class AssessmentError:
    """Why there is no score. `code` is one of `IMAGE_ERROR_CODES`, "unparsable_reply" or "invalid_box"."""

    code: str
    problem: str
    remedy: str


@dataclass(frozen=True, eq=False)
class Step:
    """One round: what was shown, what was said, what was shown next.

    `parsed` is None when the reply could not be read (`error` says why) or was not meant to be (score only). `rating`
    is the one written in the reply. `zoom` is the region shown in the next round, after the zoom policy; what the model
    asked for is `parsed.answer.region`. `note` says why a crop that was asked for is not shown, or was replaced.
    """

    view: View
    reply: Reply
    parsed: Parsed | None = None
    rating: float | None = None
    zoom: Region | None = None
    error: str | None = None
    note: str | None = None

    @property
    def region(self) -> Region:
        """What was shown."""
        return self.view.region

    @property
    def distribution(self) -> RatingDistribution | None:
        """The model's distribution over this round's rating, None when the backend gives none."""
        return self.reply.rating

    @property
    def score(self) -> float | None:
        """This round's rating as the score counts it: the expectation where there is a distribution."""
        return self.rating if self.distribution is None else self.distribution.mean

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the keys are described at `Assessment.to_dict`."""
        rationale = self.parsed.rationale if self.parsed else None
        answer = self.parsed.answer if self.parsed else None
        spread = self.distribution
        return {
            "region": self.region.to_list(),
            "rating": self.rating,
            "distribution": None
            if spread is None
            else {
                "mean": round(spread.mean, 4),
                "std": round(spread.std, 4),
                "entropy": round(spread.entropy, 4),
                "quantiles": {str(q): spread.quantile(q) for q in (0.05, 0.5, 0.95)},
            },
            "tool": answer.tool if answer else None,
            "asked": answer.region.to_list() if answer and answer.region else None,
            "zoom": self.zoom.to_list() if self.zoom else None,
            "rationale": asdict(rationale) if rationale else None,
            "reply": self.reply.text,
            "finish": self.reply.finish,
            "tokens": len(self.reply.token_ids),
            "note": self.note,
            "error": self.error,
        }


@dataclass(frozen=True, eq=False)
class Assessment:
    """The answer for one picture. Without a score there is an `error`; what was said until then is in `steps`.

    `score` 1..5 is the last round's expected rating. `interval` (low, high) holds the MOS with the coverage that the
    model was calibrated for, None when it is not calibrated. `issues` are the last round's. `prompts` holds "positive"
    and "negative" text for a restoration model. `notes` says what was done to the picture while reading it. `picture`
    is a copy of at most `KEPT_SIDE` px, also in the views of the steps, so that many assessments fit in memory.
    """

    name: str
    score: float | None = None
    interval: tuple[float, float] | None = None
    label: str | None = None
    issues: tuple[Issue, ...] = ()
    steps: tuple[Step, ...] = ()
    prompts: dict[str, str] | None = None
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] | None = None
    error: AssessmentError | None = None
    picture: Picture | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, always with the same keys; what is not there is null.

        name; score; interval [low, high]; label; issues [{kind, severity, region, place}]; steps [{region, rating,
        distribution {mean, std, entropy, quantiles}, tool, asked, zoom, rationale {summary, directions, avoid,
        decision}, reply, finish, tokens, note, error}]; prompts {positive, negative}; notes; provenance; error {code,
        problem, remedy}. Regions are [x0, y0, x1, y1] in fractions of the upright picture.
        """
        return {
            "name": self.name,
            "score": None if self.score is None else round(self.score, 4),
            "interval": [round(end, 4) for end in self.interval] if self.interval else None,
            "label": self.label,
            "issues": [
                {
                    "kind": issue.kind,
                    "severity": issue.severity,
                    "region": issue.region.to_list(),
                    "place": issue.region.place,
                }
                for issue in self.issues
            ],
            "steps": [step.to_dict() for step in self.steps],
            "prompts": self.prompts,
            "notes": list(self.notes),
            "provenance": self.provenance,
            "error": asdict(self.error) if self.error else None,
        }

    def draw(self) -> Image.Image:
        """The picture with its issues (by severity), the crops that were looked at (dashed), score and legend."""
        from snellen.draw import draw

        return draw(self)

    def _repr_html_(self) -> str:
        from snellen.draw import html

        return html(self)


class Zoom(typing.Protocol):
    """What is shown when a crop was asked for; `ZoomPolicy` is one."""

    def settle(self, region: Region | None, width: int, height: int) -> Region:
        """The crop to show for the box asked for (None: an invalid one) on a picture of that size, px; ValueError
        when the box is refused."""


class Assessor:
    """Loads a model once and assesses pictures in batches; the same picture scores the same whatever its batch.

    `model` is a name for `open_backend` or a Backend; `max_rounds` looks at most (the first sees the whole picture);
    `zoom` replaces the protocol's own zoom policy. `score_only` is one look without any text: the reply is forced up to
    its rating, whose distribution is all that is read.

    A reply that cannot be read ends that picture with an error and no score, in whatever round it is: an earlier
    round's rating is still in its step, but is never passed off as the score.

    Raises ValueError for unknown names or settings, BackendError when the model cannot be opened or does not answer.
    """

    def __init__(
        self,
        model: str | Backend = "snellen-1",
        protocol: str = "snellen",
        max_rounds: int = 2,
        batch_size: int = 8,
        score_only: bool = False,
        sampling: Sampling | None = None,
        *,
        zoom: Zoom | None = None,
        question: str = DEFAULT_QUESTION,
        max_megapixels: float = 100.0,
    ) -> None:
        if max_rounds < 1 or batch_size < 1:
            raise ValueError("max_rounds and batch_size are at least 1")
        self.protocol = open_protocol(protocol)
        if self.protocol.max_rounds is not None and max_rounds > self.protocol.max_rounds:
            raise ValueError(f"protocol {protocol} has at most {self.protocol.max_rounds} rounds, not {max_rounds}")
        self.backend = open_backend(model) if isinstance(model, str) else model
        self.max_rounds = 1 if score_only else max_rounds
        self.batch_size = batch_size
        self.score_only = score_only
        self.sampling = sampling or Sampling()
        if score_only:
            tokens = int(getattr(self.backend, "tokens_per_rating", 1))
            self.sampling = replace(self.sampling, prefix=RATING_PREFIX, max_tokens=tokens)
        self.zoom: Zoom = zoom or ZOOM_PRESETS[protocol]
        self.question = question
        self.max_megapixels = max_megapixels

    def __call__(self, sources: Iterable[Source]) -> list[Assessment]:
        """The same as `assess`."""
        return self.assess(sources)

    def assess(self, sources: Iterable[Source]) -> list[Assessment]:
        """One Assessment for each source, in order. A picture that cannot be used gives one with an error.

        A source is whatever `load` takes, or a Picture, or the ImageError that loading it gave.
        """
        return list(self.stream(sources))

    def stream(self, sources: Iterable[Source]) -> Iterator[Assessment]:
        """As `assess`, batch by batch as they are done, reading no further ahead than one batch."""
        batch: list[Picture | ImageError] = []
        megapixels = 0.0
        for source in sources:
            loaded = self._load(source)
            size = loaded.megapixels if isinstance(loaded, Picture) else 0.0
            if batch and (len(batch) == self.batch_size or megapixels + size > BATCH_MEGAPIXELS):
                yield from self._assess_batch(batch)
                batch, megapixels = [], 0.0
            batch.append(loaded)
            megapixels += size
        if batch:
            yield from self._assess_batch(batch)

    def _load(self, source: Source) -> Picture | ImageError:
        if isinstance(source, (Picture, ImageError)):
            return source
        try:
            return load(source, max_megapixels=self.max_megapixels)
        except ImageError as error:
            return error

    def _assess_batch(self, batch: Sequence[Picture | ImageError]) -> list[Assessment]:
        pictures = [loaded for loaded in batch if isinstance(loaded, Picture)]
        runs = iter(self._loop(pictures))
        return [
            self._conclude(loaded, next(runs)) if isinstance(loaded, Picture) else _failed(loaded) for loaded in batch
        ]

    def _loop(self, pictures: Sequence[Picture]) -> list[list[Step]]:
        """The loop: look, reply, read, zoom; only pictures that are to be looked at again stay active."""
        runs: list[list[Step]] = [[] for _ in pictures]
        looks = {index: picture.view(quick=self.score_only) for index, picture in enumerate(pictures)}
        for round in range(1, self.max_rounds + 1):
            if not looks:
                break
            conversations = [
                self.protocol.conversation(
                    self.question,
                    [*(step.view for step in runs[index]), view],
                    [step.reply.turn() for step in runs[index]],
                )
                for index, view in looks.items()
            ]
            replies = self.backend.reply(conversations, self.sampling)
            if len(replies) != len(conversations):
                raise BackendError(f"{self.backend.name}: {len(conversations)} conversations, {len(replies)} replies")
            for (index, view), reply in zip(looks.items(), replies, strict=True):
                runs[index].append(self._read(round, view, reply, runs[index]))
            active = {index: runs[index][-1].zoom for index in looks}
            looks = {index: pictures[index].view(zoom) for index, zoom in active.items() if zoom is not None}
        return runs

    def _read(self, round: int, view: View, reply: Reply, before: Sequence[Step]) -> Step:
        if self.score_only:
            return _read_rating(view, reply)
        try:
            parsed = self.protocol.parse(reply.text, round)
        except ReplyError as error:
            cut = f"; the reply was cut off at {self.sampling.max_tokens} tokens" if reply.finish == "length" else ""
            return Step(view, reply, error=f"{error}{cut}")
        step = Step(view, reply, parsed, parsed.answer.rating)
        if parsed.answer.tool == "final":
            return step
        if round == self.max_rounds:
            return replace(step, note=f"asked for a crop, but max_rounds is {self.max_rounds}")
        asked, picture = parsed.answer.region, view.picture
        try:
            zoom = self.zoom.settle(asked, picture.width, picture.height)
        except ValueError as error:
            return replace(step, error=f"invalid_box: {error}")
        if not _shows_more(zoom, [*(earlier.view for earlier in before), view]):
            return replace(step, note="asked for a crop that would show no new pixels")
        note = "asked for a crop with an invalid box; the zoom policy chose one" if asked is None else None
        return replace(step, zoom=zoom, note=note)

    def _conclude(self, picture: Picture, steps: Sequence[Step]) -> Assessment:
        kept = Picture(resample(picture, FULL, KEPT_SIDE), picture.name, picture.notes)
        last = steps[-1]
        assessment = Assessment(
            picture.name,
            steps=tuple(replace(step, view=replace(step.view, picture=kept)) for step in steps),
            notes=picture.notes,
            provenance=self._provenance(picture, steps),
            picture=kept,
        )
        if last.error is not None or last.score is None:
            return replace(assessment, error=_reply_problem(last.error or "no rating in the reply", len(steps)))
        calibration = getattr(self.backend, "calibration", None)
        interval = None
        if calibration is not None and last.distribution is not None:
            interval = calibration.interval(last.score, last.distribution.std)
        rationale = last.parsed.rationale if last.parsed else None
        return replace(
            assessment,
            score=last.score,
            interval=interval,
            label=verdict(last.score),
            issues=last.parsed.answer.issues if last.parsed else (),
            prompts={"positive": rationale.directions, "negative": rationale.avoid} if rationale else None,
        )

    def _provenance(self, picture: Picture, steps: Sequence[Step]) -> dict[str, Any]:
        return {
            "snellen": __version__,
            "model": self.backend.name,
            "model_version": self.backend.version,
            "protocol": self.protocol.name,
            "question": self.question,
            "rounds": len(steps),
            "max_rounds": self.max_rounds,
            "score_only": self.score_only,
            "score_source": "text" if steps[-1].distribution is None else "distribution",
            "zoom": asdict(self.zoom) if is_dataclass(self.zoom) else type(self.zoom).__name__,
            "sampling": asdict(self.sampling),
            "picture": {"width": picture.width, "height": picture.height},
        }


def _read_rating(view: View, reply: Reply) -> Step:
    """Score only: the rating is what follows the forced prefix, and only needed where there is no distribution."""
    match = re.match(r"\s*([1-5](?:\.\d{1,2})?)(?![\d.])", reply.text.removeprefix(RATING_PREFIX))
    rating = float(match[1]) if match and float(match[1]) <= 5.0 else None
    if rating is None and reply.rating is None:
        return Step(view, reply, error="bad_rating: no rating follows the forced beginning of the reply")
    return Step(view, reply, rating=rating)


def _shows_more(zoom: Region, views: Sequence[View]) -> bool:
    """Whether a crop shows pixels that no view has shown: it is not one of them, nor inside one that was so small that
    its fragments hold every native pixel."""
    native = GRID * TILE
    for view in views:
        width, height = view.picture.width, view.picture.height
        left, top, right, bottom = zoom.to_pixels(width, height)
        seen = view.region.to_pixels(width, height)
        inside = seen[0] <= left and seen[1] <= top and right <= seen[2] and bottom <= seen[3]
        if seen == (left, top, right, bottom) or (inside and max(seen[2] - seen[0], seen[3] - seen[1]) <= native):
            return False
    return True


def _failed(error: ImageError) -> Assessment:
    return Assessment(error.name, error=AssessmentError(error.code, error.problem, error.remedy))


def _reply_problem(error: str, round: int) -> AssessmentError:
    if error.startswith("invalid_box: "):
        problem = f"round {round}: {error.removeprefix('invalid_box: ')}"
        return AssessmentError("invalid_box", problem, "use the zoom policy of the protocol")
    remedy = "allow more tokens" if "cut off" in error else "try another model, protocol or sampling seed"
    return AssessmentError("unparsable_reply", f"the model's reply in round {round} cannot be read ({error})", remedy)
