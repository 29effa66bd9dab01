"""Validation of a policy on held-out pictures: agreement with MOS, what a second round gains, and where crops lie.

The ablation of GRPO and the choice between rule and decoder use it. A training run validates its own loss itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snellen.assessment import Assessment
from snellen.assessor import Assessor
from snellen.backend import Backend, Conversation, Policy, Reply, Sampling
from snellen.data.sample import Sample
from snellen.evaluate.stats.arrays import Floats
from snellen.evaluate.stats.bootstrap import Estimate, bootstrap_difference, mean
from snellen.evaluate.stats.correlation import plcc, srcc
from snellen.region import LOCAL_AREA
from snellen.train.log import bias_by_fifth, mos_edges


class Greedy(Backend):
    """A policy in training whose replies are its most probable actions."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.name, self.version, self.calibration = policy.name, policy.version, policy.calibration

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """See `Backend.reply`; the temperature is 0 whatever `sampling` says."""
        return self.policy.sample(conversations, Sampling(temperature=0.0, max_tokens=sampling.max_tokens))

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """See `Backend.rate`."""
        return self.policy.rate(conversations)


@dataclass(frozen=True, eq=False)
class Validation:
    """Results on held-out pictures. numbers: by name, NaN where undefined. mos, scores: of the rated pictures, (N,); a
    score is NaN where the reply could not be read."""

    numbers: dict[str, float]
    mos: Floats
    scores: Floats


def validate(backend: Backend, rated: Sequence[Sample], synthetic: Sequence[Sample], rounds: int = 2) -> Validation:
    """Assess rated pictures and pictures with known faults.

    Pictures without a score count in "readable" only. bias_1 .. bias_5: mean of score - MOS in each fifth of MOS, the
    lowest first. rating_entropy: of the last rating distribution, nats. crop_rate: share with a second round.
    """
    assessor = Assessor(backend, max_rounds=rounds, batch_size=64)
    done = assessor.assess([sample.path for sample in rated])
    mos = np.array([sample.mos for sample in rated], float)
    score = np.array([np.nan if one.score is None else one.score for one in done])
    read = ~np.isnan(score)
    numbers = {"readable": float(read.mean())}
    numbers |= {"srcc": srcc(score[read], mos[read]), "plcc": plcc(score[read], mos[read])}
    numbers |= {f"bias_{i}": value for i, value in enumerate(bias_by_fifth(score, mos, mos_edges(mos)), 1)}
    last = [one.steps[-1].distribution for one in done if one.score is not None]
    numbers["rating_entropy"] = mean([one.entropy for one in last if one is not None])
    numbers["crop_rate"] = mean([len(one.steps) > 1 for one in done])
    numbers |= refinement(done, mos)
    numbers |= fault_shares(assessor.assess([sample.path for sample in synthetic]), synthetic)
    return Validation(numbers, mos, score)


def refinement(done: Sequence[Assessment], mos: Floats) -> dict[str, float]:
    """Return, over pictures with a second round: the share whose last rating is closer to the MOS than the first
    ("closer"), and the mean decrease of the absolute error, MOS ("refinement")."""
    errors = [
        (abs(first - truth), abs(one.score - truth))
        for one, truth in zip(done, mos, strict=True)
        if len(one.steps) > 1 and one.score is not None and (first := one.steps[0].score) is not None
    ]
    closer = mean([last < first for first, last in errors])
    return {"closer": closer, "refinement": mean([first - last for first, last in errors])}


def fault_shares(done: Sequence[Assessment], samples: Sequence[Sample]) -> dict[str, float]:
    """Return shares: of local faults half of which a crop shows, of the picture that their crops show, of faults whose
    kind is listed, of clean pictures with an issue."""
    covered: list[float] = []
    areas: list[float] = []
    listed: list[float] = []
    alarms: list[float] = []
    for one, sample in zip(done, samples, strict=True):
        if not sample.faults:
            alarms.append(len(one.issues) > 0)
        for fault in sample.faults:
            listed.append(any(issue.kind == fault.kind for issue in one.issues))
            if fault.region.area < LOCAL_AREA:
                covered.append(any(step.region.covers(fault.region) >= 0.5 for step in one.steps[1:]))
                areas += [step.region.area for step in one.steps[1:]]
    return {
        "fault_covered": mean(covered),
        "crop_area": mean(areas),
        "kind_listed": mean(listed),
        "false_alarm": mean(alarms),
    }


def evenly_spaced(samples: Sequence[Sample], most: int) -> list[Sample]:
    """Return at most `most` samples, evenly spaced."""
    return list(samples[:: max(1, len(samples) // most)][:most])


def srcc_gain(before: Validation, after: Validation) -> Estimate:
    """Return the difference in SRCC, after minus before, with its paired bootstrap 95 % interval; of the pictures that
    both scored."""
    both = ~np.isnan(before.scores) & ~np.isnan(after.scores)
    return bootstrap_difference(srcc, after.scores[both], before.scores[both], before.mos[both])


def compare_with_rule(
    model: Path, decoders: Sequence[Path], rated: Sequence[Sample], synthetic: Sequence[Sample], features: Path
) -> dict[str, dict[str, Any]]:
    """Validate snellen-1's rule policy and decoders on the same pictures, by the name of the decoder's folder.

    "srcc - rule": see `srcc_gain`. features: file that keeps the features of views.
    """
    from snellen.backends.onnx import Snellen1Backend
    from snellen.train.snellen1.policy import Snellen1Policy

    rule = validate(Snellen1Backend(model), rated, synthetic)  # a policy would reply by its decoder
    found: dict[str, dict[str, Any]] = {"rule": dict(rule.numbers)}
    for folder in decoders:
        policy = Snellen1Policy(model, folder, features=features)
        one = validate(Greedy(policy), rated, synthetic)
        found[folder.name] = one.numbers | {"srcc - rule": srcc_gain(rule, one)}
    return found
