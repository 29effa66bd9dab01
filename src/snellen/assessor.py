"""The assessment loop: view, reply, zoom, next view. `Assessor` holds the only copy of it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen import __version__
from snellen.assessment import Assessment, AssessmentError, Step
from snellen.backend import MIN_MASS, Backend, BackendError, Calibration, Conversation, Reply, Sampling
from snellen.backends import open_backend
from snellen.checks import USED, check_reply
from snellen.damage import severity, unfit
from snellen.domain import NOT_A_PHOTOGRAPH, looks_drawn
from snellen.features import measure
from snellen.image import ImageError, Picture, View, load, resample
from snellen.options import ModelOptions, flag
from snellen.protocol import Protocol, open_protocol
from snellen.region import FULL, Region
from snellen.reply import Issue, ReplyError, parse_rating
from snellen.vocabulary import verdict
from snellen.zoom import ZOOM_PRESETS, Zoom, shows_more

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    Source = str | Path | bytes | Image.Image | npt.NDArray[np.generic] | Picture | ImageError

Watch = Callable[[int, Step], None]
"""A function of number (from 1) and step of each round, called as it ends; the step's view has the picture."""
KEPT_SIDE = 1024
"""Long side, in px, of the copy of the picture that an Assessment keeps for drawing."""
BATCH_MEGAPIXELS = 100.0
"""A batch ends early where its pictures exceed this, so that a batch of large pictures fits in memory. Proportionally
more for a backend that works on more than 8 conversations at a time."""


