"""`compare`: both pictures assessed in the same views, then the preference, the changes of faults and the words."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from snellen.assessment import Assessment, AssessmentError, Step
from snellen.assessor import KEPT_SIDE, Assessor
from snellen.backend import BackendError
from snellen.comparison.change import Change, agreed, changes
from snellen.comparison.contrast import contrast
from snellen.comparison.preference import (
    NORMAL_95,
    SURE,
    Floats,
    difference_interval,
    order,
    prob_better,
    ranks,
    share_interval,
    triples,
)
from snellen.comparison.question import Preference, ask
from snellen.image import ImageError, Picture, resample
from snellen.region import FULL, Region
from snellen.reply import Issue, ReplyError

MOST_REGIONS = 3
"""At most so many regions are looked at in every picture, those that most pictures were zoomed into first."""
SAME_REGION = 0.7
"""IoU from which two crops count as the same region."""
ASKED_SIDE = 2048
"""Long side, px, of the copies that questions about pairs show, where more than two pictures are compared."""


@dataclass(frozen=True, eq=False)
class Judged:
    """One picture as it enters a comparison.

    Attributes:
        assessment: its own assessment.
        readings: one further round for each region of the comparison; each may have an error.
        values, probs: rating distribution over all its readings, its standard deviation calibrated; None where the
            model gives none.
        issues: faults that at least half of the readings list.
    """

    assessment: Assessment
    readings: tuple[Step, ...] = ()
    values: Floats | None = None
    probs: Floats | None = None
    issues: tuple[Issue, ...] = ()

    @property
    def name(self) -> str:
        """Name of the picture."""
        return self.assessment.name

    @property
    def score(self) -> float | None:
        """Mean of the distribution, otherwise of the ratings of the readings, 1..5; None with an error."""
        if self.values is not None and self.probs is not None:
            return float(np.dot(self.values, self.probs))
        rated = [one.score for one in self.readings if one.score is not None]
        return float(np.mean(rated)) if rated else self.assessment.score

    @property
    def std(self) -> float:
        """Calibrated standard deviation of the rating, MOS points; 0 without a distribution."""
        if self.values is None or self.probs is None:
            return 0.0
        return float(np.sqrt(np.dot((self.values - np.dot(self.values, self.probs)) ** 2, self.probs)))


@dataclass(frozen=True, eq=False)
class Pair:
    """Two pictures of a comparison, by their place in it.

    Attributes:
        probability: that the first is better, 0..1; None where there is no answer.
        source: "ratings": from both rating distributions; "question": the model was shown both.
        difference: score of the first less that of the second, MOS points.
        interval: 90 % interval of the difference; None without distributions.
        share: 90 % interval of the share of people who choose the first; None without distributions.
        changes: faults that appeared, vanished, grew or shrank from the first to the second.
        preference: the answers to the question in both orders.
        problem: why there is no probability, or why the ratings count although a question was asked.
    """

    first: int
    second: int
    probability: float | None
    source: str
    difference: float | None
    interval: tuple[float, float] | None
    share: tuple[float, float] | None
    changes: tuple[Change, ...] = ()
    preference: Preference | None = None
    problem: str | None = None

    @property
    def text(self) -> str:
        """The changes in the writer's words."""
        marks = [(one.what, one.issue.kind, one.issue.severity, one.issue.region.to_list()) for one in self.changes]
        return contrast(self.changes, zlib.crc32(repr(marks).encode()))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Result of `compare`.

    Attributes:
        pictures: in the order given; those with an error take part in no pair.
        regions: regions that were looked at in all pictures.
        pairs: all pairs of pictures with a score, the better one first.
        order: places of the pictures with a score, from best to worst.
        ranks: best and worst rank, from 1, of each in `order`: they are equal where no pair is a tie.
        sure: probability from which a pair is decided.
        triples: consistent and decided triples, see `preference.triples`.
    """

    pictures: tuple[Judged, ...]
    regions: tuple[Region, ...]
    pairs: tuple[Pair, ...]
    order: tuple[int, ...]
    ranks: tuple[tuple[int, int], ...]
    sure: float
    triples: tuple[int, int]

    @property
    def bias(self) -> float | None:
        """Mean position bias of the questions, -0.5..0.5; None where none was asked."""
        asked = [pair.preference.bias for pair in self.pairs if pair.preference is not None]
        return float(np.mean(asked)) if asked else None

    def decided(self, pair: Pair) -> bool:
        """Return True where the first picture of a pair is surely better."""
        return pair.probability is not None and pair.probability >= self.sure

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict: regions, ranking, pairs, position_bias, triples, pictures (their assessments)."""
        return {
            "regions": [region.to_list() for region in self.regions],
            "sure": self.sure,
            "ranking": [
                {
                    "name": self.pictures[at].name,
                    "rank": best,
                    "worst_rank": worst,
                    "score": _rounded(self.pictures[at].score),
                }
                for at, (best, worst) in zip(self.order, self.ranks, strict=True)
            ],
            "pairs": [self._pair_dict(pair) for pair in self.pairs],
            "position_bias": _rounded(self.bias),
            "triples": {"consistent": self.triples[0], "decided": self.triples[1]},
            "pictures": [one.assessment.to_dict() for one in self.pictures],
        }

    def _pair_dict(self, pair: Pair) -> dict[str, Any]:
        asked = pair.preference
        return {
            "first": self.pictures[pair.first].name,
            "second": self.pictures[pair.second].name,
            "better": self.pictures[pair.first].name if self.decided(pair) else None,
            "probability": _rounded(pair.probability),
            "source": pair.source,
            "difference": _rounded(pair.difference),
            "difference_interval": _ends(pair.interval),
            "share_of_people": _ends(pair.share),
            "orders": _ends(asked.orders) if asked else None,
            "position_bias": _rounded(asked.bias) if asked else None,
            "why": list(asked.why) if asked else None,
            "changes": [change.to_dict() for change in pair.changes],
            "text": pair.text,
            "problem": pair.problem,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _ends(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(end, 4) for end in interval]


def compare(
    assessor: Assessor,
    sources: Sequence[str | Path | Picture],
    sure: float = SURE,
    assessed: Callable[[], None] = lambda: None,
) -> Comparison:
    """Compare two or more pictures.

    Each is assessed; then every region that one of them was zoomed into is looked at in all of them, so that all are
    judged by the same views. A model that reads prompts is also asked about each pair, in both orders.

    Args:
        assessor: the model with its settings.
        sources: paths or Pictures.
        sure: probability from which one picture counts as better, above 0.5.
        assessed: called after the assessment of each picture.

    Raises:
        ValueError: fewer than two pictures, or `sure` out of range.
        BackendError: the model does not answer.
    """
    if len(sources) < 2:
        raise ValueError("a comparison needs two pictures or more")
    if not 0.5 < sure <= 1.0:
        raise ValueError(f"sure is above 0.5 and at most 1, not {sure}")
    assessments = []
    for assessment in assessor.stream(sources):
        assessments.append(assessment)
        assessed()
    regions = shared_regions(assessments)
    asks = assessor.backend.reads_prompts and assessor.protocol.name == "snellen"
    judged, kept = [], []
    for source, assessment in zip(sources, assessments, strict=True):
        picture = None if assessment.error is not None or not (regions or asks) else _load(assessor, source)
        judged.append(_judge(assessor, assessment, picture, regions))
        shown = picture if picture is None or len(sources) == 2 else _reduced(picture)
        kept.append(shown if asks else None)
    scored = [at for at, one in enumerate(judged) if one.assessment.error is None]
    places = [(a, b) for n, a in enumerate(scored) for b in scored[n + 1 :]]
    answers: list[Preference | ReplyError | None] = [None] * len(places)
    if asks:
        shown_pairs = [(first, second) for a, b in places if (first := kept[a]) and (second := kept[b])]
        answers = list(ask(assessor.backend, shown_pairs, regions, assessor.sampling))
    pairs = [_pair(judged, place, answer) for place, answer in zip(places, answers, strict=True)]
    return _ranked(judged, regions, pairs, scored, sure)


def shared_regions(assessments: Sequence[Assessment]) -> tuple[Region, ...]:
    """Return the regions of later rounds, those of most pictures first; crops that nearly agree count as one."""
    found: list[list[Region]] = []
    for assessment in assessments:
        for step in assessment.steps[1:]:
            group = next((one for one in found if one[0].iou(step.region) >= SAME_REGION), None)
            if group is None:
                found.append([step.region])
            else:
                group.append(step.region)
    found.sort(key=lambda group: -len(group))
    return tuple(group[0] for group in found[:MOST_REGIONS])


def _load(assessor: Assessor, source: str | Path | Picture) -> Picture:
    loaded = assessor.load(source)
    if isinstance(loaded, ImageError):
        raise BackendError(f"{loaded}; the file changed while it was compared") from loaded
    return loaded


def _reduced(picture: Picture) -> Picture:
    if max(picture.width, picture.height) <= ASKED_SIDE:
        return picture
    return replace(picture, pixels=resample(picture, FULL, ASKED_SIDE))


def _judge(assessor: Assessor, assessment: Assessment, picture: Picture | None, regions: Sequence[Region]) -> Judged:
    """Return the picture with its readings of the regions; the own later rounds of its assessment are not used."""
    if assessment.error is not None:
        return Judged(assessment)
    readings: tuple[Step, ...] = ()
    if picture is not None and regions:
        small = replace(picture, pixels=resample(picture, FULL, KEPT_SIDE))
        steps = assessor.look(picture, assessment.steps[0], regions)
        readings = tuple(replace(step, view=replace(step.view, picture=small)) for step in steps)
        if failed := [step.error for step in readings if step.error is not None]:
            return Judged(replace(assessment, score=None, error=_look_error(failed[0])), readings)
    used = readings or assessment.steps[-1:]
    values, probs = mixture(assessor, used)
    listed = [step.parsed.answer.issues for step in used if step.parsed is not None]
    return Judged(assessment, readings, values, probs, agreed(listed))


def _look_error(error: AssessmentError) -> AssessmentError:
    return replace(error, problem=f"a region that another picture was zoomed into: {error.problem}")


def mixture(assessor: Assessor, steps: Sequence[Step]) -> tuple[Floats, Floats] | tuple[None, None]:
    """Return values and probabilities of the equal mixture of the readings' distributions.

    Each is stretched around its mean so that NORMAL_95 standard deviations are as wide as its calibrated interval.
    """
    values, probs = [], []
    calibration = assessor.calibration
    for step in steps:
        if step.distribution is None:
            return None, None
        one = step.distribution
        stretch = 1.0
        if calibration is not None and one.std > 0:
            stretch = calibration.q * max(one.std, calibration.floor) / (NORMAL_95 * one.std)
        values.append(one.mean + stretch * (one.values - one.mean))
        probs.append(one.probs / len(steps))
    joined, shares = np.concatenate(values), np.concatenate(probs)
    ascending = np.argsort(joined, kind="stable")
    return joined[ascending], shares[ascending]


def _pair(judged: Sequence[Judged], place: tuple[int, int], answer: Preference | ReplyError | None) -> Pair:
    """Return a pair, the better picture first."""
    a, b = place
    first, second = judged[a], judged[b]
    assert first.score is not None and second.score is not None
    difference = first.score - second.score
    rated = interval = share = None
    if first.values is not None and second.values is not None and first.probs is not None and second.probs is not None:
        rated = prob_better(first.values, first.probs, second.values, second.probs)
        interval = difference_interval(difference, first.std, second.std)
        share = share_interval(interval)
    problem = None
    if isinstance(answer, ReplyError):
        problem = f"the answer about both pictures cannot be read ({answer})"
        problem += "; the ratings count" if rated is not None else ""
    elif answer is None and rated is None:
        problem = "the model gives no rating distribution; compare with --protocol snellen, which asks about pairs"
    asked = answer if isinstance(answer, Preference) else None
    probability = asked.probability if asked else rated
    source = "question" if asked else "ratings"
    changed = tuple(changes(first.issues, second.issues))
    pair = Pair(a, b, probability, source, difference, interval, share, changed, asked, problem)
    return pair if probability is None or probability >= 0.5 else _turned(pair, judged)


def _turned(pair: Pair, judged: Sequence[Judged]) -> Pair:
    """Return the pair with the second picture first."""
    assert pair.probability is not None and pair.difference is not None
    asked = pair.preference
    if asked is not None:
        orders = (1.0 - asked.orders[1], 1.0 - asked.orders[0])
        asked = Preference(1.0 - asked.probability, asked.bias, orders, (asked.why[1], asked.why[0]))
    return replace(
        pair, first=pair.second, second=pair.first, probability=1.0 - pair.probability, difference=-pair.difference,
        interval=None if pair.interval is None else (-pair.interval[1], -pair.interval[0]),
        share=None if pair.share is None else (1.0 - pair.share[1], 1.0 - pair.share[0]),
        changes=tuple(changes(judged[pair.second].issues, judged[pair.first].issues)), preference=asked,
    )  # fmt: skip


def _ranked(
    judged: Sequence[Judged], regions: tuple[Region, ...], pairs: Sequence[Pair], scored: Sequence[int], sure: float
) -> Comparison:
    """Return the comparison. A pair without a probability is a tie; then by score."""
    at = {place: number for number, place in enumerate(scored)}
    wins = np.full((len(scored), len(scored)), 0.5)
    for pair in pairs:
        if pair.probability is not None:
            wins[at[pair.first], at[pair.second]] = pair.probability
            wins[at[pair.second], at[pair.first]] = 1.0 - pair.probability
    best, worst = ranks(wins, sure)
    ordered = order(wins)
    return Comparison(
        tuple(judged), regions, tuple(pairs), tuple(scored[one] for one in ordered),
        tuple((best[one], worst[one]) for one in ordered), sure, triples(wins, sure),
    )  # fmt: skip
