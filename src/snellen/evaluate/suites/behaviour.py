"""How the model behaves where a score alone would not show it.

Does it think less of a clean crop of a clean picture ("cropping implies degradation")? Does it call a blurred
background a fault? Does the second round move the rating towards people's? Does it say different things of different
pictures?
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from snellen.evaluate.modes import CONTROLS
from snellen.evaluate.perturb import SUBJECT, cropped, out_of_focus, portrait, reduced
from snellen.evaluate.predict import DataSet, Job, Row
from snellen.evaluate.pristine import pristine
from snellen.evaluate.report.tables import Table, number, percent, spread
from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.stats import diversity
from snellen.evaluate.stats import text as words
from snellen.evaluate.suites import scores
from snellen.region import Region
from snellen.reply import FIRST_LABELS, LATER_LABELS

SUITE = "behaviour"
MOST = 48
"""Clean photographs at most."""
WHOLE = "whole"
CROPS = {
    "crop left": Region(0.05, 0.2, 0.55, 0.7),
    "crop middle": Region(0.25, 0.25, 0.75, 0.75),
    "crop right": Region(0.45, 0.3, 0.95, 0.8),
    "crop small": Region(0.35, 0.35, 0.65, 0.65),
}
"""Parts of clean photographs that are assessed as pictures of their own."""
PORTRAITS: dict[str, Callable[[str], Any]] = {
    "sharp all over": reduced,
    "blurred background": portrait,
    "blurred all over": out_of_focus,
}
BLURS = ("blur", "motion blur")
SEED = 0


def jobs(sets: Sequence[DataSet], ways: Sequence[str], folder: Path) -> list[Job]:
    """The rated pictures, as in the suite `scores`; clean photographs whole, in parts, and as portraits."""
    taken = tuple(way for way in ways if way not in CONTROLS)
    found = []
    for key, sample in pristine(sets, MOST).items():
        path = sample.path
        found.append(Job(SUITE, key, path, path, taken, WHOLE))
        found += [Job(SUITE, key, partial(cropped, path, part), path, taken, name) for name, part in CROPS.items()]
        found += [Job(SUITE, key, partial(make, path), path, taken, name) for name, make in PORTRAITS.items()]
    return [*scores.jobs(sets, ways, folder), *found]


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Crop bias and portraits by way; refinement, diversity and words of the main way over the rated pictures, by
    set."""
    main = rows[0].way
    clean = [row for row in rows if row.suite == SUITE]
    rated = {name: list(found[main].values()) for name, found in scores.by_set(rows, sets).items() if main in found}
    mos = {key: sample.mos for each in sets for key, sample in each.samples.items() if sample.mos is not None}
    return {
        "main": main,
        "crop bias": {way: crop_bias(those) for way, those in _by_way(clean).items()},
        "second look at clean pictures": second_look([r for r in clean if r.way == main and r.variant == WHOLE]),
        "portraits": {way: portraits(those) for way, those in _by_way(clean).items()},
        "refinement": {name: refinement(those, mos) for name, those in rated.items()},
        "diversity": {name: said(those) for name, those in rated.items()},
        "words": {name: words.agreement(those) for name, those in rated.items()},
    }


def _by_way(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.way, []).append(row)
    return found


def crop_bias(rows: Sequence[Row]) -> dict[str, Any]:
    """Score of a clean part of a clean picture less that of the whole, in the way's own unit; 0 is no bias.

    Parts of one photograph are averaged first, so that the interval is over photographs.
    """
    score = {(row.key, row.variant): row.score for row in rows}
    whole = {key: value for (key, variant), value in score.items() if variant == WHOLE and value is not None}
    moved: dict[str, list[float]] = {}
    for (key, variant), value in score.items():
        if variant in CROPS and value is not None and key in whole:
            moved.setdefault(key, []).append(value - whole[key])
    means = [float(np.mean(values)) for values in moved.values()]
    by_crop = {
        name: [value - whole[key] for (key, variant), value in score.items()
               if variant == name and value is not None and key in whole]
        for name in CROPS
    }  # fmt: skip
    return {
        "photographs": len(means),
        "bias": _mean(means),
        "part scores less": metrics.share([value < 0.0 for values in moved.values() for value in values]),
        "by crop": {name: float(np.mean(values)) if values else math.nan for name, values in by_crop.items()},
    }


