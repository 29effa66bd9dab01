"""Analysis of a study's answers: ratings as tables, who counts, opinions, scales, agreement, effects of order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snellen.evaluate.stats.bootstrap import UNDEFINED, Estimate, bootstrap_interval
from snellen.region import Region
from snellen.study.opinions import Opinions, difference_ratings, mean_opinions
from snellen.study.order_effects import Course, OrderEffects, order_effects
from snellen.study.pair_scale import Floats, PairScale, count_wins, fit_pairs
from snellen.study.plan import Plan
from snellen.study.rater_agreement import (
    Intraclass,
    intraclass_correlation,
    krippendorff_alpha,
    matched_iou,
    mean_kappa,
)
from snellen.study.rater_model import RaterModel, fit_rater_model
from snellen.study.raters import Extras, Rater, judge_pair_rater, report_raters
from snellen.study.session import CHOICES, Study, is_right, known_of
from snellen.study.store import Answer
from snellen.usage import UsageError
from snellen.vocabulary import KINDS


@dataclass(frozen=True)
class FaultAgreement:
    """Agreement about faults. kappa: by kind, Light's over pictures, NaN where nobody or everybody marked it. marked:
    number of boxes by kind. iou: mean over boxes of one kind in one picture, matched between each two raters."""

    kappa: dict[str, float]
    marked: dict[str, int]
    iou: float


MOST_NAMED = 3
"""Raters whom an error names."""


@dataclass(frozen=True)
class Analysis:
    """A study's analysis, for P rated pictures and R raters with answers.

    Attributes:
        plan, answers: of the study; training is among the answers.
        raters: reports in the order of the columns of `ratings`.
        ratings: (P, R) overall ratings, the first of each rater; NaN where there is none. (P, 0) for pairs.
        questions: the same of every other scale.
        kept: (R,) bool, who counts.
        opinions, everybody: mean opinions of those who count, and of all.
        model: rater model of those who count; None for pairs.
        differences: opinions on difference ratings, with hidden references.
        wins, scale: choices (P, P) and the scale of those who count, for pairs.
        alpha, icc: agreement of those who count; alpha is on interval level with its interval over pictures.
        effects: of order and fatigue; None for pairs.
        faults: agreement about boxes; None without.
        simulated: True where raters were simulated.
    """

    plan: Plan
    answers: list[Answer]
    raters: list[Rater]
    ratings: Floats
    questions: dict[str, Floats]
    kept: npt.NDArray[np.bool_]
    opinions: Opinions
    everybody: Opinions
    model: RaterModel | None
    differences: Opinions | None
    wins: Floats
    scale: PairScale | None
    alpha: Estimate
    icc: Intraclass
    effects: OrderEffects | None
    faults: FaultAgreement | None
    simulated: bool


def analyse(study: Study, *, keep_all: bool = False) -> Analysis:
    """Return the analysis of a study's answers. keep_all: nobody is left out; reasons are reported all the same.

    Raises UsageError where there are no answers that count.
    """
    answers = study.store.answers()
    rated = [answer for answer in answers if answer.task.kind == "rated"]
    if not rated:
        raise UsageError(f"{study.folder} has no answers yet; invite raters, or try it with: snellen study simulate")
    raters_of = study.store.raters()
    answered = {answer.rater for answer in rated}
    codes = [rater.code for rater in raters_of if rater.code in answered]
    simulated = any(rater.simulated for rater in raters_of)
    plan = study.plan
    if plan.rubric.is_pairs:
        return _analyse_pairs(plan, answers, codes, keep_all, simulated)
    ratings = table_of(plan, rated, codes, "overall")
    scales = [question.name for question in plan.rubric.questions if question.kind == "scale"]
    questions = {name: table_of(plan, rated, codes, name) for name in scales[1:]}
    raters = report_raters(codes, ratings, [_extras(plan, answers, code) for code in codes])
    kept = _kept(raters, keep_all)
    counted = ratings[:, kept]
    model = fit_rater_model(counted)
    differences = None
    if plan.rubric.method == "acr-hr":
        differences = mean_opinions(difference_ratings(counted, _references(plan)))
    counting = [code for code, keep in zip(codes, kept, strict=True) if keep]
    return Analysis(
        plan=plan, answers=answers, raters=raters, ratings=ratings, questions=questions, kept=kept,
        opinions=mean_opinions(counted), everybody=mean_opinions(ratings), model=model, differences=differences,
        wins=np.zeros((0, 0)), scale=None, alpha=bootstrap_interval(krippendorff_alpha, counted, n=200),
        icc=intraclass_correlation(counted), effects=order_effects(_courses(plan, rated, counting, model)),
        faults=fault_agreement(plan, rated, counting) if plan.rubric.boxes else None, simulated=simulated,
    )  # fmt: skip


def _kept(raters: Sequence[Rater], keep_all: bool) -> npt.NDArray[np.bool_]:
    kept = np.array([keep_all or rater.kept for rater in raters])
    if not kept.any():
        why = [f"{rater.code}: {', '.join(rater.reasons)}" for rater in raters[:MOST_NAMED]]
        more = f" ... and {len(raters) - MOST_NAMED} more" if len(raters) > MOST_NAMED else ""
        raise UsageError(f"every rater is left out ({'; '.join(why)}{more}); --keep-all counts them all the same")
    return kept


def table_of(plan: Plan, rated: Sequence[Answer], codes: Sequence[str], name: str) -> Floats:
    """Return the answers to a scale (P, R), NaN where there is none."""
    row = plan.rows
    column = {code: at for at, code in enumerate(codes)}
    table = np.full((len(row), len(codes)), np.nan)
    for answer in rated:
        value = answer.answers.get(name)
        if value is not None:
            table[row[answer.task.picture], column[answer.rater]] = value
    return table


def _references(plan: Plan) -> list[int]:
    return [plan.rows.get(picture.reference, -1) for picture in plan.rated]


def _extras(plan: Plan, answers: Sequence[Answer], code: str) -> Extras:
    own = [answer for answer in answers if answer.rater == code and answer.task.kind != "training"]
    right = []
    for answer in own:
        known = known_of(plan.rubric.golden, answer.task) if answer.task.kind == "golden" else None
        if known is not None:
            right.append(is_right(known, answer.task, answer.answers))
    first = {answer.task.picture: answer for answer in own if answer.task.kind == "rated"}
    repeats = [
        (first[answer.task.picture].answers.get("overall"), answer.answers.get("overall"))
        for answer in own
        if answer.task.kind == "repeat" and answer.task.picture in first
    ]
    return Extras(
        float(np.mean(right)) if right else math.nan, len(right), np.array(repeats, np.float64).reshape(-1, 2),
        np.array([answer.seconds for answer in own]),
    )  # fmt: skip


def _courses(plan: Plan, rated: Sequence[Answer], codes: Sequence[str], model: RaterModel) -> list[Course]:
    courses = []
    for column, code in enumerate(codes):
        own = [answer for answer in rated if answer.rater == code]
        quality = model.quality[[plan.rows[answer.task.picture] for answer in own]]
        given = np.array([answer.answers["overall"] for answer in own], np.float64)
        seconds = np.array([answer.seconds for answer in own])
        courses.append(Course(given - quality - model.bias[column], quality, seconds))
    return courses


def fault_agreement(plan: Plan, rated: Sequence[Answer], codes: Sequence[str]) -> FaultAgreement:
    """Return the agreement of raters about the faults they marked."""
    keys = [picture.key for picture in plan.rated]
    boxes = {(answer.task.picture, answer.rater): answer.boxes for answer in rated}
    kappa, marked, ious = {}, {}, []
    for kind in KINDS:
        labels: list[list[bool | None]] = [
            [any(b["kind"] == kind for b in boxes[key, code]) if (key, code) in boxes else None for key in keys]
            for code in codes
        ]
        marked[kind] = sum(b["kind"] == kind for those in boxes.values() for b in those)
        kappa[kind] = mean_kappa(labels) if marked[kind] else math.nan
        for key in keys:
            of = [[Region(*b["box"]) for b in boxes.get((key, code), []) if b["kind"] == kind] for code in codes]
            drawn = [those for those in of if those]
            ious += [iou for n, one in enumerate(drawn) for other in drawn[n + 1 :] for iou in matched_iou(one, other)]
    return FaultAgreement(kappa, marked, float(np.mean(ious)) if ious else math.nan)


def _analyse_pairs(plan: Plan, answers: list[Answer], codes: list[str], keep_all: bool, simulated: bool) -> Analysis:
    rated = [answer for answer in answers if answer.task.kind == "rated"]
    raters = []
    for code in codes:
        others = wins_of(plan, [answer for answer in rated if answer.rater != code])
        own = wins_of(plan, [answer for answer in rated if answer.rater == code])
        raters.append(judge_pair_rater(code, own, fit_pairs(others), _pair_extras(plan, answers, code)))
    kept = _kept(raters, keep_all)
    counting = {code for code, keep in zip(codes, kept, strict=True) if keep}
    wins = wins_of(plan, [answer for answer in rated if answer.rater in counting])
    nothing = np.full((len(plan.rated), 0), np.nan)
    empty = mean_opinions(nothing)
    return Analysis(
        plan=plan, answers=answers, raters=raters, ratings=nothing, questions={}, kept=kept, opinions=empty,
        everybody=empty, model=None, differences=None, wins=wins, scale=fit_pairs(wins), alpha=UNDEFINED,
        icc=Intraclass(math.nan, math.nan), effects=None, faults=None, simulated=simulated,
    )  # fmt: skip


def wins_of(plan: Plan, rated: Sequence[Answer]) -> Floats:
    """Return the choices (P, P) of answers about pairs; a tie counts half for both."""
    row = plan.rows
    first = [row[answer.task.picture] for answer in rated]
    second = [row[answer.task.other] for answer in rated]
    return count_wins(first, second, [CHOICES[answer.answers["preferred"]] for answer in rated], len(row))


def _pair_extras(plan: Plan, answers: Sequence[Answer], code: str) -> Extras:
    own = [answer for answer in answers if answer.rater == code]
    found = _extras(plan, own, code)
    by_pair = {(a.task.picture, a.task.other): CHOICES[a.answers["preferred"]] for a in own if a.task.kind == "rated"}
    repeats = [
        (by_pair[a.task.other, a.task.picture], 1.0 - CHOICES[a.answers["preferred"]])
        for a in own
        if a.task.kind == "repeat" and (a.task.other, a.task.picture) in by_pair
    ]
    return replace(found, repeats=np.array(repeats, np.float64).reshape(-1, 2))