class Assessor:
    """A model with its protocol and settings; assesses pictures in batches.

    A picture's score does not depend on its batch. A reply that cannot be parsed ends that picture with an error and
    no score, in whatever round it is: the rating of an earlier round stays in its step and never becomes the score.

    Args:
        model: a name or folder for `open_backend`, or an open Backend.
        protocol: "snellen", "zoom-iqa" or "levels", which gives a score only.
        max_rounds: the most rounds; the first shows the whole picture.
        batch_size: pictures per batch, by default as many as the backend works on at a time.
        score_only: one round without a rationale, see `Backend.rate`; `max_rounds` and `sampling` have no effect.
        sampling: decoding parameters, or some of them by name; the rest is the protocol's.
        zoom: zoom policy instead of the protocol's own.
        question: the question that the first turn asks; None for one of the protocol's.
        options: how a vision-language model is opened; only where `model` is a name.
        max_megapixels: larger pictures are refused.
        allow_damaged: assess what can be decoded of a damaged file, and list `corruption`; otherwise it is an error.

    Raises:
        ValueError: unknown model or protocol, settings out of range, or settings that the model does not have.
        BackendError: the model cannot be opened; while assessing: it does not answer.
    """

    def __init__(
        self,
        model: str | Path | Backend = "snellen-1",
        protocol: str = "snellen",
        max_rounds: int = 2,
        batch_size: int | None = None,
        score_only: bool = False,
        sampling: Sampling | Mapping[str, float] | None = None,
        *,
        zoom: Zoom | None = None,
        question: str | None = None,
        options: ModelOptions | None = None,
        max_megapixels: float = 100.0,
        allow_damaged: bool = False,
    ) -> None:
        if max_rounds < 1 or (batch_size is not None and batch_size < 1):
            raise ValueError("max_rounds and batch_size are at least 1")
        self.backend = model if isinstance(model, Backend) else open_backend(model, options=options)
        if not self.backend.reads_prompts:
            _refuse_prompts(self.backend.name, protocol, question, sampling)
        self.protocol = open_protocol(protocol)
        if self.protocol.max_rounds is not None and max_rounds > self.protocol.max_rounds:
            raise ValueError(f"protocol {protocol} has at most {self.protocol.max_rounds} rounds, not {max_rounds}")
        score_only = score_only or self.protocol.levels is not None
        self.max_rounds = 1 if score_only else max_rounds
        self.batch_size = batch_size or self.backend.batch_size
        self.score_only = score_only
        self.sampling = _sampling(sampling, self.protocol)
        self.zoom: Zoom = zoom or ZOOM_PRESETS[protocol]
        self.question = question
        self.settings = _settings(sampling, question, options)
        self.max_megapixels = max_megapixels
        self.allow_damaged = allow_damaged

    def __call__(self, sources: Iterable[Source]) -> list[Assessment]:
        """Return the same as `assess`."""
        return self.assess(sources)

    def assess(self, sources: Iterable[Source]) -> list[Assessment]:
        """Return one Assessment for each source, in order; a picture that cannot be read gives one with an error.

        Args:
            sources: whatever `load` takes, a Picture, or the ImageError that loading it raised.
        """
        return list(self.stream(sources))

    def stream(self, sources: Iterable[Source], watch: Watch | None = None) -> Iterator[Assessment]:
        """Yield what `assess` returns, batch by batch, reading at most one batch ahead; `watch` gets each round."""
        batch: list[Picture | ImageError] = []
        most = BATCH_MEGAPIXELS * max(1.0, self.backend.batch_size / 8)
        megapixels = 0.0
        for source in sources:
            loaded = self.load(source)
            size = loaded.megapixels if isinstance(loaded, Picture) else 0.0
            if batch and (len(batch) == self.batch_size or megapixels + size > most):
                yield from self._assess_batch(batch, watch)
                batch, megapixels = [], 0.0
            batch.append(loaded)
            megapixels += size
        if batch:
            yield from self._assess_batch(batch, watch)

    def look(self, picture: Picture, first: Step, regions: Sequence[Region]) -> list[Step]:
        """Return one second round for each region, whether or not the first reply asked for that crop.

        So the same parts of several pictures are looked at. The conversations are independent of each other.

        Args:
            picture: the picture in full size.
            first: the first round of its assessment.
            regions: crops to show; they count as settled by the zoom policy.
        """
        whole = picture.view()
        views = [picture.view(region) for region in regions]
        asked = self.question_for(picture)
        replies = self._ask([self.protocol.conversation(asked, [whole, view], [first.reply.turn()]) for view in views])
        return [
            self._step(self.max_rounds, view, reply, [replace(first, view=whole)])
            for view, reply in zip(views, replies, strict=True)
        ]

    def load(self, source: Source) -> Picture | ImageError:
        """Return the picture, or the error that reading it raises, within the limits of this assessor."""
        if isinstance(source, (Picture, ImageError)):
            return source
        try:
            return load(source, max_megapixels=self.max_megapixels, allow_damaged=self.allow_damaged)
        except ImageError as error:
            return error

    def _assess_batch(self, batch: Sequence[Picture | ImageError], watch: Watch | None) -> list[Assessment]:
        pictures = [loaded for loaded in batch if isinstance(loaded, Picture)]
        runs = iter(self._loop(pictures, watch))
        return [
            self._conclude(loaded, next(runs)) if isinstance(loaded, Picture) else _unreadable(loaded)
            for loaded in batch
        ]

    def _loop(self, pictures: Sequence[Picture], watch: Watch | None = None) -> list[list[Step]]:
        """Run the rounds of a batch; each round holds the pictures whose last reply asked for a crop."""
        runs: list[list[Step]] = [[] for _ in pictures]
        views = {index: picture.view() for index, picture in enumerate(pictures)}
        for number in range(1, self.max_rounds + 1):
            if not views:
                break
            conversations = [
                self.protocol.conversation(
                    self.question_for(pictures[index]),
                    [*(step.view for step in runs[index]), view],
                    [step.reply.turn() for step in runs[index]],
                )
                for index, view in views.items()
            ]
            replies = self._ask(conversations)
            if len(replies) != len(conversations):
                raise BackendError(f"{self.backend.name}: {len(conversations)} conversations, {len(replies)} replies")
            for (index, view), reply in zip(views.items(), replies, strict=True):
                runs[index].append(self._step(number, view, reply, runs[index]))
                if watch is not None:
                    watch(number, runs[index][-1])
            crops = {index: runs[index][-1].zoom for index in views}
            views = {index: pictures[index].view(crop) for index, crop in crops.items() if crop is not None}
        return runs

    @property
    def calibration(self) -> Calibration | None:
        """The conformal interval of the scores that these settings give; None where the model has none."""
        return (self.backend.score_calibration if self.score_only else None) or self.backend.calibration

    def question_for(self, picture: Picture) -> str:
        """Return the question that is asked about a picture; without one of the user's it depends on the pixels."""
        questions = (self.question,) if self.question else self.protocol.questions
        if len(questions) == 1:
            return questions[0]
        return questions[zlib.crc32(picture.pixels.tobytes()) % len(questions)]

    def _ask(self, conversations: Sequence[Conversation]) -> list[Reply]:
        if (levels := self.protocol.levels) is not None:
            return self.backend.rate_levels(conversations, levels.stem, levels.ratings)
        if self.score_only:
            return self.backend.rate(conversations)
        return self.backend.reply(conversations, self.sampling)

    def _step(self, number: int, view: View, reply: Reply, before: Sequence[Step]) -> Step:
        """Return round `number` (from 1): the parsed reply and the crop that it leads to."""
        if reply.failure is not None:
            return Step(view, reply, error=_no_reply(reply))
        try:
            if self.score_only:
                return self._score_step(view, reply)
            whole = before[0].view if before else view
            size = (view.picture.width, view.picture.height)
            parsed = self.protocol.parse(reply.text, number, self.backend.box_scale(whole), size)
        except ReplyError as error:
            return Step(view, reply, error=self._reply_error(error, reply))
        step = self._zoomed(Step(view, reply, parsed, parsed.answer.rating), number, before)
        if step.score is None and step.zoom is None and step.error is None:
            problem = "the reply asks for a crop that is not shown, and its own rating cannot be used"
            return replace(step, error=AssessmentError("bad_rating", problem, "allow two rounds"))
        return step

    def _zoomed(self, step: Step, number: int, before: Sequence[Step]) -> Step:
        """Return the step of round `number` with the crop that follows it, or the reason why none does."""
        assert step.parsed is not None
        parsed, view = step.parsed, step.view
        if parsed.answer.tool == "final":
            return step
        if number == self.max_rounds:
            return replace(step, note=f"asked for a crop, but max_rounds is {self.max_rounds}")
        asked, picture = parsed.answer.region, view.picture
        try:
            crop = self.zoom.settle(asked, picture.width, picture.height)
        except ValueError as error:
            return replace(step, error=AssessmentError("invalid_box", str(error), "use the protocol's own zoom policy"))
        if not self.protocol.native and not shows_more(crop, [*(earlier.view for earlier in before), view]):
            return replace(step, note="asked for a crop that would show no new pixels")
        note = "asked for a crop with an invalid box; the zoom policy chose one" if asked is None else None
        return replace(step, zoom=crop, note=note)

    def _score_step(self, view: View, reply: Reply) -> Step:
        """Return the one round of a score without a rationale; raises ReplyError where there is none."""
        if self.protocol.levels is None:
            return Step(view, reply, rating=parse_rating(reply.text) if reply.rating is None else None)
        if reply.rating is None:
            raise ReplyError("bad_rating", f"none of the words {', '.join(self.protocol.levels.ratings)} is probable")
        mass, note = reply.rating_mass, None
        if mass is not None and mass < MIN_MASS:
            note = f"the model's next word is one of the levels with a probability of {mass:.2g} only"
        return Step(view, reply, note=note)

    def _reply_error(self, error: ReplyError, reply: Reply) -> AssessmentError:
        if reply.finish == "length":
            problem = f"{error.message}; the reply was cut off at {self.sampling.max_tokens} tokens"
            return AssessmentError(error.code, problem, "allow more tokens")
        return AssessmentError(error.code, error.message, "try another model, protocol or sampling seed")

    def _conclude(self, picture: Picture, steps: Sequence[Step]) -> Assessment:
        kept = replace(picture, pixels=resample(picture, FULL, KEPT_SIDE))
        if self.backend.writes_freely:
            steps = _checked(picture, steps)
        last = steps[-1]
        notes = unfit(kept.pixels, 1.0 if self.backend.writes_freely else steps[0].view.enlarged)
        if not notes and self.backend.photographs_only and looks_drawn(steps[0].view.fragments):
            notes = (NOT_A_PHOTOGRAPH,)
        assessment = Assessment(
            picture.name,
            steps=tuple(replace(step, view=replace(step.view, picture=kept)) for step in steps),
            notes=picture.notes + notes,
            provenance=self._provenance(picture, steps),
            picture=kept,
        )
        if last.error is not None:
            return replace(assessment, error=_assessment_error(last.error, len(steps)))
        assert last.score is not None  # a step without an error has a rating or a distribution
        interval = None
        if self.calibration is not None and last.distribution is not None:
            interval = (1.0, 5.0) if notes else self.calibration.interval(last.score, last.distribution.std)
        rationale = last.parsed.rationale if last.parsed else None
        return replace(
            assessment,
            score=last.score,
            interval=interval,
            label=verdict(last.score),
            issues=_issues(picture, last.parsed.answer.issues if last.parsed else ()),
            prompts={"positive": rationale.directions, "negative": rationale.avoid} if rationale else None,
        )

    def _provenance(self, picture: Picture, steps: Sequence[Step]) -> dict[str, Any]:
        own = not self.backend.writes_freely  # the sizes of other models' views are in their options
        shown = {"overview": list(steps[0].view.overview.shape[1::-1])} if own else {}
        return {
            "snellen": __version__,
            "model": self.backend.name,
            "model_version": self.backend.version,
            "protocol": self.protocol.name,
            "question": self.question_for(picture) if self.backend.reads_prompts else None,
            "options": self.settings,
            "rounds": len(steps),
            "max_rounds": self.max_rounds,
            "score_only": self.score_only,
            "rating_source": steps[-1].rating_source,
            "zoom": asdict(self.zoom) if is_dataclass(self.zoom) else type(self.zoom).__name__,
            "sampling": None if self.score_only else asdict(self.sampling),
            "backend": dict(self.backend.details),
            "picture": {"width": picture.width, "height": picture.height} | shown,
        }


