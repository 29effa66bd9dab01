"""What is kept of one picture assessed in one way: a `Row`, with a `Round` for every look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from snellen.assessment import Assessment, Step
from snellen.region import Region
from snellen.reply import Issue

QUANTILES = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Of a rating distribution, kept for each round."""


@dataclass(frozen=True)
class Round:
    """One look and reply.

    region: what was shown. rating: as written in the reply, 1..5. mean, std, entropy (nats), quantiles (at
    `QUANTILES`): of the distribution over ratings, None or () where the model gives none. issues: as named in this
    reply, empty where it could not be read (`error` says why). note: see `snellen.Step`.
    """

    region: Region
    rating: float | None
    mean: float | None
    std: float | None
    entropy: float | None
    quantiles: tuple[float, ...]
    issues: tuple[Issue, ...]
    tokens: int
    reply: str
    finish: str
    error: str | None
    note: str | None

    @property
    def score(self) -> float | None:
        """This round's rating as a score counts it; None where the reply could not be read."""
        if self.error is not None:
            return None
        return self.rating if self.mean is None else self.mean


@dataclass(frozen=True)
class Row:
    """What is kept of one picture assessed in one way.

    suite, key, variant, way: of the job. model: name and version. score: 1..5; of a peer, in its own unit, higher is
    better; None where there is an `error` (a code), and then `problem` says what is wrong. interval, label: see
    `snellen.Assessment`. width, height: px, upright, None where the picture could not be read. rounds: empty for HEADS
    and for peers. seconds: wall-clock time with reading, for a job's first way and for peers; no part of the result.
    """

    suite: str
    key: str
    variant: str
    way: str
    model: str
    score: float | None = None
    interval: tuple[float, float] | None = None
    label: str | None = None
    width: int | None = None
    height: int | None = None
    rounds: tuple[Round, ...] = ()
    error: str | None = None
    problem: str | None = None
    seconds: float | None = field(default=None, compare=False)

    @property
    def id(self) -> tuple[str, str, str, str]:
        """(suite, key, variant, way): unique in a run."""
        return (self.suite, self.key, self.variant, self.way)

    @property
    def std(self) -> float | None:
        """Of the last round's rating distribution."""
        return self.rounds[-1].std if self.rounds else None

    @property
    def issues(self) -> tuple[Issue, ...]:
        """The last round's; empty where there is no score."""
        return self.rounds[-1].issues if self.rounds and self.score is not None else ()

    @property
    def crop(self) -> Region | None:
        """What was shown in the second round."""
        return self.rounds[1].region if len(self.rounds) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, without `seconds`; `row_from_dict` is its inverse."""
        row = asdict(self)
        del row["seconds"]
        for said, round in zip(row["rounds"], self.rounds, strict=True):
            said["region"] = box(round.region)
            for issue, known in zip(said["issues"], round.issues, strict=True):
                issue["region"] = box(known.region)
        return row


def box(region: Region) -> list[float]:
    """All digits, where `Region.to_list` keeps two."""
    return [float(v) for v in (region.x0, region.y0, region.x1, region.y1)]


def row_from_dict(row: Mapping[str, Any]) -> Row:
    """The inverse of `Row.to_dict`; also reads `seconds`."""
    rounds = tuple(
        Round(**said | {
            "region": Region(*said["region"]),
            "quantiles": tuple(said["quantiles"]),
            "issues": tuple(Issue(i["kind"], i["severity"], Region(*i["region"])) for i in said["issues"]),
        })
        for said in row["rounds"]
    )  # fmt: skip
    return Row(**dict(row) | {"rounds": rounds, "interval": tuple(row["interval"]) if row["interval"] else None})


def rounds_of(assessment: Assessment) -> tuple[Round, ...]:
    """What is kept of the steps of an assessment."""
    return tuple(_round(step) for step in assessment.steps)


def _round(step: Step) -> Round:
    spread = step.distribution
    return Round(
        region=step.region,
        rating=step.rating,
        mean=spread.mean if spread else None,
        std=spread.std if spread else None,
        entropy=spread.entropy if spread else None,
        quantiles=tuple(spread.quantile(q) for q in QUANTILES) if spread else (),
        issues=step.parsed.answer.issues if step.parsed else (),
        tokens=len(step.reply.token_ids),
        reply=step.reply.text,
        finish=step.reply.finish,
        error=str(step.error) if step.error else None,
        note=step.note,
    )
