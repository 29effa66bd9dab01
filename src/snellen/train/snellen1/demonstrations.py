"""Decisions to learn from: what snellen-1 should have decided, given the labels of a picture.

A first round crops where its list or its rating is wrong: on the worst local fault, with a margin, or, where no local
fault is known, on the strongest finding. A later round is final and moves the rating to the label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snellen.assessor import Assessor
from snellen.backend import Backend, Conversation, Reply, Round, Sampling
from snellen.data.sample import Sample
from snellen.image import Picture, load
from snellen.region import LOCAL_AREA, Region
from snellen.snellen1.layout import Decision, Finding, ViewFeatures
from snellen.train.rewards import Truth, truth_of
from snellen.train.rollout import rounds_of
from snellen.train.snellen1.policy import Snellen1Policy

RATING_ERROR = 0.3
"""Error of the first rating, MOS, from which on it counts as wrong."""
FOUND = 0.3
"""Least IoU of a finding's box with the box of a fault of its kind for the fault to count as found."""
MARGIN = 0.1
"""Added to each side of a fault's box, as a share of its width or height."""


class Teacher(Backend):
    """Replies as `policy` would after the right decision. truths: labels by name of the picture."""

    name, version = "teacher", "1"

    def __init__(self, policy: Snellen1Policy, truths: Mapping[str, Truth]) -> None:
        self.policy, self.truths = policy, truths

    def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return the right reply to each conversation, with its actions; nothing is sampled."""
        return [self.policy.demonstrate(one, self.decide(one)) for one in conversations]

    def rate(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """As the policy rates."""
        return self.policy.rate(conversations)

    def decide(self, conversation: Conversation) -> Decision:
        """Return the right decision in the next round of a conversation."""
        views = [view for turn in conversation for view in turn.views]
        first, last = (self.policy.view_features(view) for view in (views[0], views[-1]))
        truth = self.truths[views[0].picture.name]
        rating = self.policy.distribution(first, last).mean
        if len(views) > 1:
            return Decision("final", None, truth.mos - rating)
        region = region_to_crop(truth, rating, first, self.policy.faults(views[0], views[-1]))
        return Decision("final") if region is None else Decision("crop", region)


def region_to_crop(truth: Truth, rating: float, first: ViewFeatures, found: Sequence[Finding]) -> Region | None:
    """Return the box that a first round should ask for; None where its list and its rating are right.

    rating: the first round's, MOS. first: features of the whole picture. found: the findings that it lists.
    """
    wrong = abs(truth.mos - rating) > RATING_ERROR
    local = [fault for fault in truth.faults or () if fault.region.area < LOCAL_AREA]
    if local:
        worst = max(local, key=lambda fault: fault.severity)
        listed = any(one.kind == worst.kind and one.region.iou(worst.region) >= FOUND for one in found)
        return widened(worst.region) if wrong or not listed else None
    invented = truth.faults == () and len(found) > 0
    return widened(first.box) if wrong or invented else None


def widened(region: Region) -> Region:
    """Return a box with `MARGIN` of its width and height added on each side, within the picture."""
    dx, dy = MARGIN * region.width, MARGIN * region.height
    return region.grown(dx, dy, dx, dy)


def demonstrations(policy: Snellen1Policy, samples: Sequence[Sample], real: bool, max_rounds: int = 2) -> list[Round]:
    """Return the rounds of the right replies to pictures, in order. real: see `truth_of`.

    Only regions and features are kept of a picture, not its pixels. Raises ImageError or ValueError for a picture that
    cannot be used.
    """
    assessor = Assessor(Teacher(policy, {one.path: truth_of(one, real) for one in samples}), max_rounds=max_rounds)
    rounds: list[Round] = []
    for sample in samples:
        picture = load(sample.path)
        (assessment,) = assessor.assess([picture])
        if assessment.error is not None:
            raise ValueError(f"{sample.path}: {assessment.error.problem}")
        nothing = Picture(picture.pixels[:1, :1], picture.name)  # features are in the cache
        rounds += rounds_of(assessor, nothing, assessment)
    return rounds
