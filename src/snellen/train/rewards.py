"""Rewards of reinforcement learning: one plain function of arrays each, and the list of their weights.

Arrays are (P, G): P pictures and G rollouts of each picture (a group). NaN means that a reward does not apply, for
example `grounding` where no local fault is known, or `score` where no rating could be read. NaN is left out of the
weighted sum. It is not an error: errors are raised.

The names format, score and rank are from Zoom-IQA (arXiv 2601.02918), which publishes no equations. The equation of
`rank` is from VisualQuality-R1; all other equations are ours.
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
"""Weight of each reward in the sum; weight 0 only logs it. A crop must cost less than it gains: on photographs
refinement gains 0.3 x 0.004 a crop, and with a price of 0.005 to 0.05 the policy stopped zooming there."""


@dataclass(frozen=True)
class Truth:
    """Labels of a picture.

    mos: 1..5. real: True for a human MOS of this very picture, False for the MOS of a synthetic one, which is on a
    scale of its own. faults: the faults that were applied, () for a clean picture, None where they are unknown.
    """

    mos: float
    real: bool
    faults: tuple[Fault, ...] | None


@dataclass(frozen=True)
class Outcome:
    """Result of one rollout, as far as rewards read it.

    readable: True where every reply could be parsed. ratings: one per readable round, 1..5: the expectation of the
    round's rating distribution, or the written rating where the policy gives none. crops: regions shown after the
    first view. issues: of the last reply, () where it could not be parsed. repaired: True where the form of a reply had
    to be repaired.
    """

    readable: bool
    ratings: tuple[float, ...]
    crops: tuple[Region, ...]
    issues: tuple[Issue, ...]
    repaired: bool = False


def truth_of(sample: Sample, real: bool) -> Truth:
    """Return the labels of a manifest row. All faults of a synthetic picture are listed in it, those of a real one are
    unknown. Raises ValueError for a picture without MOS, which has no rating to learn from."""
    if sample.mos is None:
        raise ValueError(f"{sample.path}: no mos in the manifest; add one or remove the line")
    return Truth(sample.mos, real, None if real else sample.faults)


def outcome_of(assessment: Assessment) -> Outcome:
    """Return the outcome of one assessment. Raises ValueError where the picture could not be used at all, which is no
    fault of the policy."""
    if not assessment.steps:
        problem = assessment.error.problem if assessment.error else "it was never shown to the policy"
        raise ValueError(f"{assessment.name}: {problem}; correct the manifest or the file")
    ratings = tuple(step.score for step in assessment.steps if step.score is not None)
    crops = tuple(step.region for step in assessment.steps[1:])
    repaired = any(step.parsed.repaired for step in assessment.steps if step.parsed is not None)
    return Outcome(assessment.error is None, ratings, crops, assessment.issues, repaired)


def format_reward(well_formed: npt.ArrayLike) -> Floats:
    """1 where every reply of the rollout was parsed without a repair (see `snellen.reply.parse_reply`), else 0."""
    return np.asarray(well_formed, np.float64)


def score(rating: npt.ArrayLike, mos: npt.ArrayLike, width: float) -> Floats:
    """exp(-(rating - MOS)^2 / (2 width^2)), in (0, 1]; width in MOS. NaN without a rating."""
    error = (np.asarray(rating, np.float64) - np.asarray(mos, np.float64)) / width
    out: Floats = np.exp(-0.5 * error**2)
    return out


def rank(ratings: npt.ArrayLike, mos: npt.ArrayLike, scale: npt.ArrayLike, gamma: float = 1e-6) -> Floats:
    """Fidelity of the pairwise order of ratings to the order of MOS, (P, G), 0..1.

    p_k(i, j) = Phi((q_k(i) - mean q(j)) / sqrt(var q(i) + var q(j) + gamma)) is Thurstone's probability that rating k
    of picture i is above picture j; mean and variance are those of each group. With the truth p(i, j), 1 where MOS i is
    above MOS j, 1/2 where they are equal, else 0, the fidelity is sqrt(p p_k) + sqrt((1 - p)(1 - p_k)). The reward is
    its mean over all j.

    ratings (P, G), NaN where a rollout has none; mos and scale (P,): only pictures of the same scale are compared. The
    result is NaN where there is no rating or no picture to compare with.

    Source: Wu et al., VisualQuality-R1, arXiv 2505.14460, and `accuracy_reward` in grpo_jsonl.py of
    github.com/TianheWu/VisualQuality-R1: the equation, each rating against the mean of every other picture of the
    batch, unbiased variances (divided by G - 1), gamma 1e-6. Ours: one scale at a time, because a human MOS and a
    synthetic one are not comparable; missing ratings are left out, where theirs are replaced by a random number; a
    group with one rating has variance 0; no 1e-6 inside the roots of the fidelity, which would lift it above 1.
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
        z = (q[i][:, None] - mean[others]) / np.sqrt(variance[i] + variance[others] + gamma)  # (G, others)
        above = _normal_cdf(z)
        truth = 0.5 + 0.5 * np.sign(labels[i] - labels[others])
        out[i] = (np.sqrt(truth * above) + np.sqrt((1.0 - truth) * (1.0 - above))).mean(axis=1)
    return out


