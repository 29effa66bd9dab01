"""`Row`: the result of one picture in one mode, with a `Round` for each view; as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from snellen.assessment import Assessment, Step
from snellen.checks import Check
from snellen.region import Region
from snellen.reply import Issue

QUANTILES = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Levels at which the quantiles of each rating distribution are kept."""

RowId = tuple[str, str, str, str]


@dataclass(frozen=True)
class Round:
    """One view and the reply to it.

    Attributes:
        region: the part of the picture that the view shows.
        rating: rating written in the reply, 1..5; None where it has none.
        mean: mean of the rating distribution, 1..5; None where the model gives no distribution, like std and entropy.
        std: its standard deviation, MOS.
        entropy: its entropy, nats.
        quantiles: its quantiles at `QUANTILES`; empty without a distribution.
        issues: issues listed in the reply; empty where it could not be parsed.
        tokens: number of generated tokens.
        reply: text of the reply.
        finish: see `snellen.backend.Reply`.
        error: reason why the reply could not be parsed, None where it could.
        note: see `snellen.assessment.Step`.
        repaired: repairs of form without which the reply could not be parsed, see `snellen.reply.Parsed`.
        checks: checks of a freely written text, see `snellen.checks`.
        fault_probabilities: see `snellen.backend.Reply`.
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
    repaired: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    fault_probabilities: Mapping[str, float] | None = None

    @property
    def score(self) -> float | None:
        """Score after this round, 1..5: the mean of the distribution, else the rating; None after an error."""
        if self.error is not None:
            return None
        return self.rating if self.mean is None else self.mean


@dataclass(frozen=True)
class Row:
    """Result of one picture in one mode.

    Attributes:
        suite, key, variant, mode: see `snellen.evaluate.predict.Job`; mode may be the name of a baseline.
        model: name and version of the model or baseline.
        score: 1..5; of an external baseline in its own unit, higher is better. None where there is an error.
        interval, label: see `snellen.Assessment`.
        width, height: px, upright; None where the picture could not be read.
        rounds: the rounds of the model; empty for baselines.
        error: error code, None where there is a score.
        problem: description of the error.
        seconds: wall-clock time with reading; kept for a job's first mode and external baselines only, because other
            modes reuse work. Not part of the result.
    """

    suite: str
    key: str
    variant: str
    mode: str
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
    def id(self) -> RowId:
        """(suite, key, variant, mode), unique in a run."""
        return (self.suite, self.key, self.variant, self.mode)

    @property
    def std(self) -> float | None:
        """Standard deviation of the last round's rating distribution."""
        return self.rounds[-1].std if self.rounds else None

    @property
    def issues(self) -> tuple[Issue, ...]:
        """Issues of the last round; empty where there is no score."""
        return self.rounds[-1].issues if self.rounds and self.score is not None else ()

    @property
    def crop(self) -> Region | None:
        """Region of the second view, None without one."""
        return self.rounds[1].region if len(self.rounds) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict without `seconds`; `row_from_dict` is the inverse."""
        row = asdict(self)
        del row["seconds"]
        for flat, one in zip(row["rounds"], self.rounds, strict=True):
            flat["region"] = exact(one.region)
            for issue, known in zip(flat["issues"], one.issues, strict=True):
                issue["region"] = exact(known.region)
        return row


def exact(region: Region) -> list[float]:
    """Return [x0, y0, x1, y1] with all digits (`Region.to_list` rounds)."""
    return [float(v) for v in (region.x0, region.y0, region.x1, region.y1)]


def row_from_dict(row: Mapping[str, Any]) -> Row:
    """Return the Row that `Row.to_dict` wrote; reads `seconds` too where it is there."""
    rounds = tuple(
        Round(**flat | {
            "region": Region(*flat["region"]),
            "quantiles": tuple(flat["quantiles"]),
            "repaired": tuple(flat["repaired"]),
            "checks": tuple(Check(**check) for check in flat["checks"]),
            "issues": tuple(Issue(i["kind"], i["severity"], Region(*i["region"])) for i in flat["issues"]),
        })
        for flat in row["rounds"]
    )  # fmt: skip
    return Row(**dict(row) | {"rounds": rounds, "interval": tuple(row["interval"]) if row["interval"] else None})


def rounds_of(assessment: Assessment) -> tuple[Round, ...]:
    """Return the rounds of an assessment."""
    return tuple(_round(step) for step in assessment.steps)


def _round(step: Step) -> Round:
    distribution = step.distribution
    return Round(
        region=step.region,
        rating=step.rating,
        mean=distribution.mean if distribution else None,
        std=distribution.std if distribution else None,
        entropy=distribution.entropy if distribution else None,
        quantiles=tuple(distribution.quantile(q) for q in QUANTILES) if distribution else (),
        issues=step.parsed.answer.issues if step.parsed else (),
        tokens=len(step.reply.token_ids),
        reply=step.reply.text,
        finish=step.reply.finish,
        error=str(step.error) if step.error else None,
        note=step.note,
        repaired=tuple(step.parsed.repaired) if step.parsed else (),
        checks=step.checks,
        fault_probabilities=step.reply.fault_probabilities,
    )
