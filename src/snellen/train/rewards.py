"""What a rollout is rewarded for. Plain functions of arrays, one per reward, and the visible list that weighs them.

Arrays are (P, G): P pictures, G rollouts of each (a group). NaN means that a reward does not apply: a region that
nobody knows, a rating that was not written, a second round that did not take place. It is left out of the sum, which is
not the same as an error: an error is raised.

Public of the paper (Zoom-IQA, arXiv 2601.02918) are the names format, score and rank; the others, and all equations
but that of rank, are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snellen.assessment import Assessment
from snellen.data.sample import Fault, Sample
from snellen.region import LOCAL_AREA, Region
from snellen.reply import Issue

Floats = npt.NDArray[np.float64]

WEIGHTS: tuple[tuple[str, float], ...] = (
    ("format", 0.5),
    ("score", 1.0),
    ("rank", 1.0),
    ("first", 0.5),
    ("refinement", 0.3),
    ("grounding", 0.5),
    ("claim", 0.5),
    ("price", 0.001),
)
"""Every reward and its weight in the sum; weight 0 only logs. The price of a crop is below what a second look brings to
the refinement of an ordinary photograph, 0.3 times 0.004: at 0.005 to 0.05 the policy stopped looking at these
(docs/log)."""


@dataclass(frozen=True)
class Truth:
    """What is known about a picture. mos: 1..5. real: a human one for this very picture, else on the scale of synthetic
    ones. faults: what was applied to it, () for a clean one, None where nobody knows."""

    mos: float
    real: bool
    faults: tuple[Fault, ...] | None


@dataclass(frozen=True)
class Said:
    """What one rollout said, as far as rewards read it.

    readable: every reply could be read. ratings: one per readable round, 1..5, as drawn. expected: the same as the
    score counts them, expectations where there are distributions. crops: what was looked at after the whole picture.
    issues: of the last reply, () where it could not be read.
    """

    readable: bool
    ratings: tuple[float, ...]
    expected: tuple[float, ...]
    crops: tuple[Region, ...]
    issues: tuple[Issue, ...]


def truth_of(sample: Sample, real: bool) -> Truth:
    """The truth of a manifest's row. Synthetic pictures have all their faults in it, real ones none that are known.

    ValueError for a picture without MOS: there would be nothing to learn its rating from.
    """
    if sample.mos is None:
        raise ValueError(f"{sample.path}: no mos in the manifest; add one or remove the line")
    return Truth(sample.mos, real, None if real else sample.faults)


def said_by(assessment: Assessment) -> Said:
    """What a rollout said. ValueError when the picture itself could not be used: that is no fault of the policy's."""
    if not assessment.steps:
        problem = assessment.error.problem if assessment.error else "no look at it was taken"
        raise ValueError(f"{assessment.name}: {problem}; correct the manifest or the file")
    ratings = tuple(step.rating for step in assessment.steps if step.rating is not None)
    expected = tuple(step.score for step in assessment.steps if step.score is not None)
    crops = tuple(step.region for step in assessment.steps[1:])
    readable = assessment.error is None and not any(step.parsed and step.parsed.repaired for step in assessment.steps)
    return Said(readable, ratings, expected, crops, assessment.issues)


def format(readable: npt.ArrayLike) -> Floats:
    """1 where every reply of the rollout could be parsed without a repair, else 0; see `snellen.reply.parse_reply`."""
    return np.asarray(readable, np.float64)


def score(rating: npt.ArrayLike, mos: npt.ArrayLike, width: float) -> Floats:
    """exp(-(rating - MOS)^2 / (2 width^2)), in (0, 1]: continuous, 1 for the MOS itself, NaN without a rating."""
    apart = (np.asarray(rating, np.float64) - np.asarray(mos, np.float64)) / width
    out: Floats = np.exp(-0.5 * apart**2)
    return out


