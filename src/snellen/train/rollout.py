"""Rollouts: a policy assesses pictures by sampling, through the Assessor and its zoom tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snellen.assessment import Assessment
from snellen.assessor import BATCH_MEGAPIXELS, Assessor
from snellen.backend import Policy, Round, Sampling
from snellen.data.sample import Sample
from snellen.image import Picture, load
from snellen.train.rewards import Truth


@dataclass(frozen=True, eq=False)
class Rollout:
    """One rollout. rounds: what the policy was asked and replied, in order. rewards: by name, NaN where one does not
    apply. reward: their weighted sum. advantage: by kind of action, see `advantages`."""

    truth: Truth
    assessment: Assessment
    rounds: tuple[Round, ...]
    rewards: Mapping[str, float]
    reward: float
    advantage: Mapping[str, float]


def roll_out(
    policy: Policy, samples: Sequence[Sample], size: int, rounds: int, max_tokens: int, seed: int
) -> list[list[tuple[Assessment, tuple[Round, ...]]]]:
    """Return a group of `size` rollouts for each sample; see `roll_out_each`."""
    repeated = [sample for sample in samples for _ in range(size)]
    done = roll_out_each(policy, repeated, rounds, max_tokens, seed)
    return [done[begin : begin + size] for begin in range(0, len(done), size)]


def roll_out_each(
    policy: Policy, samples: Sequence[Sample], rounds: int, max_tokens: int, seed: int
) -> list[tuple[Assessment, tuple[Round, ...]]]:
    """Return one rollout for each sample, sampled at temperature 1; equal samples get random streams of their own.

    rounds: at most, per rollout. max_tokens: per reply. ImageError where a picture cannot be read.
    """
    loaded = {path: load(path) for path in dict.fromkeys(sample.path for sample in samples)}
    pictures = [loaded[sample.path] for sample in samples]
    # no larger than a batch of the Assessor, because the rows of every batch are numbered from 0
    size = max(1, int(BATCH_MEGAPIXELS // max([picture.megapixels for picture in pictures] or [1.0])))
    done = []
    for number, begin in enumerate(range(0, len(pictures), size)):
        part = pictures[begin : begin + size]
        sampling = Sampling(temperature=1.0, max_tokens=max_tokens, seed=seed * 10_007 + number)
        assessor = Assessor(policy, max_rounds=rounds, batch_size=len(part), sampling=sampling)
        done += [
            (assessment, rounds_of(assessor, picture, assessment))
            for picture, assessment in zip(part, assessor.assess(part), strict=True)
        ]
    return done


def rounds_of(assessor: Assessor, picture: Picture, assessment: Assessment) -> tuple[Round, ...]:
    """Return what the policy was asked and replied in each round. The views are cut from `picture` again, because an
    Assessment keeps only a small copy of it."""
    views = [picture.view(step.region) for step in assessment.steps]
    turns = [step.reply.turn() for step in assessment.steps]
    return tuple(
        Round(assessor.protocol.conversation(assessor.question_for(picture), views[: i + 1], turns[:i]), step.reply)
        for i, step in enumerate(assessment.steps)
    )