def refinement(last_score: npt.ArrayLike, first_score: npt.ArrayLike) -> Floats:
    """`score` of the last round's rating - mean `score` of the first ratings of the group, (P, G), -1..1.

    All rollouts of a group see the same first view, so that mean estimates what the picture would get without a crop.
    The rollout's own first rating estimates it too, but one drawn rating is so noisy that a crop's gain drowns in it.
    Where ratings are expectations, as those of snellen-1, both are the same. NaN without a last score, or where no
    rollout of the group has a first one.

    Alone it pays for a bad first rating; the reward `first` must weigh more, as it does in `WEIGHTS`.
    """
    first = np.asarray(first_score, np.float64)
    count = (~np.isnan(first)).sum(axis=1)
    mean = np.where(count > 0, np.nansum(first, axis=1) / np.maximum(count, 1), np.nan)
    out: Floats = np.asarray(last_score, np.float64) - mean[:, None]
    return out


def grounding(outcome: Outcome, truth: Truth) -> float:
    """F2 score of the best crop against the worst local fault's box, 0..1: 5 i / (4 f + c), with the areas f of the
    fault, c of the crop and i of their intersection. 0 without a crop, NaN where no local fault is known.

    F2 weighs recall twice: covering the fault counts more than showing little else. The mean of recall and IoU paid
    as much for a crop of most of the picture as for the fault's own box, and crops grew to 0.6 of the picture.
    """
    local = [fault for fault in truth.faults or () if fault.region.area < LOCAL_AREA]
    if not local:
        return math.nan
    box = max(local, key=lambda fault: fault.severity).region
    return max((_f2(crop, box) for crop in outcome.crops), default=0.0)


def _f2(crop: Region, box: Region) -> float:
    shared = crop.covers(box) * box.area
    return 5.0 * shared / (4.0 * box.area + crop.area)


def claim(outcome: Outcome, truth: Truth) -> float:
    """Soft F1 score of the claimed issues against the known faults, 0..1: 2 x sum of matches / (issues + faults); 1
    where there are neither. NaN where the faults are unknown or a reply could not be parsed.

    A fault, worst first, is matched with at most one issue of its kind, the best one. A match counts 1/2 for the kind,
    1/4 max(0, 1 - |severity - level| / 2) for the severity and 1/4 IoU for the box.
    """
    if truth.faults is None or not outcome.readable:
        return math.nan
    if not outcome.issues and not truth.faults:
        return 1.0
    left, matched = list(outcome.issues), 0.0
    for fault in sorted(truth.faults, key=lambda fault: -fault.severity):
        candidates = [(_match(issue, fault), i) for i, issue in enumerate(left) if issue.kind == fault.kind]
        if candidates:
            best, i = max(candidates)
            matched += best
            del left[i]
    return 2.0 * matched / (len(outcome.issues) + len(truth.faults))


def _match(issue: Issue, fault: Fault) -> float:
    error = abs(issue.severity - fault.severity)
    return 0.5 + 0.25 * max(0.0, 1.0 - error / 2.0) + 0.25 * issue.region.iou(fault.region)


def price(crops: npt.ArrayLike) -> Floats:
    """Minus the number of crops: zooming is a decision, not a habit."""
    return -np.asarray(crops, np.float64)


def rewards_of(outcomes: Sequence[Sequence[Outcome]], truths: Sequence[Truth], width: float) -> dict[str, Floats]:
    """Return every reward of `WEIGHTS` by name, each (P, G). width: of `score`, in MOS."""
    mos = np.array([truth.mos for truth in truths])
    scale = np.array([truth.real for truth in truths])
    last = last_ratings(outcomes)
    first_score = score(_table(outcomes, lambda one: one.ratings[0] if one.ratings else math.nan), mos[:, None], width)
    last_score = score(last, mos[:, None], width)
    rounds = _table(outcomes, lambda one: len(one.ratings))
    pairs = list(zip(outcomes, truths, strict=True))
    return {
        "format": format_reward(_table(outcomes, lambda one: one.readable and not one.repaired)),
        "score": last_score,
        "rank": rank(last, mos, scale),
        "first": first_score,
        "refinement": np.where(rounds > 1, refinement(last_score, first_score), np.nan),
        "grounding": np.array([[grounding(one, truth) for one in group] for group, truth in pairs]),
        "claim": np.array([[claim(one, truth) for one in group] for group, truth in pairs]),
        "price": price(_table(outcomes, lambda one: len(one.crops))),
    }


def last_ratings(outcomes: Sequence[Sequence[Outcome]]) -> Floats:
    """Return each rollout's last rating, (P, G), 1..5. NaN where one of its replies could not be parsed: the rating of
    an earlier round does not stand for the last one."""
    return _table(outcomes, lambda one: one.ratings[-1] if one.readable else math.nan)


def total(rewards: Mapping[str, Floats], weights: Sequence[tuple[str, float]]) -> Floats:
    """Return the weighted sum over `weights`, (P, G), in which NaN counts 0.

    Raises ValueError for an unknown name: a misspelt reward would silently never be given.
    """
    unknown = [name for name, _ in weights if name not in rewards]
    if unknown:
        raise ValueError(f"no reward is called {unknown[0]!r}; the rewards are {', '.join(rewards)}")
    shape = next(iter(rewards.values())).shape
    terms = [weight * np.nan_to_num(rewards[name]) for name, weight in weights]
    out: Floats = np.sum([np.zeros(shape), *terms], axis=0)
    return out


def _table(outcomes: Sequence[Sequence[Outcome]], read: Callable[[Outcome], float]) -> Floats:
    return np.array([[read(one) for one in group] for group in outcomes], np.float64)


def _normal_cdf(z: Floats) -> Floats:
    flat = [0.5 * math.erfc(-value / math.sqrt(2.0)) for value in z.ravel().tolist()]
    return np.array(flat).reshape(z.shape)