def _sampling(given: Sampling | Mapping[str, float] | None, protocol: Protocol) -> Sampling:
    if isinstance(given, Sampling):
        return given
    try:
        return replace(protocol.sampling, **(given or {}))  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(f"sampling has unknown fields: {error}") from error


def _settings(
    sampling: Sampling | Mapping[str, float] | None, question: str | None, options: ModelOptions | None
) -> dict[str, Any]:
    """Return what was set by hand and may move a score, by name: sampling, question, options of the model."""
    drawn = asdict(sampling) if isinstance(sampling, Sampling) else dict(sampling or {})
    asked = {} if question is None else {"question": question}
    opened = options.given() if options else {}
    return drawn | asked | {name: value for name, value in opened.items() if name not in ("timeout", "concurrency")}


def _refuse_prompts(
    name: str, protocol: str, question: str | None, sampling: Sampling | Mapping[str, float] | None
) -> None:
    """Raise ValueError for a prompt's settings: they would be recorded although the model does not read them."""
    if protocol != "snellen":
        raise ValueError(f"{name} reads no prompt, so protocol {protocol} has no effect on it; leave --protocol out")
    if question is not None:
        raise ValueError(f"{name} reads no prompt, so a question has no effect on it; leave --question out")
    if isinstance(sampling, Mapping) and sampling:
        named = ", ".join(flag(one) for one in sampling)
        raise ValueError(f"{name} draws nothing at random and writes no tokens; leave {named} out")


