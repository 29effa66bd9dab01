"""Assessment of one picture: score, interval, issues, and the rounds that led to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from snellen.backend import RatingDistribution, Reply
from snellen.checks import Check
from snellen.draw import draw, headline, jpeg_uri, place
from snellen.image import Picture, View
from snellen.region import Region
from snellen.reply import Issue, Parsed
from snellen.vocabulary import possible

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from PIL import Image

QUANTILES = (0.05, 0.5, 0.95)
"""Quantiles of the rating distribution that a result lists."""
HISTOGRAM_BIN = 0.1
"""Width of a bar of `histogram`, in rating points."""


@dataclass(frozen=True)
class AssessmentError:
    """Reason why a picture has no score, or a round no rating.

    Attributes:
        code: of an assessment: one of `IMAGE_ERROR_CODES`, "no_reply", "waiting" (see `openai_batch`),
            "unparsable_reply" or "invalid_box"; of a step: one of `REPLY_ERROR_CODES`, "no_reply", "waiting" or
            "invalid_box".
        problem: what is wrong.
        remedy: what to do.
    """

    code: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.code}: {self.problem}"


@dataclass(frozen=True, eq=False)
class Step:
    """One round: the view, the model's reply, and the crop that follows.

    Attributes:
        view: what the model was shown.
        reply: the model's reply.
        parsed: the reply as parsed; None where parsing failed, or after a score-only round.
        rating: rating written in the reply, 1..5.
        zoom: region shown in the next round, after the zoom policy. The box that the model asked for is
            `parsed.answer.region`.
        error: why there is no rating or no crop.
        note: why a crop that the model asked for is not shown, or was replaced.
        checks: comparisons of the claims of a freely written text with issues, boxes and measurements.
    """

    view: View
    reply: Reply
    parsed: Parsed | None = None
    rating: float | None = None
    zoom: Region | None = None
    error: AssessmentError | None = None
    note: str | None = None
    checks: tuple[Check, ...] = ()

    @property
    def region(self) -> Region:
        """Region of the view."""
        return self.view.region

    @property
    def distribution(self) -> RatingDistribution | None:
        """Distribution over this round's rating, None when the backend gives none."""
        return self.reply.rating

    @property
    def score(self) -> float | None:
        """Score of this round, 1..5: the mean of the distribution, otherwise the written rating."""
        return self.rating if self.distribution is None else self.distribution.mean

    @property
    def rating_source(self) -> Literal["distribution", "written"] | None:
        """Source of `score`: "distribution", "written", or None where there is no score."""
        if self.score is None:
            return None
        return "written" if self.distribution is None else "distribution"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `Assessment.to_dict` describes its keys."""
        rationale = self.parsed.rationale if self.parsed else None
        answer = self.parsed.answer if self.parsed else None
        return {
            "region": self.region.to_list(),
            "rating": self.rating,
            "rating_source": self.rating_source,
            "rating_mass": None if self.reply.rating_mass is None else round(self.reply.rating_mass, 4),
            "distribution": None if self.distribution is None else _distribution_dict(self.distribution),
            "tool": answer.tool if answer else None,
            "asked": answer.region.to_list() if answer and answer.region else None,
            "zoom": self.zoom.to_list() if self.zoom else None,
            "rationale": asdict(rationale) if rationale else None,
            "repaired": [*self.reply.repaired, *(self.parsed.repaired if self.parsed else ())],
            "reply": self.reply.text,
            "finish": self.reply.finish,
            "tokens": len(self.reply.token_ids),
            "note": self.note,
            "checks": [asdict(check) for check in self.checks],
            "error": asdict(self.error) if self.error else None,
        }


def histogram(distribution: RatingDistribution) -> npt.NDArray[np.float64]:
    """Return the shares of the ratings around 1.0, 1.1, ... 5.0, (41,)."""
    bins = np.rint((distribution.values - 1.0) / HISTOGRAM_BIN).astype(int)
    return np.bincount(bins, distribution.probs, minlength=round(4.0 / HISTOGRAM_BIN) + 1).astype(np.float64)


def _rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    return {kind: round(value, 4) for kind, value in probabilities.items()}


def _distribution_dict(distribution: RatingDistribution) -> dict[str, Any]:
    return {
        "mean": round(distribution.mean, 4),
        "std": round(distribution.std, 4),
        "entropy": round(distribution.entropy, 4),
        "quantiles": {str(q): distribution.quantile(q) for q in QUANTILES},
        "histogram": [round(float(part), 4) for part in histogram(distribution)],
    }


@dataclass(frozen=True, eq=False)
class Assessment:
    """Result for one picture.

    Attributes:
        name: name of the picture, as `load` gives it.
        score: score of the last round, 1..5; None where there is an `error`.
        interval: (low, high), contains the MOS with the coverage that the model was calibrated for; the whole scale
            where a note says that the picture cannot be judged; None without calibration or distribution.
        label: verdict word of the score.
        issues: issues of the last round; before them the corruption of a damaged file that was allowed.
        steps: the rounds, also those before an error.
        prompts: "positive" and "negative" text for a restoration model; None without a rationale.
        notes: conversions while the picture was read, e.g. "alpha composited on white".
        provenance: model, protocol and settings.
        error: why there is no score.
        picture: a copy of at most `KEPT_SIDE` px, also in the views of the steps, so that many assessments fit in
            memory.
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
        """Return a JSON-able dict, always with the same keys; absent values are null.

        name; score; interval [low, high]; label; issues [{kind, severity, region, place}]; possible_faults and
        fault_probabilities {kind: 0..1}; steps [{region, rating, rating_source, rating_mass, distribution {mean, std,
        entropy, quantiles, histogram}, tool, asked, zoom, rationale {summary, directions, avoid, decision}, repaired,
        reply, finish, tokens, note, checks [{section, text, about, claim, verdict, reason}], error}]; prompts
        {positive, negative}; notes; provenance; error {code, problem, remedy}. The histogram has the shares of the
        ratings around 1.0, 1.1, ... 5.0. `repaired` lists repairs of form, see `REPAIRS`; checks are of models that
        write freely. Regions are [x0, y0, x1, y1] in fractions of the upright picture.
        """
        return {
            "name": self.name,
            "score": None if self.score is None else round(self.score, 4),
            "interval": [round(end, 4) for end in self.interval] if self.interval else None,
            "label": self.label,
            "issues": [issue.to_dict() | {"place": issue.region.place} for issue in self.issues],
            "possible_faults": _rounded(self.possible_faults),
            "fault_probabilities": None if self.fault_probabilities is None else _rounded(self.fault_probabilities),
            "steps": [step.to_dict() for step in self.steps],
            "prompts": self.prompts,
            "notes": list(self.notes),
            "provenance": self.provenance,
            "error": asdict(self.error) if self.error else None,
        }

    @property
    def fault_probabilities(self) -> Mapping[str, float] | None:
        """Probability, 0..1, that a viewer minds each kind of fault in the whole picture, the most probable first; None
        where the model gives none, and after score-only rounds."""
        return self.steps[0].reply.fault_probabilities if self.steps else None

    @property
    def possible_faults(self) -> dict[str, float]:
        """Kinds that are no issue but have a probability of at least `POSSIBLE`, with it, the most probable first."""
        return possible(self.fault_probabilities or {}, (issue.kind for issue in self.issues))

    @property
    def headline(self) -> str:
        """Score, verdict word and interval in one line, or "no score"."""
        return headline(self.score, self.label, self.interval)

    def draw(self) -> Image.Image:
        """Return an RGB image: the picture with its issues (by severity), its crops (dashed), score and legend."""
        return draw(
            None if self.picture is None else self.picture.pixels,
            self.issues,
            [step.region for step in self.steps[1:]],
            self.headline,
            None if self.error is None else f"{self.name}: {self.error.problem}; {self.error.remedy}",
        )

    def _repr_html_(self) -> str:
        """Return a self-contained HTML fragment for notebooks; all text of the model is escaped."""
        rows = [
            f"<p><b>{escape(self.name)}</b>: {escape(self.headline)}</p>",
            f'<img style="max-width:100%" alt="the picture with its issues" src="{jpeg_uri(self.draw())}">',
            *(_step_html(number, step) for number, step in enumerate(self.steps, start=1)),
        ]
        if self.provenance is not None:
            model = f"{self.provenance['model']} {self.provenance['model_version']}"
            rows.append(f"<p><small>{escape(model)}, snellen {escape(self.provenance['snellen'])}</small></p>")
        return f'<div style="font-family:sans-serif;max-width:1024px">{"".join(rows)}</div>'


def _step_html(number: int, step: Step) -> str:
    score = "no rating" if step.score is None else f"{step.score:.2f}"
    spread = "" if step.distribution is None else f" &plusmn; {step.distribution.std:.2f}"
    zoom = None if step.zoom is None else f"zooms into {place(step.zoom)}"
    remarks = [str(remark) for remark in (zoom, step.note, step.error) if remark is not None]
    title = f"Round {number}, {place(step.region)}: {score}{spread}"
    if step.parsed is None:
        sections: tuple[str, ...] = (step.reply.text,)
    else:
        sections = step.parsed.rationale.sections if step.parsed.rationale else ()
    text = "".join(f"<p>{escape(section)}</p>" for section in sections)
    return f"<details><summary>{title}{escape('; '.join(['', *remarks]))}</summary>{text}</details>"
