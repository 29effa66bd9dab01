"""`snellen explain`: what a score means, in words, among known pictures, and as a threshold."""

from __future__ import annotations

import argparse
import json
from bisect import bisect_left, bisect_right
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from snellen.usage import OK, one_to_five
from snellen.vocabulary import LIKED, VERDICTS, verdict

MEANINGS = {
    "bad": "faults ruin the picture",
    "poor": "faults are the first thing one sees",
    "fair": "faults are seen and disturb a little",
    "good": "faults are small, if there are any",
    "excellent": "nothing disturbs",
}
HALF_STEP = 0.05 + 1e-4
"""Opinions are known for scores in steps of 0.1; they hold for a score up to half a step away."""
KEEP, DROP = LIKED, VERDICTS[1][0]
"""Scores from which a picture is kept, and below which it is dropped; it is reviewed between them."""


@dataclass(frozen=True)
class Explanation:
    """Meaning of a score of snellen-1.

    Attributes:
        score: 1..5.
        label: verdict word, with `low` and `high`, the scores between which it holds.
        action: "keep", "review" or "drop".
        percentiles: {set: share of its pictures with a lower score, in percent}.
        opinions: {pictures, mean, low, high} of the MOS of held-out pictures whose score is near: low and high hold
            eight in ten. None where too few are near.
    """

    score: float
    label: str
    low: float
    high: float
    action: str
    percentiles: dict[str, float]
    opinions: dict[str, float] | None


@cache
def numbers() -> dict[str, Any]:
    """Return the content of explain.json, which `recipes/bench/score_scale.py` writes."""
    found: dict[str, Any] = json.loads(files("snellen.apps").joinpath("explain.json").read_text(encoding="utf-8"))
    return found


def explain(score: float) -> Explanation:
    """Return what a score (1..5) of snellen-1 means. Raises ValueError where it is no score."""
    if not 1.0 <= score <= 5.0:
        raise ValueError(f"scores are between 1 and 5, not {score:g}")
    label = verdict(score)
    at = [word for _, word in VERDICTS].index(label)
    low, high = 1.0 if at == 0 else VERDICTS[at - 1][0], min(5.0, VERDICTS[at][0])
    action = "keep" if score >= KEEP else "drop" if score < DROP else "review"
    nearest = min(numbers()["opinions"], key=lambda row: abs(row[0] - score))
    stated = abs(nearest[0] - score) <= HALF_STEP
    opinions = dict(zip(("pictures", "mean", "low", "high"), nearest[1:], strict=True)) if stated else None
    percentiles = {name: percentile(score, one["percentiles"]) for name, one in numbers()["sets"].items()}
    return Explanation(score, label, low, high, action, percentiles, opinions)


def percentile(score: float, percentiles: list[float]) -> float:
    """Return the share of a set that is below a score, in percent. percentiles: its 0th to 100th, rising.

    Between two percentiles it is interpolated; where several are equal to the score their middle counts.
    """
    first, after = bisect_left(percentiles, score), bisect_right(percentiles, score)
    if first < after:
        return (first + after - 1) / 2
    if first == 0 or first == len(percentiles):
        return 0.0 if first == 0 else 100.0
    below, above = percentiles[first - 1], percentiles[first]
    return first - 1 + (score - below) / (above - below)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen explain`."""
    parser.add_argument("scores", metavar="SCORE", nargs="+", type=one_to_five, help="a score of snellen-1, 1 to 5")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each score and line")


def run(args: argparse.Namespace) -> int:
    """Explain and print; return the exit code."""
    for score in args.scores:
        found = explain(score)
        print(json.dumps(asdict(found)) if args.json else text_of(found))
    return OK


def text_of(found: Explanation) -> str:
    """Return an explanation as lines of text."""
    model, held_out = numbers()["model"], numbers()["sets"]["BIQ2021, held out of training"]["pictures"]
    lines = [
        f"{found.score:.2f} of 5: {found.label} ({found.low:g} to {found.high:g}): {MEANINGS[found.label]}",
        *_opinion_lines(found, held_out),
        "",
        f"higher than ({model}, {numbers()['mode']})",
    ]
    for name, share in found.percentiles.items():
        lines.append(f"  {share:3.0f} % of {name} ({numbers()['sets'][name]['pictures']} pictures)")
    rows = {row["threshold"]: row for row in numbers()["held out"]}
    keep, drop = rows[KEEP], rows[DROP]
    lines += [
        "",
        f"as a threshold: {found.action}",
        f"  keep from {KEEP:g} on: {keep['keep precision']:.0%} of the kept have a MOS of {KEEP:g} or more, "
        f"and {keep['keep recall']:.0%} of those are kept",
        f"  drop below {DROP:g}: {drop['drop precision']:.0%} of the dropped have a MOS below {DROP:g}, "
        f"and {drop['drop recall']:.0%} of those are dropped",
        f"  review between (counted on {held_out} pictures of BIQ2021 that were held out of training)",
    ]
    return "\n".join(lines) + "\n"


def _opinion_lines(found: Explanation, held_out: int) -> list[str]:
    if found.opinions is None:
        return [f"too few of the {held_out} held-out pictures have a score near it to say what people think of them"]
    one = found.opinions
    return [
        f"people rated held-out pictures with about this score {one['mean']:.2f} in the mean, "
        f"eight in ten between {one['low']:.2f} and {one['high']:.2f} ({one['pictures']:.0f} pictures)"
    ]