def _no_reply(reply: Reply) -> AssessmentError:
    if reply.finish == "waiting":
        remedy = (
            "run the requests, put the replies beside them as replies-*.jsonl, and repeat the command with --resume"
        )
        return AssessmentError("waiting", str(reply.failure), remedy)
    return AssessmentError("no_reply", str(reply.failure), "try this picture again")


def _issues(picture: Picture, claimed: tuple[Issue, ...]) -> tuple[Issue, ...]:
    """Return the issues that a model claims; first the corruption that the decoder warned of, if any."""
    if picture.damaged is None:
        return claimed
    corruption = Issue("corruption", severity(picture.damaged), picture.damaged)
    return (corruption, *(issue for issue in claimed if issue.kind != "corruption"))


def _checked(picture: Picture, steps: Sequence[Step]) -> list[Step]:
    """Return the steps with the checks of their texts; nothing else of them changes."""
    if not any(step.parsed and step.parsed.rationale for step in steps):
        return list(steps)
    measured = measure(picture, USED)
    earlier: tuple[Issue, ...] = ()
    checked = []
    for step in steps:
        checked.append(replace(step, checks=check_reply(step.parsed, earlier, measured)) if step.parsed else step)
        earlier += step.parsed.answer.issues if step.parsed else ()
    return checked


def _unreadable(error: ImageError) -> Assessment:
    return Assessment(error.name, error=AssessmentError(error.code, error.problem, error.remedy))


def _assessment_error(error: AssessmentError, number: int) -> AssessmentError:
    """Return the error of an assessment whose round `number` ended with `error`."""
    if error.code in ("invalid_box", "no_reply", "waiting"):
        return replace(error, problem=f"round {number}: {error.problem}")
    problem = f"the model's reply in round {number} cannot be read ({error})"
    return AssessmentError("unparsable_reply", problem, error.remedy)
