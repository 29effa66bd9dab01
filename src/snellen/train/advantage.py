"""Group advantages of rollouts, and which rewards each kind of action learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snellen.train.rewards import Floats, total

CREDIT: Mapping[str, tuple[str, ...]] = {
    "text": ("format", "claim"),
    "zoom": ("format", "refinement", "grounding", "claim", "price"),
    "rating": ("format", "score", "rank"),
    "first rating": ("format", "first"),
}
"""Rewards that each kind of action learns from with `credit`: text with the list of issues; the decision to zoom and
the box; the rating of the last round; ratings of earlier rounds. After MR-IQA-2, where rating tokens learn from score
and rank and the others from the rest; separate credit for the zoom is ours. All learn from format, because any token
can make a reply unreadable: without it an unreadable box earns more than a crop that gains less than its price."""


def group_advantage(reward: Floats, noise: float) -> Floats:
    """(r - mean) / (std + noise) within each group: (P, G) -> (P, G), mean 0 in each row.

    GRPO's advantage, with `noise` in place of its tiny constant: in a group that all but agrees the differences are
    mostly noise, and dividing by their own size would blow them up.
    """
    out: Floats = (reward - reward.mean(axis=1, keepdims=True)) / (reward.std(axis=1, keepdims=True) + noise)
    return out


def advantages(
    rewards: Mapping[str, Floats], weights: Sequence[tuple[str, float]], noise: float, credit: bool
) -> dict[str, Floats]:
    """Return the advantage of each kind of action in `CREDIT`, each (P, G): the same for all kinds, or, with `credit`,
    each computed from its own rewards."""
    if not credit:
        return dict.fromkeys(CREDIT, group_advantage(total(rewards, weights), noise))
    return {
        kind: group_advantage(total(rewards, [(name, weight) for name, weight in weights if name in names]), noise)
        for kind, names in CREDIT.items()
    }
