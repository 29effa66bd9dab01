"""Agreement of a judge with a study's people, beside the agreement of people with each other.

Three measures, from the widest to the most forgiving: the order of all pairs of pictures; the order of those pairs
that both people and judge are sure of; scores within one step of the scale. Where pictures came twice, also
consistency: the order that both ratings of a person give.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snellen.evaluate.stats.bootstrap import Estimate, bootstrap_interval, mean_interval
from snellen.evaluate.stats.correlation import pair_agreement
from snellen.study.analysis import Analysis, table_of
from snellen.study.opinions import mean_opinions
from snellen.study.pair_scale import Floats
from snellen.study.plan import Plan
from snellen.table import read_table
from snellen.usage import UsageError, wrong_usage

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """A judge's scores of P pictures, in the order of `plan.rated`. score, low, high: (P,) MOS, NaN where missing."""

    name: str
    score: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class JudgeAgreement:
    """Shares, 0..1, with 95 % intervals; those of the judge are over pictures, those of people over raters.

    Attributes:
        judge: its name. pictures: that it scored and people rated. raters: who count.
        all_pairs: pairs of pictures that the judge orders as the people's mean does; a tie of the judge counts half.
        people_all_pairs: the same of each rater against the mean of the other raters, mean over raters.
        same_means: the judge against those same means of all raters but one, mean over them: compares with people.
        sure_pairs: all_pairs among pairs whose intervals are apart, people's and the judge's. sure_share: their share.
        people_sure_pairs: people_all_pairs among pairs whose intervals (of the others' mean) are apart.
        one_step: pictures whose score is within one step of the people's mean.
        people_one_step: ratings within one step of the mean of the other raters.
        constant_one_step: one_step of a judge that always answers the mean of all, the least that one_step means.
        people_consistency: pairs of a picture that a rater got twice and another one that both ratings order as the
            mean of the other raters does; a tie counts half. NaN where nothing was repeated.
        consistency: the judge on those same pairs; its score of a repeated picture is the same.
    """

    judge: str
    pictures: int
    raters: int
    all_pairs: Estimate
    people_all_pairs: Estimate
    same_means: Estimate
    sure_pairs: Estimate
    sure_share: float
    people_sure_pairs: Estimate
    one_step: Estimate
    people_one_step: Estimate
    constant_one_step: float
    consistency: Estimate
    people_consistency: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers by name, an estimate as [value, low, high]; None where one is not defined."""

        def plain(value: Any) -> Any:
            if isinstance(value, (tuple, list)):
                return [plain(one) for one in value]
            return None if isinstance(value, float) and math.isnan(value) else value

        return {name: plain(value) for name, value in asdict(self).items()}

    def text(self) -> str:
        """Return the numbers as lines."""

        def shown(value: Estimate) -> str:
            if math.isnan(value.value):
                return "not defined"
            ends = "" if math.isnan(value.low) else f" [{100 * value.low:.1f}, {100 * value.high:.1f}]"
            return f"{100 * value.value:.1f} %{ends}"

        sure = "-" if math.isnan(self.sure_share) else f"{100 * self.sure_share:.1f} % of the pairs"
        lines = [
            f"{self.judge}: {self.pictures} pictures, {self.raters} raters",
            f"order of all pairs         judge {shown(self.all_pairs)}",
            f"  against all but one      judge {shown(self.same_means)}   one person {shown(self.people_all_pairs)}",
            f"beyond both intervals      judge {shown(self.sure_pairs)} ({sure})   "
            f"one person {shown(self.people_sure_pairs)}",
            f"within one step            judge {shown(self.one_step)}   one person {shown(self.people_one_step)}   "
            f"always the mean {100 * self.constant_one_step:.1f} %",
        ]  # fmt: skip
        if not math.isnan(self.people_consistency.value):
            both = f"judge {shown(self.consistency)}   one person {shown(self.people_consistency)}"
            lines.append(f"both times, where repeated {both}")
        return "\n".join(lines)


def judge_agreement(analysis: Analysis, scores: Scores) -> JudgeAgreement:
    """Return the agreement of a judge with the raters who count.

    Raises UsageError for pairs, and for fewer than three pictures with a score and a MOS.
    """
    if analysis.plan.rubric.is_pairs:
        raise UsageError(
            "this study has pairs: run snellen evaluate --data OUT/pairs.csv, which counts the judge's choices"
        )
    there = np.isfinite(scores.score) & np.isfinite(analysis.opinions.mos)
    if there.sum() < 3:
        raise UsageError(f"{scores.name}: fewer than three pictures of the study have a score; score its pictures")
    ratings = analysis.ratings[there][:, analysis.kept]
    score, low, high = scores.score[there], scores.low[there], scores.high[there]
    people = mean_opinions(ratings)
    ends = (np.nan_to_num(people.low, nan=1.0), np.nan_to_num(people.high, nan=5.0))
    apart = _apart(*ends) & _apart(np.where(np.isnan(low), score, low), np.where(np.isnan(high), score, high))
    singles = [_one_rater(ratings, at, score) for at in range(ratings.shape[1])]
    repeated = [answer for answer in analysis.answers if answer.task.kind == "repeat"]
    second = table_of(analysis.plan, repeated, [one.code for one in analysis.raters], "overall")
    twice = [_repeated(ratings, second[there][:, analysis.kept], at, score) for at in range(ratings.shape[1])]
    near = np.abs(score - people.mos) <= 1.0
    return JudgeAgreement(
        judge=scores.name,
        pictures=int(there.sum()),
        raters=ratings.shape[1],
        all_pairs=pair_agreement(score, people.mos),
        people_all_pairs=_over_raters([one[0] for one in singles]),
        same_means=_over_raters([one[1] for one in singles]),
        sure_pairs=_sure(score, people.mos, apart),
        sure_share=float(apart[np.triu_indices(len(score), 1)].mean()),
        people_sure_pairs=_over_raters([one[2] for one in singles]),
        one_step=mean_interval(near.tolist()),
        people_one_step=_over_raters([one[3] for one in singles]),
        constant_one_step=float(np.mean(np.abs(people.mos - people.mos.mean()) <= 1.0)),
        consistency=_over_raters([one[1] for one in twice]),
        people_consistency=_over_raters([one[0] for one in twice]),
    )


def ordered_share(predicted: Floats, wanted: Floats, counts: Bools | None = None) -> float:
    """Return the share of pairs that `predicted` (N,) orders as `wanted` (N,) does; a tie of `predicted` counts 0.5.

    Pairs tied in `wanted` do not count. counts: (N, N), symmetric, pairs that count. NaN where none does.
    """
    better = wanted[:, None] > wanted
    if counts is not None:
        better &= counts
    if not better.any():
        return math.nan
    return float((0.5 + 0.5 * np.sign(predicted[:, None] - predicted))[better].mean())


def _one_rater(ratings: Floats, at: int, score: Floats) -> tuple[float, float, float, float]:
    """Return shares of one rater: all pairs, those of the judge on the same pairs, sure pairs, within one step."""
    own, others = ratings[:, at], np.delete(ratings, at, axis=1)
    there = np.isfinite(own) & (np.isfinite(others).sum(axis=1) > 0)
    if there.sum() < 2:
        return math.nan, math.nan, math.nan, math.nan
    mean = mean_opinions(others[there])
    apart = _apart(np.nan_to_num(mean.low, nan=1.0), np.nan_to_num(mean.high, nan=5.0))
    return (
        ordered_share(own[there], mean.mos), ordered_share(score[there], mean.mos),
        ordered_share(own[there], mean.mos, apart), float(np.mean(np.abs(own[there] - mean.mos) <= 1.0)),
    )  # fmt: skip


def _repeated(ratings: Floats, second: Floats, at: int, score: Floats) -> tuple[float, float]:
    """Return shares of one rater over the pairs of a picture that came twice and another: both ratings, the judge.

    second: (P, R) ratings of repeated pictures, NaN elsewhere.
    """
    own, again, others = ratings[:, at], second[:, at], np.delete(ratings, at, axis=1)
    there = np.isfinite(own) & (np.isfinite(others).sum(axis=1) > 0)
    if not (there & np.isfinite(again)).any():
        return math.nan, math.nan
    own, again, score, mean = own[there], again[there], score[there], mean_opinions(others[there]).mos
    twice = np.flatnonzero(np.isfinite(again))
    wanted = np.sign(mean[twice, None] - mean)
    if not wanted.any():
        return math.nan, math.nan
    order = [wanted * np.sign(one[twice, None] - other) for one, other in ((own, own), (again, own), (score, score))]
    people, judge = np.minimum(order[0], order[1])[wanted != 0], order[2][wanted != 0]
    return float((0.5 + 0.5 * people).mean()), float((0.5 + 0.5 * judge).mean())


def _apart(low: Floats, high: Floats) -> Bools:
    """Return (N, N): pairs whose intervals share no point."""
    above = low[:, None] > high
    found: Bools = above | above.T
    return found


def _sure(score: Floats, mos: Floats, apart: Bools) -> Estimate:
    """Return `ordered_share` among the pairs that count, with its bootstrap interval over pictures."""
    rows = np.arange(len(score))
    return bootstrap_interval(lambda at: ordered_share(score[at], mos[at], apart[np.ix_(at, at)]), rows, n=200)


def _over_raters(values: list[float]) -> Estimate:
    """Return the mean with its interval over raters; three or more are needed for an interval."""
    found = mean_interval(values)
    return found if np.isfinite(values).sum() > 2 else Estimate(found.value, math.nan, math.nan)


def read_scores(file: Path, plan: Plan) -> Scores:
    """Read a table of `snellen score`; its pictures are found by the end of their path.

    Raises UsageError where the table cannot be read, or holds none of the pictures.
    """
    if not file.is_file():
        raise UsageError(f"{file} is not there; make it with: snellen score FOLDER --out {file}")
    rows = read_table(file)
    by_name: dict[str, list[Any]] = {}
    for row in rows:
        by_name.setdefault(Path(row.path).name, []).append(row)
    found = np.full((3, len(plan.rated)), np.nan)
    for at, picture in enumerate(plan.rated):
        path = Path(picture.path)
        fitting = [row for row in by_name.get(path.name, []) if path.as_posix().endswith("/" + row.path)]
        if len(fitting) == 1 and fitting[0].score is not None:
            row = fitting[0]
            found[:, at] = row.score, *(math.nan if end is None else end for end in (row.low, row.high))
    if not np.isfinite(found[0]).any():
        raise UsageError(f"{file} has no score of a picture of this study; score the folder of its originals")
    return Scores(rows[0].model or file.name, *found)


def score_pictures(model: str, plan: Plan) -> Scores:
    """Return the scores of a model for the original files. Raises UsageError for a model that cannot be opened."""
    from snellen.assessor import Assessor

    with wrong_usage():
        assessor = Assessor(model)
    found = np.full((3, len(plan.rated)), np.nan)
    for at, one in enumerate(assessor.stream([picture.path for picture in plan.rated])):
        if one.score is not None:
            found[:, at] = one.score, *(one.interval or (math.nan, math.nan))
    return Scores(f"{assessor.backend.name} {assessor.backend.version}", *found)