def rank(ratings: npt.ArrayLike, mos: npt.ArrayLike, scale: npt.ArrayLike, gamma: float = 1e-6) -> Floats:
    """Fidelity of the probability that each rating of a picture beats the other pictures of the batch, (P, G), 0..1.

    p_k(i, j) = Phi((q_k(i) - mean q(j)) / sqrt(var q(i) + var q(j) + gamma)) is Thurstone's probability that rating k
    of picture i is above picture j, with mean and variance of each group. The fidelity to the truth p(i, j), 1 where
    MOS i is above MOS j, 1/2 where equal, else 0, is sqrt(p p_k) + sqrt((1 - p)(1 - p_k)); the reward is its mean over
    j.

    ratings (P, G), NaN where none was written; mos and scale (P,): only pictures of one scale are compared. NaN where
    there is no rating, or nothing to compare with.

    Theirs (Wu et al., VisualQuality-R1, arXiv 2505.14460; `accuracy_reward` in grpo_jsonl.py of
    github.com/TianheWu/VisualQuality-R1): the equation, each rating against the mean of every other picture of the
    batch, variances that are unbiased (divided by G - 1), gamma 1e-6. Ours: one scale at a time, because a human MOS
    and the label of a synthetic picture are not comparable to a hair; what was not rated is left out, where theirs
    puts a random number; a group with one rating has variance 0; no 1e-6 inside the roots of the fidelity, which is
    there to be differentiated and would lift a perfect reward over 1.
    """
    q = np.asarray(ratings, np.float64)
    labels, scales = np.asarray(mos, np.float64), np.asarray(scale)
    rated = ~np.isnan(q).all(axis=1)
    mean, variance = np.full(len(q), np.nan), np.full(len(q), np.nan)
    mean[rated] = np.nanmean(q[rated], axis=1)
    degrees = np.maximum(1, (~np.isnan(q[rated])).sum(axis=1) - 1)
    variance[rated] = np.nansum((q[rated] - mean[rated][:, None]) ** 2, axis=1) / degrees
    out = np.full(q.shape, np.nan)
    for i in np.flatnonzero(rated):
        others = np.flatnonzero(rated & (scales == scales[i]) & (np.arange(len(q)) != i))
        if len(others) == 0:
            continue
        apart = (q[i][:, None] - mean[others]) / np.sqrt(variance[i] + variance[others] + gamma)  # (G, others)
        above = _normal_cdf(apart)
        truth = 0.5 + 0.5 * np.sign(labels[i] - labels[others])
        out[i] = (np.sqrt(truth * above) + np.sqrt((1.0 - truth) * (1.0 - above))).mean(axis=1)
    return out


def refinement(last_score: npt.ArrayLike, first_score: npt.ArrayLike) -> Floats:
    """Did the last round come closer than the first: score of its expected rating - score of the first's, -1..1. NaN
    where there was one round. Of expectations, because what was looked at moves them; ratings as drawn lie ten times as
    far apart by chance alone."""
    return np.asarray(last_score, np.float64) - np.asarray(first_score, np.float64)


def grounding(said: Said, truth: Truth) -> float:
    """Did it look where the fault is, and closely: F2 of the areas, 5 i / (4 f + c) with fault f, crop c and what they
    share i, 0..1, of the best crop with the worst local fault; 0 when it did not look closer. NaN where no local fault
    is known.

    To hold the fault counts twice as much as to show little else. (Share held + intersection over union) / 2, as it was
    first, paid as much for most of the picture as for the model's own box of the fault, so that crops grew to 0.6 of
    the picture (docs/log).
    """
    local = [fault for fault in truth.faults or () if fault.region.area < LOCAL_AREA]
    if not local:
        return math.nan
    place = max(local, key=lambda fault: fault.severity).region
    return max((_f2(crop, place) for crop in said.crops), default=0.0)


def _f2(crop: Region, place: Region) -> float:
    shared = crop.covers(place) * place.area
    return 5.0 * shared / (4.0 * place.area + crop.area)