def looked_again(rows: Sequence[Row]) -> list[tuple[Row, float, float]]:
    """Rows with a second round, with the score of the first and of the last; those without both are left out."""
    return [
        (row, first, row.score)
        for row in rows
        if len(row.rounds) > 1 and row.score is not None and (first := row.rounds[0].score) is not None
    ]


def second_look(rows: Sequence[Row]) -> dict[str, Any]:
    """The same bias inside an assessment: score after the crop less score before it, on clean pictures."""
    moved = [last - first for _, first, last in looked_again(rows)]
    return {"pictures": len(rows), "looked again": len(moved), "bias": _mean(moved)}


def _mean(values: Sequence[float]) -> tuple[float, float, float]:
    """With its bootstrap interval."""
    if not values:
        return math.nan, math.nan, math.nan
    return metrics.bootstrap_interval(lambda some: float(np.mean(some)), values, seed=SEED)


def portraits(rows: Sequence[Row]) -> dict[str, Any]:
    """Score, and how often blur is named: sharp all over, with a blurred background, and blurred all over.

    A background out of focus on purpose is no fault: it should cost little of what blur all over costs, which is
    "cost of the background" (0 nothing, 1 as much as blur all over; NaN where that costs nothing). "blur named behind"
    counts issues of blur whose box has its middle outside the sharp subject or holds all of it.
    """
    found: dict[str, Any] = {}
    for name in PORTRAITS:
        those = [row for row in rows if row.variant == name]
        known = [row.score for row in those if row.score is not None]
        blurs = [[issue.region for issue in row.issues if issue.kind in BLURS] for row in those]
        found[name] = {
            "pictures": len(those),
            "score": float(np.mean(known)) if known else math.nan,
            "blur named": metrics.share([bool(boxes) for boxes in blurs]),
            "blur named behind": metrics.share([any(_behind(box) for box in boxes) for boxes in blurs]),
        }
    sharp, background, blurred = (found[name]["score"] for name in PORTRAITS)
    lost = sharp - blurred
    return found | {"cost of the background": (sharp - background) / lost if lost > 0.0 else math.nan}


def _behind(box: Region) -> bool:
    x, y = box.center
    inside = SUBJECT.x0 <= x < SUBJECT.x1 and SUBJECT.y0 <= y < SUBJECT.y1
    return not inside or box.covers(SUBJECT) > 0.99


def refinement(rows: Sequence[Row], mos: Mapping[str, float]) -> dict[str, Any]:
    """Error after each round on the pictures that were looked at again, and which way the rating moved.

    Errors are root mean squares. right way: share of those whose rating moved at all that moved to the side on which
    the MOS lies; nearer: share of all that ended nearer to it.
    """
    pairs = [(first, last, mos[row.key]) for row, first, last in looked_again(rows)]
    first, last, wanted = np.array(pairs, float).reshape(-1, 3).T
    moved = last != first
    return {
        "pictures": len(rows),
        "looked again": len(pairs),
        "error after the first round": metrics.rmse(first, wanted),
        "error after the last round": metrics.rmse(last, wanted),
        "error, last less first": metrics.bootstrap_difference(metrics.rmse, last, first, wanted, seed=SEED)
        if pairs
        else (math.nan,) * 3,
        "moved": metrics.share(moved),
        "right way": metrics.share(((last - first) * (wanted - first) > 0)[moved]),
        "nearer": metrics.share(np.abs(last - wanted) < np.abs(first - wanted)),
        "how far": float(np.mean(np.abs(last - first))) if pairs else math.nan,
    }


def said(rows: Sequence[Row]) -> dict[str, Any]:
    """Diversity of ratings and texts of the last rounds, and how long replies are.

    Ratings as written: entropy in bits, and different ones. Texts are the think text without its labels: see
    `snellen.evaluate.stats.diversity`. words: of a think text.
    """
    last = [row.rounds[-1] for row in rows if row.rounds and row.score is not None]
    ratings = [round.rating for round in last if round.rating is not None]
    texts = [text for row in rows if row.rounds and (text := think_text(row.rounds[-1].reply))]
    lengths = [len(diversity.words(text)) for text in texts]
    return {
        "pictures": len(rows),
        "ratings": len(ratings),
        "rating entropy": diversity.entropy(ratings),
        "different ratings": len(set(ratings)),
        "texts": len(texts),
        "distinct-2": diversity.distinct_2(texts),
        "entropy of pairs of words": diversity.entropy(diversity.bigrams(texts)),
        "different texts": diversity.distinct_share(texts),
        "words": [float(q) for q in np.quantile(lengths, [0.05, 0.5, 0.95])] if lengths else [math.nan] * 3,
        "tokens": float(np.mean([sum(r.tokens for r in row.rounds) for row in rows])) if rows else math.nan,
    }


def think_text(reply: str) -> str:
    """What a reply thinks, as one text without the labels of its sections; "" where it does not."""
    found = re.search(r"<think>(.*?)</think>", reply, re.DOTALL)
    text = found[1] if found else ""
    for label in (*LATER_LABELS, *FIRST_LABELS):  # the longer ones first: one ends as another does
        text = text.replace(f"{label}:", " ")
    return " ".join(text.split())


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table]:
    """The tables of the report."""
    found = []
    bias = [
        [way, str(v["photographs"]), spread(v["bias"]), percent(v["part scores less"]),
         *(number(c) for c in v["by crop"].values())]
        for way, v in summary["crop bias"].items() if v["photographs"]
    ]  # fmt: skip
    if bias:
        again = summary["second look at clean pictures"]
        note = (
            f"Of peers in their own unit. Inside an assessment, {summary['main']}: {again['looked again']} of "
            f"{again['pictures']} clean pictures looked at again, score after less before {spread(again['bias'])}."
        )
        head = ["way", "photographs", "part less whole", "part scores less", *CROPS]
        found.append(Table("Clean parts of clean pictures", head, bias, note))
        found.append(_portraits_table(summary["portraits"]))
    for name, v in summary["refinement"].items():
        found.append(Table(f"What the second round changes: {name}", ["what", "value"], _lines(v)))
    for name, v in summary["diversity"].items():
        found.append(Table(f"How different and how long the replies are: {name}", ["what", "value"], _lines(v)))
    found += [words.table(v, f": {name}") for name, v in summary["words"].items() if v["looks"]]
    return found


def _portraits_table(ways: Mapping[str, Any]) -> Table:
    head = ["way", *(f"{what}, {name}" for name in PORTRAITS for what in ("score", "blur named")), "cost of background"]
    lines = [
        [way, *(cell for name in PORTRAITS for cell in (number(v[name]["score"], 2), percent(v[name]["blur named"]))),
         number(v["cost of the background"], 2)]
        for way, v in ways.items()
    ]  # fmt: skip
    note = "Cost of background: what a background out of focus costs, of what blur all over costs."
    return Table("Portraits: a sharp subject before a blurred background", head, lines, note)


def _lines(values: Mapping[str, Any]) -> list[list[str]]:
    shares = ("moved", "right way", "nearer")

    def cell(name: str, value: Any) -> str:
        if name in shares:
            return percent(value)
        if isinstance(value, tuple):
            return spread(value)
        if isinstance(value, list):
            return f"{number(value[1], 0)} [{number(value[0], 0)}, {number(value[2], 0)}], median and middle 90 %"
        return str(value) if isinstance(value, int) else number(value)

    return [[name, cell(name, value)] for name, value in values.items()]