def claim(said: Said, truth: Truth) -> float:
    """Are the issues true: 2 x sum of matches / (issues + faults), 0..1, a soft F1; 1 when there is nothing and nothing
    is claimed. Each fault is matched with at most one issue of its kind, worth 1/2 for the kind, 1/4 max(0, 1 -
    |severity - level| / 2) and 1/4 intersection over union. NaN where the faults are not known or no reply could be
    read."""
    if truth.faults is None or not said.readable:
        return math.nan
    if not said.issues and not truth.faults:
        return 1.0
    left, total = list(said.issues), 0.0
    for fault in sorted(truth.faults, key=lambda fault: -fault.severity):
        worth = [(_match(issue, fault), i) for i, issue in enumerate(left) if issue.kind == fault.kind]
        if worth:
            best, i = max(worth)
            total += best
            del left[i]
    return 2.0 * total / (len(said.issues) + len(truth.faults))


def _match(issue: Issue, fault: Fault) -> float:
    apart = abs(issue.severity - fault.severity)
    return 0.5 + 0.25 * max(0.0, 1.0 - apart / 2.0) + 0.25 * issue.region.iou(fault.region)


def price(crops: npt.ArrayLike) -> Floats:
    """- number of crops looked at, 0 or less: zooming is a decision, not a habit."""
    return -np.asarray(crops, np.float64)


def reward_parts(said: Sequence[Sequence[Said]], truths: Sequence[Truth], width: float) -> dict[str, Floats]:
    """Every reward of P groups of G rollouts, each (P, G), by the names in `WEIGHTS`. width: of `score`, in MOS."""
    mos = np.array([truth.mos for truth in truths])
    scale = np.array([truth.real for truth in truths])
    first = _table(said, lambda one: one.ratings[0] if one.ratings else math.nan)
    last = last_ratings(said)
    first_score, last_score = score(first, mos[:, None], width), score(last, mos[:, None], width)
    once = score(_table(said, lambda one: one.expected[0] if one.readable else math.nan), mos[:, None], width)
    twice = score(_table(said, lambda one: one.expected[-1] if one.readable else math.nan), mos[:, None], width)
    rounds = _table(said, lambda one: len(one.expected))
    pairs = list(zip(said, truths, strict=True))
    return {
        "format": format(_table(said, lambda one: one.readable)),
        "score": last_score,
        "rank": rank(last, mos, scale),
        "first": first_score,
        "refinement": np.where(rounds > 1, refinement(twice, once), np.nan),
        "grounding": np.array([[grounding(one, truth) for one in group] for group, truth in pairs]),
        "claim": np.array([[claim(one, truth) for one in group] for group, truth in pairs]),
        "price": price(_table(said, lambda one: len(one.crops))),
    }


def last_ratings(said: Sequence[Sequence[Said]]) -> Floats:
    """(P, G): the rating that each rollout ends in, NaN where one of its replies cannot be read: an earlier round's
    rating does not stand for the last."""
    return _table(said, lambda one: one.ratings[-1] if one.readable else math.nan)


def total(parts: Mapping[str, Floats], weights: Sequence[tuple[str, float]]) -> Floats:
    """(P, G): the weighted sum over `weights`, leaving out what does not apply (NaN).

    ValueError for a weight that no reward has: a misspelt name would otherwise be a reward that is never given.
    """
    unknown = [name for name, _ in weights if name not in parts]
    if unknown:
        raise ValueError(f"no reward is called {unknown[0]!r}; the rewards are {', '.join(parts)}")
    shape = next(iter(parts.values())).shape
    out: Floats = np.sum([np.zeros(shape), *(weight * np.nan_to_num(parts[name]) for name, weight in weights)], axis=0)
    return out


def _table(said: Sequence[Sequence[Said]], read: Callable[[Said], float]) -> Floats:
    return np.array([[read(one) for one in group] for group in said], np.float64)


def _normal_cdf(x: Floats) -> Floats:
    """Of the standard normal distribution."""
    flat = [0.5 * math.erfc(-value / math.sqrt(2.0)) for value in x.ravel().tolist()]
    return np.array(flat).reshape(x.shape)
